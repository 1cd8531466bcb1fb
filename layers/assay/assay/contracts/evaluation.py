"""The identity of an evaluation, and where its objects lie."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass


@dataclass(frozen=True)
class ObjectVersion:
    """One version of one object in S3."""

    bucket: str
    key: str
    version_id: str | None

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def evaluation_id(config: ObjectVersion, catalog: ObjectVersion) -> str:
    """Name the evaluation that a drop asks for: 32 hexadecimal characters, the same for a repeated event.

    The same versions of config and catalog are the same evaluation, whichever of the two was dropped last. It serves as
    ClientRequestToken of StartPipelineExecution (32 to 128 characters) and as the execution's display name.
    """
    parts = [[item.bucket, item.key, item.version_id] for item in (config, catalog)]
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
        bucket, _, key = uri.removeprefix("s3://").partition("/")
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

    def second_answers(self, name: str) -> str:
        return f"{self.model(name)}/second/"

    def scores(self, name: str) -> str:
        return f"{self.model(name)}/scores/"

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"
