"""How many batch inference jobs ask a catalog: what fits one, what is too few for one, and what money there is for."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.aws.bedrock_batch import BedrockJobs
from assay.contracts.catalog import Record
from assay.inference import batch
from assay.inference.budget import Budget, Tariff
from assay.pipeline.batch_asking import BatchAsking
from tests.unit.batch_inference.support import (
    PATHS,
    ROLE,
    TARIFF,
    Kept,
    KilledError,
    Storage,
    ask,
    catalog,
    created,
    names,
    section,
)
from tests.unit.provider_contract.wire import Wire


def test_a_budget_is_held_before_anything_is_sent_and_a_restart_asks_about_the_same_records(
    running: Wire, tmp_path: Path
) -> None:
    worst = [TARIFF.worst_usd(record.model_input) for record in catalog(150)]
    store = Kept()
    budget = Budget(sum(worst[:120]) + 1e-9)
    with pytest.raises(KilledError):
        ask(running, tmp_path, store, 150, budget=budget, storage=Storage(running, calls_left=3))
    (tmp_path / "again").mkdir()
    spent = Budget(budget.usd, spent_usd=budget.usd / 2)
    ask(running, tmp_path / "again", store, 150, budget=spent)
    assert store.kinds == {"answered": 120, "BudgetExceeded": 30}
    assert store.last["r119"].failure is None
    assert store.last["r120"].attempts == 0
    assert spent.spent_usd == pytest.approx(budget.usd / 2 + 120 * 6e-6)


def test_what_answers_did_not_cost_pays_for_further_jobs(running: Wire, tmp_path: Path) -> None:
    worst = [TARIFF.worst_usd(record.model_input) for record in catalog(400)]
    store = Kept()
    budget = Budget(sum(worst[:350]))
    summary = ask(running, tmp_path, store, 400, budget=budget)
    assert (summary.jobs, store.kinds) == (2, {"answered": 400})
    assert budget.spent_usd == pytest.approx(400 * 6e-6)
    sizes = [len(body.splitlines()) for (_, key), body in running.buckets.objects.items() if key.endswith(".jsonl")]
    assert sizes == [300, 100]


def test_a_budget_for_fewer_records_than_a_job_takes_sends_none(running: Wire, tmp_path: Path) -> None:
    store = Kept()
    ask(running, tmp_path, store, budget=Budget(TARIFF.worst_usd("number 0") * 99))
    assert store.kinds == {"BudgetExceeded": 100}
    assert created(running) == []


def test_a_catalog_that_is_too_large_for_a_job_is_cut_into_even_ones(
    running: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "JOB_RECORDS", 130)
    store = Kept()
    summary = ask(running, tmp_path, store, 251)
    assert (summary.jobs, store.kinds) == (2, {"answered": 251})
    assert len({request["jobName"] for request in created(running)}) == 2


def test_models_that_are_asked_the_same_have_jobs_of_their_own(running: Wire, tmp_path: Path) -> None:
    for name in ("one", "other"):
        store = Kept()
        ask(running, tmp_path, store, model=section(name))
        assert store.kinds == {"answered": 100}
    assert len(set(names())) == 2


@pytest.mark.parametrize(("count", "one_by_one"), [(99, 99), (100, 0)])
def test_fewer_records_than_a_job_takes_are_asked_one_by_one(running: Wire, count: int, one_by_one: int) -> None:
    asked: list[str] = []

    budget = Budget(1.0)
    dear = Tariff(input_usd=2.0, output_usd=4.0, longest_output=20)

    def ask_each(records: Any, _store: Any, prompt_of: Callable[[Record], str], tariff: Any) -> None:
        assert tariff == dear
        asked.extend(prompt_of(record) for record in records)

    jobs = BedrockJobs(section(), PATHS, Storage(running), owner="stack", role_arn=ROLE, seconds=3600)
    until = time.monotonic() + 60
    asking = BatchAsking(jobs, lambda record: f"<{record.model_input}>", ask_each, until, TARIFF, dear, budget)
    store: Any = Kept()
    asking.ask(catalog(count), store)
    assert asked == [f"<number {number}>" for number in range(one_by_one)]
    assert len(store.responses) == count - one_by_one
