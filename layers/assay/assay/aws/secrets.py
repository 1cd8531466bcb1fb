"""Keys of APIs, from Secrets Manager."""

from __future__ import annotations

import json
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from assay.aws.faults import code_of
from assay.inference.errors import NotConnectedError


def api_key(secret: str, base_url: str, client: Any = None) -> str:
    """Read the key for an API.

    A secret is the key alone, or JSON with `api_key`. JSON may name the `base_url` that the key is for: it is then sent
    nowhere else, whatever a config says.

    Args:
        secret: the secret's name or ARN.
        base_url: where the key would be sent.
        client: a boto3 secretsmanager client; one of its own by default.

    Raises:
        NotConnectedError: there is no such secret, it may not be read, holds no key, or is for another API. The message
            never holds any of its value.
    """
    client = client or boto3.client("secretsmanager")
    try:
        value = client.get_secret_value(SecretId=secret).get("SecretString", "")
    except ClientError as error:
        raise NotConnectedError(f"the secret {secret} cannot be read: {code_of(error)}") from error
    except BotoCoreError as error:
        raise NotConnectedError(f"the secret {secret} cannot be read: {type(error).__name__}") from error
    key, bound_to = _read(value)
    if not isinstance(key, str) or not key.strip() or not key.strip().isascii() or not key.strip().isprintable():
        raise NotConnectedError(f"the secret {secret} holds no key: it must be the key alone, or JSON with `api_key`")
    if bound_to is not None and str(bound_to).rstrip("/") != base_url.rstrip("/"):
        raise NotConnectedError(f"the secret {secret} names another `base_url` than {base_url}: its key is not sent")
    return key.strip()


def _read(value: str) -> tuple[Any, Any]:
    try:
        document = json.loads(value)
    except ValueError:
        return value, None
    return (document.get("api_key"), document.get("base_url")) if isinstance(document, dict) else (value, None)
