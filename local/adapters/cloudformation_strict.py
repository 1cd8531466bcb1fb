"""Stacks of the local cloud: only types and properties that are carried out, updated in order of dependency.

moto skips unknown types with a warning, drops unknown properties, replaces where AWS updates in place, misses changes
that come through Fn::Sub or a condition, and leaves half a stack behind when a resource fails.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

from moto.cloudformation import models, parsing
from moto.cloudformation.exceptions import ValidationError

from local.cloud import Cloud, UnsupportedError, require
from local.resources import RESOURCES
from local.resources.resource import Resource
from local.supported import check_template, type_of

_logger = logging.getLogger("local.cloudformation")
UNDER_WAY = ("CREATE_PENDING", "CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")
DELETED = ("DELETE_IN_PROGRESS", "DELETE_FAILED", "DELETE_COMPLETE")
_SUBSTITUTION = re.compile(r"\$\{([A-Za-z0-9]+)")

_Stack = require(models, "Stack")
_CloudFormationBackend = require(models, "CloudFormationBackend")
_ResourceMap = require(parsing, "ResourceMap")
_parse_template = require(_Stack, "parse_template")
_create_stack = require(_CloudFormationBackend, "create_stack")
_update_stack = require(_CloudFormationBackend, "update_stack")
require(_CloudFormationBackend, "delete_stack")
require(_Stack, "stack_resources")
_outputs = require(_Stack, "outputs").fget
_getitem = require(_ResourceMap, "__getitem__")
require(_ResourceMap, "update")
require(parsing, "resource_class_from_type")
require(parsing, "resource_name_property_from_type")
require(parsing, "generate_resource_name")


def install(cloud: Cloud) -> None:
    """Let every stack be made of `local.resources`."""
    Resource.cloud = cloud
    parsing.resource_class_from_type = resource_class
    parsing.resource_name_property_from_type = lambda kind: resource_class(kind).name_property
    parsing.generate_resource_name = lambda kind, stack, logical_id: resource_class(kind).generated_name(
        stack, logical_id
    )
    _Stack.parse_template = staticmethod(parse_template)
    _Stack.stack_resources = property(stack_resources)
    _Stack.outputs = property(stack_outputs)
    _ResourceMap.__getitem__ = get_resource
    _ResourceMap.update = update_resources
    _CloudFormationBackend.create_stack = create_stack
    _CloudFormationBackend.update_stack = update_stack
    _CloudFormationBackend.delete_stack = delete_stack


def resource_class(kind: str) -> type[Resource]:
    """Return the class that carries out a resource type.

    Raises:
        UnsupportedError: there is none.
    """
    if type_of(kind) not in RESOURCES:
        raise UnsupportedError(f"resource type {kind} is not carried out by the local cloud")
    return RESOURCES[type_of(kind)]


def parse_template(template: str) -> dict[str, Any]:
    """Parse a template, JSON first: reading JSON as YAML takes seconds for a real one."""
    try:
        parsed: dict[str, Any] = json.loads(template)
    except ValueError:
        parsed = _parse_template(template)
    return parsed


def stack_resources(self: Any) -> list[Resource]:
    """Return what the stack is made of, without those whose condition is false."""
    return [found for found in self.resource_map._parsed_resources.values() if isinstance(found, Resource)]


def stack_outputs(self: Any) -> Any:
    """Return the outputs while all is there: moto would make what they name and is not."""
    return None if self.status in UNDER_WAY or self.status in DELETED else _outputs(self)


def create_stack(self: Any, name: str, template: str, *positional: Any, **named: Any) -> Any:
    """Create a stack, or nothing: what was made is deleted again when a resource fails."""
    check_template(parse_template(template))
    before = set(self.stacks)
    try:
        return _create_stack(self, name, template, *positional, **named)
    except Exception:  # whatever a resource raises, and it goes on: what was made must not outlive the stack
        for stack_id in set(self.stacks) - before:
            _roll_back(self.stacks.pop(stack_id))
        raise


def _roll_back(stack: Any) -> None:
    for resource in reversed(stack_resources(stack)):
        try:
            resource.remove()
        except Exception:  # one that cannot be deleted keeps no other from it, nor the first error from being told
            _logger.exception("left behind by a stack that failed", extra={"resource": resource.name})


def update_stack(self: Any, name: str, template: str, *positional: Any, **named: Any) -> Any:
    """Update a stack; one that failed half-way is brought on by the next update, since each looks at every resource."""
    check_template(parse_template(template))
    self.get_stack(name).status = "UPDATE_IN_PROGRESS"
    try:
        return _update_stack(self, name, template, *positional, **named)
    except Exception:  # whatever a resource raises, and it goes on: the status must not say that all is well
        self.get_stack(name).status = "UPDATE_FAILED"
        raise


def delete_stack(self: Any, name_or_id: str) -> None:
    """Begin to delete a stack; its status tells how far that is. One that is not there is none to delete."""
    for stack in list(self.stacks.values()):
        if name_or_id in (stack.name, stack.stack_id) and stack.status != "DELETE_IN_PROGRESS":
            stack.status = "DELETE_IN_PROGRESS"
            stack._add_stack_event("DELETE_IN_PROGRESS", resource_status_reason="User Initiated")
            Resource.cloud.submit(_delete, self, stack)


def _delete(backend: Any, stack: Any) -> None:
    """Delete what a stack is made of, each before what it refers to, but what is to be retained.

    A resource that cannot be deleted ends it, as those that are left are what it refers to; it may be begun again.
    """
    declared, made = stack.resource_map._resource_json_map, stack.resource_map._parsed_resources
    exported = [export.name for export in stack.exports]
    for name in reversed(in_dependency_order(declared)):
        resource = made.get(name)
        if not isinstance(resource, Resource) or declared[name].get("DeletionPolicy") == "Retain":
            continue
        try:
            resource.delete(stack.account_id, stack.region_name)
        except Exception as error:  # whatever it raises, the status tells
            _logger.exception("stack not deleted", extra={"resource": name})
            stack._add_stack_event("DELETE_FAILED", resource_status_reason=str(error))
            stack.status = "DELETE_FAILED"
            return
        del made[name]
    stack._add_stack_event("DELETE_COMPLETE")
    stack.status = "DELETE_COMPLETE"
    for name in exported:
        backend.exports.pop(name, None)
    backend.deleted_stacks[stack.stack_id] = backend.stacks.pop(stack.stack_id)


def get_resource(self: Any, key: str) -> Any:
    """Look a name up as moto does, with an error that says which name is missing."""
    try:
        return _getitem(self, key)
    except KeyError as error:
        raise ValidationError(message=f"Template error: {error} is neither a resource nor a parameter") from None


def update_resources(self: Any, template: dict[str, Any], parameters: dict[str, Any] | None = None) -> None:
    """Bring every resource to what the new template and parameters say; delete at the end what is gone."""
    old, new = self._resource_json_map, template["Resources"]
    self._template = template
    if parameters:
        self.input_parameters = parameters
    self.resolved_parameters = {}
    self.load_mapping()
    self.load_parameters()
    self.load_conditions()
    self._resource_json_map = new
    wanted = [
        name
        for name in in_dependency_order(new)
        if "Condition" not in new[name] or self.lazy_condition_map[new[name]["Condition"]]
    ]
    for name in wanted:
        existing = self._parsed_resources.get(name)
        if existing is None:
            _ = self[name]
            continue
        if existing.type_name != type_of(new[name]["Type"]):
            raise UnsupportedError(f"{name}: an update that changes a resource's type is not carried out")
        kind, resource_json, generated = parsing.parse_resource_and_generate_name(name, new[name], self)
        kind.update_from_cloudformation_json(existing, generated, resource_json, self._account_id, self._region_name)
    for name in reversed(in_dependency_order(old)):
        resource = self._parsed_resources.get(name)
        if name not in wanted and resource is not None:
            if old[name].get("DeletionPolicy") != "Retain":
                resource.delete(self._account_id, self._region_name)
            del self._parsed_resources[name]


def in_dependency_order(resources: Mapping[str, Any]) -> list[str]:
    """Return the logical ids, each after those that it refers to."""
    ordered: dict[str, None] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise ValidationError(message=f"Circular dependency between resources: {', '.join(path)}")
        if name not in ordered:
            for needed in _references(resources[name]):
                if needed in resources:
                    visit(needed, (*path, name))
            ordered[name] = None

    for name in resources:
        visit(name, ())
    return list(ordered)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key in ("Ref", "DependsOn"):
                yield from [item] if isinstance(item, str) else item
            elif key == "Fn::GetAtt":
                yield item[0] if isinstance(item, list) else item.split(".")[0]
            elif key == "Fn::Sub":
                text = item[0] if isinstance(item, list) else item
                yield from _SUBSTITUTION.findall(text)
            yield from _references(item)
