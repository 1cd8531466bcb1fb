"""One model evaluated twice: did it change, or did what it was asked?

A hosted model may answer otherwise from one week to the next though nobody touched it. That is drift, and it can only
be told when the same model was asked the same records and scored in the same way. Where one of these differs, the
scores are not compared: the change would have another cause.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from assay.contracts.config import SuiteConfig
from assay.contracts.results import Verdict
from assay.decision.paired import paired_difference
from assay.decision.records import ScoreTable
from assay.decision.verdicts import verdict

Changed = Literal["catalog", "model", "scoring"]


@dataclass(frozen=True)
class Drift:
    """The same model now and then, on the records that have the score both times.

    Attributes:
        difference, low, high: now minus then; None where it cannot be told.
        verdict: of now against then: `better` and `worse` are drift.
    """

    n: int
    difference: float | None
    low: float | None
    high: float | None
    verdict: Verdict


def what_changed(model: str, now: SuiteConfig, then: SuiteConfig, *, same_catalog: bool) -> list[Changed]:
    """What differs between two evaluations of a model besides time; nothing where a difference of scores is drift.

    Args:
        same_catalog: whether both read the same content.
    """
    found: list[Changed] = []
    if not same_catalog or now.dataset != then.dataset:
        found.append("catalog")
    if now.model(model) != then.model(model):
        found.append("model")
    algorithm, _, _ = now.metric()
    known = {item.algorithm: item for item in then.algorithms}
    if known.get(algorithm) != now.algorithm(algorithm):
        found.append("scoring")
    return found


def drift(now: ScoreTable, then: ScoreTable, config: SuiteConfig) -> Drift | None:
    """How a model's deciding score moved between two evaluations, which `what_changed` finds alike.

    Returns:
        None when one of the two has no such score.
    """
    algorithm, score, direction = config.metric()
    newer, older = now.column(algorithm, score), then.column(algorithm, score)
    if newer is None or older is None:
        return None
    before = dict(zip(older.record_ids, older.values, strict=True))
    ids = [item for item in newer.record_ids if item in before]
    after = dict(zip(newer.record_ids, newer.values, strict=True))
    confidence = config.gate.confidence
    paired = paired_difference(
        np.array([after[item] for item in ids], dtype=np.float64),
        np.array([before[item] for item in ids], dtype=np.float64),
        binary=score in config.algorithm(algorithm).known.binary,
    )
    bounds = paired.interval(confidence)
    low, high = bounds if bounds is not None else (None, None)
    found = verdict(paired, direction=direction, alpha=1 - confidence, p_value=paired.p_value())
    return Drift(paired.n, paired.difference, low, high, found)
