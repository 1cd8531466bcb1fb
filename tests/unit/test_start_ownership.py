"""Two configs of one suite: which has its name, and who has it next."""

from __future__ import annotations

import pytest

from assay.contracts.errors import TransientError
from assay.contracts.suites import Description
from tests.unit.start_world import BUCKET, CATALOG, CONFIG, World, named


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def copied(world: World) -> World:
    """A suite whose config was copied."""
    world.drop("catalogs/sums.jsonl", CATALOG)
    world.drop("configs/a.yaml", CONFIG)
    assert [item.outcome for item in world.drop("configs/b.yaml", CONFIG)] == ["rejected"]
    return world


def test_a_second_config_of_a_suite_is_refused_by_the_name_of_the_first(copied: World) -> None:
    [fault] = copied.event("EvaluationRejected")["data"]["faults"]
    assert (fault["key"], fault["line"]) == ("pipeline.name", 1)
    assert "configs/a.yaml" in fault["message"]
    copied.drop("catalogs/sums.jsonl", CATALOG)
    assert {config for config, _ in copied.pairs()} == {"configs/a.yaml@v1"}


def test_a_second_config_of_a_suite_is_refused_again_for_each_catalog_and_not_passed_over(copied: World) -> None:
    copied.announcements.events.clear()
    results = copied.drop("catalogs/sums.jsonl", CATALOG)
    assert sorted(item.outcome for item in results) == ["rejected", "started"]
    data = copied.event("EvaluationRejected")["data"]
    assert (data["subject"], data["suites"]) == (f"s3://{BUCKET}/configs/b.yaml", [])


def test_a_config_that_is_copied_and_then_deleted_has_moved(copied: World) -> None:
    copied.delete("configs/a.yaml")
    assert copied.book.described["sums"] == Description("configs/b.yaml", "v1")
    assert copied.book.owned == {("configs/b.yaml", "sums")}
    assert copied.book.lapsing == {("sums", "configs/a.yaml")}
    copied.drop("catalogs/sums.jsonl", CATALOG)
    assert copied.pairs()[1:] == [
        ("configs/b.yaml@v1", "catalogs/sums.jsonl@v1"),
        ("configs/b.yaml@v1", "catalogs/sums.jsonl@v2"),
    ]


def test_a_claim_outlives_a_start_that_fails(copied: World) -> None:
    copied.pipelines.failures = 1
    event = copied.remove("configs/a.yaml")
    with pytest.raises(TransientError):
        copied.drops.handle(event)
    copied.drops.handle(event)
    assert copied.pairs()[1:] == [("configs/b.yaml@v1", "catalogs/sums.jsonl@v1")]


def test_a_claim_waits_no_catalogs_up_that_came_while_another_config_had_the_suite(copied: World) -> None:
    for _ in range(3):
        copied.drop("catalogs/sums.jsonl", CATALOG)
    copied.delete("configs/a.yaml")
    assert copied.pairs()[4:] == [("configs/b.yaml@v1", "catalogs/sums.jsonl@v4")]


def test_a_suite_that_its_config_renames_is_free_for_whoever_waits(copied: World) -> None:
    copied.drop("configs/a.yaml", named("products"))
    assert copied.book.described == {
        "products": Description("configs/a.yaml", "v2"),
        "sums": Description("configs/b.yaml", "v1"),
    }
    assert copied.pairs()[1:] == [
        ("configs/a.yaml@v2", "catalogs/sums.jsonl@v1"),
        ("configs/b.yaml@v1", "catalogs/sums.jsonl@v1"),
    ]


def test_a_claim_whose_config_is_gone_or_renamed_expires(copied: World) -> None:
    copied.drop("configs/b.yaml", named("products"))
    copied.delete("configs/a.yaml")
    assert copied.book.described == {"products": Description("configs/b.yaml", "v2")}
    assert copied.book.lapsing == {("sums", "configs/a.yaml"), ("sums", "configs/b.yaml")}


def test_of_several_that_wait_the_first_gets_the_suite_and_the_others_go_on_waiting(copied: World) -> None:
    copied.drop("configs/0.yaml", CONFIG)
    copied.delete("configs/a.yaml")
    assert copied.book.described["sums"].config_key == "configs/b.yaml"
    copied.delete("configs/b.yaml")
    assert copied.book.described["sums"].config_key == "configs/0.yaml"


def test_a_faulty_config_keeps_its_suite_and_starts_nothing(world: World) -> None:
    world.drop("configs/sums.yaml", CONFIG)
    world.drop("configs/sums.yaml", CONFIG.replace(b"FactualKnowledge", b"Guesswork"))
    assert world.book.described["sums"] == Description("configs/sums.yaml", "v1")
    assert [item.outcome for item in world.drop("catalogs/sums.jsonl", CATALOG)] == ["rejected"]
    assert [item.outcome for item in world.drop("configs/other.yaml", CONFIG)] == ["rejected"]
    assert world.pipelines.started == []


def test_a_config_that_had_another_s_name_is_refused_though_its_event_comes_after_it_was_renamed(world: World) -> None:
    world.drop("catalogs/sums.jsonl", CATALOG)
    world.drop("configs/a.yaml", CONFIG)
    late = world.put("configs/b.yaml", CONFIG)
    world.drop("configs/b.yaml", named("mine"))
    assert [item.outcome for item in world.drops.handle(late)] == ["rejected"]


def test_a_catalog_that_is_late_starts_no_config_that_had_another_s_name_in_its_time(copied: World) -> None:
    late = copied.put("catalogs/sums.jsonl", CATALOG)
    copied.drop("configs/b.yaml", named("mine"))
    copied.drops.handle(late)
    assert ("configs/b.yaml@v1", "catalogs/sums.jsonl@v2") not in copied.pairs()


def test_a_config_that_waited_is_not_evaluated_with_what_a_late_event_tells_of_that_time(copied: World) -> None:
    late = copied.put("catalogs/sums.jsonl", CATALOG)
    copied.drop("catalogs/sums.jsonl", CATALOG)
    copied.delete("configs/a.yaml")
    copied.drops.handle(late)
    assert [catalog for config, catalog in copied.pairs() if "b.yaml" in config] == ["catalogs/sums.jsonl@v3"]


def test_a_name_is_free_when_its_config_goes_though_that_was_refused_for_its_schedule(world: World) -> None:
    world.drop("catalogs/sums.jsonl", CATALOG)
    world.timetable.refused["rate(1 day)"] = "no"
    world.drop("configs/a.yaml", CONFIG + b"schedule: {expression: rate(1 day)}\n")
    assert [item.outcome for item in world.drop("configs/b.yaml", CONFIG)] == ["rejected"]
    world.delete("configs/a.yaml")
    assert world.pairs() == [("configs/b.yaml@v1", "catalogs/sums.jsonl@v1")]
