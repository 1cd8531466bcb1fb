"""What an execution did: its events as GetExecutionHistory returns them, and one line of JSON each in a log.

The log is `<home>/logs/state_machines/<machine>/<execution>.jsonl`. One event a line, in order, each an object:

    time      when, ISO 8601 in UTC
    elapsed   seconds since the execution started, with milliseconds
    event     the event's type as in GetExecutionHistory: ExecutionStarted, TaskStateEntered, TaskStateExited,
              TaskFailed, ChoiceStateEntered, ..., and last ExecutionSucceeded, ExecutionFailed, ExecutionAborted
              or ExecutionTimedOut
    state     name of the state that the event belongs to; absent for events of the execution itself
    error     name of the error, only on events that fail
    cause     its text, likewise

A state that is retried is entered and exited once, with one TaskFailed for each failed attempt. The states of a
Parallel's branches and of a Map's items are logged interleaved, as they happen.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from local.asl.errors import EndedError
from local.asl.integrations import iso

_WITHOUT_TRUNCATION = {"truncated": False}
_TERMINAL = frozenset({"ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"})


def dumps(value: Any) -> str:
    """JSON as Step Functions writes it into events."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class History:
    """Events of one execution. After the terminal event nothing is recorded any more."""

    def __init__(self, log: Path, now: Callable[[], datetime]) -> None:
        self._log = log
        self._now = now
        self._started = now()
        self._events: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._closed = False

    def record(self, kind: str, details: dict[str, Any] | None, *, previous: int, state: str | None) -> int:
        """Append an event and return its id.

        Args:
            kind: type of the event, `TaskStateEntered`.
            details: its details; the member that AWS puts them under follows from the type.
            previous: id of the event that led to it, 0 for the first.
            state: name of the state it belongs to.

        Raises:
            EndedError: the execution has ended, so the line of control that asks is over.
        """
        moment = self._now()
        with self._lock:
            if self._closed:
                raise EndedError
            event: dict[str, Any] = {
                "timestamp": moment,
                "type": kind,
                "id": len(self._events) + 1,
                "previousEventId": previous,
            }
            if details is not None:
                event[_details_member(kind)] = _with_truncation(details)
            self._events.append(event)
            self._closed = kind in _TERMINAL
            line = {
                "time": iso(moment),
                "elapsed": round((moment - self._started).total_seconds(), 3),
                "event": kind,
                **({"state": state} if state else {}),
                **{key: details[key] for key in ("error", "cause") if details and details.get(key) is not None},
            }
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("a", encoding="utf-8") as sink:
                sink.write(json.dumps(line, ensure_ascii=False) + "\n")
            return int(event["id"])

    def reopen(self) -> None:
        """Take events again: the execution that had ended is redriven."""
        with self._lock:
            self._closed = False

    def events(self) -> list[dict[str, Any]]:
        with self._lock:
            return list(self._events)


class Trail:
    """The events of one line of control, each the follower of the one before."""

    def __init__(self, history: History, previous: int = 0) -> None:
        self._history = history
        self.last = previous

    def record(self, kind: str, details: dict[str, Any] | None = None, *, state: str | None = None) -> int:
        self.last = self._history.record(kind, details, previous=self.last, state=state)
        return self.last

    def fork(self) -> Trail:
        """A trail that begins where this one is: of a branch, or of an item."""
        return Trail(self._history, self.last)


def _details_member(kind: str) -> str:
    for suffix, member in (("StateEntered", "stateEntered"), ("StateExited", "stateExited")):
        if kind.endswith(suffix):
            return f"{member}EventDetails"
    return f"{kind[0].lower()}{kind[1:]}EventDetails"


def _with_truncation(details: dict[str, Any]) -> dict[str, Any]:
    truncation = {f"{name}Details": _WITHOUT_TRUNCATION for name in ("input", "output") if name in details}
    return {name: value for name, value in {**details, **truncation}.items() if value is not None}
