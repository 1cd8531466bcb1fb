"""The steps ask a large catalog by batch inference jobs: whole, or each its part."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from assay.aws import bedrock_batch, providers, runtime
from assay.aws.storage import Storage
from assay.contracts.catalog import Record
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import ModelOutcome
from assay.inference import batch
from assay.inference.batch import BatchSummary, JobState
from assay.inference.errors import ModelCallError
from assay.inference.runner import Answer
from assay.inference.store import read_responses
from assay.pipeline import steps
from tests.unit.evaluation_support import begun

CONFIG = b"""\
pipeline: {name: sums}
dataset: {input_data_location: sums.jsonl}
models:
  - name: m
    provider: bedrock
    model_id: amazon.nova-lite-v1:0
    bedrock_config: {batch_from_records: 100}
algorithms: [FactualKnowledge]
"""
PATHS = EvaluationPaths(bucket="drops", suite="sums", evaluation_id="0" * 32)


class Jobs:
    """Jobs that say `4` to everything, each as soon as it is looked at."""

    started: ClassVar[dict[str, int]] = {}
    notes: ClassVar[dict[str, bytes]] = {}
    seconds: ClassVar[int] = 86_400

    def __init__(self, *_model: Any, owner: str, role_arn: str, seconds: float) -> None:
        assert (owner, role_arn, seconds) == ("stack", "role", self.seconds)

    def find(self, name: str) -> str | None:
        return name if name in self.started else None

    def start(self, name: str, file: Path) -> str:
        self.started[name] = len(file.read_bytes().splitlines())
        return name

    def look(self, _job: str) -> JobState:
        return JobState("completed")

    def stop(self, _job: str) -> None:
        raise AssertionError("nothing is to be stopped")

    def line(self, number: int, prompt: str) -> bytes:
        return f"{number} {prompt}".encode()

    def answers(self, name: str, _folder: Path) -> Iterator[tuple[int, Answer | ModelCallError]]:
        return iter([(number, Answer("4", None, 1_000_000, 0)) for number in range(self.started[name])])

    def recall(self, name: str) -> bytes | None:
        return self.notes.get(name)

    def note(self, name: str, body: bytes) -> None:
        self.notes[name] = body


class Single:
    """A model that is asked one by one."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
        self.asked.append(prompt)
        return Answer("4", 1.0, input_tokens=1_000_000, output_tokens=0)


@pytest.fixture
def single(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Single:
    model = Single()
    monkeypatch.setitem(providers.PROVIDERS, "bedrock", lambda _section, _connection: model)
    monkeypatch.setattr(bedrock_batch, "BedrockJobs", Jobs)
    monkeypatch.setattr(Jobs, "started", {})
    monkeypatch.setattr(Jobs, "notes", {})
    monkeypatch.setattr(batch, "POLL_SECONDS", (0.0, 0.0))
    monkeypatch.setenv("OWNER", "stack")
    monkeypatch.setenv("BATCH_ROLE_ARN", "role")
    runtime.setting.cache_clear()
    return model


def lay(storage: Storage, count: int, config: bytes = CONFIG) -> None:
    records = [Record(id=str(number), model_input=f"{number}+1?", target_output="4") for number in range(count)]
    begun(storage, PATHS, config, records)


def outcome(storage: Storage) -> ModelOutcome:
    return ModelOutcome.model_validate_json(storage.read(PATHS.outcome("m")))


def cost(storage: Storage) -> float:
    return sum(response.cost_usd or 0.0 for response in read_responses(storage, PATHS.responses("m")))


def test_a_large_catalog_is_asked_by_a_job_at_half_the_price_and_told_so(storage: Storage, single: Single) -> None:
    lay(storage, 120)
    evaluated = steps.evaluate(PATHS.root, "m", {"records": 120}, None)
    assert (evaluated["answered"], evaluated["failed"]) == (120, 0)
    assert list(Jobs.started.values()) == [120]
    assert single.asked == []
    found = outcome(storage)
    assert (found.by_batch, found.latency) == (True, None)
    assert cost(storage) == pytest.approx(120 * 0.03)


def test_a_small_catalog_is_asked_one_by_one(storage: Storage, single: Single) -> None:
    lay(storage, 99)
    steps.evaluate(PATHS.root, "m", {"records": 99}, None)
    assert (len(single.asked), Jobs.started) == (99, {})
    assert not outcome(storage).by_batch
    assert cost(storage) == pytest.approx(99 * 0.06)


def test_each_part_of_a_catalog_has_a_job_of_its_own_and_nothing_is_left_for_another(
    storage: Storage, single: Single
) -> None:
    lay(storage, 201, CONFIG + b"limits: {shards: 2}\n")
    asked = [steps.ask(PATHS.root, "m", shard, 2, {"records": 201}, None) for shard in range(2)]
    evaluated = steps.evaluate(PATHS.root, "m", {"records": 201}, None, *asked)
    assert (evaluated["answered"], evaluated["failed"]) == (201, 0)
    assert sorted(Jobs.started.values()) == [100, 101]
    assert (single.asked, outcome(storage).by_batch) == ([], True)


def test_what_is_asked_again_is_asked_by_a_job_too_where_it_is_enough_for_one(
    storage: Storage, single: Single, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(storage, 110)
    monkeypatch.setattr("assay.pipeline.model_evaluation._scored", _only_asks_again)
    steps.evaluate(PATHS.root, "m", {"records": 110}, None)
    assert sorted(Jobs.started.values()) == [110, 110]
    assert len(single.asked) == 5
    again = [response.cost_usd for part in ("all", "some") for response in read_responses(storage, f"second/{part}/")]
    assert sum(usd or 0.0 for usd in again) == pytest.approx(110 * 0.03 + 5 * 0.06)


@pytest.mark.usefixtures("single")
def test_jobs_have_the_longest_time_that_leaves_enough_of_the_step_to_stop_them_and_to_score(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[float] = []

    def ask_by_jobs(*_spool: Any, until: float, **_more: Any) -> BatchSummary:
        left.append(until - time.monotonic())
        return BatchSummary(records=0)

    lay(storage, 120, CONFIG + b"limits: {evaluate_seconds: 431700}\n")
    monkeypatch.setattr(Jobs, "seconds", 409_500)
    monkeypatch.setattr("assay.pipeline.batch_asking.ask_by_jobs", ask_by_jobs)
    steps.evaluate(PATHS.root, "m", {"records": 120}, None)
    assert left == [pytest.approx(432_000 - 900 - 6 * 3600, abs=10)]


def _only_asks_again(*arguments: Any) -> ModelOutcome:
    files, again = arguments[4], arguments[-1]
    records = [record.model_copy(update={"id": f"{record.id}#0"}) for record in files.records()]
    again(iter(records), "second/all/")
    again(iter(records[:5]), "second/some/")
    return ModelOutcome(model="m", status="evaluated")
