"""Which model is best, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from textwrap import shorten
from typing import Any, Protocol

import numpy as np

from assay.contracts.algorithms import Direction
from assay.contracts.config import SuiteConfig
from assay.contracts.results import (
    Comparison,
    Failure,
    Mean,
    ModelOutcome,
    PairedDifference,
    RankedModel,
    ScoreSummary,
    Verdict,
)
from assay.decision.explanation import explain
from assay.decision.statistics import Values, mean_with_interval, paired_difference, verdict

# Means that differ by less are ties: the order of a sum must not decide.
_TIE = 1e-12


class ScoreColumn(Protocol):
    """One score of one model: ids of records, and as many values, NaN where there is an error."""

    @property
    def record_ids(self) -> Iterable[Any]: ...
    @property
    def values(self) -> Values: ...


class ScoreTable(Protocol):
    """The scores of one model."""

    def column(self, algorithm: str, score: str, /) -> ScoreColumn | None:
        """One score, None when no record has it."""
        ...


def compare(
    *,
    evaluation_id: str,
    config: SuiteConfig,
    records: int,
    outcomes: Sequence[ModelOutcome],
    scores: Mapping[str, ScoreTable],
) -> Comparison:
    """Rank the models of a config and choose one.

    A model is eligible when it was evaluated and no more than `gate.max_failed` of the records lack the metric, for
    want of an answer or of a score. Eligible models are ranked by the mean of the metric over the records that have it,
    with equal ranks for equal means. The first is the winner; among equals it is the one that the config names first.
    Its verdict is against the next one, on the records that both have. There is no winner when no model is eligible, or
    when another eligible model is better than the first on their common records (which happens only when records that
    failed changed the order of the means).

    Args:
        records: records in the catalog.
        outcomes: how each model's evaluation ended; a model without one counts as failed.
        scores: by name of model; absent for a model without scores.

    Raises:
        ValueError: an outcome is not of this config, or a model has more scores than there are records.
    """
    by_name = {outcome.model: outcome for outcome in outcomes}
    names = [model.name for model in config.models]
    if unknown := set(by_name) - set(names):
        raise ValueError(f"outcomes of models that the config does not name: {', '.join(sorted(unknown))}")
    confidence = config.gate.confidence
    summaries: dict[str, list[ScoreSummary]] = {name: [] for name in names}
    matrices: dict[tuple[str, str, Direction], dict[str, Values]] = {}
    for section in config.algorithms:
        for score, direction in section.known.scores.items():
            aligned = _aligned(scores, section.algorithm, score)
            matrices[section.algorithm, score, direction] = aligned
            for name in names:
                binary = score in section.known.binary
                mean = _mean(aligned.get(name), records, confidence, binary=binary, subject=f"{name}: {score}")
                summary = ScoreSummary(algorithm=section.algorithm, score=score, direction=direction, mean=mean)
                summaries[name].append(summary)

    algorithm, score, direction = config.metric()
    ranked = _ranked(config, records, [by_name.get(name) or _lost(name) for name in names], summaries)
    order = [item.model for item in ranked]
    differences = list(_differences(order, matrices, confidence))
    winner, against = _choice(ranked, differences, (algorithm, score))
    metric = f"{algorithm}.{score}"
    return Comparison(
        evaluation_id=evaluation_id,
        suite=config.suite,
        metric=metric,
        direction=direction,
        confidence=confidence,
        records=records,
        models=ranked,
        differences=differences,
        winner=winner,
        verdict=against,
        explanation=explain(ranked, differences, metric=metric, direction=direction, winner=winner),
    )


def _aligned(scores: Mapping[str, ScoreTable], algorithm: str, score: str) -> dict[str, Values]:
    """The score of each model that has it, over the same records in the same order."""
    index: dict[Any, int] = {}
    found = []
    for name, table in scores.items():
        if (column := table.column(algorithm, score)) is not None:
            places = [index.setdefault(record_id, len(index)) for record_id in column.record_ids]
            found.append((name, places, column.values))
    aligned = {}
    for name, places, values in found:
        aligned[name] = np.full(len(index), np.nan)
        aligned[name][places] = values
    return aligned


def _mean(values: Values | None, records: int, confidence: float, *, binary: bool, subject: str) -> Mean:
    there = np.array([]) if values is None else values[~np.isnan(values)]
    if len(there) > records:
        raise ValueError(f"{subject} has {len(there)} values for {records} records")
    return mean_with_interval(there, failed=records - len(there), confidence=confidence, binary=binary)


def _lost(name: str) -> ModelOutcome:
    failure = Failure(kind="NoOutcome", reason="its evaluation left no outcome")
    return ModelOutcome(model=name, status="failed", failure=failure)


def _ranked(
    config: SuiteConfig,
    records: int,
    outcomes: Sequence[ModelOutcome],
    summaries: Mapping[str, list[ScoreSummary]],
) -> list[RankedModel]:
    algorithm, score, direction = config.metric()
    eligible: list[tuple[float, ModelOutcome]] = []
    out: list[tuple[str, ModelOutcome]] = []
    for outcome in outcomes:
        mean = next(
            item.mean for item in summaries[outcome.model] if (item.algorithm, item.score) == (algorithm, score)
        )
        reason = _ineligible(outcome, mean, records, config.gate.max_failed, score)
        if reason is None and mean.value is not None:
            eligible.append((-mean.value if direction == "higher" else mean.value, outcome))
        else:
            out.append((reason or "", outcome))
    eligible.sort(key=lambda item: round(item[0] / _TIE))
    places = [(1 + sum(other < value - _TIE for other, _ in eligible), None, outcome) for value, outcome in eligible]
    return [
        RankedModel(model=outcome.model, rank=rank, ineligible=reason, scores=summaries[outcome.model], outcome=outcome)
        for rank, reason, outcome in [*places, *((None, reason, outcome) for reason, outcome in out)]
    ]


def _ineligible(outcome: ModelOutcome, mean: Mean, records: int, max_failed: float, score: str) -> str | None:
    if outcome.status == "failed":
        failure = outcome.failure or Failure(kind="Failed", reason="no reason is known")
        return f"it could not be evaluated ({failure.kind}: {shorten(failure.reason, 200, placeholder=' ...')})"
    if mean.failed > max_failed * records + _TIE * records:
        kinds = ", ".join(f"{count} {kind}" for kind, count in outcome.errors.items())
        return (
            f"{mean.failed:,} of {records:,} records ({_percent(mean.failed / records)}) have no {score}, more than "
            f"the {_percent(max_failed)} that the gate allows" + (f" ({kinds})" if kinds else "")
        )
    if mean.value is None:
        return f"no record has {score}"
    return None


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _differences(
    order: Sequence[str], matrices: Mapping[tuple[str, str, Direction], Mapping[str, Values]], confidence: float
) -> Iterable[PairedDifference]:
    for (algorithm, score, direction), aligned in matrices.items():
        for first, second in combinations([name for name in order if name in aligned], 2):
            paired = paired_difference(aligned[first], aligned[second], confidence)
            yield PairedDifference(
                first=first,
                second=second,
                algorithm=algorithm,
                score=score,
                direction=direction,
                n=paired.n,
                difference=paired.difference,
                low=paired.low,
                high=paired.high,
                verdict=verdict(paired, direction, confidence),
            )


def _choice(
    ranked: Sequence[RankedModel], differences: Sequence[PairedDifference], metric: tuple[str, str]
) -> tuple[str | None, Verdict | None]:
    eligible = [item.model for item in ranked if item.rank is not None]
    if len(eligible) < 2:
        return (eligible[0] if eligible else None), None
    verdicts = {
        item.second: item.verdict
        for item in differences
        if (item.algorithm, item.score) == metric and item.first == eligible[0] and item.second in eligible
    }
    return (None, None) if "worse" in verdicts.values() else (eligible[0], verdicts[eligible[1]])
