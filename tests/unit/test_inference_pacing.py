from __future__ import annotations

import random
import threading
import time
from contextlib import ExitStack

from hypothesis import given
from hypothesis import strategies as st

from assay.inference.pacing import BACKOFF_CAP_SECONDS, AdaptiveLimit, backoff_seconds


def answer(limit: AdaptiveLimit) -> None:
    with limit.permit() as permit:
        assert permit is not None
        permit.ended = "answered"


def throttle(limit: AdaptiveLimit) -> None:
    with limit.permit() as permit:
        assert permit is not None
        permit.ended = "throttled"


def test_a_throttle_halves_the_limit_down_to_one() -> None:
    limit = AdaptiveLimit(16)
    found = []
    for _ in range(6):
        throttle(limit)
        found.append(limit.limit)
    assert found == [8, 4, 2, 1, 1, 1]
    assert limit.lowest == 1


def test_a_volley_of_throttles_halves_the_limit_once() -> None:
    limit = AdaptiveLimit(16)
    with ExitStack() as volley:
        for _ in range(16):
            permit = volley.enter_context(limit.permit())
            assert permit is not None
            permit.ended = "throttled"
    assert limit.limit == 8


def test_answers_raise_the_limit_one_by_one_up_to_the_maximum() -> None:
    limit = AdaptiveLimit(4)
    throttle(limit)
    throttle(limit)
    found = []
    for _ in range(20):
        answer(limit)
        found.append(limit.limit)
    assert found[0] == 2
    assert found == sorted(found)
    assert found[-1] == 4


def test_a_failure_that_is_no_throttle_leaves_the_limit_alone() -> None:
    limit = AdaptiveLimit(4)
    throttle(limit)
    for _ in range(10):
        with limit.permit():
            pass
    assert limit.limit == 2


def test_no_more_requests_are_in_flight_than_the_limit_allows() -> None:
    limit = AdaptiveLimit(3)
    lock = threading.Lock()
    now = most = 0

    def work() -> None:
        nonlocal now, most
        for _ in range(5):
            with limit.permit() as permit:
                assert permit is not None
                with lock:
                    now += 1
                    most = max(most, now)
                time.sleep(0.001)
                with lock:
                    now -= 1
                permit.ended = "answered"

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert most == 3


def test_a_closed_limit_lets_those_who_wait_go_on_without_a_permit() -> None:
    limit = AdaptiveLimit(1)
    seen: list[object] = []

    def work() -> None:
        with limit.permit() as permit:
            seen.append(permit)

    with limit.permit():
        thread = threading.Thread(target=work)
        thread.start()
        limit.close()
        thread.join(timeout=10)
    assert seen == [None]


@given(failures=st.integers(1, 10_000), seed=st.integers())
def test_a_pause_is_never_negative_and_never_beyond_the_cap(failures: int, seed: int) -> None:
    pause = backoff_seconds(failures, random.Random(seed))
    assert 0 <= pause <= min(BACKOFF_CAP_SECONDS, 0.5 * 2.0 ** min(failures - 1, 10))
