"""boto3 clients that reach the local cloud over HTTP, exactly as a handler's own client would."""

from __future__ import annotations

import functools
import os
import threading
from typing import Any

import boto3
import botocore.session
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


def session(region: str) -> Any:
    """Return a boto3 session that reads nothing of this machine's own AWS configuration: no profile, no files.

    A profile that is named in the shell and is not there, or a setting such as FIPS endpoints, must not reach in here.
    """
    # botocore's own form of a variable: its key in the file, its name in the environment, its default, its conversion.
    nowhere = (None, None, os.devnull, None)
    variables = {"profile": (None, None, None, None), "config_file": nowhere, "credentials_file": nowhere}
    return boto3.Session(
        botocore_session=botocore.session.Session(session_vars=variables),
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106
        region_name=region,
    )


def queue_url(settings: Settings, arn: str) -> str:
    """Return the URL of the queue `arn` in this cloud."""
    account, name = arn.split(":")[4:6]
    return f"{settings.endpoint_url}/{account}/{name}"


@functools.lru_cache(maxsize=64)
def _client(endpoint_url: str, region: str, service: str) -> Any:
    return session(region).client(
        service,
        endpoint_url=endpoint_url,
        config=Config(
            retries={"total_max_attempts": 1},
            read_timeout=960,
            max_pool_connections=64,
            proxies={},
            use_fips_endpoint=False,
            use_dualstack_endpoint=False,
        ),
    )
