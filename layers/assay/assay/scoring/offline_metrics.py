"""Lets fmeval's modules be imported without a network.

fmeval 1.2.3 calls `evaluate.load("bertscore")` while `qa_accuracy` is imported (a default argument of `BertScore`).
That downloads the metric's source from the Hugging Face hub, and raises offline. Assay does not compute BERTScore.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import evaluate

_LOCK = threading.Lock()


class NotLoadedMetric:
    """Stands where fmeval keeps a metric that was not loaded. It never gives a score."""

    def __init__(self, name: str) -> None:
        self.name = name

    def compute(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(f"the metric {self.name!r} was not loaded: Assay does not compute it with fmeval")


@contextmanager
def metrics_not_loaded() -> Iterator[None]:
    """While the block runs, `evaluate.load` gives metrics that refuse to compute, and fetches nothing."""
    with _LOCK:
        load = evaluate.load
        evaluate.load = lambda path, *_args, **_kwargs: NotLoadedMetric(path)
        try:
            yield
        finally:
            evaluate.load = load
