"""Keys come from Secrets Manager, go where they may go, and are never told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from assay.aws.secrets import api_key
from assay.inference.errors import NotConnectedError

URL = "https://api.example.com/v1"


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.client("secretsmanager", region_name="eu-west-1")


def create(secrets: Any, value: str) -> str:
    return str(secrets.create_secret(Name="assay/key", SecretString=value)["ARN"])


@pytest.mark.parametrize(
    "value", ["sk-123", " sk-123\n", '{"api_key": "sk-123"}', json.dumps({"api_key": "sk-123", "base_url": URL + "/"})]
)
def test_a_secret_is_the_key_alone_or_json_and_is_found_by_name_and_by_arn(secrets: Any, value: str) -> None:
    arn = create(secrets, value)
    assert api_key("assay/key", URL, secrets) == api_key(arn, URL, secrets) == "sk-123"


def test_a_key_that_is_bound_to_one_api_is_sent_to_no_other(secrets: Any) -> None:
    create(secrets, json.dumps({"api_key": "sk-123", "base_url": URL}))
    with pytest.raises(NotConnectedError, match="its key is not sent") as refused:
        api_key("assay/key", "https://elsewhere.example.com/v1", secrets)
    assert "sk-123" not in str(refused.value)


@pytest.mark.parametrize("value", ["sk-1\nX-Header: 2", "{}", '{"api_key": 7}', "ключ"])
def test_what_is_no_key_is_refused_without_being_told(secrets: Any, value: str) -> None:
    create(secrets, value)
    with pytest.raises(NotConnectedError, match="holds no key") as refused:
        api_key("assay/key", URL, secrets)
    assert value not in str(refused.value)


def test_a_secret_that_is_not_there_is_named(secrets: Any) -> None:
    with pytest.raises(NotConnectedError, match="assay/none cannot be read: ResourceNotFoundException"):
        api_key("assay/none", URL, secrets)
