"""The model that every side asks, and how each is timed. Every side's own interpreter runs this: the library only."""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

CONCURRENCY = 64
"""The most requests that any side has in flight."""
UNKNOWN_EVERY = 4
WARM_UP_RECORDS = 20


@dataclass(frozen=True)
class Record:
    """What is asked, and the answer that is right."""

    id: str
    question: str
    expected: str


@dataclass(frozen=True)
class Task:
    """One evaluation.

    Attributes:
        records: what is asked, each once.
        latency_seconds: what the model takes for an answer; 0 for a model that answers at once.
        workers: what the side makes of its own setting for how much it does at once.
        folder: empty; where answers and scores are to be kept.
    """

    records: Sequence[Record]
    latency_seconds: float
    workers: int
    folder: Path


def records_of(count: int) -> list[Record]:
    """Questions that have a number each."""
    return [
        Record(f"{number:016x}", f"What is the capital of country {number}?", f"Capital {number}")
        for number in range(count)
    ]


def answer(question: str) -> str:
    """Right, but for every fourth question."""
    [number] = re.findall(r"\d+", question)
    return "I do not know." if int(number) % UNKNOWN_EVERY == 0 else f"Capital {number}"


def share_right(count: int) -> float:
    """The exact match of the model's answers to so many questions."""
    return 1 - len(range(0, count, UNKNOWN_EVERY)) / count


def main(package: str, evaluate: Callable[[Task], float]) -> None:
    """Time an evaluation, whose mean score must be the true one; the figures are the last line of standard output.

    A few records go first, so that imports and start-up do not count. Processor time is that of all of the side's
    processes; memory is the peak of the largest.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--latency", type=float, required=True)
    parser.add_argument("--workers", type=int, required=True)
    arguments = parser.parse_args()
    with redirect_stdout(sys.stderr):
        _timed(WARM_UP_RECORDS, arguments, evaluate)
        seconds, cpu_seconds = _timed(arguments.records, arguments, evaluate)
    found = {
        "version": version(package),
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_mb": max(usage.ru_maxrss for usage in _usages()) * 1024 / 1e6,
    }
    sys.stdout.write(f"\n{json.dumps(found)}\n")


def _timed(count: int, arguments: argparse.Namespace, evaluate: Callable[[Task], float]) -> tuple[float, float]:
    records = records_of(count)
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        task = Task(records, arguments.latency, arguments.workers, Path(folder))
        started, cpu_started = time.perf_counter(), _cpu_seconds()
        score = evaluate(task)
        seconds, cpu_seconds = time.perf_counter() - started, _cpu_seconds() - cpu_started
        os.chdir(before)
    if abs(score - share_right(count)) > 1e-9:
        raise RuntimeError(f"of the answers {share_right(count)} are right, and the score is {score}")
    return seconds, cpu_seconds


def _usages() -> list[resource.struct_rusage]:
    return [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]


def _cpu_seconds() -> float:
    return sum(usage.ru_utime + usage.ru_stime for usage in _usages())
