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
from tests.unit.batch_inference.support import (
    PATHS,
    ROLE,
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
