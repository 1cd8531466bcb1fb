"""What every adapter of the local cloud is given: where things are, a pool of threads, and the processes it started."""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from local import processes

ACCOUNT_ID = "123456789012"
_logger = logging.getLogger("local")
_originals: dict[tuple[int, str], tuple[Any, Any]] = {}


class LocalCloudError(Exception):
    """The local cloud cannot carry out what it was asked; the message says what and where."""


class UnsupportedError(LocalCloudError):
    """A resource type, property or language feature that the local cloud does not carry out."""


def require(owner: Any, name: str) -> Any:
    """Return attribute `name` of `owner`, or fail at import: a patched symbol of moto has moved.

    Raises:
        LocalCloudError: the symbol is not there, so the exact pin of moto no longer holds.
    """
    if not hasattr(owner, name):
        raise LocalCloudError(
            f"{getattr(owner, '__name__', owner)} has no {name!r}: this adapter was written for moto 5.2.5"
        )
    _originals.setdefault((id(owner), name), (owner, inspect.getattr_static(owner, name)))
    return getattr(owner, name)


def restore() -> None:
    """Undo every patch: give back to moto what `require` was asked for, so that a process can go on without a cloud."""
    for (_, name), (owner, original) in _originals.items():
        if inspect.getattr_static(owner, name) is not original:
            setattr(owner, name, original)


@dataclass(frozen=True)
class Settings:
    """Where the local cloud lives. Paths are absolute.

    Attributes:
        project: root of the repository (template.yaml lies here).
        home: state of the daemon: pid, log, artefacts, logs of handlers, steps and endpoints.
        port: TCP port on 127.0.0.1 of the one HTTP front that speaks every AWS API.
        region: the AWS region that the cloud pretends to be.
        time_scale: factor on waiting times that are AWS's and not ours (polling, back-off); 1.0 is AWS's own pace.
        warm_steps: steps' Python processes are forked from one that has imported the image's packages; cheaper, and
            one thing more that is not as in AWS.
    """

    project: Path
    home: Path
    port: int
    region: str = "eu-west-1"
    time_scale: float = 1.0
    warm_steps: bool = False

    @property
    def host(self) -> str:
        return "127.0.0.1"

    @property
    def endpoint_url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def step_python(self) -> Path:
        """Interpreter that holds what the evaluation image holds, and nothing of the project."""
        return self.project / ".venv/envs/step/bin/python"

    @property
    def lambda_python(self) -> Path:
        """Interpreter that holds what the Lambda runtime holds: boto3 and the runtime client."""
        return self.project / ".venv/envs/lambda/bin/python"

    @property
    def server_python(self) -> Path:
        """Interpreter of the model servers and the daemon itself."""
        return Path(sys.executable)

    def client_environment(self) -> dict[str, str]:
        """Environment that points any AWS SDK at the local cloud, and nowhere else."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "OPENAI_BASE_URL": f"{self.endpoint_url}/_local/openai/v1",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1,localhost",
            "HF_HUB_OFFLINE": "1",
            "HF_EVALUATE_OFFLINE": "1",
            "HF_DATASETS_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            "PIP_NO_INDEX": "1",
        }


@dataclass
class Cloud:
    """The running local cloud; one per daemon process."""

    settings: Settings
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(64, thread_name_prefix="cloud"))
    stopping: threading.Event = field(default_factory=threading.Event)
    _resting: list[Callable[[], None]] = field(default_factory=list)
    _children: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    _children_lock: threading.Lock = field(default_factory=threading.Lock)

    def spawn(
        self,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str],
        directory: Path,
        log: Path,
        descriptors: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:
        """Start a process in a session of its own, with exactly `environment` and PATH; it ends with the daemon.

        Standard output and error are appended to `log`. Of this process's open files it has `descriptors` only.

        Raises:
            LocalCloudError: the cloud is closing, so nothing would end the process.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with self._children_lock, log.open("ab") as sink:
            if self.stopping.is_set():
                raise LocalCloudError(f"the local cloud is closing: {command[0]} is not started any more")
            process = subprocess.Popen(  # noqa: S603 - the command is ours, never a shell
                [str(part) for part in command],
                env={"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", **environment},
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                pass_fds=descriptors,
                start_new_session=True,
            )
            processes.write_down(self.settings.home, process.pid)
            self._children[process.pid] = process
        return process

    def when_resting(self, work: Callable[[], None]) -> None:
        """Have `work` done whenever the cloud is told to rest: processes that wait for more to do end then."""
        self._resting.append(work)

    def rest(self) -> None:
        """End the processes that only wait for more to do."""
        for work in self._resting:
            work()

    def terminate(self, process: subprocess.Popen[bytes], grace_seconds: float = 5.0) -> None:
        """End a process that `spawn` started, and everything it started, by their session: what it left as well.

        It has `grace_seconds` to end by itself; what is left of its session then, or when it has ended, is killed.
        """
        self._end([process], grace_seconds)

    def close(self, grace_seconds: float = 5.0) -> None:
        """End every process that is left, all at once, and refuse new work."""
        self.stopping.set()
        with self._children_lock:
            children = list(self._children.values())
        self._end(children, grace_seconds)
        self.pool.shutdown(wait=False, cancel_futures=True)

    def _end(self, children: Sequence[subprocess.Popen[bytes]], grace_seconds: float) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for child in children:
                _signal(child, number)
            deadline = time.monotonic() + grace_seconds
            for child in children:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(max(0.0, deadline - time.monotonic()))
        with self._children_lock:
            for child in children:
                if child.returncode is not None and child.pid in self._children:
                    del self._children[child.pid]
                    processes.cross_off(self.settings.home, child.pid)

    def submit(self, work: Any, *arguments: Any) -> Future[Any]:
        """Run `work` in the pool; what it raises is logged by the daemon, never lost."""
        return self.pool.submit(_logged(work), *arguments)


def _signal(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if child.poll() is not None and psutil.pid_exists(child.pid):
        return  # it has ended with all its session, and its number is somebody else's by now
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)


def _logged(work: Any) -> Any:
    @functools.wraps(work)
    def run(*arguments: Any) -> Any:
        try:
            return work(*arguments)
        except Exception:  # raised again, into a future that nobody may ask: the log is where it is seen
            _logger.exception("background work failed", extra={"work": getattr(work, "__name__", "?")})
            raise

    return run
