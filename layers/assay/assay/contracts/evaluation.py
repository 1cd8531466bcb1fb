"""The identity of an evaluation, and where its objects lie."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class ObjectVersion:
    """One version of one object in S3."""

    bucket: str
    key: str
    version_id: str | None

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class DatedVersion:
    """A version of an object, and when it was the current one of its key.

    Attributes:
        since: when it was stored, a whole second.
        until: when it was overwritten or deleted; None for the one that is current now.
        deleted: whether it was deleted, and not overwritten.
    """

    version: ObjectVersion
    since: datetime
    until: datetime | None
    deleted: bool = False

    def met(self, other: DatedVersion) -> bool:
        """Whether both were current at one time. A version that did not last a second had its moment."""
        return self._began_before_end_of(other) and other._began_before_end_of(self)

    def _began_before_end_of(self, other: DatedVersion) -> bool:
        if other.until is None or self.since < other.until:
            return True
        return other.until <= other.since == self.since


def evaluation_id(config: ObjectVersion, catalog: ObjectVersion) -> str:
    """Name the evaluation that a drop asks for: 32 hexadecimal characters, the same for a repeated event.

    The same versions of config and catalog are the same evaluation, whichever of the two was dropped last. It serves as
    ClientRequestToken of StartPipelineExecution (32 to 128 characters) and as the execution's display name.
    """
    return _hashed([[item.bucket, item.key, item.version_id] for item in (config, catalog)])


def requested_evaluation_id(bucket: str, request_id: str) -> str:
    """Name the evaluation that a request asks for, as `evaluation_id` does."""
    return _hashed(["request", bucket, request_id])


def scheduled_evaluation_id(bucket: str, suite: str, scheduled_time: str) -> str:
    """Name the evaluation of a suite that was due at a time, as `evaluation_id` does."""
    return _hashed(["schedule", bucket, suite, scheduled_time])


def bucket_and_key(uri: str) -> tuple[str, str]:
    """The parts of `s3://bucket/key`; the key may be empty."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def rejected_key(subject: str) -> str:
    """Where the faults of what has the key `subject` are written.

    A key in S3 has at most 1,024 bytes of UTF-8; a longer one is cut, and told apart by a hash.
    """
    return f"rejected/{shortened(subject, 1024 - len('rejected/.json'))}.json"


def shortened(text: str, size: int) -> str:
    """`text` when it has at most `size` bytes of UTF-8, else as much of it as fits before a hash of it all."""
    encoded = text.encode()
    if len(encoded) <= size:
        return text
    digest = hashlib.sha256(encoded).hexdigest()[:32]
    return f"{encoded[: size - len(digest) - 1].decode(errors='ignore')}-{digest}"


def _hashed(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class EvaluationPaths:
    """Keys and URIs of one evaluation's objects, below `evaluations/<suite>/<evaluation id>/`."""

    bucket: str
    suite: str
    evaluation_id: str

    @classmethod
    def from_uri(cls, uri: str) -> EvaluationPaths:
        """Read back what `root` gave."""
        bucket, key = bucket_and_key(uri)
        _, suite, identifier = key.strip("/").split("/")
        return cls(bucket=bucket, suite=suite, evaluation_id=identifier)

    @property
    def prefix(self) -> str:
        return f"evaluations/{self.suite}/{self.evaluation_id}"

    @property
    def root(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    @property
    def manifest(self) -> str:
        return f"{self.prefix}/manifest.json"

    @property
    def config(self) -> str:
        return f"{self.prefix}/config.yaml"

    @property
    def catalog(self) -> str:
        return f"{self.prefix}/catalog.jsonl"

    @property
    def comparison(self) -> str:
        return f"{self.prefix}/comparison.json"

    @property
    def gate(self) -> str:
        return f"{self.prefix}/gate.json"

    @property
    def report(self) -> str:
        return f"{self.prefix}/report.html"

    @property
    def asynchronous(self) -> str:
        """Where requests to asynchronous endpoints lie, and their answers until they are read."""
        return f"{self.prefix}/asynchronous"

    def endpoint(self, name: str) -> str:
        return f"{self.prefix}/endpoints/{name}.json"

    def model(self, name: str) -> str:
        return f"{self.prefix}/models/{name}"

    def outcome(self, name: str) -> str:
        return f"{self.model(name)}/outcome.json"

    def responses(self, name: str) -> str:
        return f"{self.model(name)}/responses/"

    def shard(self, name: str, number: int) -> str:
        """Where the step that asks this part of a catalog keeps responses: below those of the model."""
        return f"{self.responses(name)}shard-{number:03d}/"

    def batch_jobs(self, name: str) -> str:
        """Where batch inference jobs that ask the model find what to ask, and put what it says."""
        return f"{self.model(name)}/batch/"

    def second_answers(self, name: str) -> str:
        return f"{self.model(name)}/second/"

    def scores(self, name: str) -> str:
        return f"{self.model(name)}/scores/"

    def judged_scores(self, name: str) -> str:
        """Where the step that has a judge asked keeps scores: below those of the model."""
        return f"{self.scores(name)}judged/"

    def judgements(self, name: str) -> str:
        """What a judge was asked about the model's answers in this evaluation, and what it said."""
        return f"{self.model(name)}/judgements/"

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"
