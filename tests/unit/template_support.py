"""The template as values, with the short forms of intrinsic functions written out, and what tests look for in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[2]


class _Loader(yaml.SafeLoader):
    """Safe YAML with CloudFormation's tags."""


def _intrinsic(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = str(value).split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _intrinsic)


def load_template(path: Path = PROJECT / "template.yaml") -> dict[str, Any]:
    """Read a template."""
    template: dict[str, Any] = yaml.load(path.read_text(), _Loader)
    return template


TEMPLATE = load_template()
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]


def of_type(*types: str) -> dict[str, dict[str, Any]]:
    return {name: item.get("Properties", {}) for name, item in RESOURCES.items() if item["Type"] in types}


FUNCTIONS = of_type("AWS::Serverless::Function")
MACHINES = of_type("AWS::Serverless::StateMachine")
RULES = {
    f"{name}{event}": item["Properties"]
    for name, properties in {**FUNCTIONS, **MACHINES}.items()
    for event, item in properties.get("Events", {}).items()
}


def statements() -> list[tuple[str, dict[str, Any]]]:
    """Every statement of every policy, with the resource it belongs to."""

    def walk(value: Any) -> list[dict[str, Any]]:
        if isinstance(value, list):
            return [found for item in value for found in walk(item)]
        if not isinstance(value, dict):
            return []
        own = [value] if value.get("Effect") in ("Allow", "Deny") else []
        return own + [found for item in value.values() for found in walk(item)]

    return [(name, found) for name, item in RESOURCES.items() for found in walk(item)]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def attribute(reference: Any) -> str:
    """The logical id that a Ref or GetAtt names."""
    [(kind, value)] = reference.items()
    return str(value if kind == "Ref" else value[0])


def granted(function: str) -> set[str]:
    """Every action that a function's policies allow."""
    policies = FUNCTIONS[function]["Policies"]
    return {action for policy in policies for item in policy["Statement"] for action in listed(item["Action"])}


def calls(module: str, service: str) -> set[str]:
    """Every call of an adapter's client, as IAM names it."""
    source = (PROJECT / f"layers/assay/assay/aws/{module}.py").read_text()
    found = {*re.findall(r"_client\.([a-z_]+)\(", source), *re.findall(r'get_paginator\("([a-z_]+)"\)', source)}
    return {f"{service}:{call.title().replace('_', '')}" for call in found - {"get_paginator"}}


def sample(name: str, **detail: Any) -> dict[str, Any]:
    """A sample event, its detail changed."""
    event: dict[str, Any] = json.loads((PROJECT / "events" / name).read_text())
    event["detail"] |= detail
    return event


def pattern(rule: str) -> dict[str, Any]:
    """A rule's pattern for the account, region and bucket of the samples."""
    bucket = sample("s3_object_created.json")["detail"]["bucket"]["name"]

    def resolve(value: Any) -> Any:
        if isinstance(value, list):
            return [resolve(item) for item in value]
        if value == {"Ref": "Bucket"}:
            return bucket
        if isinstance(value, dict) and "Fn::Sub" in value:
            known = {"AWS::Partition": "aws", "AWS::Region": "eu-west-1", "AWS::AccountId": "123456789012"}
            known["PipelinePrefix"] = TEMPLATE["Parameters"]["PipelinePrefix"]["Default"]
            return re.sub(r"\$\{([\w:]+)\}", lambda found: known[found[1]], value["Fn::Sub"])
        return {key: resolve(item) for key, item in value.items()} if isinstance(value, dict) else value

    resolved: dict[str, Any] = resolve(RULES[rule]["Pattern"])
    return resolved


def references(value: Any) -> Iterator[str]:
    """The names that a part of the template refers to, or waits for."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in ("Ref", "DependsOn"):
                yield from listed(item)
            elif key == "Fn::GetAtt":
                yield item[0]
            elif key == "Fn::Sub":
                yield from re.findall(r"\$\{([A-Za-z0-9]+)", item[0] if isinstance(item, list) else item)
            yield from references(item)


def needed(name: str) -> set[str]:
    """Whatever a resource refers to, by way of others too: CloudFormation makes it before, and deletes it after."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        others = set(references(RESOURCES[waiting.pop()])) & RESOURCES.keys() - found
        found |= others
        waiting += others
    return found
