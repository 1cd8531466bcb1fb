"""Patterns, inputs and schedule expressions of EventBridge, as its documentation has them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.cloud import LocalCloudError, UnsupportedError
from local.events.clock import parse
from local.events.input import fill, select, target_input
from local.events.pattern import InvalidPatternError, matches, validate

EVENT: dict[str, Any] = {
    "source": "aws.s3",
    "detail-type": "Object Created",
    "resources": ["arn:aws:s3:::bucket"],
    "time": "2026-01-02T03:04:05Z",
    "detail": {
        "bucket": {"name": "bucket"},
        "object": {"key": "configs/Support-Bot.yaml", "size": 10},
        "state": "running",
        "tags": ["a", "b"],
        "nothing": None,
        "empty": {},
        "items": [{"kind": "x", "number": 1}, {"kind": "y", "number": 2}],
    },
}


def key(*tests: Any) -> dict[str, Any]:
    return {"detail": {"object": {"key": list(tests)}}}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"source": ["aws.s3"], "detail-type": ["Object Created"]}, True),
        ({"source": ["aws.ec2", "aws.s3"]}, True),
        ({"source": ["aws.ec2"]}, False),
        ({"resources": ["arn:aws:s3:::bucket"]}, True),
        (key({"prefix": "configs/"}), True),
        (key({"prefix": "catalogs/"}), False),
        (key({"prefix": {"equals-ignore-case": "CONFIGS/"}}), True),
        (key({"suffix": ".yaml"}, {"suffix": ".yml"}), True),
        (key({"suffix": ".json"}), False),
        (key({"suffix": {"equals-ignore-case": ".YAML"}}), True),
        (key({"equals-ignore-case": "CONFIGS/support-bot.YAML"}), True),
        (key({"wildcard": "configs/*.yaml"}), True),
        (key({"wildcard": "*/Support*"}), True),
        (key({"wildcard": "configs/*.json"}), False),
        (key({"wildcard": "configs/\\*.yaml"}), False),
        (key({"anything-but": "other"}), True),
        (key({"anything-but": ["configs/Support-Bot.yaml", "other"]}), False),
        (key({"anything-but": {"prefix": "configs/"}}), False),
        (key({"anything-but": {"suffix": [".json", ".csv"]}}), True),
        (key({"anything-but": {"wildcard": "*.yaml"}}), False),
        ({"detail": {"object": {"size": [{"numeric": [">", 5, "<=", 10]}]}}}, True),
        ({"detail": {"object": {"size": [{"numeric": ["=", 9]}]}}}, False),
        ({"detail": {"state": [{"numeric": ["=", 1]}]}}, False),
        ({"detail": {"missing": [{"exists": False}]}}, True),
        ({"detail": {"missing": {"deeper": [{"exists": False}]}}}, True),
        ({"detail": {"state": [{"exists": True}]}}, True),
        ({"detail": {"state": [{"exists": False}]}}, False),
        ({"detail": {"missing": [{"anything-but": "x"}]}}, False),
        ({"detail": {"nothing": [None]}}, True),
        ({"detail": {"missing": [None]}}, False),
        ({"detail": {"tags": ["b"]}}, True),
        ({"detail": {"tags": ["c"]}}, False),
        ({"detail": {"items": {"kind": ["y"], "number": [2]}}}, True),
        ({"detail": {"items": {"kind": ["y"], "number": [1]}}}, False),
        ({"$or": [{"source": ["x"]}, {"detail": {"state": ["running"]}}]}, True),
        ({"$or": [{"source": ["x"]}, {"detail": {"state": ["stopped"]}}]}, False),
        ({"detail": {"object": {"size": [True]}}}, False),
    ],
)
def test_a_pattern_takes_what_eventbridge_would_take(pattern: dict[str, Any], expected: bool) -> None:
    validate(pattern)
    assert matches(pattern, EVENT) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        {},
        {"source": "aws.s3"},
        {"source": []},
        {"detail": {"a": [{"cidr": "10.0.0.0/8"}]}},
        {"detail": {"a": [{"prefix": 1}]}},
        {"detail": {"a": [{"prefix": "a", "suffix": "b"}]}},
        {"detail": {"a": [{"numeric": [">"]}]}},
        {"detail": {"a": [{"exists": "yes"}]}},
        {"detail": {"a": [{"anything-but": {"numeric": ["=", 1]}}]}},
        {"$or": [{"source": ["a"]}]},
    ],
)
def test_a_pattern_that_cannot_be_carried_out_is_refused(pattern: dict[str, Any]) -> None:
    with pytest.raises(InvalidPatternError):
        validate(pattern)


def given(target: dict[str, Any]) -> Any:
    return json.loads(target_input(target, EVENT, rule_name="the-rule", rule_arn="the-arn"))


def test_a_target_is_given_the_event_a_part_a_constant_or_a_template() -> None:
    assert given({}) == EVENT
    assert given({"InputPath": "$.detail.object"}) == EVENT["detail"]["object"]
    assert given({"Input": '{"fixed": 1}'}) == {"fixed": 1}
    transformer = {
        "InputPathsMap": {"key": "$.detail.object.key", "size": "$.detail.object.size", "none": "$.detail.missing"},
        "InputTemplate": '{"key": <key>, "text": "a \\"<key>\\" of <size>", "size": <size>, "none": <none>, '
        '"rule": "<aws.events.rule-name>", "event": <aws.events.event.json>}',
    }
    assert given({"InputTransformer": transformer}) == {
        "key": "configs/Support-Bot.yaml",
        "text": 'a "configs/Support-Bot.yaml" of 10',
        "size": 10,
        "none": None,
        "rule": "the-rule",
        "event": EVENT,
    }


def test_values_are_escaped_inside_of_strings_and_unknown_names_stay() -> None:
    assert fill('"<a> and <b>"', {"a": 'x"y\n'}) == '"x\\"y\\n and <b>"'


def test_paths_are_fields_and_indexes() -> None:
    assert select("$.detail.items[1].kind", EVENT) == "y"
    assert select("$.detail['state']", EVENT) == "running"
    assert select("$.detail.items[7]", EVENT) is None
    with pytest.raises(LocalCloudError):
        select("$..key", EVENT)


START = datetime(2026, 3, 6, 12, 0, tzinfo=UTC)  # a Friday


@pytest.mark.parametrize(
    ("expression", "zone", "hours", "expected"),
    [
        ("rate(15 minutes)", "UTC", 1, ["12:15", "12:30", "12:45", "13:00"]),
        ("rate(1 day)", "UTC", 23, []),
        ("cron(0/20 12 * * ? *)", "UTC", 2, ["12:20", "12:40"]),
        ("cron(30 13 ? * MON-FRI *)", "UTC", 48, ["13:30"]),
        ("cron(0 14 6 MAR ? 2026)", "Europe/Berlin", 24, ["13:00"]),
        ("at(2026-03-06T13:30:00)", "UTC", 2, ["13:30"]),
        ("at(2026-03-06T11:30:00)", "UTC", 2, []),
    ],
)
def test_schedules_are_due_when_the_clock_says_so(expression: str, zone: str, hours: int, expected: list[str]) -> None:
    due = parse(expression, zone).due(START, START + timedelta(hours=hours))
    assert [moment.strftime("%H:%M") for moment in due] == expected


@pytest.mark.parametrize(
    "expression",
    [
        "every day",
        "rate(0.5 minutes)",
        "rate(0 minutes)",
        "rate(1 minutes)",
        "rate(2 minute)",
        "cron(0 12 L * ? *)",
        "cron(0 25 * * ? *)",
        "cron(0/0 12 * * ? *)",
        "cron(0 12 * * * *)",
        "cron(0 12 ? * ? *)",
    ],
)
def test_a_schedule_that_cannot_be_carried_out_is_refused(expression: str) -> None:
    with pytest.raises(UnsupportedError):
        parse(expression)


def test_a_time_zone_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="Middle-earth"):
        parse("rate(1 day)", "Middle-earth/Shire")
