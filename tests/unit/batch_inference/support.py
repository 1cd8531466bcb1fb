"""What asks by batch inference jobs over the wire, with a bucket and a store that a test looks into."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from assay.aws.bedrock_batch import BedrockJobs
from assay.contracts.catalog import Record
from assay.contracts.config import ModelSection
from assay.contracts.errors import ObjectNotFoundError
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Response
from assay.inference.batch import BatchSummary, ask_by_jobs
from assay.inference.budget import Budget, Tariff
from assay.inference.spool import Spool
from tests.unit.inference_support import Kept as InMemory
from tests.unit.provider_contract.wire import Wire

PATHS = EvaluationPaths(bucket="drops", suite="sums", evaluation_id="e" * 32)


ROLE = "arn:aws:iam::123456789012:role/batch"


MODEL = "local.smollm2-135m-instruct-v1:0"


TARIFF = Tariff(input_usd=1.0, output_usd=2.0, longest_output=20)


class KilledError(BaseException):
    """The process ends here."""


@dataclass
class Storage:
    """The stack's bucket on the wire's side, which may be the last thing that a process does."""

    running: Wire
    calls_left: int | None = None

    def _call(self) -> None:
        if self.calls_left is not None:
            self.calls_left -= 1
            if self.calls_left < 0:
                raise KilledError

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for _, key in self.running.buckets.objects if key.startswith(prefix))

    def exists(self, key: str) -> bool:
        return self.running.buckets.read(PATHS.bucket, key) is not None

    def read(self, key: str) -> bytes:
        self._call()
        found = self.running.buckets.read(PATHS.bucket, key)
        if found is None:
            raise ObjectNotFoundError(key)
        return found

    def write(self, key: str, body: bytes) -> None:
        self._call()
        self.running.buckets.write(PATHS.bucket, key, body)

    def upload(self, key: str, path: str) -> None:
        self.write(key, Path(path).read_bytes())

    def download(self, key: str, path: str) -> None:
        Path(path).write_bytes(self.read(key))


@dataclass
class Kept(InMemory):
    """Responses in memory, with something that happens before more are kept."""

    before: Callable[[], None] = lambda: None

    def append(self, responses: list[Response]) -> None:
        if responses:
            self.before()
            super().append(responses)

    @property
    def kinds(self) -> Counter[str]:
        """How many records ended as what."""
        return Counter("answered" if item.failure is None else item.failure.kind for item in self.last.values())


def section(name: str = "m", model_id: str = MODEL, **evaluation: Any) -> ModelSection:
    raw = {"name": name, "provider": "bedrock", "model_id": model_id, "evaluation_config": evaluation}
    return ModelSection.model_validate(raw | {"bedrock_config": {"batch_from_records": 100}})


def catalog(count: int) -> list[Record]:
    return [Record(id=f"r{number}", model_input=f"number {number}", target_output="") for number in range(count)]


def ask(
    running: Wire,
    tmp_path: Path,
    store: Kept,
    count: int = 100,
    *,
    model: ModelSection | None = None,
    storage: Storage | None = None,
    until: float | None = None,
    budget: Budget | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> BatchSummary:
    objects = storage or Storage(running)
    jobs = BedrockJobs(model or section(), PATHS, objects, owner="stack", role_arn=ROLE, seconds=3600)
    with Spool(catalog(count), lambda record: record.model_input, tmp_path / "spool.jsonl") as spool:
        return ask_by_jobs(
            spool,
            service=jobs,
            store=store,
            folder=tmp_path,
            until=time.monotonic() + 60 if until is None else until,
            tariff=TARIFF,
            budget=budget,
            sleep=sleep,
        )


def jobs_there() -> list[Any]:
    return list(boto3.client("bedrock").list_model_invocation_jobs()["invocationJobSummaries"])


def names() -> list[str]:
    return [job["jobName"] for job in jobs_there()]


def statuses() -> list[str]:
    return [job["status"] for job in jobs_there()]


def created(running: Wire) -> list[dict[str, Any]]:
    found = [request for request in running.requests if request.method == "POST"]
    return [json.loads(request.get_data()) for request in found if request.path == "/model-invocation-job"]
