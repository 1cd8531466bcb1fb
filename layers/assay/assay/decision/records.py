"""The records of an evaluation, and the scores of every model laid out on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from assay.contracts.algorithms import Direction
from assay.decision.statistics import Codes, Values


class CatalogRecord(Protocol):
    """What is asked of a record."""

    @property
    def id(self) -> str: ...
    @property
    def category(self) -> str | None: ...
    @property
    def cluster(self) -> str | None: ...


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


@dataclass(frozen=True)
class RecordIndex:
    """Which records there are, and what they share.

    Attributes:
        places: place of each record by its id, in the order of the catalog.
        clusters: a whole number from 0 for each record; None where records count as independent.
        categories: index into `category_names` for each record, -1 for one without.
    """

    places: Mapping[str, int]
    clusters: Codes | None = None
    categories: Codes | None = None
    category_names: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, records: Iterable[CatalogRecord], *, clustered: bool) -> RecordIndex:
        """Read a catalog once; nothing of its texts is kept.

        Args:
            clustered: the config has a `cluster_key`; a record without a cluster is one by itself.
        """
        places: dict[str, int] = {}
        names: dict[str, int] = {}
        numbers: dict[str, int] = {}
        categories: list[int] = []
        clusters: list[int] = []
        alone = 0
        for record in records:
            places[record.id] = len(places)
            categories.append(-1 if record.category is None else names.setdefault(record.category, len(names)))
            if clustered and record.cluster is not None:
                clusters.append(numbers.setdefault(record.cluster, len(numbers)))
            elif clustered:
                alone += 1
                clusters.append(-alone)
        codes = np.array(clusters, dtype=np.intp)
        codes[codes < 0] = len(numbers) - 1 - codes[codes < 0]
        return cls(
            places=places,
            clusters=codes if clustered else None,
            categories=np.array(categories, dtype=np.intp) if names else None,
            category_names=list(names),
        )

    def __len__(self) -> int:
        return len(self.places)


@dataclass(frozen=True)
class ScoreGrid:
    """One score of every model on every record.

    Attributes:
        values: models by records, NaN where there is no score.
        binary: every score is 0 or 1.
        worst: the score that an error counts as, where errors are counted as the worst.
        span: the largest difference that one record can have.
    """

    algorithm: str
    score: str
    direction: Direction
    binary: bool
    values: Values

    @property
    def name(self) -> str:
        return f"{self.algorithm}.{self.score}"

    @property
    def worst(self) -> float:
        """0 where more is better and 1 where less is, unless a score lies beyond: then the worst that was seen."""
        low, high = self._range()
        return low if self.direction == "higher" else high

    @property
    def span(self) -> float:
        low, high = self._range()
        return high - low

    def gains(self) -> Values:
        """The values turned so that more is better."""
        return self.values if self.direction == "higher" else -self.values

    def _range(self) -> tuple[float, float]:
        there = self.values[~np.isnan(self.values)]
        low, high = (float(there.min()), float(there.max())) if len(there) else (0.0, 1.0)
        return min(0.0, low), max(1.0, high)


def score_grids(
    wanted: Iterable[tuple[str, str, Direction, bool]],
    models: Iterable[str],
    records: RecordIndex,
    tables: Iterable[tuple[str, ScoreTable]],
) -> list[ScoreGrid]:
    """Join the scores of all models on the record's id. Each table is read once, and only its numbers are kept.

    A record that was asked several times has the mean of its scores, so that it counts as one record.

    Args:
        wanted: algorithm, score, direction and whether it is binary.
        tables: by model; one may be missing.

    Raises:
        ValueError: a score is of a record that the catalog does not have, or of no model of these.
    """
    wanted, rows = list(wanted), {name: row for row, name in enumerate(models)}
    values = [np.full((len(rows), len(records)), np.nan) for _ in wanted]
    repeated = [False] * len(wanted)
    for name, table in tables:
        if name not in rows:
            raise ValueError(f"scores of a model that the config does not name: {name}")
        for index, (algorithm, score, _, _) in enumerate(wanted):
            found, several = _on_records(table, algorithm, score, records, name)
            if found is not None:
                values[index][rows[name]] = found
                repeated[index] |= several
        del table  # before the next one is read
    return [
        ScoreGrid(algorithm, score, direction, binary and not several, found)
        for (algorithm, score, direction, binary), found, several in zip(wanted, values, repeated, strict=True)
    ]


def weighted_grid(grids: list[tuple[ScoreGrid, float]]) -> ScoreGrid:
    """The weighted mean of several scores, record by record; NaN where one of them is.

    A score of which less is better counts as one minus it. Weights need not sum to 1.
    """
    total = sum(weight for _, weight in grids)
    values = sum(
        weight / total * (grid.values if grid.direction == "higher" else 1 - grid.values) for grid, weight in grids
    )
    return ScoreGrid("selection", "weighted", "higher", False, np.asarray(values))


def _on_records(
    table: ScoreTable, algorithm: str, score: str, records: RecordIndex, model: str
) -> tuple[Values | None, bool]:
    """One score in the order of the records, None where the model has none; and whether a record had several."""
    column = table.column(algorithm, score)
    if column is None:
        return None, False
    places = np.array(list(_places(column, records, f"{model}: {score}")), dtype=np.intp)
    return _averaged(places, column.values, len(records))


def _places(column: ScoreColumn, records: RecordIndex, subject: str) -> Iterator[int]:
    places = records.places
    for record_id in column.record_ids:
        place = places.get(record_id)
        if place is None:
            raise ValueError(f"{subject} has a value for {str(record_id)[:80]!r}, which is no record of the catalog")
        yield place


def _averaged(places: Codes, values: Values, records: int) -> tuple[Values, bool]:
    there = ~np.isnan(values)
    counts = np.bincount(places[there], minlength=records)
    sums = np.bincount(places[there], weights=values[there], minlength=records)
    means = np.full(records, np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means, bool((counts > 1).any())
