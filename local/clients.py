"""boto3 clients that reach the local cloud over HTTP, exactly as a handler's own client would."""

from __future__ import annotations

import functools
import threading
from typing import Any

import boto3
from botocore.config import Config

from local.cloud import Settings

_lock = threading.Lock()


def client(settings: Settings, service: str) -> Any:
    """Return the shared client of `service`; creating one is slow and not thread-safe, using one is neither.

    No proxy of the environment is asked. Nothing is retried: what retries is the caller's, and a repeated CreateStack
    would hide the first one's error.
    """
    with _lock:
        return _client(settings.endpoint_url, settings.region, service)


def queue_url(settings: Settings, arn: str) -> str:
    """Return the URL of the queue `arn` in this cloud."""
    account, name = arn.split(":")[4:6]
    return f"{settings.endpoint_url}/{account}/{name}"


@functools.lru_cache(maxsize=64)
def _client(endpoint_url: str, region: str, service: str) -> Any:
    session: Any = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=region)  # noqa: S106
    return session.client(
        service,
        endpoint_url=endpoint_url,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=960, max_pool_connections=64, proxies={}),
    )
