"""How fast a model is asked: requests in flight that adapt to throttling, and the pauses between attempts."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

BACKOFF_BASE_SECONDS = 0.5
BACKOFF_CAP_SECONDS = 20.0


@dataclass
class Permit:
    """Leave to send one request. Whoever has it says how the request ended before giving it back."""

    round: int
    ended: Literal["answered", "throttled", "failed"] = "failed"


@dataclass
class AdaptiveLimit:
    """Requests in flight: additive increase, multiplicative decrease.

    The limit starts at `maximum`. A throttle halves it, but a whole volley that was sent under the old limit counts as
    one throttle. As many answers as the limit is wide raise it by one. (Chiu and Jain, "Analysis of the increase and
    decrease algorithms for congestion avoidance in computer networks", Computer Networks and ISDN Systems 17, 1989.)

    Attributes:
        maximum: the most requests that may be in flight.
        lowest: the lowest limit so far.
    """

    maximum: int
    lowest: int = 0
    _limit: float = 0.0
    _in_flight: int = 0
    _round: int = 0
    _open: bool = True
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self._limit = float(self.maximum)
        self.lowest = self.maximum

    @property
    def limit(self) -> int:
        """Requests that may be in flight now, at least 1."""
        return max(1, int(self._limit))

    @contextmanager
    def permit(self) -> Iterator[Permit | None]:
        """Wait until one more request may be sent; None when the limit was closed meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: not self._open or self._in_flight < self.limit)
            permit = Permit(self._round) if self._open else None
            self._in_flight += permit is not None
        try:
            yield permit
        finally:
            if permit is not None:
                self._give_back(permit)

    def close(self) -> None:
        """Let everybody who waits go on with no permit."""
        with self._changed:
            self._open = False
            self._changed.notify_all()

    def _give_back(self, permit: Permit) -> None:
        with self._changed:
            self._in_flight -= 1
            if permit.ended == "answered":
                self._limit = min(float(self.maximum), self._limit + 1 / self._limit)
            elif permit.ended == "throttled" and permit.round == self._round:
                self._round += 1
                self._limit = max(1.0, self._limit / 2)
                self.lowest = min(self.lowest, self.limit)
            # One place was given back, and the limit may have grown by one: at most two can go on.
            self._changed.notify(2)


def backoff_seconds(failures: int, rng: random.Random) -> float:
    """Seconds to wait after so many failed attempts, 1 or more.

    Full jitter: anything from 0 to an exponentially growing bound, so that callers who failed together do not come back
    together (Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
    """
    bound = min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2.0 ** min(failures - 1, 16))
    return rng.uniform(0.0, bound)
