"""Waiting that ends early: what a running branch does while it sleeps, awaits a task, or awaits its own branches."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from local.asl.errors import EndedError, ExecutionTimedOutError


class Job:
    """Work that runs in a thread of its own; `done` turns true under the lifeline's condition."""

    def __init__(self) -> None:
        self.done = False
        self.result: Any = None
        self.failure: BaseException | None = None

    def value(self) -> Any:
        """Return what the work returned, or raise what it raised."""
        if self.failure is not None:
            raise self.failure
        return self.result


class Lifeline:
    """The right of one line of control to go on; it is lost with its own end and with the end of any ancestor.

    All lifelines of an execution share one condition, so that an end anywhere wakes whoever waits below it.
    """

    def __init__(self, parent: Lifeline | None = None, seconds: float | None = None) -> None:
        """`seconds` is the time after which the line of control is over, None for no limit."""
        self._parent = parent
        self._condition: threading.Condition = parent._condition if parent else threading.Condition()
        self._ended = False
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def end(self) -> None:
        """Take the right away; whoever waits on this lifeline or below raises EndedError."""
        with self._condition:
            self._ended = True
            self._condition.notify_all()

    def wake(self) -> None:
        """Make whoever waits look again at what they wait for."""
        with self._condition:
            self._condition.notify_all()

    def check(self) -> None:
        """Raise EndedError when this line of control is over, ExecutionTimedOutError when its time is."""
        line: Lifeline | None = self
        while line is not None:
            if line._ended:
                raise EndedError
            if line._deadline is not None and time.monotonic() >= line._deadline:
                raise ExecutionTimedOutError
            line = line._parent

    def wait(self, done: Callable[[], bool], seconds: float | None = None) -> bool:
        """Wait until `done()`; false when `seconds` passed first. Raises EndedError when the lifeline ends first."""
        limit = None if seconds is None else time.monotonic() + seconds
        with self._condition:
            while True:
                self.check()
                if done():
                    return True
                if limit is not None and time.monotonic() >= limit:
                    return False
                moments = [*self._deadlines(), *([] if limit is None else [limit])]
                self._condition.wait(max(0.0, min(moments) - time.monotonic()) if moments else None)

    def sleep(self, seconds: float) -> None:
        self.wait(lambda: False, seconds)

    def spawn(self, work: Callable[[], Any]) -> Job:
        """Run `work` in a thread. Whoever stops waiting for it leaves it behind: its result is then nobody's."""
        job = Job()

        def run() -> None:
            try:
                job.result = work()
            except BaseException as failure:  # noqa: BLE001 - it is raised again by whoever asks for the value
                job.failure = failure
            with self._condition:
                job.done = True
                self._condition.notify_all()

        threading.Thread(target=run, name="state", daemon=True).start()
        return job

    def fan_out(self, works: Sequence[Callable[[Lifeline], Any]], concurrency: int) -> list[Any]:
        """Run all works, at most `concurrency` at a time, each with a lifeline of its own; results keep their order.

        The first failure ends the others and is raised.
        """
        inner = Lifeline(parent=self)
        waiting = deque(works)
        jobs: list[Job] = []
        running: list[Job] = []
        try:
            while waiting or running:
                while waiting and len(running) < concurrency:
                    work = waiting.popleft()
                    running.append(inner.spawn(lambda work=work: work(inner)))  # type: ignore[misc]
                    jobs.append(running[-1])
                active = running
                self.wait(lambda active=active: any(job.done for job in active))  # type: ignore[misc]
                for job in running:
                    if job.done and job.failure is not None:
                        raise job.failure
                running = [job for job in running if not job.done]
        finally:
            inner.end()
        return [job.result for job in jobs]

    def _deadlines(self) -> Iterator[float]:
        line: Lifeline | None = self
        while line is not None:
            if line._deadline is not None:
                yield line._deadline
            line = line._parent
