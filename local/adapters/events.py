"""PutEvents, PutRule and PutTargets as EventBridge has them; matching and delivery are the bus's.

moto raises (or swallows) NotImplementedError for most targets, lets disabled rules fire, ignores InputPath, and matches
schedule rules with every event.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from moto.events import models
from moto.events.exceptions import InvalidEventPatternException, ValidationException

from local.cloud import Cloud, LocalCloudError, UnsupportedError, require
from local.events import bus
from local.events.clock import parse
from local.events.delivery import sender
from local.events.input import check_path
from local.events.pattern import validate

ENTRIES_LIMIT_BYTES = 262_144
_TARGET_KEYS = {
    "Id",
    "Arn",
    "RoleArn",
    "Input",
    "InputPath",
    "InputTransformer",
    "RetryPolicy",
    "DeadLetterConfig",
    "SqsParameters",
}

_EventsBackend = require(models, "EventsBackend")
_Rule = require(models, "Rule")
_put_rule = require(_EventsBackend, "put_rule")
_put_targets = require(_EventsBackend, "put_targets")
require(_EventsBackend, "put_events")
require(_Rule, "send_to_targets")


def install(cloud: Cloud) -> None:
    """Route every event through the local bus."""

    def put_events(_self: Any, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if len(events) > 10:
            raise ValidationException("Member must have length less than or equal to 10")
        if sum(_size(entry) for entry in events) > ENTRIES_LIMIT_BYTES:
            raise ValidationException("Total size of the entries in the request is over the limit.")
        return [_put_entry(cloud, entry) for entry in events]

    def put_rule(self: Any, name: str, **arguments: Any) -> Any:
        if pattern := arguments.get("event_pattern"):
            _check_pattern(pattern)
        if expression := arguments.get("scheduled_expression"):
            parse(expression)
        return _put_rule(self, name, **arguments)

    def put_targets(self: Any, name: str, event_bus_arn: str | None, targets: list[dict[str, Any]]) -> None:
        for target in targets:
            _check_target(name, target)
        _put_targets(self, name, event_bus_arn, targets)

    def send_to_targets(self: Any, *_: Any, **__: Any) -> None:
        raise UnsupportedError(f"rule {self.name}: archives and replays are not carried out by the local cloud")

    _EventsBackend.put_events = put_events
    _EventsBackend.put_rule = put_rule
    _EventsBackend.put_targets = put_targets
    _Rule.send_to_targets = send_to_targets


def _put_entry(cloud: Cloud, entry: dict[str, Any]) -> dict[str, Any]:
    for required in ("Source", "DetailType", "Detail"):
        if not entry.get(required):
            reason = f"Parameter {required} is not valid. Reason: {required} is a required argument."
            return {"ErrorCode": "InvalidArgument", "ErrorMessage": reason}
    if entry["Source"].startswith("aws."):
        reason = "Not authorized for the source."
        return {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": reason}
    try:
        detail = json.loads(entry["Detail"])
    except ValueError:
        detail = None
    if not isinstance(detail, dict):
        return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
    name = entry.get("EventBusName") or "default"
    bus.event_bus(cloud, name.split("/")[-1])
    moment = datetime.fromtimestamp(float(entry["Time"]), UTC) if entry.get("Time") else None
    event = bus.envelope(cloud, entry["Source"], entry["DetailType"], detail, entry.get("Resources") or (), moment)
    bus.publish(cloud, event, name)
    return {"EventId": event["id"]}


def _size(entry: dict[str, Any]) -> int:
    texts = [entry.get(field) or "" for field in ("Source", "DetailType", "Detail")] + (entry.get("Resources") or [])
    return sum(len(text.encode()) for text in texts) + (14 if entry.get("Time") else 0)


def _check_pattern(pattern: str) -> None:
    try:
        validate(json.loads(pattern))
    except ValueError as error:
        raise InvalidEventPatternException(reason=str(error)) from None


def _check_target(rule: str, target: dict[str, Any]) -> None:
    unknown = set(target) - _TARGET_KEYS
    if unknown:
        raise UnsupportedError(f"rule {rule}, target {target.get('Id')}: {', '.join(sorted(unknown))} not carried out")
    given = [key for key in ("Input", "InputPath", "InputTransformer") if key in target]
    if len(given) > 1:
        raise ValidationException(f"Only one of Input, InputPath, or InputTransformer must be provided for {rule}.")
    sender(target["Arn"])
    if target["Arn"].split(":")[2] == "states" and "RoleArn" not in target:
        raise ValidationException(f"RoleArn is required for target {target['Arn']}.")
    paths = [target["InputPath"]] if "InputPath" in target else []
    paths += target.get("InputTransformer", {}).get("InputPathsMap", {}).values()
    for path in paths:
        try:
            check_path(path)
        except LocalCloudError as error:
            raise ValidationException(f"Invalid InputPath for target {target['Id']}: {error}") from None
