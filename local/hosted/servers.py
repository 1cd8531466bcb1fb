"""Model servers that start when somebody first asks for the model, and end when nobody has for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

import urllib3

from local.cloud import LocalCloudError

IDLE_SECONDS = 300.0
ANSWER_SECONDS = 300.0


class Server(Protocol):
    """A process that serves one model."""

    connections: urllib3.HTTPConnectionPool

    def wait_until_healthy(self) -> str | None: ...
    def end(self) -> None: ...


class Servers:
    """One process for each model that was asked for.

    Args:
        start: starts the process of a model.
        clock: seconds that only grow.
    """

    def __init__(self, start: Callable[[str], Server], clock: Callable[[], float] = time.monotonic) -> None:
        self._start = start
        self._clock = clock
        self._servers: dict[str, Server] = {}
        self._starting: dict[str, threading.Lock] = {}
        self._under_way: dict[str, int] = {}
        self._last_asked: dict[str, float] = {}
        self._lock = threading.Lock()

    def post(self, model: str, body: bytes) -> tuple[int, bytes]:
        """Ask a model; the first one waits until its process has loaded it.

        Raises:
            LocalCloudError: the process does not come up.
        """
        server = self._taken(model)
        try:
            answer = server.connections.request("POST", "/invocations", body=body, timeout=ANSWER_SECONDS)
        except urllib3.exceptions.HTTPError:
            return 503, b""
        finally:
            with self._lock:
                self._under_way[model] -= 1
                self._last_asked[model] = self._clock()
        return answer.status, answer.data

    def _taken(self, model: str) -> Server:
        with self._lock:
            starting = self._starting.setdefault(model, threading.Lock())
        with starting:
            with self._lock:
                server = self._servers.get(model)
                if server is not None:
                    self._under_way[model] += 1
                    return server
            server = self._start(model)
            if reason := server.wait_until_healthy():
                server.end()
                raise LocalCloudError(f"the local model {model} does not start: {reason}")
            with self._lock:
                self._servers[model] = server
                self._under_way[model] = 1
        return server

    def rest(self, idle_seconds: float = 0.0) -> None:
        """End the processes that answer nobody, and have not for so long."""
        with self._lock:
            idle = [
                model
                for model in self._servers
                if not self._under_way[model] and self._clock() - self._last_asked[model] >= idle_seconds
            ]
            ended = [self._servers.pop(model) for model in idle]
        for server in ended:
            server.end()
