"""S3's events on the default bus, in the shape of "EventBridge event message structure" of the S3 user guide.

moto sends them to every bus with a fixed id, `eTag` for `etag`, and none at all when a versioned object is deleted.
"""

from __future__ import annotations

import secrets
import threading
import time
from typing import Any

from moto.core.responses import ActionResult
from moto.s3 import models, notifications, responses

from local import front
from local.cloud import ACCOUNT_ID, Cloud, UnsupportedError, require
from local.events import bus

_Event = require(notifications, "S3NotificationEvent")
_S3Backend = require(models, "S3Backend")
_S3Response = require(responses, "S3Response")
_get_bucket_notification = require(_S3Response, "get_bucket_notification")
_delete_object = require(_S3Backend, "delete_object")
require(notifications, "send_event")
require(notifications, "send_test_event")

_PUT = require(_Event, "OBJECT_CREATED_PUT_EVENT")
# moto's event -> S3's reason
_CREATED = {
    _PUT: "PutObject",
    require(_Event, "OBJECT_CREATED_POST_EVENT"): "POST Object",
    require(_Event, "OBJECT_CREATED_COPY_EVENT"): "CopyObject",
    require(_Event, "OBJECT_CREATED_COMPLETE_MULTIPART_UPLOAD_EVENT"): "CompleteMultipartUpload",
}


class Sequencer:
    """Hexadecimal numbers that grow with every event: the order of events of one key, compared as text."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def next(self) -> str:
        """Return a number larger than every one before."""
        with self._lock:
            self._last = max(self._last + 1, time.time_ns())
            return f"{self._last:018x}"


def install(cloud: Cloud) -> None:
    """Announce what happens to the objects of every bucket whose EventBridge configuration is on."""
    sequencer = Sequencer()

    def announce(bucket: Any, detail_type: str, key: dict[str, Any], extra: dict[str, str]) -> None:
        detail = {
            "version": "0",
            "bucket": {"name": bucket.name},
            "object": {**key, "sequencer": sequencer.next()},
            "request-id": secrets.token_hex(8).upper(),
            "requester": ACCOUNT_ID,
            "source-ip-address": "127.0.0.1",
            **extra,
        }
        front.defer(
            lambda: bus.emit(
                cloud,
                source="aws.s3",
                detail_type=detail_type,
                detail=detail,
                resources=[f"arn:aws:s3:::{bucket.name}"],
            )
        )

    def send_event(_account_id: str, event_name: Any, bucket: Any, key: Any) -> None:
        # moto announces tags with every put, deletions only in part, and a completed upload as a put as well.
        assembled = event_name == _PUT and key.multipart is not None
        if event_name in _CREATED and not assembled and _listens(bucket):
            announce(bucket, "Object Created", _describe(key), {"reason": _CREATED[event_name]})

    def delete_object(
        self: Any, bucket_name: str, key_name: str, version_id: str | None = None, bypass: bool = False
    ) -> tuple[bool, dict[str, Any]]:
        deleted, metadata = _delete_object(self, bucket_name, key_name, version_id=version_id, bypass=bypass)
        bucket = self.get_bucket(bucket_name)
        if deleted and _listens(bucket):
            marker = bucket.is_versioned and version_id is None
            described = {"key": key_name}
            if "version-id" in metadata:
                described["version-id"] = str(metadata["version-id"])
            kind = "Delete Marker Created" if marker else "Permanently Deleted"
            announce(bucket, "Object Deleted", described, {"reason": "DeleteObject", "deletion-type": kind})
        return deleted, metadata

    def no_test_event(**_: Any) -> None:
        """EventBridge gets no `s3:TestEvent`; queues and topics are not notified by S3 here."""

    def get_bucket_notification(self: Any) -> Any:
        # moto leaves EventBridge out of the answer.
        configuration = self.backend.get_bucket_notification_configuration(self.bucket_name)
        if configuration is None or configuration.event_bridge is None:
            return _get_bucket_notification(self)
        self.data["Action"] = "GetBucketNotificationConfiguration"
        return self.serialized(ActionResult({"EventBridgeConfiguration": {}}))

    _S3Response.get_bucket_notification = get_bucket_notification
    notifications.send_event = send_event
    notifications.send_test_event = no_test_event
    _S3Backend.delete_object = delete_object


def _listens(bucket: Any) -> bool:
    configuration = bucket.notification_configuration
    if configuration is None:
        return False
    if configuration.topic or configuration.queue or configuration.cloud_function:
        raise UnsupportedError(f"bucket {bucket.name}: notifications other than to EventBridge are not carried out")
    return configuration.event_bridge is not None


def _describe(key: Any) -> dict[str, Any]:
    described: dict[str, Any] = {"key": key.name, "size": key.size, "etag": key.etag.strip('"')}
    if key.version_id not in (None, "null"):
        described["version-id"] = key.version_id
    return described
