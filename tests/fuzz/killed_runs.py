"""Asks a catalog again and again in processes that die of SIGKILL at drawn points, until one run comes to its end.

A point is a place where a process may die: before a request, after its answer, before a part is written, in the middle
of that, and after it. What each process asked is written to a file by the model itself, which is no part of what is
tested.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from assay.contracts.catalog import Record
from assay.inference.errors import MalformedReplyError, ThrottledError
from assay.inference.runner import Answer, ask_all
from assay.inference.store import PartStore, read_responses


@dataclass(frozen=True)
class Limits:
    concurrency: int = 16
    request_seconds: float = 60.0
    evaluate_seconds: float = 600.0


@dataclass(frozen=True)
class Run:
    """What one process did.

    Attributes:
        kept_before: records whose answer was in the store when it began.
        asked_again: of those, how many it asked.
        requests: requests that it sent.
        asked: different records that it asked.
        kept: of those, how many the store had a response to in the end.
    """

    killed: bool
    kept_before: int
    asked_again: int
    requests: int
    asked: int
    kept: int


class Death:
    """Kills this process at the n-th point; never when n is 0."""

    def __init__(self, at: int) -> None:
        self._points = itertools.count(1)
        self._at = at

    def point(self) -> None:
        if next(self._points) == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


class Folder:
    """Objects as files, which exist whole or not at all, as in S3."""

    def __init__(self, death: Death) -> None:
        self._death = death

    def keys(self, prefix: str) -> list[str]:
        return sorted(str(path) for path in Path(prefix).iterdir())

    def read(self, key: str) -> bytes:
        return Path(key).read_bytes()

    def write(self, key: str, body: bytes) -> None:
        self._death.point()
        unfinished = Path(f"{key}.unfinished")
        with unfinished.open("wb") as file:
            file.write(body[: len(body) // 2])
            file.flush()
            self._death.point()
            file.write(body[len(body) // 2 :])
        unfinished.replace(key)
        self._death.point()


class Witness:
    """A model that writes down every request before it answers; some fail once in each process, some always."""

    def __init__(self, log: Path, death: Death) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._death = death
        self._lock = threading.Lock()
        self._seen: set[str] = set()

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
        self._death.point()
        os.write(self._log, f"{prompt}\n".encode())
        time.sleep(0.0005)
        with self._lock:
            first = prompt not in self._seen
            self._seen.add(prompt)
        number = int(prompt)
        if number % 101 == 0:
            raise MalformedReplyError("no text")
        if number % 17 == 0 and first:
            raise ThrottledError("slow down", retry_after_seconds=0.001)
        self._death.point()
        return Answer(f"answer to {prompt}", 1.0)


def ask(folder: Path, log: Path, records: int, at: int) -> None:
    """One run, to its end or to its death."""
    death = Death(at)
    catalog = (Record(id=f"r{n}", model_input=str(n), target_output="a") for n in range(records))
    ask_all(
        catalog,
        model=Witness(log, death),
        prompt_of=lambda record: record.model_input,
        store=PartStore(Folder(death), f"{folder}/"),
        limits=Limits(),
        rng=random.Random(1),
    )


def watched(folder: Path, log: Path, records: int, at: int) -> Run:
    """The same in a process of its own, and what came of it."""
    log.unlink(missing_ok=True)
    before = outcomes(folder)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            ask(folder, log, records, at)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError("a run failed")
    asked = [f"r{line}" for line in log.read_text().split()] if log.exists() else []
    answered = {name for name, (_, failure) in before.items() if failure is None}
    # A failure of an earlier run is no response of this one.
    new = {name for name, found in outcomes(folder).items() if name not in before or found != before[name]}
    again = {name for name in asked if name in before and name not in answered}
    return Run(
        killed=os.WIFSIGNALED(status),
        kept_before=len(answered),
        asked_again=len(answered & set(asked)),
        requests=len(asked),
        asked=len(set(asked) - again),
        kept=len(new - again),
    )


def outcomes(folder: Path) -> dict[str, tuple[str | None, str | None]]:
    """Text and kind of failure of the last response to each record."""
    found = read_responses(Folder(Death(0)), f"{folder}/")
    return {
        response.record_id: (response.text, None if response.failure is None else response.failure.kind)
        for response in found
    }


def main() -> None:
    """`killed_runs.py FOLDER RECORDS KILLS SEED`: prints every run, the last of which was not killed, as JSON."""
    folder, records, kills, seed = Path(sys.argv[1]), *(int(word) for word in sys.argv[2:5])
    (folder / "responses").mkdir()
    rng = random.Random(seed)
    points = [rng.randint(1, 4 * records // max(kills, 1)) for _ in range(kills)]
    runs = [watched(folder / "responses", folder / "asked", records, at) for at in (*points, 0)]
    sys.stdout.write(json.dumps([asdict(run) for run in runs]))


if __name__ == "__main__":
    main()
