"""From Pydantic's errors to sentences with a place: what was found, and what is allowed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from assay.contracts.decision_sections import did_you_mean
from assay.contracts.errors import Fault
from assay.contracts.section import IN_WORDS, Section, spellings
from assay.contracts.yaml_positions import Document, Path, dotted

SHOWN = 100
_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def faults_of(error: ValidationError, document: Document, config: type[Section]) -> list[Fault]:
    """Every error once, in the order of the file. A value that fits none of several types is one fault."""
    grouped: dict[tuple[Path, bool], list[Any]] = {}
    for item in error.errors(include_url=False):
        path = _written_path(item["loc"], document.values, keep_last=item["type"] == "missing")
        grouped.setdefault((path, item["type"] == "rule"), []).append(item)
    refused = {fault.key for fault in document.faults}
    faults = []
    for index, ((path, _), items) in enumerate(grouped.items()):
        key = dotted(path)
        if key in refused:
            continue
        line, column = document.position(path)
        suggest = index < SHOWN
        for message in dict.fromkeys(_sentences(items, path, config, suggest=suggest)):
            faults.append(Fault(message, line=line, column=column, key=key))
    return faults


def keys_at(path: Path, config: type[Section]) -> list[str]:
    """Keys, in every spelling, that may stand at `path` of a config."""
    section: type[BaseModel] | None = config
    for part in path:
        if section is None or isinstance(part, int):
            continue
        for name, field in section.model_fields.items():
            if part in spellings(section, name):
                section = _section_in(field.annotation)
                break
    return [] if section is None else [name for field in section.model_fields for name in spellings(section, field)]


def _section_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_in(part))), None)


def _written_path(location: tuple[str | int, ...], values: Any, *, keep_last: bool) -> Path:
    """The part of Pydantic's location that stands in the file, without the names of types and validators."""
    path: list[str | int] = []
    for index, part in enumerate(location):
        stands = part in values if isinstance(values, dict) else _has_item(values, part)
        if stands:
            values = values[part]
        elif not (keep_last and index == len(location) - 1):
            continue
        path.append(part)
    return tuple(path)


def _has_item(values: Any, part: str | int) -> bool:
    return isinstance(values, list) and isinstance(part, int) and part < len(values)


def _sentences(items: list[Any], path: Path, config: type[Section], *, suggest: bool) -> Iterator[str]:
    if len(items) > 1 and all(item["type"] in _KINDS for item in items):
        kinds = list(dict.fromkeys(_KINDS[item["type"]] for item in items))
        yield f"must be {' or '.join(kinds)}, found {_shown(items[0]['input'])}"
        return
    for item in items:
        yield _sentence(item, path, config, suggest=suggest)


def _sentence(item: Any, path: Path, config: type[Section], *, suggest: bool) -> str:
    kind, context, found = item["type"], item.get("ctx", {}), _shown(item["input"])
    if kind == "extra_forbidden":
        known = keys_at(path[:-1], config) if suggest else []
        allowed = f"; allowed: {', '.join(known)}" if known else ""
        return f"unknown key{did_you_mean(str(path[-1]), known) or allowed}"
    told = {"missing": "this key is missing", "rule": context.get("message"), "value_error": context.get("error")}
    return str(told[kind]) if kind in told else f"{_allowed(item, context)}, found {found}"


def _allowed(item: Any, context: dict[str, Any]) -> str:
    kind = item["type"]
    if kind in _KINDS:
        return f"must be {_KINDS[kind]}"
    if kind == "string_pattern_mismatch":
        pattern = context["pattern"]
        return f"must be {IN_WORDS.get(pattern, f'text like {pattern}')}"
    if kind == "literal_error":
        return f"must be {context['expected'].replace(chr(39), '`')}"
    message = item["msg"][0].lower() + item["msg"][1:]
    return str(message).replace("input should be", "must be")


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."
