"""Configs, scores and outcomes for tests of the decision, without S3."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.contracts.algorithms import ALGORITHMS
from assay.contracts.config import SuiteConfig
from assay.contracts.results import Comparison, ModelOutcome
from assay.decision.compare import compare
from assay.decision.records import RecordIndex


@dataclass(frozen=True)
class Column:
    record_ids: list[str]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    columns: dict[tuple[str, str], Column]

    def column(self, algorithm: str, score: str) -> Column | None:
        return self.columns.get((algorithm, score))


def suite(*models: str, **sections: Any) -> SuiteConfig:
    deployment = {"instance_type": "ml.g5.xlarge", "num_instances": 1}
    return SuiteConfig.model_validate(
        {
            "pipeline": {"name": "demo"},
            "dataset": {"input_data_location": "faq.jsonl"},
            "models": [{"name": name, "model_id": "m", "deployment_config": deployment} for name in models],
            "algorithms": ["FactualKnowledge"],
            **sections,
        }
    )


def index(ids: Iterable[Any]) -> RecordIndex:
    return RecordIndex({str(name): place for place, name in enumerate(ids)})


def table(values: Sequence[float], ids: Sequence[str] | None = None, algorithm: str = "FactualKnowledge") -> Table:
    """These values as each score of the algorithm; the records are numbered from 0 unless they have ids."""
    ids = list(ids) if ids is not None else [str(number) for number in range(len(values))]
    column = Column(ids, np.array(values, dtype=np.float64))
    return Table({(algorithm, score): column for score in ALGORITHMS[algorithm].scores})


def outcome(model: str, records: int, failed: int = 0) -> ModelOutcome:
    errors = {"Throttled": failed} if failed else {}
    return ModelOutcome(
        model=model, status="evaluated", records=records, answered=records - failed, failed=failed, errors=errors
    )


def decide(
    values: Mapping[str, Sequence[float]],
    config: SuiteConfig | None = None,
    extra: Sequence[ModelOutcome] = (),
    *,
    replaced: Sequence[ModelOutcome] = (),
    records: RecordIndex | None = None,
) -> Comparison:
    """Compare; `replaced` outcomes stand in the place of plain ones."""
    count = max(len(found) for found in values.values())
    failed = {name: sum(math.isnan(value) for value in found) for name, found in values.items()}
    return compare(
        evaluation_id="1",
        config=config or suite(*values),
        records=records or index(range(count)),
        outcomes=list(
            (
                {name: outcome(name, count, failed[name]) for name in values}
                | {item.model: item for item in (*extra, *replaced)}
            ).values()
        ),
        scores=[(name, table(found)) for name, found in values.items()],
        draws=100,
    )


def right(share: int, of: int = 100) -> list[float]:
    """Scores of so many records, of which the first `share` are right."""
    return [1.0] * share + [0.0] * (of - share)
