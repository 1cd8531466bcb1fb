"""Versions that come quickly or late, are deleted or brought back: what is evaluated with what."""

from __future__ import annotations

from datetime import timedelta

import pytest

from assay.contracts.events import Drop
from assay.contracts.suites import Description
from assay.pipeline.ports import Started
from tests.unit.start_world import CATALOG, CONFIG, World


@pytest.fixture
def world() -> World:
    return World()


def test_each_version_of_a_config_that_is_overwritten_quickly_is_evaluated(world: World) -> None:
    world.drop("catalogs/sums.jsonl", CATALOG)
    world.bucket.step = timedelta(0)
    events = [world.put("configs/sums.yaml", CONFIG) for _ in range(3)]
    for event in events:
        world.drops.handle(event)
    assert sorted(world.pairs()) == [(f"configs/sums.yaml@v{n}", "catalogs/sums.jsonl@v1") for n in (1, 2, 3)]


def test_a_late_version_is_evaluated_with_the_catalog_of_its_time_and_is_not_taken_for_the_newest(
    world: World,
) -> None:
    world.drop("catalogs/sums.jsonl", CATALOG)
    late = world.put("configs/sums.yaml", CONFIG)
    world.drop("configs/sums.yaml", CONFIG)
    world.drop("catalogs/sums.jsonl", CATALOG)
    world.drops.handle(late)
    assert world.pairs() == [
        ("configs/sums.yaml@v2", "catalogs/sums.jsonl@v1"),
        ("configs/sums.yaml@v2", "catalogs/sums.jsonl@v2"),
        ("configs/sums.yaml@v1", "catalogs/sums.jsonl@v1"),
    ]
    assert world.book.described["sums"] == Description("configs/sums.yaml", "v2")


def test_a_config_that_is_late_is_evaluated_with_every_catalog_it_met(world: World) -> None:
    late = world.put("configs/sums.yaml", CONFIG)
    for _ in range(2):
        assert world.drop("catalogs/sums.jsonl", CATALOG) == []
    world.drops.handle(late)
    assert world.pairs() == [("configs/sums.yaml@v1", f"catalogs/sums.jsonl@v{n}") for n in (1, 2)]


def test_a_catalog_that_was_overwritten_before_the_config_came_is_not_evaluated_though_its_event_comes_last(
    world: World,
) -> None:
    late = world.put("catalogs/sums.jsonl", CATALOG)
    world.put("catalogs/sums.jsonl", CATALOG)
    world.drop("configs/sums.yaml", CONFIG)
    assert world.drops.handle(late) == []
    assert world.pairs() == [("configs/sums.yaml@v1", "catalogs/sums.jsonl@v2")]


def test_a_suite_that_changed_its_catalog_is_not_evaluated_for_the_old_one(world: World) -> None:
    world.drop("configs/sums.yaml", CONFIG)
    world.drop("configs/sums.yaml", CONFIG.replace(b"sums.jsonl", b"other.jsonl"))
    assert world.drop("catalogs/sums.jsonl", CATALOG) == []
    assert world.book.expiring == {("catalogs/sums.jsonl", "configs/sums.yaml")}
    [result] = world.drop("catalogs/other.jsonl", CATALOG)
    assert result.outcome == "started"


def test_a_config_that_comes_back_to_a_catalog_reads_it_again(world: World) -> None:
    world.drop("configs/sums.yaml", CONFIG)
    world.drop("configs/sums.yaml", CONFIG.replace(b"sums.jsonl", b"other.jsonl"))
    world.drop("catalogs/sums.jsonl", CATALOG)
    world.drop("configs/sums.yaml", CONFIG)
    assert world.book.expiring == set()
    [result] = world.drop("catalogs/sums.jsonl", CATALOG)
    assert result.outcome == "started"


def test_a_deleted_config_is_forgotten_and_its_catalog_starts_nothing(world: World) -> None:
    world.drop("configs/sums.yaml", CONFIG)
    assert world.delete("configs/sums.yaml") == [Started(outcome="forgotten", suite="sums")]
    assert (world.book.described, world.book.owned) == ({}, set())
    assert world.drop("catalogs/sums.jsonl", CATALOG) == []


def test_a_deletion_that_is_told_late_does_not_forget_the_config_that_came_back(world: World) -> None:
    world.drop("configs/sums.yaml", CONFIG)
    late = world.remove("configs/sums.yaml")
    world.drop("configs/sums.yaml", CONFIG)
    world.drops.handle(late)
    assert world.book.described["sums"] == Description("configs/sums.yaml", "v2")


def test_an_old_version_that_was_deleted_for_good_changes_nothing(world: World) -> None:
    world.drop("catalogs/sums.jsonl", CATALOG)
    old = world.put("configs/sums.yaml", CONFIG)
    world.drop("configs/sums.yaml", CONFIG)
    world.bucket.purge(old.version)
    assert [item.outcome for item in world.drops.handle(Drop(old.version, deleted=True))] == ["repeated"]
    assert world.drops.handle(old) == []
    assert world.book.described["sums"] == Description("configs/sums.yaml", "v2")


@pytest.mark.parametrize("key", ["configs/sums.yaml", "catalogs/sums.jsonl"])
def test_what_is_brought_back_by_deleting_its_delete_marker_is_evaluated_with_what_came_meanwhile(
    world: World, key: str
) -> None:
    other = {"configs/sums.yaml": "catalogs/sums.jsonl", "catalogs/sums.jsonl": "configs/sums.yaml"}[key]
    bodies = {"configs/sums.yaml": CONFIG, "catalogs/sums.jsonl": CATALOG}
    for name, body in bodies.items():
        world.drop(name, body)
    marker = world.remove(key)
    world.drops.handle(marker)
    world.drop(other, bodies[other])
    assert len(world.pairs()) == 1
    world.bucket.purge(marker.version)
    world.drops.handle(marker)
    assert len(world.pairs()) == 2
    assert f"{other}@v2" in world.pairs()[1]
    assert world.book.described["sums"].config_key == "configs/sums.yaml"
