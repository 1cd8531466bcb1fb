"""Scores, configs and comparisons for tests of the gate, without S3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from assay.contracts.config import SuiteConfig, load_config
from assay.contracts.gate import GateBaseline
from assay.contracts.results import Comparison, Mean, ModelOutcome, RankedModel, ScoreSummary
from assay.decision.gate import Baseline, Catalog
from tests.unit.decision_support import Column

ID, BEFORE = "9f2c0c8a4f3e4b0d8a5c2e1f7b6d4a39", "1" * 32
PACKAGE = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/sums/3"
METRIC = ("FactualKnowledge", "factual_knowledge")
CONFIG = """\
pipeline: {{name: sums}}
dataset: {{input_data_location: sums.jsonl}}
models:
  - {{name: new, provider: endpoint, endpoint_name: e}}
  - {{name: house, provider: endpoint, endpoint_name: f}}
algorithms: [{algorithms}]
gate: {{{gate}}}
"""


class Scores:
    """The scores of one model; None is a record with an error in the score's place."""

    def __init__(self, **columns: Mapping[str, float | None]) -> None:
        self._columns = columns

    def column(self, algorithm: str, score: str) -> Column | None:
        found = self._columns.get(score)
        if found is None or algorithm not in ("FactualKnowledge", "QAAccuracy"):
            return None
        return Column(list(found), np.array([np.nan if value is None else value for value in found.values()]))


def ids(number: int) -> list[str]:
    return [f"r{index:03}" for index in range(number)]


def right_but(number: int, wrong: int, start: int = 0) -> dict[str, float | None]:
    """Scores of `number` records, `wrong` of which are 0 from `start` on."""
    return {name: float(not start <= index < start + wrong) for index, name in enumerate(ids(number))}


def config(gate: str = "", algorithms: str = "FactualKnowledge") -> SuiteConfig:
    return load_config(CONFIG.format(gate=gate, algorithms=algorithms).encode(), "configs/sums.yaml")


def compared(winner: str | None = "new", value: float | None = 0.9, records: int = 200) -> Comparison:
    mean = Mean(n=records if value is not None else 0, failed=0, value=value)
    models = [
        RankedModel(
            model=name,
            rank=rank,
            ineligible=None,
            scores=[ScoreSummary(algorithm=METRIC[0], score=METRIC[1], direction="higher", mean=mean)],
            outcome=ModelOutcome(model=name, status="evaluated", records=records, answered=records),
        )
        for rank, name in enumerate(("new", "house"), 1)
    ]
    return Comparison(
        evaluation_id=ID,
        suite="sums",
        metric=".".join(METRIC),
        direction="higher",
        confidence=0.95,
        records=records,
        models=models,
        differences=[],
        winner=winner,
        verdict="better",
        explanation="new is the best.",
    )


def champion(
    scores: Mapping[str, float | None] | Scores,
    *,
    settings: SuiteConfig | None = None,
    changed: bool = False,
    unlike: frozenset[str] = frozenset(),
) -> Baseline:
    described = GateBaseline(
        kind="champion",
        model="house",
        evaluation_id=BEFORE,
        model_package_arn=PACKAGE,
        model_package_version=3,
        catalog="changed" if changed else "same",
        records=200,
    )
    table = scores if isinstance(scores, Scores) else Scores(factual_knowledge=scores)
    return Baseline(
        described=described, scores=table, config=settings or config(), unlike=unlike, responses="s3://b/before/"
    )


def catalog(number: int, **more: Any) -> Catalog:
    return Catalog(ids(number), **more)
