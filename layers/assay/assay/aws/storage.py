"""Objects in S3 as bytes and lines."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from assay.aws.faults import code_of, transient_faults
from assay.contracts.errors import ObjectNotFoundError
from assay.contracts.evaluation import DatedVersion, ObjectVersion
from assay.contracts.results import SourceObject

_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
_ABSENT = {"NoSuchKey", "404", "NoSuchVersion"}


class Storage:
    """The objects of one bucket.

    Args:
        bucket: its name.
        client: a boto3 S3 client; one of its own by default.
    """

    def __init__(self, bucket: str, client: Any = None) -> None:
        self.bucket = bucket
        self._client = client if client is not None else boto3.client("s3")

    @classmethod
    def patient(cls, bucket: str) -> Storage:
        """For a job whose hours of work would be lost with it: a request is tried ten times, over up to two minutes."""
        retries: Any = {"mode": "standard", "total_max_attempts": 10}
        return cls(bucket, boto3.client("s3", config=Config(retries=retries, max_pool_connections=20)))

    def latest(self, key: str) -> ObjectVersion:
        """The newest version of `key`.

        Raises:
            ObjectNotFoundError: there is none.
        """
        try:
            head = self._client.head_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            raise self._absent(error, key) from error
        return ObjectVersion(bucket=self.bucket, key=key, version_id=head.get("VersionId"))

    def exists(self, key: str) -> bool:
        """Whether `key` has a version that is not deleted."""
        try:
            self.latest(key)
        except ObjectNotFoundError:
            return False
        return True

    @transient_faults()
    def history(self, key: str, since: datetime | None = None) -> list[DatedVersion]:
        """The versions of `key`, newest first, each with the time in which it was the current one.

        S3 is the judge of what is current: a list is true at the moment it is given, whatever events are on their way.
        Deleting ends a version's time as overwriting does. S3 tells whole seconds, and of a multipart upload the second
        in which it began.

        Args:
            since: leave out what was overwritten or deleted before.
        """
        found: list[DatedVersion] = []
        until: datetime | None = None
        ended_by_marker = False
        for item, is_marker in self._versions(key):
            if not is_marker:
                version_id = None if item["VersionId"] == "null" else item["VersionId"]
                version = ObjectVersion(bucket=self.bucket, key=key, version_id=version_id)
                found.append(DatedVersion(version, item["LastModified"], until, deleted=ended_by_marker))
            until, ended_by_marker = item["LastModified"], is_marker
            if since is not None and until < since:
                break  # what is older ended before
        return found

    def _versions(self, key: str) -> Iterator[tuple[dict[str, Any], bool]]:
        """Versions of exactly this key and whether each is a delete marker, newest first."""
        events = self._client.meta.events
        events.register("after-call.s3.ListObjectVersions", _keep_order, unique_id="assay-order-of-versions")
        for page in self._client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=key):
            versions = deque(item for item in page.get("Versions", []) if item["Key"] == key)
            markers = deque(item for item in page.get("DeleteMarkers", []) if item["Key"] == key)
            # boto3 gives two lists of what S3 sends as one. Within one second the place in S3's answer decides; moto
            # answers in two lists, but says which is the latest.
            while versions and markers:
                marker, version = markers[0], versions[0]
                if marker["IsLatest"] or (not version["IsLatest"] and _place(marker) < _place(version)):
                    yield markers.popleft(), True
                else:
                    yield versions.popleft(), False
            yield from ((item, False) for item in versions)
            yield from ((item, True) for item in markers)
            if page.get("NextKeyMarker", key) != key:
                return  # keys that only begin like it

    def read(self, key: str, version_id: str | None = None) -> bytes:
        """The whole object.

        Raises:
            ObjectNotFoundError: there is none.
        """
        body: bytes = self._open(key, version_id).read()
        return body

    def lines(self, key: str, version_id: str | None = None) -> Iterator[bytes]:
        """The object line by line, without holding it in memory.

        Raises:
            ObjectNotFoundError: there is none; raised before the first line.
        """
        body = self._open(key, version_id)
        yield from body.iter_lines(chunk_size=262_144)

    def chunks(self, key: str, version_id: str | None = None) -> Iterator[bytes]:
        """The object piece by piece, without holding it in memory.

        Raises:
            ObjectNotFoundError: there is none; raised before the first piece.
        """
        yield from self._open(key, version_id).iter_chunks(262_144)

    def write(self, key: str, body: bytes, content_type: str = "application/octet-stream") -> None:
        """Create or replace an object."""
        self._client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=content_type)

    @transient_faults()
    def create(self, key: str, body: bytes, content_type: str = "application/octet-stream") -> bool:
        """Create an object unless there is one; whether this call did. Of several at once, exactly one does.

        Raises:
            TransientError: another write of the key was under way.
        """
        try:
            self._client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=content_type, IfNoneMatch="*")
        except ClientError as error:
            if code_of(error) == "PreconditionFailed":
                return False
            raise
        return True

    def upload(self, key: str, path: str, content_type: str = "application/octet-stream") -> None:
        """Create or replace an object from a file, in parts where it is large."""
        self._client.upload_file(path, self.bucket, key, ExtraArgs={"ContentType": content_type})

    def download(self, key: str, path: str) -> None:
        """Write an object to a file, in parts where it is large.

        Raises:
            ObjectNotFoundError: there is none.
        """
        try:
            self._client.download_file(self.bucket, key, path)
        except ClientError as error:
            raise self._absent(error, key) from error

    def keys(self, prefix: str) -> list[str]:
        """Keys below `prefix`, sorted."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def source(self, version: ObjectVersion) -> SourceObject:
        """Fingerprint one version by its content, read in pieces."""
        digest = hashlib.sha256()
        for chunk in self._open(version.key, version.version_id).iter_chunks(1_048_576):
            digest.update(chunk)
        return SourceObject(uri=version.uri, version_id=version.version_id, sha256=digest.hexdigest())

    def _open(self, key: str, version_id: str | None) -> Any:
        request = {"Bucket": self.bucket, "Key": key}
        if version_id is not None:
            request["VersionId"] = version_id
        try:
            return self._client.get_object(**request)["Body"]
        except ClientError as error:
            raise self._absent(error, key) from error

    def _absent(self, error: ClientError, key: str) -> Exception:
        if error.response["Error"]["Code"] in _ABSENT:
            return ObjectNotFoundError(f"s3://{self.bucket}/{key} does not exist")
        return error


def _keep_order(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
    """Note of each version and delete marker at which place S3 sent it; botocore calls this with every answer."""
    lists = {
        f"{_NAMESPACE}Version": iter(parsed.get("Versions", [])),
        f"{_NAMESPACE}DeleteMarker": iter(parsed.get("DeleteMarkers", [])),
    }
    if http_response.status_code >= 300:
        return
    root = ElementTree.fromstring(http_response.content)  # noqa: S314  (of S3's making, and parsed by botocore before)
    for place, element in enumerate(root):
        if element.tag in lists:
            next(lists[element.tag])["Place"] = place


def _place(item: dict[str, Any]) -> tuple[float, int]:
    """Newer items come first."""
    return -item["LastModified"].timestamp(), item["Place"]
