"""How fast a model is asked: requests in flight, how long one is waited for, and the pauses between attempts. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

BACKOFF_BASE_SECONDS: Final = 0.25
BACKOFF_CAP_SECONDS: Final = 20.0
OVERLOADED_SHARE: Final = 0.5
IDLE_SHARE: Final = 0.25
LEAST_WINDOW: Final = 8
PATIENCE_ANSWERS: Final = 20
PATIENCE_FACTOR: Final = 5.0
PATIENCE_LEAST_SECONDS: Final = 2.0
PATIENCE_GROWTH: Final = 4.0
_PATIENCE_DECAY: Final = 0.9995


@dataclass
class AdaptiveLimit:
    """Requests in flight: additive increase, multiplicative decrease.

    The limit starts at `maximum`. What came back since the last decision is looked at once it is as much as the limit
    is wide (at least 8). Half of it throttled: the limit is halved. Less than a quarter: it is raised by one. In
    between, the model gives what it has, and the limit stays. One throttle alone says little: a service that turns
    away one request in five at random does so at any limit, and would be asked one by one if each throttle counted.
    Requests that were sent before the last decrease are evidence of the limit before it, and are not counted.

    (Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion avoidance in computer networks",
    Computer Networks and ISDN Systems 17, 1989; that the share of throttles decides, and not their presence, is from
    Alizadeh et al., "Data Center TCP", SIGCOMM 2010.)

    Not safe to share between threads; the runner holds its lock.

    Attributes:
        maximum: the most requests that may be in flight.
        lowest: the lowest limit so far.
        round: how often the limit was lowered; a request remembers the round that it was sent in.
    """

    maximum: int
    limit: int = 0
    lowest: int = 0
    round: int = 0
    _answered: int = 0
    _throttled: int = 0

    def __post_init__(self) -> None:
        self.limit = self.lowest = self.maximum

    def answered(self, sent_in: int) -> None:
        """A request of this round was answered."""
        if sent_in == self.round:
            self._answered += 1
            self._decide()

    def throttled(self, sent_in: int) -> None:
        """A request of this round was throttled."""
        if sent_in == self.round:
            self._throttled += 1
            self._decide()

    def _decide(self) -> None:
        total = self._answered + self._throttled
        if total < max(self.limit, LEAST_WINDOW):
            return
        share = self._throttled / total
        self._answered = self._throttled = 0
        if share >= OVERLOADED_SHARE:
            self.round += 1
            self.limit = max(1, self.limit // 2)
            self.lowest = min(self.lowest, self.limit)
        elif share < IDLE_SHARE:
            self.limit = min(self.maximum, self.limit + 1)


@dataclass
class Patience:
    """How long one request is waited for, by how long answers take; a record's own deadline holds besides.

    A service that lets a request hang would otherwise cost the record its whole time. Nothing is known before 20
    answers; then a request may take five times as long as the slowest answer of late, and at least 2 seconds. Each
    request of a record that was waited for in vain lets the next one take four times as long, so that an answer which
    simply is long is not cut off for ever.

    Attributes:
        slowest_seconds: of the answers so far; forgotten at half in about 1,400 answers.
    """

    slowest_seconds: float = 0.0
    _answers: int = 0

    def answered(self, seconds: float) -> None:
        """An answer took so long."""
        self._answers += 1
        self.slowest_seconds = max(seconds, self.slowest_seconds * _PATIENCE_DECAY)

    def seconds(self, in_vain: int) -> float:
        """How long to wait for a request of a record that so many requests were waited for in vain."""
        if self._answers < PATIENCE_ANSWERS:
            return float("inf")
        return max(PATIENCE_LEAST_SECONDS, PATIENCE_FACTOR * self.slowest_seconds) * PATIENCE_GROWTH ** min(in_vain, 16)


def backoff_seconds(failures: int, rng: random.Random) -> float:
    """Seconds to wait after so many failed attempts, 1 or more.

    Full jitter: anything from 0 to an exponentially growing bound, so that callers who failed together do not come back
    together (Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
    """
    bound = min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2.0 ** min(failures - 1, 16))
    return rng.uniform(0.0, bound)
