"""The records worth looking at: those that at least one model got wrong, with what each model said."""

from __future__ import annotations

import heapq
import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from assay.contracts.algorithms import Direction
from assay.contracts.catalog import Record
from assay.contracts.results import Response

MAX_SAMPLES = 50
MAX_CHARACTERS = 2_000

Mark = Literal["right", "partly", "wrong", "failed"]


class ScoreColumn(Protocol):
    """One score of one model: ids of records, and as many values, NaN where there is an error."""

    @property
    def record_ids(self) -> Iterable[Any]: ...
    @property
    def values(self) -> Iterable[Any]: ...


class ScoreTable(Protocol):
    """The scores of one model."""

    def column(self, algorithm: str, score: str, /) -> ScoreColumn | None:
        """One score, None when no record has it."""
        ...


@dataclass(frozen=True)
class Excerpt:
    """The beginning of a text, and how many characters are left out."""

    text: str
    left_out: int = 0

    @classmethod
    def of(cls, text: str) -> Excerpt:
        """At most `MAX_CHARACTERS` of it."""
        return cls(text[:MAX_CHARACTERS], max(0, len(text) - MAX_CHARACTERS))


@dataclass(frozen=True)
class SampleAnswer:
    """What one model said to a record.

    Attributes:
        answer: None when it did not answer; `reason` then says why.
        value: the metric, None where there is none.
    """

    model: str
    answer: Excerpt | None
    value: float | None
    mark: Mark
    reason: str | None = None


@dataclass(frozen=True)
class Sample:
    """One record, side by side."""

    record_id: str
    category: str | None
    prompt: Excerpt
    expected: Excerpt
    answers: list[SampleAnswer]


@dataclass(frozen=True)
class Samples:
    """The chosen records: first those on which the models disagree most, then in the order of the catalog.

    Attributes:
        faulty: how many records at least one model got wrong; `shown` holds some of them.
    """

    shown: list[Sample]
    faulty: int


@dataclass
class _Spread:
    """The best and the worst of the models on one record, as goodness from 0 to 1."""

    best: float = 0.0
    worst: float = 1.0

    def add(self, goodness: float) -> None:
        self.best = max(self.best, goodness)
        self.worst = min(self.worst, goodness)

    @property
    def disagreement(self) -> float:
        return self.best - self.worst


def select_samples(
    records: Iterable[Record],
    responses_by_model: Mapping[str, Iterable[Response]],
    scores_by_model: Mapping[str, ScoreTable],
    metric: tuple[str, str, Direction],
    limit: int = MAX_SAMPLES,
) -> Samples:
    """Choose records that at least one model got wrong on the metric, disagreements between models first.

    Among records with the same disagreement a hash of the id chooses, so that the choice is the same each time and does
    not favour the beginning of a catalog. A record that a model could not answer is no reason to show it, and a model
    that was not evaluated is not shown.

    Records and responses are read once and not kept, but for the chosen ones.

    Args:
        metric: algorithm, score and direction. A score of 1 is perfect where higher is better, 0 where lower is.
    """
    algorithm, score, direction = metric
    columns = {name: table.column(algorithm, score) for name, table in scores_by_model.items()}
    spreads: dict[str, _Spread] = {}
    for column in columns.values():
        for record_id, value in _pairs(column):
            if not math.isnan(value):
                spreads.setdefault(record_id, _Spread()).add(_goodness(value, direction))
    faulty = [record_id for record_id, spread in spreads.items() if spread.worst < 1]
    chosen = set(
        heapq.nsmallest(limit, faulty, key=lambda item: (-spreads[item].disagreement, zlib.crc32(item.encode())))
    )
    values = {
        name: {record_id: value for record_id, value in _pairs(column) if record_id in chosen}
        for name, column in columns.items()
    }
    responses = {
        name: {response.record_id: response for response in found if response.record_id in chosen}
        for name, found in responses_by_model.items()
    }
    evaluated = [name for name in responses if responses[name] or columns.get(name) is not None]
    shown = [
        Sample(
            record_id=record.id,
            category=record.category,
            prompt=Excerpt.of(record.model_input),
            expected=Excerpt.of(record.target_output),
            answers=[
                _answer(name, responses[name].get(record.id), values.get(name, {}).get(record.id), direction)
                for name in evaluated
            ],
        )
        for record in records
        if record.id in chosen
    ]
    shown.sort(key=lambda sample: -spreads[sample.record_id].disagreement)
    return Samples(shown=shown, faulty=len(faulty))


def _pairs(column: ScoreColumn | None) -> Iterable[tuple[str, float]]:
    return [] if column is None else zip(column.record_ids, map(float, column.values), strict=True)


def _goodness(value: float, direction: Direction) -> float:
    return min(1.0, max(0.0, value if direction == "higher" else 1 - value))


def _answer(model: str, response: Response | None, value: float | None, direction: Direction) -> SampleAnswer:
    if response is None or response.text is None:
        failure = None if response is None else response.failure
        reason = "not asked" if failure is None else f"{failure.kind}: {failure.reason}"
        return SampleAnswer(model=model, answer=None, value=None, mark="failed", reason=reason)
    answer = Excerpt.of(response.text)
    if value is None or math.isnan(value):
        return SampleAnswer(model=model, answer=answer, value=None, mark="failed", reason="could not be scored")
    goodness = _goodness(value, direction)
    mark: Mark = "right" if goodness == 1 else "wrong" if goodness == 0 else "partly"
    return SampleAnswer(model=model, answer=answer, value=value, mark=mark)
