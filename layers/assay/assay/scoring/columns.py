"""Scores of a batch of responses as columns, one for each score; rows of values would cost more than the scores."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from assay.contracts.algorithm import Algorithm
from assay.contracts.results import Failure, Response
from assay.scoring.score_files import SCHEMA
from assay.scoring.scorer import Sample, Scored, Scorer, Unscored

UNDIRECTED = "none"


@dataclass
class AlgorithmScores:
    """What one algorithm gave for a batch.

    Attributes:
        values: by score, one for each response, None where there is an error.
        errors: by score likewise.
        evidence: what the algorithm's tally takes in.
    """

    values: dict[str, list[float | None]]
    errors: dict[str, list[str | None]]
    evidence: list[Hashable] = field(default_factory=list)


def columns_of(algorithm: Algorithm, scorer: Scorer, samples: Sequence[Sample | str]) -> AlgorithmScores:
    """Score a batch. A sample that is text already is the error of its record.

    A scorer that raises costs the batch, and a value that is no finite number its response; both are errors.
    """
    there = [sample for sample in samples if isinstance(sample, Sample)]
    found: Sequence[Scored | Unscored]
    try:
        found = scorer.score(there) if there else []
        if len(found) != len(there):
            found = [Unscored(f"{algorithm.name} gave {len(found)} results for {len(there)} responses")] * len(there)
    except Exception as error:  # noqa: BLE001 - a scorer may be a plug-in's; its failure is these responses' alone
        # The type alone: what a scorer says may quote a response.
        found = [Unscored(type(error).__name__)] * len(there)
    names = names_of(algorithm)
    scores = AlgorithmScores({name: [] for name in names}, {name: [] for name in names})
    results = iter(found)
    for sample in samples:
        if isinstance(sample, Sample):
            _add(scores, algorithm, next(results))
        else:
            _add_error(scores, sample)
    return scores


def names_of(algorithm: Algorithm) -> list[str]:
    """Every score that a response gets, those without a direction last."""
    return [*algorithm.scores, *sorted(algorithm.undirected)]


def table_of(record_ids: Sequence[str], algorithm: Algorithm, scores: AlgorithmScores) -> pa.Table:
    """A row for each response and score."""
    parts = []
    ids = pa.array(record_ids, pa.string())
    for name in names_of(algorithm):
        constant = (algorithm.name, name, algorithm.scores.get(name, UNDIRECTED))
        named, scored, direction = (pa.repeat(pa.scalar(text, pa.string()), len(ids)) for text in constant)
        values = pa.array(scores.values[name], pa.float64())
        errors = pa.array(scores.errors[name], pa.string())
        parts.append(pa.Table.from_arrays([ids, named, scored, values, direction, errors], schema=SCHEMA))
    return pa.concat_tables(parts) if parts else SCHEMA.empty_table()


def no_answer(response: Response | None) -> str | None:
    """The error of a record without an answer; None when it has one."""
    if response is None:
        return "NoAnswer: the record was not asked"
    if response.text is not None:
        return None
    failure = response.failure or Failure(kind="Unknown", reason="no reason is known")
    return f"NoAnswer: {failure.kind}: {failure.reason}"


def _add(scores: AlgorithmScores, algorithm: Algorithm, result: Scored | Unscored) -> None:
    if isinstance(result, Unscored):
        _add_error(scores, f"ScoringFailed: {result.reason}")
        return
    scores.evidence.append(result.evidence)
    values: Mapping[str, float] = result.values
    for name, column in scores.values.items():
        value = values.get(name)
        if value is not None and math.isfinite(value):
            column.append(float(value))
            scores.errors[name].append(None)
        else:
            column.append(None)
            scores.errors[name].append(f"ScoringFailed: {algorithm.name} gave {value} for {name}")


def _add_error(scores: AlgorithmScores, error: str) -> None:
    for name, column in scores.values.items():
        column.append(None)
        scores.errors[name].append(error)
