"""Training data in S3, found as SageMaker finds a channel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3

from assay.contracts.evaluation import bucket_and_key


class ChannelFolder:
    """What lies at a path of a config: one object, or everything below a folder. Of any bucket.

    Args:
        uri: an `s3://` URI.
        client: a boto3 S3 client; one of its own by default.
    """

    def __init__(self, uri: str, client: Any = None) -> None:
        self._client = client if client is not None else boto3.client("s3")
        self._bucket, key = bucket_and_key(uri)
        self._key = key.strip("/")
        self._listed: list[str] | None = None

    @property
    def uri(self) -> str:
        """The URI for a channel. A folder ends with a slash: SageMaker would take `train2/` for a part of `train`."""
        whole = self._key in self._keys()
        return f"s3://{self._bucket}/{self._key}{'' if whole or not self._key else '/'}"

    def names(self) -> list[str]:
        """Names below the folder, or the object's own name."""
        return [self._name(key) for key in self._keys()]

    def chunks(self, name: str) -> Iterator[bytes]:
        """One object's content, piece by piece."""
        key = next(key for key in self._keys() if self._name(key) == name)
        yield from self._client.get_object(Bucket=self._bucket, Key=key)["Body"].iter_chunks(262_144)

    def _name(self, key: str) -> str:
        return key.rpartition("/")[2] if key == self._key else key.removeprefix(f"{self._key}/")

    def _keys(self) -> list[str]:
        if self._listed is None:
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._key)
            found = [item["Key"] for page in pages for item in page.get("Contents", [])]
            below = f"{self._key}/" if self._key else ""
            self._listed = [
                key for key in found if (key == self._key or key.startswith(below)) and not key.endswith("/")
            ]
        return self._listed
