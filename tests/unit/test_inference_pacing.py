from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from assay.inference.pacing import (
    BACKOFF_CAP_SECONDS,
    PATIENCE_ANSWERS,
    AdaptiveLimit,
    Patience,
    backoff_seconds,
)


def throttle(limit: AdaptiveLimit, times: int) -> None:
    sent_in = limit.round
    for _ in range(times):
        limit.throttled(sent_in)


def answer(limit: AdaptiveLimit, times: int) -> None:
    for _ in range(times):
        limit.answered(limit.round)


def served(capacity: int, maximum: int, rounds: int) -> tuple[AdaptiveLimit, list[float]]:
    """A service that answers so many of each volley and throttles the rest; the share that was throttled each time."""
    limit = AdaptiveLimit(maximum)
    shares = []
    for _ in range(rounds):
        sent, sent_in = limit.limit, limit.round
        for number in range(sent):
            (limit.answered if number < capacity else limit.throttled)(sent_in)
        shares.append(max(0, sent - capacity) / sent)
    return limit, shares


def test_volleys_that_are_throttled_halve_the_limit_down_to_one() -> None:
    limit = AdaptiveLimit(64)
    found = []
    for _ in range(8):
        throttle(limit, max(limit.limit, 8))
        found.append(limit.limit)
    assert found == [32, 16, 8, 4, 2, 1, 1, 1]
    assert limit.lowest == 1


def test_a_volley_halves_the_limit_once_however_late_its_throttles_come() -> None:
    limit = AdaptiveLimit(64)
    throttle(limit, 64 + 63)
    assert limit.limit == 32


def test_a_single_throttle_does_not_lower_the_limit() -> None:
    limit = AdaptiveLimit(16)
    throttle(limit, 1)
    answer(limit, 200)
    assert limit.lowest == 16


def test_answers_raise_the_limit_one_by_one_up_to_the_maximum() -> None:
    limit = AdaptiveLimit(16)
    throttle(limit, 16)
    found = []
    for _ in range(200):
        answer(limit, 1)
        found.append(limit.limit)
    assert found[7] == 9
    assert sorted(found) == found
    assert found[-1] == 16


@given(capacity=st.integers(2, 64), maximum=st.integers(1, 200))
def test_a_service_gets_what_it_can_serve_and_little_more(capacity: int, maximum: int) -> None:
    limit, shares = served(capacity, maximum, rounds=400)
    # A service of three is asked two at a time now and then: its volleys are smaller than what is looked at.
    assert 3 * limit.limit >= 2 * min(maximum, capacity)
    assert max(shares[-50:]) < 0.5


def test_a_service_that_throttles_one_in_five_at_random_is_still_asked_at_full_width() -> None:
    rng = random.Random(7)
    limit = AdaptiveLimit(64)
    for _ in range(50_000):
        (limit.throttled if rng.random() < 0.2 else limit.answered)(limit.round)
    assert limit.lowest == 64


def test_nobody_is_hurried_before_it_is_known_how_long_answers_take() -> None:
    patience = Patience()
    for _ in range(PATIENCE_ANSWERS - 1):
        patience.answered(0.2)
    assert patience.seconds(0) == float("inf")
    patience.answered(0.2)
    assert patience.seconds(0) == 2.0


def test_a_request_may_take_five_times_the_slowest_answer_and_more_after_each_one_in_vain() -> None:
    patience = Patience()
    for seconds in [1.0] * PATIENCE_ANSWERS + [8.0]:
        patience.answered(seconds)
    assert [patience.seconds(in_vain) for in_vain in range(3)] == [40.0, 160.0, 640.0]


def test_a_slow_answer_is_forgotten_in_time() -> None:
    patience = Patience()
    patience.answered(60.0)
    for _ in range(20_000):
        patience.answered(0.5)
    assert patience.seconds(0) == 2.5


@given(failures=st.integers(1, 10_000), seed=st.integers())
def test_a_pause_is_never_negative_and_never_beyond_the_cap(failures: int, seed: int) -> None:
    pause = backoff_seconds(failures, random.Random(seed))
    assert 0 <= pause <= min(BACKOFF_CAP_SECONDS, 0.25 * 2.0 ** min(failures - 1, 10))
