"""Models and data that algorithms need, from S3 into a folder, once a process."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from assay.contracts.evaluation import bucket_and_key
from assay.scoring.assets import MissingAssetError


def fetch_folder(uri: str, client: Any = None) -> Path:
    """Copy every object below an `s3://bucket/prefix` into a new folder of this machine.

    Args:
        client: a boto3 S3 client; one of its own by default.

    Raises:
        MissingAssetError: nothing lies there, or it may not be read.
    """
    s3 = client if client is not None else boto3.client("s3")
    bucket, prefix = bucket_and_key(uri)
    prefix = f"{prefix.rstrip('/')}/"
    folder = Path(tempfile.mkdtemp(prefix=f"assay-asset-{hashlib.sha256(uri.encode()).hexdigest()[:8]}-"))
    count = 0
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", []):
                path = (folder / item["Key"].removeprefix(prefix)).resolve()
                if item["Key"].endswith("/") or not path.is_relative_to(folder.resolve()):
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                s3.download_file(bucket, item["Key"], str(path))
                count += 1
    except ClientError as error:
        raise MissingAssetError(f"{uri} cannot be read: {error.response['Error']['Code']}") from error
    if not count:
        raise MissingAssetError(f"nothing lies below {uri}")
    return folder
