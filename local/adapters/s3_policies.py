"""Bucket policies are kept and returned, and not enforced: the local cloud checks no permissions.

moto enforces them halfway: it knows no conditions, so that a policy which denies plain HTTP would deny everything.
"""

from __future__ import annotations

from typing import Any

from moto.iam.access_control import PermissionResult
from moto.s3 import models

from local.cloud import Cloud, require

_Bucket = require(models, "FakeBucket")
require(_Bucket, "get_permission")
_NEUTRAL = require(PermissionResult, "NEUTRAL")


def install(_cloud: Cloud) -> None:
    """Let every policy of a bucket neither permit nor deny."""

    def get_permission(_bucket: Any, _action: str, _resource: str) -> Any:
        return _NEUTRAL

    _Bucket.get_permission = get_permission
