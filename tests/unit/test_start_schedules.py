"""Suites that are evaluated again by the clock."""

from __future__ import annotations

import pytest

from assay.contracts.suites import Description
from assay.pipeline.ports import Started
from tests.unit.start_world import CATALOG, CONFIG, World

SCHEDULED = CONFIG + b'schedule: {expression: "cron(0 6 * * ? *)", timezone: Europe/Berlin}\n'


@pytest.fixture
def world() -> World:
    world = World()
    world.drop("catalogs/sums.jsonl", CATALOG)
    world.drop("configs/sums.yaml", SCHEDULED)
    return world


def test_a_config_with_a_schedule_has_one_in_the_clock(world: World) -> None:
    assert world.timetable.schedules == {"sums": ("cron(0 6 * * ? *)", "Europe/Berlin")}


def test_each_time_that_is_due_is_an_evaluation_and_a_repeated_one_is_none(world: World) -> None:
    first = world.tick(scheduled_time="2026-01-02T06:00:00Z")
    assert first.outcome == "started"
    assert world.tick(scheduled_time="2026-01-02T06:00:00Z").outcome == "repeated"
    assert world.tick(scheduled_time="2026-01-03T06:00:00Z").outcome == "started"
    assert world.manifests()[1].requested_by == {"kind": "schedule", "scheduled_time": "2026-01-02T06:00:00Z"}


def test_the_clock_evaluates_the_newest_config_on_the_newest_catalog(world: World) -> None:
    world.drop("catalogs/sums.jsonl", CATALOG)
    world.tick()
    assert world.pairs()[-1] == ("configs/sums.yaml@v1", "catalogs/sums.jsonl@v2")


def test_a_config_without_its_schedule_has_none_in_the_clock(world: World) -> None:
    world.drop("configs/sums.yaml", CONFIG)
    assert world.timetable.schedules == {}


def test_a_late_version_does_not_bring_its_schedule_back(world: World) -> None:
    older, newer = world.put("configs/sums.yaml", SCHEDULED), world.put("configs/sums.yaml", CONFIG)
    world.drops.handle(newer)
    assert world.drops.handle(older)[0].outcome == "started"
    assert world.timetable.schedules == {}


def test_the_clock_waits_for_a_catalog(world: World) -> None:
    world.delete("catalogs/sums.jsonl")
    assert world.tick() == Started(outcome="waiting", suite="sums")


def test_the_clock_does_not_start_what_the_newest_config_leaves_out(world: World) -> None:
    world.put("configs/sums.yaml", CONFIG)
    assert world.tick() == Started(outcome="forgotten", suite="sums")
    assert world.timetable.schedules == {}


def test_a_schedule_that_was_left_behind_starts_nothing_and_is_removed(world: World) -> None:
    world.timetable.put("orphan", "rate(1 day)", "UTC")
    assert world.tick("orphan") == Started(outcome="forgotten", suite="orphan")
    assert "orphan" not in world.timetable.schedules
    assert "sums" in world.timetable.schedules


def test_a_suite_whose_deletion_is_not_told_yet_is_not_started(world: World) -> None:
    world.remove("configs/sums.yaml")
    assert world.tick() == Started(outcome="forgotten", suite="sums")


def test_a_schedule_that_scheduler_refuses_is_a_fault_of_the_config_and_changes_nothing(world: World) -> None:
    world.timetable.refused["cron(0 6 * * * *)"] = "Invalid Schedule Expression cron(0 6 * * * *)."
    [result] = world.drop("configs/sums.yaml", SCHEDULED.replace(b"* * ? *", b"* * * *"))
    assert result.outcome == "rejected"
    [fault] = world.event("EvaluationRejected")["data"]["faults"]
    assert fault["key"] == "schedule.expression"
    assert "Invalid Schedule Expression" in fault["message"]
    assert world.timetable.schedules["sums"][0] == "cron(0 6 * * ? *)"


def test_a_config_that_has_become_bad_is_told_when_the_clock_finds_it(world: World) -> None:
    world.put("configs/sums.yaml", b"pipeline: [")
    assert world.tick().outcome == "rejected"
    assert world.event("EvaluationRejected")["data"]["dropped"] == {"key": "configs/sums.yaml", "version_id": "v2"}


def test_a_deleted_config_takes_its_schedule_along(world: World) -> None:
    world.delete("configs/sums.yaml")
    assert world.timetable.schedules == {}


def test_a_suite_that_changes_hands_keeps_only_the_schedule_of_its_new_config(world: World) -> None:
    world.drop("configs/moved.yaml", CONFIG)
    assert world.timetable.schedules.keys() == {"sums"}
    world.delete("configs/sums.yaml")
    assert world.timetable.schedules == {}


@pytest.fixture
def refused(world: World) -> World:
    """A suite whose newest config has a schedule that Scheduler refuses."""
    world.timetable.refused["cron(0 6 * * * *)"] = "Invalid Schedule Expression cron(0 6 * * * *)."
    world.drop("configs/sums.yaml", SCHEDULED.replace(b"* * ? *", b"* * * *"))
    world.announcements.events.clear()
    world.pipelines.started.clear()
    return world


def test_a_catalog_of_a_config_whose_schedule_is_refused_starts_nothing_and_says_so(refused: World) -> None:
    assert refused.drop("catalogs/sums.jsonl", CATALOG) == [Started(outcome="rejected", suite="sums")]
    told = refused.event("EvaluationRejected")["data"]
    assert (told["faults"][0]["key"], told["suites"]) == ("schedule.expression", ["sums"])
    assert told["dropped"] == {"key": "catalogs/sums.jsonl", "version_id": "v2"}
    assert refused.pipelines.started == []


def test_a_schedule_does_not_run_a_config_that_was_refused(refused: World) -> None:
    assert refused.tick() == Started(outcome="rejected", suite="sums")
    assert refused.event("EvaluationRejected")["data"]["faults"][0]["key"] == "schedule.expression"
    assert refused.pipelines.started == []


def test_a_request_does_not_run_a_config_that_was_refused(refused: World) -> None:
    assert refused.request(suite="sums").outcome == "rejected"
    assert refused.event("EvaluationRejected")["data"]["faults"][0]["key"] == "schedule.expression"
    assert refused.pipelines.started == []


def test_a_config_that_was_refused_is_evaluated_with_the_next_catalog_once_nothing_refuses_it(refused: World) -> None:
    refused.timetable.refused.clear()
    refused.drop("catalogs/sums.jsonl", CATALOG)
    assert refused.pairs() == [("configs/sums.yaml@v2", f"catalogs/sums.jsonl@v{n}") for n in (1, 2)]
    assert refused.book.described["sums"] == Description("configs/sums.yaml", "v2")
    assert refused.timetable.schedules["sums"][0] == "cron(0 6 * * * *)"


def test_a_schedule_that_is_due_before_the_event_of_the_newest_config_runs_that_config(world: World) -> None:
    late = world.put("configs/sums.yaml", SCHEDULED)
    assert world.tick().outcome == "started"
    assert world.pairs()[-1] == ("configs/sums.yaml@v2", "catalogs/sums.jsonl@v1")
    assert [item.outcome for item in world.drops.handle(late)] == ["started"]
