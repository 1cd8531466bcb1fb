"""Write the config's JSON Schema (for editors) and its reference page (for people) from the models themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from assay.contracts.algorithms import ALGORITHMS, PLUGIN_NAME
from assay.contracts.config import SuiteConfig
from assay.contracts.section import spellings
from tools.algorithms_page import algorithms_page
from tools.scenarios_page import scenarios_page

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = ROOT / "docs" / "schema" / "config.v1.schema.json"
REFERENCE = ROOT / "docs" / "config-reference.md"
ALGORITHMS_PAGE = ROOT / "docs" / "algorithms.md"
SCENARIOS_PAGE = ROOT / "docs" / "scenarios.md"

HEAD = """\
# Config reference

Written by `make docs` from the models that check a config. The guide is the README; this page is every key.

With this first line an editor that speaks YAML completes keys and marks faults as you type:

```yaml
# yaml-language-server: $schema=docs/schema/config.v1.schema.json
```

A config is YAML in UTF-8, at most 256 KiB. Unknown keys, keys that stand twice, numbers that are not finite and
values of another type are refused, all at once, each with its line. No key is without its effect. Rules between keys
are checked by Assay, not by the schema.
"""


def main() -> None:
    """Write every file."""
    for path, text in documents().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def documents() -> dict[Path, str]:
    """Each file's path, and the text that belongs into it."""
    return {
        SCHEMA: json.dumps(schema(), indent=1, ensure_ascii=False) + "\n",
        REFERENCE: reference(),
        ALGORITHMS_PAGE: algorithms_page(),
        SCENARIOS_PAGE: scenarios_page(),
    }


def schema() -> dict[str, Any]:
    """JSON Schema of a config as it may be written: both spellings of a key, and the short form of an algorithm."""
    generated = SuiteConfig.model_json_schema()
    definitions = generated["$defs"]
    for section, _ in sections():
        node = generated if section is SuiteConfig else definitions[section.__name__]
        _complete(node, section)
    names = [{"enum": list(ALGORITHMS)}, {"pattern": PLUGIN_NAME}]
    bare = {"type": "string", "anyOf": names, "description": "An algorithm by its bare name."}
    items = generated["properties"]["algorithms"]["items"]
    generated["properties"]["algorithms"]["items"] = {"anyOf": [bare, items]}
    bound = {"type": "string", "description": "A bound for short, such as `latency_p95_ms <= 2000`."}
    constraints = definitions["SelectionSection"]["properties"]["constraints"]
    constraints["items"] = {"anyOf": [bound, constraints["items"]]}
    title = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Config of an Assay suite, version 1"}
    return title | {key: value for key, value in generated.items() if key != "title"}


def sections() -> list[tuple[type[BaseModel], str]]:
    """Every section with the path at which it stands, such as `models[].deployment_config`; parents first."""
    found: list[tuple[type[BaseModel], str]] = [(SuiteConfig, "")]
    for section, path in found:
        for name, field in section.model_fields.items():
            inner = _section_in(field.annotation)
            if inner is not None:
                form = "[]" if "list" in str(field.annotation) else ".<name>" if "dict" in str(field.annotation) else ""
                found.append((inner, f"{path}.{name}{form}".lstrip(".")))
    return found


def reference() -> str:
    """The page: a table of keys for each section."""
    parts = [HEAD]
    whole = schema()
    for section, path in sections():
        node = whole if section is SuiteConfig else whole["$defs"][section.__name__]
        parts.append(f"\n## {f'`{path}`' if path else 'The whole'}\n{node['description']}\n\n")
        parts.append("| key | type | default | unit | meaning |\n|---|---|---|---|---|\n")
        for name, field in section.model_fields.items():
            names = " or ".join(f"`{spelling}`" for spelling in spellings(section, name))
            shown = node["properties"][spellings(section, name)[0]]
            meaning = shown["description"]
            unit = shown.get("unit", "")
            cells = (names, _type(shown, whole), _default(field), unit, meaning)
            parts.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n")
    return "".join(parts)


def _complete(node: dict[str, Any], section: type[BaseModel]) -> None:
    node.pop("title", None)
    documented = _attributes(section)
    properties = node["properties"]
    node["description"] = (section.__doc__ or "").strip().split("\n")[0]
    for name, field in section.model_fields.items():
        first, *others = spellings(section, name)
        shown = properties[first]
        shown.pop("title", None)
        shown["description"] = field.description or documented.get(name) or ""
        for other in others:
            properties[other] = shown | {"description": f"Another spelling of `{first}`. {shown['description']}"}
            node.setdefault("allOf", []).append({"not": {"required": [first, other]}})


def _attributes(section: type[BaseModel]) -> dict[str, str]:
    """The docstring's `Attributes:` as name and sentence."""
    text = (section.__doc__ or "").partition("Attributes:")[2]
    entries = re.findall(r"^ {8}([a-z_, ]+): (.+(?:\n {9,}.+)*)", text, re.MULTILINE)
    return {
        name.strip(): meaning[0].upper() + re.sub(r"\s+", " ", meaning[1:])
        for names, meaning in entries
        for name in names.split(",")
    }


def _section_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_in(part))), None)


def _type(node: dict[str, Any], whole: dict[str, Any]) -> str:
    return " or ".join(dict.fromkeys(_types(node, whole)))


def _types(node: dict[str, Any], whole: dict[str, Any]) -> Iterator[str]:
    choices = node.get("anyOf") or node.get("oneOf")
    if choices:
        for choice in choices:
            if choice.get("type") != "null":
                yield from _types(choice, whole)
    elif "$ref" in node:
        yield "anything" if node["$ref"].endswith("/JsonValue") else "mapping"
    elif node.get("enum") == list(ALGORITHMS):
        yield "a name of [algorithms.md](algorithms.md)"
    elif node.get("pattern") == PLUGIN_NAME:
        yield "a plug-in's `package.Name`"
    elif "enum" in node:
        yield ", ".join(f"`{value}`" for value in node["enum"])
    elif node.get("type") == "array":
        yield f"list of {_type(node['items'], whole)}"
    elif node.get("type") == "object":
        inner = node.get("additionalProperties")
        yield f"mapping of name to {_type(inner, whole)}" if isinstance(inner, dict) else "mapping"
    else:
        words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
        yield words.get(node.get("type", ""), "anything") + _bounds(node)


def _bounds(node: dict[str, Any]) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    if low is not None and high is not None:
        return f" {low} to {high}"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return "".join(f" {sign} {node[key]}" for key, sign in signs.items() if key in node)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel):
        return "its defaults"
    return "" if value in (None, {}, [], "") else f"`{json.dumps(value)}`"


if __name__ == "__main__":
    main()
