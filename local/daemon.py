"""The local cloud as a daemon: it survives the terminal and the command that started it, until it is told to end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
from pathlib import Path

import psutil
import requests

from local.cloud import LocalCloudError, Settings
from local.processes import end_left_over

HOME = Path(".assay/local")
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.05
_STATE_FILE = "daemon.json"
_LOG_FILE = "logs/daemon/daemon.log"


@dataclass(frozen=True)
class State:
    """What a started daemon is known by; kept in `.assay/local/daemon.json`."""

    pid: int
    port: int
    region: str
    time_scale: float
    started: float
    warm_steps: bool = False


@dataclass(frozen=True)
class Status:
    """Whether the daemon runs, and where.

    Attributes:
        settings: how to reach it; None when it does not run.
        healthy: it answers.
        seconds: how long it has been running.
        home: where its state and logs are.
    """

    settings: Settings | None
    healthy: bool
    seconds: float
    home: Path
    pid: int | None = None


def up(project: Path, *, region: str = Settings.region, time_scale: float = 1.0, warm_steps: bool = False) -> Settings:
    """Start the daemon of `project` on a free port, wait until it answers, and return how to reach it.

    Raises:
        LocalCloudError: it runs already, its path is one that steps cannot run in, or it did not start; the message has
            the end of its log.
    """
    home = project.resolve() / HOME
    if any(character.isspace() for character in str(home)):
        raise LocalCloudError(
            f"the project lies in a path with spaces, in which the SageMaker SDK's step scripts cannot run: {home}; "
            "move it to a path without"
        )
    with _exclusive(home):
        if _running(home) is not None:
            raise LocalCloudError("the local cloud runs already; `assay local status` says where")
        end_left_over(home)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            settings = Settings(project.resolve(), home, int(listener.getsockname()[1]), region, time_scale, warm_steps)
            process = _start(settings, listener)
        _write_state(home, State(process.pid, settings.port, region, time_scale, time.time(), warm_steps))
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(settings.endpoint_url):
            if process.poll() is not None or time.monotonic() > deadline:
                _end(process.pid)
                process.wait()
                _state_file(home).unlink()
                raise LocalCloudError(f"the local cloud did not start:\n{logs(project, lines=30)}")
            time.sleep(_POLL_SECONDS)
    # The daemon goes on without this process; nobody waits for it here.
    process.returncode = 0
    return settings


def status(project: Path) -> Status:
    """Return whether the daemon of `project` runs."""
    home = project.resolve() / HOME
    state = _running(home)
    if state is None:
        return Status(None, healthy=False, seconds=0.0, home=home)
    settings = Settings(project.resolve(), home, state.port, state.region, state.time_scale, state.warm_steps)
    return Status(settings, _answers(settings.endpoint_url), time.time() - state.started, home, state.pid)


def down(project: Path) -> bool:
    """End the daemon and every process it started; return whether there was anything to end.

    A daemon that was killed could not end its own: what it left running is ended too.
    """
    home = project.resolve() / HOME
    with _exclusive(home):
        return _down(home)


def reset(project: Path) -> bool:
    """End the daemon and delete its state, artefacts, mails and logs; return whether there was anything to end."""
    home = project.resolve() / HOME
    with _exclusive(home):
        was_running = _down(home)
        shutil.rmtree(home)
    return was_running


def logs(project: Path, *, lines: int = 100) -> str:
    """Return the last `lines` of the daemon's log."""
    file = project.resolve() / HOME / _LOG_FILE
    if not file.exists():
        return ""
    return "\n".join(file.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def log_files(project: Path) -> list[Path]:
    """Return every log of the local cloud: the daemon's, and those of handlers, steps, endpoints, state machines."""
    return sorted((project.resolve() / HOME / "logs").rglob("*.log"))


def _down(home: Path) -> bool:
    state = _running(home)
    if state is not None:
        _end(state.pid)
    left = end_left_over(home)
    _state_file(home).unlink(missing_ok=True)
    return state is not None or left > 0


def _start(settings: Settings, listener: socket.socket) -> subprocess.Popen[bytes]:
    """Start the daemon with a socket that listens already: nobody else can take the port before it does."""
    log = settings.home / _LOG_FILE
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [
        *(str(settings.server_python), "-m", "local.server"),
        *("--project", str(settings.project), "--home", str(settings.home)),
        *("--port", str(settings.port), "--socket", str(listener.fileno())),
        *("--region", settings.region, "--time-scale", str(settings.time_scale)),
        *(("--warm-steps",) if settings.warm_steps else ()),
    ]
    with log.open("ab") as sink:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command,
            cwd=settings.project,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )


def _environment() -> dict[str, str]:
    """This process's environment without its AWS settings: a profile that is gone would break every client."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**kept, "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


def _running(home: Path) -> State | None:
    """Return the state of the daemon if its process is there and really is the one: pids are used again."""
    file = _state_file(home)
    if not file.exists():
        return None
    state = State(**json.loads(file.read_text(encoding="utf-8")))
    return state if _is_ours(state.pid, home) else None


def _is_ours(pid: int, home: Path) -> bool:
    try:
        process = psutil.Process(pid)
        command = process.cmdline()
        return process.status() != psutil.STATUS_ZOMBIE and "local.server" in command and str(home) in command
    except psutil.Error:
        return False


def _end(pid: int) -> None:
    try:
        process = psutil.Process(pid)
        process.send_signal(signal.SIGTERM)
        _, alive = psutil.wait_procs([process], timeout=_STOP_SECONDS)
        if alive:
            process.kill()
            psutil.wait_procs([process], timeout=_STOP_SECONDS)
    except psutil.NoSuchProcess:
        return


def _answers(endpoint_url: str) -> bool:
    try:
        return requests.get(f"{endpoint_url}/_local/health", timeout=2.0, proxies={"http": ""}).ok
    except requests.RequestException:
        return False


def _state_file(home: Path) -> Path:
    return home / _STATE_FILE


def _write_state(home: Path, state: State) -> None:
    """The file appears whole: `status` reads it without the lock."""
    scratch = _state_file(home).with_suffix(".new")
    scratch.write_text(json.dumps(asdict(state), indent=2) + "\n", encoding="utf-8")
    scratch.replace(_state_file(home))


@contextmanager
def _exclusive(home: Path) -> Iterator[None]:
    """Let one command at a time start or end the daemon of a home."""
    home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home / "lock", os.O_CREAT | os.O_RDWR)
    try:
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
        except BlockingIOError as error:
            raise LocalCloudError("another command is starting or ending the local cloud") from error
        yield
        flock(descriptor, LOCK_UN)
    finally:
        os.close(descriptor)
