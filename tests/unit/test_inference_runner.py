"""What becomes of each record that a model is asked about."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.contracts.catalog import Record
from assay.contracts.config import LimitsSection
from assay.contracts.results import Response
from assay.inference import runner
from assay.inference.errors import (
    MalformedReplyError,
    ModelAnswerError,
    ModelCallError,
    ThrottledError,
    UnavailableError,
)
from assay.inference.runner import Answer, ask_all
from tests.unit.inference_support import Clock, FakeModel, Kept, Limits, ask, catalog


def test_every_record_is_answered_once() -> None:
    model = FakeModel()
    summary, store = ask(catalog(50), model)
    assert (summary.records, summary.answered, summary.failed, summary.requests) == (50, 50, 0, 50)
    assert set(model.asked.values()) == {1}
    kept = store.last
    assert kept["7"] == Response(record_id="7", text="echo q7", latency_ms=7.0, attempts=1, prompt="q7")
    assert len(kept) == 50


def test_the_limits_of_a_config_serve_as_they_are() -> None:
    summary, _ = ask(catalog(3), FakeModel(), limits=LimitsSection())
    assert summary.answered == 3


def test_an_empty_catalog_ends_at_once() -> None:
    summary, store = ask([], FakeModel())
    assert summary.records == 0
    assert store.parts == []


@pytest.mark.parametrize("fault", [ThrottledError("slow down"), UnavailableError("503")])
def test_what_may_pass_is_asked_again(fault: ModelCallError) -> None:
    model = FakeModel(script={"q1": [fault, fault]})
    summary, store = ask(catalog(3), model)
    assert summary.answered == 3
    assert store.last["1"].attempts == 3
    assert store.last["1"].latency_ms == 7.0
    assert summary.requests == 5


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(ModelAnswerError("refused: 400"), "ModelError"), (MalformedReplyError("no text"), "MalformedReply")],
)
def test_what_will_not_pass_is_not_asked_again(fault: ModelCallError, kind: str) -> None:
    model = FakeModel(script={"q1": [fault]})
    summary, store = ask(catalog(3), model)
    assert summary.errors == {kind: 1}
    assert model.asked["q1"] == 1
    response = store.last["1"]
    assert response.text is None
    assert response.latency_ms is None
    assert response.failure is not None
    assert response.failure.reason == fault.reason


def test_an_unforeseen_error_costs_one_record_and_tells_nothing_of_the_prompt() -> None:
    model = FakeModel(script={"q1": [KeyError("the prompt was q1")]})
    summary, store = ask(catalog(3), model)
    assert summary.errors == {"UnforeseenError": 1}
    failure = store.last["1"].failure
    assert failure is not None
    assert failure.reason == "the provider raised KeyError"


def test_a_record_is_given_up_when_its_time_is_over() -> None:
    model = FakeModel(script={"q0": [ThrottledError("slow down")] * 1000})
    clock = Clock()
    summary, store = ask(catalog(1), model, clock=clock, limits=Limits(request_seconds=30))
    failure = store.last["0"].failure
    assert summary.errors == {"Throttled": 1}
    assert failure is not None
    assert failure.reason.startswith("slow down (given up after ")
    assert clock.now <= 1030
    assert store.last["0"].attempts == model.asked["q0"] > 2


def test_each_request_is_told_how_much_of_its_records_time_is_left() -> None:
    model = FakeModel(script={"q0": [UnavailableError("503")] * 3})
    ask(catalog(1), model, limits=Limits(request_seconds=60))
    assert model.deadlines[0] == 60
    assert model.deadlines == sorted(model.deadlines, reverse=True)
    assert len(set(model.deadlines)) == 4


def test_records_that_the_whole_time_was_too_short_for_fail_unasked() -> None:
    clock = Clock()
    model = FakeModel(during=lambda _prompt: clock.sleep(10))
    summary, store = ask(catalog(20), model, clock=clock, limits=Limits(concurrency=1, evaluate_seconds=45))
    assert (summary.records, summary.answered, summary.errors) == (20, 5, {"DeadlineExceeded": 15})
    assert model.deadlines == [45, 35, 25, 15, 5]
    late = store.last["19"]
    assert late.attempts == 0
    assert late.failure is not None
    assert late.failure.reason == "the evaluation's 45 s were over before this record was asked"


def test_several_runs_may_share_one_deadline() -> None:
    clock = Clock()
    model = FakeModel(during=lambda _prompt: clock.sleep(10))
    answered = []
    for _ in range(3):
        summary = ask_all(
            catalog(3),
            model=model,
            prompt_of=lambda record: record.model_input,
            store=Kept(),
            limits=Limits(concurrency=1),
            until=1045.0,
            clock=clock,
            sleep=clock.sleep,
        )
        answered.append(summary.answered)
    assert answered == [3, 2, 0]


def test_a_model_that_never_comes_back_does_not_hold_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "STUCK_SECONDS", 0.3)
    release = threading.Event()

    def hang(prompt: str) -> None:
        if prompt == "q3":
            release.wait(20)

    model = FakeModel(during=hang)
    store = Kept()
    summary = ask_all(
        catalog(8),
        model=model,
        prompt_of=lambda record: record.model_input,
        store=store,
        limits=Limits(concurrency=1, evaluate_seconds=0.3),
    )
    release.set()
    assert (summary.records, summary.answered, summary.errors) == (8, 3, {"DeadlineExceeded": 5})
    failure = store.last["3"].failure
    assert failure is not None
    assert "no sign of life" in failure.reason


def test_a_service_that_says_how_long_to_leave_it_alone_is_left_alone() -> None:
    clock = Clock()
    model = FakeModel(script={"q0": [ThrottledError("slow down", retry_after_seconds=17)]})
    summary, _ = ask(catalog(1), model, clock=clock)
    assert summary.answered == 1
    assert clock.now == 1017


def test_a_record_that_waits_for_its_next_attempt_keeps_no_other_from_being_asked() -> None:
    order: list[str] = []
    model = FakeModel(script={"q0": [ThrottledError("slow down", retry_after_seconds=5)]}, during=order.append)
    summary, _ = ask(catalog(2), model, limits=Limits(concurrency=1))
    assert summary.answered == 2
    assert order == ["q0", "q1", "q0"]


def test_no_more_records_are_on_their_way_than_four_times_the_concurrency() -> None:
    model = FakeModel(script={f"q{number}": [UnavailableError("503")] * 4 for number in range(100)})
    seen: list[int] = []

    def lazily() -> Iterator[Record]:
        for number, record in enumerate(catalog(100)):
            seen.append(number + 1 - sum(count == 5 for count in model.asked.values()))
            yield record

    summary, _ = ask(lazily(), model, limits=Limits(concurrency=3, request_seconds=1e6))
    assert summary.answered == 100
    assert max(seen) <= 4 * 3 + 1


def test_a_request_that_hangs_is_given_up_once_it_is_known_how_long_answers_take() -> None:
    clock = Clock()

    class Hanging(FakeModel):
        def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
            answer = super().ask(prompt, deadline_seconds=deadline_seconds)
            if prompt == "q30" and self.asked[prompt] < 3:
                clock.sleep(deadline_seconds)
                raise UnavailableError("no answer in time")
            return answer

    model = Hanging()
    summary, store = ask(catalog(31), model, clock=clock, limits=Limits(concurrency=1))
    assert summary.answered == 31
    assert store.last["30"].attempts == 3
    assert model.deadlines[-3:] == [2.0, 8.0, pytest.approx(32.0)]


def test_a_failure_keeps_the_id_of_its_last_request() -> None:
    model = FakeModel(script={"q0": [ModelAnswerError("400", request_id="r-7")]})
    _, store = ask(catalog(1), model)
    assert store.last["0"].request_id == "r-7"


def test_throttling_lowers_the_requests_in_flight_until_the_model_keeps_up() -> None:
    lock = threading.Lock()
    now, most_late = 0, 0
    answered = itertools.count()
    done = 0

    class Small(FakeModel):
        """Serves three at a time and throttles everybody above."""

        def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
            nonlocal now, most_late, done
            with lock:
                now += 1
                crowded = now > 3
                if done > 150:
                    most_late = max(most_late, now)
            time.sleep(0.001)
            with lock:
                now -= 1
                if crowded:
                    raise ThrottledError("slow down")
                done = next(answered)
            return Answer(text=prompt, latency_ms=1.0)

    summary, _ = ask(catalog(300), Small(), limits=Limits(concurrency=32, request_seconds=1e6))
    assert summary.answered == 300
    assert summary.lowest_concurrency <= 3
    assert most_late <= 8


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(0, 60),
    concurrency=st.integers(1, 12),
    share=st.floats(0, 0.95),
    already=st.integers(0, 20),
)
def test_the_counts_add_up_whatever_goes_wrong(
    seed: int, count: int, concurrency: int, share: float, already: int
) -> None:
    rng = random.Random(seed)
    lock = threading.Lock()
    faults = (ThrottledError, UnavailableError, ModelAnswerError, MalformedReplyError, RuntimeError)

    class Moody(FakeModel):
        def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
            assert deadline_seconds > 0
            with lock:
                self.asked[prompt] += 1
                if rng.random() < share:
                    raise rng.choice(faults)("fault")
            return Answer(text=prompt, latency_ms=rng.random())

    model = Moody()
    store = Kept()
    resumable = [Response(record_id=str(n), text="", latency_ms=1, attempts=1, prompt="") for n in range(already)]
    store.append(resumable)
    summary, _ = ask(catalog(count), model, store, Limits(concurrency=concurrency, request_seconds=20))
    written = [response for part in store.parts[1:] for response in part]
    assert summary.records == count == summary.resumed + summary.answered + summary.failed
    assert summary.resumed == min(count, already)
    assert sum(summary.errors.values()) == summary.failed
    assert len({response.record_id for response in written}) == len(written) == count - summary.resumed
    assert sum(response.attempts for response in written) == summary.requests == sum(model.asked.values())
    assert all((response.failure is None) == (response.text is not None) for response in written)
