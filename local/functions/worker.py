"""One execution environment of a function: a process that runs the real handler, one invocation at a time.

The process is Lambda's own runtime client, `python -m awslambdaric`, against a Runtime API that serves this process
alone. It sees what it would see in AWS: its folder, its layers, its environment, boto3.
Source: "Using the Lambda runtime API for custom runtimes", version 2018-06-01.
"""

from __future__ import annotations

import itertools
import json
import shutil
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from local import artefacts
from local.cloud import Cloud

RESPONSE_LIMIT = 6_291_556
# AWS gives the init phase 10 s; imports on a busy laptop get longer, and `local status` says so.
INIT_SECONDS = 120.0
_API = "/2018-06-01/runtime/"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class FunctionSpec:
    """What a process of a function is made from; two equal specs may share a warm process.

    Attributes:
        code: key of the function's artefact.
        layers: keys of its layers' artefacts, in the template's order.
        environment: the template's variables, sorted pairs.
        timeout: seconds that one invocation may take.
    """

    name: str
    arn: str
    handler: str
    runtime: str
    code: str
    layers: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    timeout: float
    memory: int
    log_group: str
    log_format: str
    log_level: str


@dataclass(frozen=True)
class Outcome:
    """What an invocation came to; `error` is None, or 'Unhandled' when the payload describes a failure."""

    payload: bytes
    error: str | None = None


@dataclass
class Invocation:
    """One event on its way to a handler."""

    payload: bytes
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    client_context: str = ""


class Worker:
    """A process of `spec`; `invoke` may be called by one thread at a time."""

    def __init__(self, cloud: Cloud, spec: FunctionSpec) -> None:
        self.spec = spec
        self.idle_since = time.monotonic()
        self._cloud = cloud
        self._changed = threading.Condition()
        self._ready = False
        self._closed = False
        self._pending: Invocation | None = None
        self._deadline_ms = 0
        self._outcome: Outcome | None = None
        self._init_error: bytes | None = None
        self._exit_code: int | None = None
        self._spawned = self._handed = time.monotonic()
        self._init_seconds: float | None = None  # until it has been reported
        self._server = _RuntimeServer(self)
        self._log = log_path(cloud, spec.name)
        self._scratch = cloud.settings.home / "tmp" / f"{spec.name}-{next(_numbers)}"
        self._scratch.mkdir(parents=True, exist_ok=True)
        try:
            self._process = cloud.spawn(
                [cloud.settings.lambda_python, "-m", "awslambdaric", spec.handler],
                environment=self._environment(),
                directory=artefacts.path(cloud.settings.home, spec.code),
                log=self._log,
            )
        except BaseException:
            self._server.server_close()
            raise
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True).start()
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether the process can take another invocation."""
        return self._exit_code is None and not self._closed

    def invoke(self, invocation: Invocation) -> Outcome:
        """Run one invocation to its end; a process that timed out or exited is of no use afterwards."""
        self._handed = time.monotonic()
        outcome = self._run(invocation)
        if len(outcome.payload) > RESPONSE_LIMIT:
            message = f"Response payload size exceeded maximum allowed payload size ({RESPONSE_LIMIT} bytes)."
            outcome = failure("Function.ResponseSizeTooLarge", message)
        self.idle_since = time.monotonic()
        report = (
            f"REPORT RequestId: {invocation.request_id}\tDuration: {(self.idle_since - self._handed) * 1000:.2f} ms"
        )
        if self._init_seconds is not None:
            report += f"\tInit Duration: {self._init_seconds * 1000:.2f} ms"
            self._init_seconds = None
        self._write(f"END RequestId: {invocation.request_id}")
        self._write(report)
        return outcome

    def close(self) -> None:
        """End the process and its Runtime API."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        self._cloud.terminate(self._process, grace_seconds=2.0)
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _run(self, invocation: Invocation) -> Outcome:
        timeout = self.spec.timeout
        identity = f"RequestId: {invocation.request_id} Error:"
        with self._changed:
            started = self._changed.wait_for(lambda: self._ready or not self.alive, INIT_SECONDS)
        if not started:
            self.close()
            return failure("Sandbox.Timedout", f"{identity} Task timed out during the init phase")
        with self._changed:
            if not self.alive:
                return self._ended(identity)
            self._write(f"START RequestId: {invocation.request_id} Version: $LATEST")
            self._outcome = None
            self._deadline_ms = int((time.time() + timeout) * 1000)
            self._pending = invocation
            self._handed = time.monotonic()
            self._changed.notify_all()
            finished = self._changed.wait_for(lambda: self._outcome is not None or not self.alive, timeout)
            outcome = self._outcome
        if outcome is not None:
            return outcome
        if finished:
            return self._ended(identity)
        self._write(f"{identity} Task timed out after {timeout:.2f} seconds")
        self.close()
        return failure("Sandbox.Timedout", f"{identity} Task timed out after {timeout:.2f} seconds")

    def _ended(self, identity: str) -> Outcome:
        if self._init_error is not None:
            return Outcome(self._init_error, "Unhandled")
        code = self._exit_code
        how = "exited without providing a reason" if code in (None, 0) else f"exited with error: exit status {code}"
        return failure("Runtime.ExitError", f"{identity} Runtime {how}")

    def _watch(self) -> None:
        code = self._process.wait()
        with self._changed:
            self._exit_code = code
            self._changed.notify_all()

    def _write(self, line: str) -> None:
        with self._log.open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    def _environment(self) -> dict[str, str]:
        spec, settings = self.spec, self._cloud.settings
        task_root = artefacts.path(settings.home, spec.code)
        layers = artefacts.layer_root(settings.home, spec.layers)
        minor = spec.runtime.removeprefix("python")
        search = [layers / f"python/lib/python{minor}/site-packages", layers / "python"]
        return {
            "TZ": ":UTC",
            "HOME": str(self._scratch),
            "TMPDIR": str(self._scratch),
            "PYTHONPATH": ":".join(str(folder) for folder in search if folder.is_dir()),
            # A task root is read-only in AWS; compiled modules are kept beside it, so that a second start is quick.
            "PYTHONPYCACHEPREFIX": str(settings.home / "pycache"),
            **dict(spec.environment),
            **settings.client_environment(),
            "_HANDLER": spec.handler,
            "LAMBDA_TASK_ROOT": str(task_root),
            "AWS_LAMBDA_RUNTIME_API": f"{settings.host}:{self._server.server_port}",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{spec.runtime}",
            "AWS_LAMBDA_FUNCTION_NAME": spec.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": spec.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": f"{time.strftime('%Y/%m/%d')}/[$LATEST]{uuid.uuid4().hex}",
            "AWS_LAMBDA_LOG_FORMAT": spec.log_format,
            **({"AWS_LAMBDA_LOG_LEVEL": spec.log_level} if spec.log_level else {}),
        }

    def next_invocation(self) -> tuple[Invocation, int] | None:
        """Called by the process when it is ready for an event: wait for one; None when there will be no more."""
        with self._changed:
            if not self._ready:
                self._init_seconds = time.monotonic() - self._spawned
            self._ready = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._pending is not None or self._closed)
            invocation, self._pending = self._pending, None
            return None if invocation is None else (invocation, self._deadline_ms)

    def finish(self, outcome: Outcome) -> None:
        """Called by the process with the outcome of its invocation."""
        with self._changed:
            self._outcome = outcome
            self._changed.notify_all()

    def fail_init(self, payload: bytes) -> None:
        """Called by the process when its handler could not be loaded; it exits right after."""
        with self._changed:
            self._init_error = payload


def failure(error_type: str, message: str) -> Outcome:
    """Return the outcome of an invocation that failed outside of the handler, in Lambda's shape."""
    return Outcome(json.dumps({"errorType": error_type, "errorMessage": message}).encode(), "Unhandled")


def log_path(cloud: Cloud, name: str) -> Path:
    """Return the file that holds what the processes of function `name` print."""
    return cloud.settings.home / "logs" / "functions" / f"{name}.log"


class _RuntimeServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, worker: Worker) -> None:
        super().__init__(("127.0.0.1", 0), _RuntimeHandler)
        self.worker = worker


class _RuntimeHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _RuntimeServer

    def do_GET(self) -> None:
        found = self.server.worker.next_invocation()
        if found is None:
            self.close_connection = True
            return
        invocation, deadline_ms = found
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": self.server.worker.spec.arn,
            "Lambda-Runtime-Trace-Id": f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Sampled=0",
        }
        if invocation.client_context:
            headers["Lambda-Runtime-Client-Context"] = invocation.client_context
        self._answer(200, invocation.payload, headers)

    def do_POST(self) -> None:
        body = self._body()
        action = self.path.removeprefix(_API)
        worker = self.server.worker
        if action == "init/error":
            worker.fail_init(body)
        elif action.endswith("/response"):
            worker.finish(Outcome(body))
        elif action.endswith("/error"):
            worker.finish(Outcome(body, "Unhandled"))
        else:
            self._answer(404, b"{}", {})
            return
        self._answer(202, b'{"status":"OK"}', {})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while length := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(length))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """The Runtime API is polled; its requests say nothing that the function's log does not."""
