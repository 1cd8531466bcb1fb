from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.contracts.catalog import Record
from assay.inference.budget import Budget, Tariff
from assay.inference.errors import MalformedReplyError, ThrottledError, UnavailableError
from assay.inference.runner import Answer, AskSummary, ask_all
from tests.unit.inference_support import Kept, Limits

# A prompt of 10 bytes and an answer of at most 20 tokens: 10 * 1 + 20 * 2 = 50 millionths of a dollar at worst.
TARIFF = Tariff(input_usd=1.0, output_usd=2.0, longest_output=20)
WORST = 50e-6


@dataclass
class Paid:
    """A model that takes 4 tokens and gives 10: 24 millionths of a dollar."""

    output_tokens: int | None = 10
    asked: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
        with self.lock:
            self.asked[prompt] += 1
        return Answer("yes", 1.0, input_tokens=4, output_tokens=self.output_tokens)


COST = 24e-6


def catalog(count: int) -> list[Record]:
    return [Record(id=str(number), model_input=f"{number:010}", target_output="a") for number in range(count)]


def ask(count: int, model: object, budget: Budget | None, **limits: int) -> tuple[AskSummary, Kept]:
    store = Kept()
    summary = ask_all(
        catalog(count),
        model=model,  # type: ignore[arg-type]
        prompt_of=lambda record: record.model_input,
        store=store,
        limits=Limits(**limits),
        tariff=TARIFF,
        budget=budget,
        sleep=lambda _seconds: None,
        rng=random.Random(1),
    )
    return summary, store


def test_a_budget_that_is_large_enough_stops_nothing() -> None:
    summary, store = ask(100, Paid(), Budget(1.0))
    assert summary.answered == 100
    assert summary.spent_usd == pytest.approx(100 * COST)
    assert all(response.cost_usd == pytest.approx(COST) for response in store.responses)


def test_asking_stops_before_the_budget_is_passed_and_says_so() -> None:
    model = Paid()
    usd = 10 * COST + WORST
    summary, store = ask(100, model, Budget(usd))
    assert summary.answered == 11
    assert summary.errors == {"BudgetExceeded": 89}
    assert model.asked.total() == 11
    assert summary.spent_usd is not None
    assert summary.spent_usd <= usd
    left = [response for response in store.responses if response.failure is not None]
    assert {response.attempts for response in left} == {0}
    assert left[0].failure is not None
    assert left[0].failure.reason == f"the budget of {usd:g} USD for this model does not cover one more request"


def test_a_budget_that_covers_no_request_asks_nobody() -> None:
    model = Paid()
    summary, _ = ask(5, model, Budget(WORST * 0.99))
    assert summary.errors == {"BudgetExceeded": 5}
    assert model.asked == {}


def test_a_request_whose_tokens_nobody_tells_counts_as_its_worst_case_and_has_no_cost() -> None:
    summary, store = ask(4, Paid(output_tokens=None), Budget(1.0))
    assert summary.spent_usd == pytest.approx(4 * WORST)
    assert {response.cost_usd for response in store.responses} == {None}


@pytest.mark.parametrize(
    ("fault", "charged"),
    [(ThrottledError("429"), 0.0), (UnavailableError("500"), WORST), (MalformedReplyError("no text"), WORST)],
)
def test_a_failed_request_is_charged_unless_it_was_turned_away(fault: Exception, charged: float) -> None:
    class Failing(Paid):
        def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
            answer = super().ask(prompt, deadline_seconds=deadline_seconds)
            if self.asked[prompt] == 1:
                raise fault
            return answer

    summary, _ = ask(1, Failing(), Budget(1.0))
    assert summary.spent_usd == pytest.approx(charged + COST * summary.answered)


def test_what_an_earlier_run_spent_is_not_there_any_more() -> None:
    summary, _ = ask(100, Paid(), Budget(1.0, spent_usd=1.0 - 5 * WORST), concurrency=1)
    assert 5 <= summary.answered < 100


def test_hours_are_paid_for_until_the_last_moment_that_a_request_may_take() -> None:
    for usd, enough in ((60.0, True), (59.9, False)):
        budget = Budget(usd, hourly_usd=3600.0)
        budget.begin(1000.0)
        budget.begin(1030.0)
        assert budget.reserve(0.0, until=1060.0) is enough


@settings(max_examples=40, deadline=None)
@given(usd=st.floats(0, 3000e-6), count=st.integers(0, 60), concurrency=st.integers(1, 12), seed=st.integers(0, 99))
def test_no_budget_is_ever_passed(usd: float, count: int, concurrency: int, seed: int) -> None:
    rng = random.Random(seed)
    lock = threading.Lock()
    paid = 0.0

    class Moody:
        def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
            nonlocal paid
            with lock:
                tokens = rng.randint(0, 20)
                paid += (len(prompt) + 2 * tokens) / 1e6
                if rng.random() < 0.2:
                    raise UnavailableError("500")
            return Answer("yes", 1.0, input_tokens=len(prompt), output_tokens=tokens)

    summary, _ = ask(count, Moody(), Budget(usd), concurrency=concurrency)
    assert paid <= usd + 1e-12
    assert summary.records == count == summary.answered + summary.failed
