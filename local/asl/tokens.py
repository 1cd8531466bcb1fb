"""Task tokens: what a state that waits for a callback gives away, and what comes back for it."""

from __future__ import annotations

import time
import uuid
from typing import Any

from local.asl.errors import StateError
from local.asl.lifeline import Lifeline


class UnknownTokenError(Exception):
    """No task was ever given this token."""


class TaskOverError(Exception):
    """The task of this token has ended: it has its result, it timed out, or its execution is over."""


class PendingTask:
    """A task that waits for its callback."""

    def __init__(self, lifeline: Lifeline) -> None:
        self._lifeline = lifeline
        self._outcome: tuple[Any, StateError | None] | None = None
        self._beat = time.monotonic()
        self._over = False

    def resolve(self, result: Any, failure: StateError | None = None) -> None:
        self._require_pending()
        self._outcome = (result, failure)
        self._lifeline.wake()

    def heartbeat(self) -> None:
        self._require_pending()
        self._beat = time.monotonic()
        self._lifeline.wake()

    def await_result(self, limit: float | None, heartbeat_seconds: float | None) -> Any:
        """Wait for the callback until `limit`, a moment of time.monotonic(); None for no limit.

        Raises:
            StateError: what SendTaskFailure said, `States.Timeout`, or `States.HeartbeatTimeout`.
        """
        self._beat = time.monotonic()
        while self._outcome is None:
            beat = self._beat
            silence = None if heartbeat_seconds is None else beat + heartbeat_seconds
            until = min((moment for moment in (limit, silence) if moment is not None), default=None)
            seconds = None if until is None else max(0.0, until - time.monotonic())
            if self._lifeline.wait(lambda beat=beat: self._outcome is not None or self._beat != beat, seconds):  # type: ignore[misc]
                continue
            if until == limit:
                raise StateError("States.Timeout", "No callback came within TimeoutSeconds")
            raise StateError("States.HeartbeatTimeout", "No heartbeat came within HeartbeatSeconds")
        result, failure = self._outcome
        if failure is not None:
            raise failure
        return result

    def close(self) -> None:
        """The task is over: whoever comes with its token now comes too late."""
        self._over = True

    def _require_pending(self) -> None:
        if self._over or self._outcome is not None:
            raise TaskOverError


class TaskTokens:
    """All tokens of one local cloud."""

    def __init__(self) -> None:
        self._tasks: dict[str, PendingTask] = {}

    def issue(self, lifeline: Lifeline) -> tuple[str, PendingTask]:
        token = uuid.uuid4().hex
        self._tasks[token] = PendingTask(lifeline)
        return token, self._tasks[token]

    def find(self, token: str) -> PendingTask:
        """Raises UnknownTokenError when no task was given this token."""
        if token not in self._tasks:
            raise UnknownTokenError(token)
        return self._tasks[token]
