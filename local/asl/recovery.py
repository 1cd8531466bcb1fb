"""Retry and Catch: which errors they match, and how long a retry waits."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

_NEVER_MATCHED = frozenset({"States.Runtime"})
_NOT_MATCHED_BY_ALL = frozenset({"States.DataLimitExceeded"})


def matches(names: Sequence[str], error: str) -> bool:
    """Whether an ErrorEquals matches an error name.

    `States.TaskFailed` stands for every error but a timeout, `States.Timeout` also for a missing heartbeat,
    `States.ALL` for all but `States.DataLimitExceeded`; nothing matches `States.Runtime`
    (Step Functions developer guide, "Handling errors in Step Functions workflows").
    """
    if error in _NEVER_MATCHED:
        return False
    if error in names:
        return True
    timed_out = error in {"States.Timeout", "States.HeartbeatTimeout"}
    if error in _NOT_MATCHED_BY_ALL:
        return False
    if "States.ALL" in names or ("States.TaskFailed" in names and not timed_out):
        return True
    return "States.Timeout" in names and error == "States.HeartbeatTimeout"


class Retries:
    """The attempts that one visit of a state has left, by retrier."""

    def __init__(self, retriers: Sequence[dict[str, Any]], chance: random.Random) -> None:
        self._retriers = retriers
        self._used = [0] * len(retriers)
        self._chance = chance

    def next_delay(self, error: str) -> float | None:
        """Seconds to wait before the next attempt after `error`, None when there is no further attempt."""
        for index, retrier in enumerate(self._retriers):
            if not matches(retrier["ErrorEquals"], error):
                continue
            if self._used[index] >= retrier.get("MaxAttempts", 3):
                return None
            delay = (
                float(retrier.get("IntervalSeconds", 1)) * float(retrier.get("BackoffRate", 2.0)) ** self._used[index]
            )
            self._used[index] += 1
            delay = min(delay, float(retrier.get("MaxDelaySeconds", delay)))
            return self._chance.uniform(0, delay) if retrier.get("JitterStrategy") == "FULL" else delay
        return None


def catcher_for(catchers: Sequence[dict[str, Any]], error: str) -> tuple[int, dict[str, Any]] | None:
    """The first catcher that matches `error`, with its place."""
    return next(((index, one) for index, one in enumerate(catchers) if matches(one["ErrorEquals"], error)), None)
