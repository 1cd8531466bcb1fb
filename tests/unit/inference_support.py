"""A model, a clock and a store in memory, for whoever asks a catalog."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from assay.contracts.catalog import Record
from assay.contracts.results import Response
from assay.inference import runner
from assay.inference.errors import (
    ModelCallError,
)
from assay.inference.runner import Answer, AskSummary, ask_all


class Clock:
    """Time that passes only when somebody sleeps; the longest of concurrent sleeps counts once each."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds


@dataclass
class Limits:
    concurrency: int = 4
    request_seconds: float = 60.0
    evaluate_seconds: float = 1e9


@dataclass
class Kept:
    """A store in memory that remembers its parts."""

    parts: list[list[Response]] = field(default_factory=list)

    def append(self, responses: list[Response]) -> None:
        self.parts.append(responses)

    def answered(self) -> set[str]:
        return {key for key, response in self.last.items() if response.failure is None}

    def failures(self) -> list[Response]:
        return [response for response in self.responses if response.failure is not None]

    @property
    def responses(self) -> list[Response]:
        return [response for part in self.parts for response in part]

    @property
    def last(self) -> dict[str, Response]:
        return {response.record_id: response for part in self.parts for response in part}


@dataclass
class FakeModel:
    """A model whose replies to each prompt come from a list, and are "echo" once the list is at its end."""

    script: dict[str, list[ModelCallError | Exception]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    deadlines: list[float] = field(default_factory=list)
    during: Callable[[str], None] = lambda _prompt: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
        with self.lock:
            self.asked[prompt] += 1
            self.deadlines.append(deadline_seconds)
            faults = self.script.get(prompt, [])
            fault = faults.pop(0) if faults else None
        self.during(prompt)
        if fault is not None:
            raise fault
        return Answer(text=f"echo {prompt}", latency_ms=7.0)


def catalog(count: int) -> list[Record]:
    return [Record(id=str(number), model_input=f"q{number}", target_output="a") for number in range(count)]


def ask(
    records: Iterable[Record],
    model: runner.Model,
    store: Kept | None = None,
    limits: runner.Limits | None = None,
    clock: Clock | None = None,
) -> tuple[AskSummary, Kept]:
    store = store if store is not None else Kept()
    clock = clock or Clock()
    summary = ask_all(
        records,
        model=model,
        prompt_of=lambda record: record.model_input,
        store=store,
        limits=limits or Limits(),
        clock=clock,
        sleep=clock.sleep,
        rng=random.Random(1),
    )
    return summary, store
