"""What all unit tests have in common."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from hypothesis import settings
from moto import mock_aws

from assay.aws import runtime
from assay.aws.storage import Storage
from tests.unit.function_support import SETTINGS, create_table, keep_evaluation

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


@pytest.fixture
def deployed(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """The bucket and the table of a stack, and the settings that its functions are given."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    runtime.setting.cache_clear()
    create_table()
    yield storage
    runtime.setting.cache_clear()


@pytest.fixture
def evaluation(deployed: Storage) -> Storage:
    """An evaluation as its pipeline left it: one model right, one wrong, one that could not be deployed, one lost."""
    keep_evaluation(deployed)
    return deployed
