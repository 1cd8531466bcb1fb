"""Assay: what its evaluate step does with a model, its store a folder."""

from __future__ import annotations

import time

from assay.contracts.catalog import Record
from assay.contracts.config import AlgorithmSection
from assay.inference.runner import Answer
from benchmarks import ours
from benchmarks.peers import sleeping


class Sleeping:
    """Answers after its time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:  # noqa: ARG002 - the protocol's
        if self._seconds:
            time.sleep(self._seconds)
        return Answer(sleeping.answer(prompt), self._seconds * 1000)


def evaluate(task: sleeping.Task) -> float:
    """The mean of its exact match."""
    catalog = [Record(id=item.id, model_input=item.question, target_output=item.expected) for item in task.records]
    algorithm = AlgorithmSection(algorithm="ExactMatch")
    found = ours.evaluate(catalog, Sleeping(task.latency_seconds), algorithm, task.workers, task.folder)
    return found["exact_match"]


if __name__ == "__main__":
    sleeping.main("assay", evaluate)
