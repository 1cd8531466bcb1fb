"""A process that ends in the middle of batch inference: its jobs are found again, or stopped, and none is left."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from assay.aws.bedrock_batch import BedrockJobs, stop_batch_jobs
from assay.contracts.config import SuiteConfig, load_config
from assay.contracts.evaluation import EvaluationPaths
from assay.inference import batch
from assay.inference.asking import InterruptedAskError
from assay.inference.budget import Budget
from tests.unit.batch_inference.support import (
    PATHS,
    ROLE,
    TARIFF,
    Kept,
    KilledError,
    Storage,
    ask,
    names,
    section,
    statuses,
)
from tests.unit.provider_contract.wire import Wire


@pytest.mark.parametrize("calls", range(4))
def test_a_step_that_is_killed_anywhere_finds_its_job_again_and_asks_no_record_twice(
    running: Wire, tmp_path: Path, calls: int
) -> None:
    store = Kept()
    with pytest.raises(KilledError):
        ask(running, tmp_path, store, storage=Storage(running, calls_left=calls))
    (tmp_path / "again").mkdir()
    summary = ask(running, tmp_path / "again", store)
    assert store.kinds == {"answered": 100}
    assert summary.records == summary.resumed + summary.answered == 100
    assert len(names()) == 1
    assert len(running.model.prompts) == 100


def test_a_step_that_is_killed_while_it_writes_goes_on_with_the_same_job(
    running: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "PART_RESPONSES", 30)
    store = Kept()

    def kill_late() -> None:
        if len(store.responses) == 60:
            raise KilledError

    store.before = kill_late
    with pytest.raises(KilledError):
        ask(running, tmp_path, store)
    store.before = lambda: None
    (tmp_path / "again").mkdir()
    summary = ask(running, tmp_path / "again", store)
    assert (summary.resumed, summary.answered) == (60, 40)
    assert len(store.responses) == len(store.last) == 100
    assert len(running.model.prompts) == 100


def test_what_is_answered_already_needs_no_job(running: Wire, tmp_path: Path) -> None:
    store = Kept()
    ask(running, tmp_path, store)
    running.requests.clear()
    assert ask(running, tmp_path, store).resumed == 100
    assert running.requests == []


def spent(store: Kept) -> float:
    """What the store's responses cost, as a restarted step counts it."""
    worst = (TARIFF.worst_usd(item.prompt) * item.attempts for item in store.responses if item.failure is not None)
    return sum(item.cost_usd or 0.0 for item in store.responses) + sum(worst)


def test_what_a_job_failed_is_kept_once_and_paid_for_once_however_often_the_step_is_restarted(
    running: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "PART_RESPONSES", 20)
    running.fail("bedrock", "ValidationException", 30)
    store = Kept()

    def kill_late() -> None:
        if len(store.responses) == 20:
            raise KilledError

    store.before = kill_late
    with pytest.raises(KilledError):
        ask(running, tmp_path, store, budget=Budget(1.0))
    store.before = lambda: None
    for attempt in ("second", "third"):
        budget = Budget(1.0, spent_usd=spent(store))
        (tmp_path / attempt).mkdir()
        summary = ask(running, tmp_path / attempt, store, budget=budget)
        assert summary.resumed + summary.answered + summary.errors.total() == summary.records == 100
        assert (len(store.responses), store.kinds) == (100, {"answered": 70, "ModelError": 30})
        assert budget.spent_usd == pytest.approx(spent(store))


def test_a_step_that_is_told_to_stop_stops_its_job_and_a_restart_keeps_what_the_job_said(
    running: Wire, tmp_path: Path
) -> None:
    running.fail("bedrock-batch", "Hanging")
    heard: list[int] = []
    store = Kept()

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        if len(running.model.prompts) == 50:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, lambda number, _frame: heard.append(number))
    try:
        with pytest.raises(InterruptedAskError):
            ask(running, tmp_path, store, sleep=sleep)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]
    (tmp_path / "again").mkdir()
    ask(running, tmp_path / "again", store)
    assert store.kinds == {"answered": 50, "BatchStopped": 50}
    assert statuses() == ["Stopped"]


CONFIG = b"""\
pipeline: {name: sums}
dataset: {input_data_location: sums.jsonl}
models:
  - {name: m, provider: bedrock, model_id: local.smollm2-135m-instruct-v1:0, bedrock_config: {batch_from_records: 100}}
algorithms: [FactualKnowledge]
"""


def suite(text: bytes = CONFIG) -> SuiteConfig:
    return load_config(text, "config.yaml")


def test_an_evaluation_that_failed_leaves_no_job_running_and_ends_nobody_elses(running: Wire, tmp_path: Path) -> None:
    running.fail("bedrock-batch", "Hanging", 2)
    for identifier in ("e" * 32, "f" * 32):
        paths = EvaluationPaths(PATHS.bucket, PATHS.suite, identifier)
        jobs = BedrockJobs(section(), paths, Storage(running), owner="stack", role_arn=ROLE, seconds=3600)
        file = tmp_path / identifier
        file.write_bytes(b"".join(jobs.line(number, "a") + b"\n" for number in range(100)))
        jobs.start("job", file)
    [stopped] = stop_batch_jobs(suite(), "e" * 32)
    assert "e" * 32 in stopped
    deadline = time.monotonic() + 10
    while "Stopped" not in statuses():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert statuses() == ["Stopped", "InProgress"]
    assert stop_batch_jobs(suite(), "e" * 32) == []
    assert len(stop_batch_jobs(suite(), "f" * 32)) == 1


def test_where_no_model_is_asked_by_jobs_nobody_is_asked_for_any(running: Wire) -> None:
    assert stop_batch_jobs(suite(CONFIG.replace(b", bedrock_config: {batch_from_records: 100}", b"")), "e" * 32) == []
    assert running.requests == []
