"""The warm processes of every function: reused when idle, one per concurrent invocation, gone after some minutes."""

from __future__ import annotations

import threading
import time
from collections import defaultdict

from local.cloud import Cloud
from local.functions.worker import FunctionSpec, Invocation, Outcome, Worker

IDLE_SECONDS = 300.0
_SWEEP_SECONDS = 15.0


class ThrottledError(Exception):
    """The function already runs as many invocations as its reserved concurrency allows."""


class Pool:
    """Execution environments by function name."""

    def __init__(self, cloud: Cloud, idle_seconds: float = IDLE_SECONDS) -> None:
        self._cloud = cloud
        self._idle_seconds = idle_seconds
        self._idle: dict[str, list[Worker]] = defaultdict(list)
        self._running: dict[str, int] = defaultdict(int)
        self._lock = threading.Lock()
        threading.Thread(target=self._sweep, name="lambda-idle", daemon=True).start()

    def invoke(self, spec: FunctionSpec, invocation: Invocation, reserved: int | None = None) -> Outcome:
        """Run one invocation in a warm process of the same spec, or in a new one.

        Raises:
            ThrottledError: `reserved` invocations of this function are running already.
        """
        with self._lock:
            if reserved is not None and self._running[spec.name] >= reserved:
                raise ThrottledError(spec.name)
            self._running[spec.name] += 1
        try:
            worker = self._take(spec) or Worker(self._cloud, spec)
            outcome = worker.invoke(invocation)
        finally:
            with self._lock:
                self._running[spec.name] -= 1
        if worker.alive:
            with self._lock:
                self._idle[spec.name].append(worker)
        else:
            worker.close()
        return outcome

    def running(self, name: str) -> int:
        """Return how many invocations of a function are running."""
        with self._lock:
            return self._running[name]

    def retire(self, name: str) -> None:
        """End the idle processes of a function that was deleted."""
        with self._lock:
            workers = self._idle.pop(name, [])
        for worker in workers:
            worker.close()

    def close(self) -> None:
        """End every idle process."""
        for name in list(self._idle):
            self.retire(name)

    def _take(self, spec: FunctionSpec) -> Worker | None:
        with self._lock:
            workers = self._idle[spec.name]
            usable = [worker for worker in workers if worker.spec == spec and worker.alive]
            stale = [worker for worker in workers if worker not in usable]
            taken = usable.pop() if usable else None
            self._idle[spec.name] = usable
        for worker in stale:
            worker.close()
        return taken

    def _sweep(self) -> None:
        while not self._cloud.stopping.wait(min(_SWEEP_SECONDS, self._idle_seconds)):
            limit = time.monotonic() - self._idle_seconds
            with self._lock:
                expired = [worker for workers in self._idle.values() for worker in workers if worker.idle_since < limit]
                for name, workers in self._idle.items():
                    self._idle[name] = [worker for worker in workers if worker not in expired]
            for worker in expired:
                worker.close()
