"""Expressions before they run: whether they parse, and whether all that they refer to can be there.

Variables are followed by name and level, not by path: one that is assigned anywhere at a level, or around it, counts
as known there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from jsonata.parser import Parser

from local.asl.expressions import ExpressionError, is_expression, is_unclosed, parse
from local.asl.jsonata_functions import NAMES

_LONGEST_NAME = 80
_STATES = frozenset({"input", "context", "result", "errorOutput"})


@dataclass
class _References:
    """What an expression refers to: variables, members of `$states`, and the context that Step Functions has not."""

    variables: set[str] = field(default_factory=set)
    bound: set[str] = field(default_factory=set)
    states: set[str] = field(default_factory=set)
    unqualified: set[str] = field(default_factory=set)


def expression_faults(value: Any, path: str, variables: frozenset[str], states: frozenset[str]) -> Iterator[str]:
    """Yield the faults of every expression in a field's value.

    Args:
        value: the field's value, of any depth.
        path: of the field, for the message.
        variables: names of the variables that may be set when the field is evaluated.
        states: members of `$states` that the field may refer to.
    """
    if isinstance(value, dict):
        for key, member in value.items():
            if key.endswith(".$"):
                yield f"{path}/{key}: a name that ends in .$ is JSONPath"
            yield from expression_faults(member, f"{path}/{key}", variables, states)
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from expression_faults(member, f"{path}[{index}]", variables, states)
    elif is_unclosed(value):
        yield f"{path}: begins as an expression, but an expression is exactly {{% ... %}}"
    elif is_expression(value):
        yield from (f"{path}: {problem}" for problem in _problems(value, variables, states))


def _problems(expression: str, variables: frozenset[str], states: frozenset[str]) -> Iterator[str]:
    try:
        references = _References()
        _collect(parse(expression).ast, references, in_context=False)
    except ExpressionError as problem:
        yield str(problem)
        return
    for name in sorted(references.variables - references.bound - variables - NAMES - {"states"}):
        yield f"${name} is no function and no variable that is assigned before"
    for member in sorted(references.states - states):
        where = "is not there in this field" if member in _STATES else "does not exist"
        yield f"$states.{member} {where}"
    for name in sorted(references.unqualified):
        yield f"{name} refers to a context item, which Step Functions does not give; use $states.input"


def known_variables(states: dict[str, Any]) -> frozenset[str]:
    """Names that any of the states, catchers or choice rules of one level assign."""
    return frozenset(name for state in states.values() for _, assigned in _assignments(state) for name in assigned)


def assignment_faults(state: dict[str, Any], around: frozenset[str]) -> Iterator[str]:
    """Yield the faults of what a state assigns; `around` are the variables of the levels around it."""
    for path, assigned in _assignments(state):
        for name in assigned:
            if not name.isidentifier() or len(name) > _LONGEST_NAME:
                yield f"{path}: {name!r} is no variable name"
            if name == "states":
                yield f"{path}: $states is reserved"
            if name in around:
                yield f"{path}: ${name} belongs to the level around this one, which cannot be assigned from here"


def _assignments(state: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(state, dict):
        return
    if isinstance(state.get("Assign"), dict):
        yield "Assign", state["Assign"]
    for field_name in ("Choices", "Catch"):
        rules = state.get(field_name)
        for index, rule in enumerate(rules if isinstance(rules, list) else []):
            if isinstance(rule, dict) and isinstance(rule.get("Assign"), dict):
                yield f"{field_name}[{index}]/Assign", rule["Assign"]


def _collect(node: Any, references: _References, *, in_context: bool) -> None:
    """Walk an expression; `in_context` tells whether a path around the node gives it items to refer to."""
    if isinstance(node, list | tuple):
        for member in node:
            _collect(member, references, in_context=in_context)
        return
    if not isinstance(node, Parser.Symbol):
        return
    if node.type == "path":
        _collect_path(node, references, in_context=in_context)
    elif node.type == "variable":
        _collect_variable(node, references, in_context=in_context)
    elif node.type in {"name", "wildcard", "descendant"} and not in_context:
        references.unqualified.add(str(node.value))
    if node.type == "bind":
        references.bound.add(node.lhs.value)
    if node.type == "lambda":
        references.bound.update(argument.value for argument in node.arguments)
    for member in ("focus", "index"):
        if isinstance(getattr(node, member, None), str):
            references.bound.add(getattr(node, member))
    for name, value in vars(node).items():
        if name.startswith("_") or (node.type == "path" and name == "steps"):
            continue
        inner = in_context or name in {"stages", "predicate", "group", "terms"}
        _collect(value, references, in_context=inner)


def _collect_path(node: Any, references: _References, *, in_context: bool) -> None:
    first, *rest = node.steps
    if first.type == "variable" and first.value == "states" and rest and rest[0].type == "name":
        references.states.add(rest[0].value)
    _collect(first, references, in_context=in_context)
    _collect(rest, references, in_context=True)


def _collect_variable(node: Any, references: _References, *, in_context: bool) -> None:
    if node.value in {"", "$"}:
        if not (in_context and node.value == ""):
            references.unqualified.add(f"${node.value}")
    else:
        references.variables.add(node.value)
