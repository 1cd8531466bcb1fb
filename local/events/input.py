"""What a rule's target is given of an event: all of it, a part (InputPath), a constant (Input) or a template."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from local.cloud import LocalCloudError

_STEP = re.compile(r"\.([A-Za-z0-9_\-]+)|\['([^']+)'\]|\[(\d+)\]")
_PATH = re.compile(rf"\$(?:{_STEP.pattern})*")
_VARIABLE = re.compile(r"<([A-Za-z0-9_.\-]+)>")


def target_input(target: Mapping[str, Any], event: Mapping[str, Any], *, rule_name: str, rule_arn: str) -> str:
    """Return the text that is sent to `target`, JSON unless the target's own constant is not.

    Source: "Amazon EventBridge input transformation" and the PutTargets reference.
    """
    if "Input" in target:
        return str(target["Input"])
    if "InputPath" in target:
        return json.dumps(select(target["InputPath"], event))
    if "InputTransformer" not in target:
        return json.dumps(event)
    transformer = target["InputTransformer"]
    variables = {name: select(path, event) for name, path in transformer.get("InputPathsMap", {}).items()}
    variables |= {
        "aws.events.event": event,
        "aws.events.event.json": event,
        "aws.events.event.ingestion-time": event["time"],
        "aws.events.rule-arn": rule_arn,
        "aws.events.rule-name": rule_name,
    }
    return fill(transformer["InputTemplate"], variables)


def check_path(path: str) -> None:
    """Raise LocalCloudError when `path` is no JSONPath that EventBridge takes (fields and indexes only)."""
    if not _PATH.fullmatch(path):
        raise LocalCloudError(f"{path!r} is not a JSONPath of fields and indexes")


def select(path: str, event: Any) -> Any:
    """Return the value at `path`, or None when the event has none there."""
    check_path(path)
    found = event
    for step in _STEP.finditer(path):
        field, quoted, index = step.groups()
        key = field or quoted
        if index is not None:
            position = int(index)
            found = found[position] if isinstance(found, list) and position < len(found) else None
        else:
            found = found.get(key) if isinstance(found, Mapping) else None
        if found is None:
            return None
    return found


def fill(template: str, variables: Mapping[str, Any]) -> str:
    """Put the values of `<name>` into a template: as text inside a JSON string, as JSON outside of one.

    An unknown name stays as it stands, which is what EventBridge does with text in angle brackets.
    """
    pieces: list[str] = []
    in_string = False
    position = 0
    while position < len(template):
        variable = _VARIABLE.match(template, position)
        if variable and variable[1] in variables:
            pieces.append(_as_text(variables[variable[1]]) if in_string else json.dumps(variables[variable[1]]))
            position = variable.end()
            continue
        character = template[position]
        if in_string and character == "\\":
            pieces.append(template[position : position + 2])
            position += 2
            continue
        if character == '"':
            in_string = not in_string
        pieces.append(character)
        position += 1
    return "".join(pieces)


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    return json.dumps(text)[1:-1]
