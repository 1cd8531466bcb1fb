"""Which processes the local cloud started, written down: so that they can be ended when the daemon itself was killed.

Each leads a session of its own, so that what it started can be found as well. A line in `<home>/processes/<pid>` holds
when the leader was created, by which a process that was given the same number later is told apart.
"""

from __future__ import annotations

import os
from pathlib import Path

import psutil

_FOLDER = "processes"
_END_SECONDS = 5.0
# psutil adds the moment of boot, which moves a little with the clock.
_SAME_MOMENT_SECONDS = 2.0


def write_down(home: Path, pid: int) -> None:
    """Remember a process that was just started as the leader of a session, and that nobody has waited for yet."""
    file = _file(home, pid)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(repr(psutil.Process(pid).create_time()), encoding="utf-8")


def cross_off(home: Path, pid: int) -> None:
    """Forget a process: it has ended, and everything that it started."""
    _file(home, pid).unlink(missing_ok=True)


def end_left_over(home: Path) -> int:
    """Kill what is left of every process that is written down; return how many there were. No daemon may be running."""
    folder = home / _FOLDER
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    left = [process for file in files for process in _session(int(file.name), float(file.read_text(encoding="utf-8")))]
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(left, timeout=_END_SECONDS)
    for file in files:
        file.unlink()
    return len(left)


def _file(home: Path, pid: int) -> Path:
    return home / _FOLDER / str(pid)


def _session(leader: int, created: float) -> list[psutil.Process]:
    """Return the processes of a session, none when the number of its leader is another one's by now."""
    try:
        if abs(psutil.Process(leader).create_time() - created) > _SAME_MOMENT_SECONDS:
            return []
    except psutil.NoSuchProcess:
        pass  # a leader may end before what it started; its number is not given away as long as the session lives
    return [process for process in psutil.process_iter() if _session_of(process.pid) == leader]


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None
