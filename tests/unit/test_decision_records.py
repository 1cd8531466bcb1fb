from __future__ import annotations

import math
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from assay.contracts.algorithms import Direction
from assay.contracts.catalog import Record
from assay.decision.records import RecordIndex, ScoreGrid, score_grids, weighted_grid
from tests.unit.decision_support import Column, Table

NAN = math.nan
WANTED: list[tuple[str, str, Direction, bool]] = [("A", "s", "higher", True), ("A", "t", "lower", False)]


def record(name: str, **fields: str) -> Record:
    return Record(id=name, model_input="q", target_output="a", **fields)


def grid(values: list[list[float]], direction: Direction = "higher") -> ScoreGrid:
    return ScoreGrid("A", "s", direction, False, np.array(values))


def test_an_index_knows_the_clusters_and_categories_and_none_of_the_texts() -> None:
    records = [
        record("1", cluster="doc-a", category="x"),
        record("2", cluster="doc-b"),
        record("3", cluster="doc-a", category="y"),
        record("4", category="x"),
        record("5"),
    ]
    found = RecordIndex.of(records, clustered=True)
    assert len(found) == 5
    assert found.clusters is not None
    assert found.clusters[[0, 2]].tolist() == [0, 0]
    assert len(set(found.clusters.tolist())) == 4
    assert found.categories is not None
    assert found.categories.tolist() == [0, -1, 1, 0, -1]
    assert found.category_names == ["x", "y"]


def test_without_a_cluster_key_records_count_as_independent() -> None:
    found = RecordIndex.of([record("1", cluster="a"), record("2", cluster="a")], clustered=False)
    assert found.clusters is None
    assert found.categories is None


def test_scores_are_joined_on_the_id_and_what_is_missing_is_no_number() -> None:
    index = RecordIndex({"x": 0, "y": 1, "z": 2})
    table = Table({("A", "s"): Column(["z", "x"], np.array([1.0, NAN]))})
    first, second = score_grids(WANTED, ["a", "b"], index, [("b", table)])
    np.testing.assert_array_equal(first.values, [[NAN, NAN, NAN], [NAN, NAN, 1.0]])
    assert np.isnan(second.values).all()
    assert (first.binary, second.binary) == (True, False)


def test_a_record_that_was_asked_several_times_counts_once_with_the_mean_of_its_scores() -> None:
    index = RecordIndex({"x": 0, "y": 1})
    table = Table({("A", "s"): Column(["x", "y", "x", "x"], np.array([1.0, 1.0, 0.0, NAN]))})
    [found, _] = score_grids(WANTED, ["a"], index, [("a", table)])
    assert found.values.tolist() == [[0.5, 1.0]]
    assert not found.binary


def test_no_more_than_one_table_is_kept_at_a_time() -> None:
    alive: list[weakref.ref[Table]] = []

    def tables() -> Iterator[tuple[str, Table]]:
        for name in ("a", "b", "c"):
            assert not any(found() for found in alive)
            table = Table({("A", "s"): Column(["x"], np.array([1.0]))})
            alive.append(weakref.ref(table))
            yield name, table
            del table

    score_grids(WANTED, ["a", "b", "c"], RecordIndex({"x": 0}), tables())
    assert len(alive) == 3


@pytest.mark.parametrize(
    ("name", "record_id", "message"),
    [("a", "w", "'w', which is no record of the catalog"), ("c", "x", "does not name: c")],
)
def test_scores_of_strangers_are_refused(name: str, record_id: str, message: str) -> None:
    table = Table({("A", "s"): Column([record_id], np.array([1.0]))})
    with pytest.raises(ValueError, match=message):
        score_grids(WANTED, ["a"], RecordIndex({"x": 0}), [(name, table)])


@pytest.mark.parametrize(
    ("values", "direction", "worst", "span"),
    [
        ([[0.2, 0.9]], "higher", 0.0, 1.0),
        ([[0.2, 0.9]], "lower", 1.0, 1.0),
        ([[-3.0, 40.0]], "higher", -3.0, 43.0),
        ([[-3.0, 40.0]], "lower", 40.0, 43.0),
        ([[NAN, NAN]], "higher", 0.0, 1.0),
    ],
)
def test_the_worst_score_is_that_of_its_range_or_the_worst_seen(
    values: list[list[float]], direction: Direction, worst: float, span: float
) -> None:
    found = grid(values, direction)
    assert (found.worst, found.span) == (worst, span)


def test_weighing_turns_scores_of_which_less_is_better_and_needs_every_score() -> None:
    good = grid([[1.0, 0.5, NAN]])
    bad = grid([[0.2, NAN, 0.0]], "lower")
    found = weighted_grid([(good, 3.0), (bad, 1.0)])
    np.testing.assert_allclose(found.values, [[0.95, NAN, NAN]])
    assert (found.name, found.direction) == ("selection.weighted", "higher")
