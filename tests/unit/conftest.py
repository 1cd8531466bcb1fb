"""What all unit tests have in common."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from hypothesis import settings
from moto import mock_aws

from assay.aws.storage import Storage

# How long an example takes is no property of the code: the machine may be busy.
settings.register_profile("assay", deadline=None)
settings.load_profile("assay")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty account in memory."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        yield


@pytest.fixture
def storage(aws: None) -> Storage:
    """The bucket `drops`, empty, in an account."""
    boto3.client("s3").create_bucket(Bucket="drops", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return Storage("drops")
