"""Suites whose configs name people of their own."""

from __future__ import annotations

import pytest

from tests.unit.start_world import CATALOG, CONFIG, World

NOTIFYING = CONFIG + b"notify: {emails: [ada@example.org, Bob@Example.org], occasions: [completed, rejected]}\n"


@pytest.fixture
def world() -> World:
    world = World()
    world.drop("catalogs/sums.jsonl", CATALOG)
    world.drop("configs/sums.yaml", NOTIFYING)
    return world


def test_the_people_of_a_config_hear_of_its_suite_and_of_what_is_written_down(world: World) -> None:
    assert world.audiences.emails == {"sums": ["ada@example.org", "Bob@Example.org"]}
    described = world.book.description("sums")
    assert described is not None
    assert described.notify_on == {"completed", "rejected"}


def test_a_config_that_names_nobody_any_more_has_no_people(world: World) -> None:
    world.drop("configs/sums.yaml", CONFIG)
    assert world.audiences.emails == {}
    described = world.book.description("sums")
    assert described is not None
    assert described.notify_on == frozenset()


def test_the_people_of_a_deleted_config_are_let_go(world: World) -> None:
    world.delete("configs/sums.yaml")
    assert world.audiences.emails == {}


def test_a_config_that_is_moved_keeps_its_people(world: World) -> None:
    world.drop("configs/moved.yaml", NOTIFYING)
    world.delete("configs/sums.yaml")
    assert world.audiences.emails.keys() == {"sums"}


def test_a_late_version_does_not_bring_its_people_back(world: World) -> None:
    older, newer = world.put("configs/sums.yaml", NOTIFYING), world.put("configs/sums.yaml", CONFIG)
    world.drops.handle(newer)
    world.drops.handle(older)
    assert world.audiences.emails == {}


def test_people_are_told_of_what_is_refused_where_the_config_that_stands_says_so(world: World) -> None:
    world.drop("configs/sums.yaml", NOTIFYING.replace(b"models:", b"modles:"))
    assert world.announcements.audiences_told == [["sums"]]
    world.drop("configs/sums.yaml", NOTIFYING.replace(b"rejected", b"failed"))
    world.drop("catalogs/sums.jsonl", b"{}\n")
    assert world.announcements.audiences_told == [["sums"], []]


def test_an_address_that_sns_does_not_take_is_told_by_its_key(world: World) -> None:
    world.audiences.refused.add("ada@example.org")
    world.drop("configs/sums.yaml", NOTIFYING)
    [(error, _)] = world.announcements.mails
    assert [(fault.key, fault.line) for fault in error.faults] == [("notify.emails", NOTIFYING.count(b"\n"))]
    assert "ada@example.org" in error.faults[0].message


def test_a_request_cannot_bring_people(world: World) -> None:
    carried = NOTIFYING.decode()
    assert world.request(config=carried).outcome == "rejected"
    [(_, event)] = [item for item in world.announcements.events if item[0] == "EvaluationRejected"]
    assert [fault["key"] for fault in event.data["faults"]] == ["config.notify"]
