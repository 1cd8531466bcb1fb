"""JSONata in a state's fields: which strings are expressions, and what a field evaluates to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeGuard

from jsonata import Jsonata

from local.asl.jsonata_functions import BINDINGS, to_json, to_jsonata

_OPEN, _CLOSE = "{%", "%}"
_TIMEOUT_MILLISECONDS = 10_000


class ExpressionError(Exception):
    """An expression does not parse, raises, or has no JSON value; the message names the expression and its field."""


def is_expression(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and value.startswith(_OPEN) and value.endswith(_CLOSE) and len(value) >= 4


def is_unclosed(value: Any) -> bool:
    """Whether a string begins as an expression and does not end as one, which AWS refuses."""
    return isinstance(value, str) and value.lstrip().startswith(_OPEN) and not is_expression(value)


def source(expression: str) -> str:
    """The JSONata text between `{%` and `%}`."""
    return expression[len(_OPEN) : -len(_CLOSE)].strip()


def parse(expression: str) -> Jsonata:
    """Compile an expression for this thread.

    Raises:
        ExpressionError: it is not JSONata.
    """
    text = source(expression)
    try:
        compiled = Jsonata(text, timeout=_TIMEOUT_MILLISECONDS)
    except Exception as problem:  # the engine raises bare IndexError and AttributeError for some texts
        raise ExpressionError(f"The JSONata expression '{text}' does not parse: {problem}") from problem
    # Otherwise null and undefined would both come back as None.
    compiled.set_output_convert_nulls(False)
    return compiled


def environment(states: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """Bindings of a state's expressions: Step Functions' functions, the visible variables, `$states`."""
    return {**BINDINGS, **to_jsonata(dict(variables)), "states": to_jsonata(dict(states))}


def evaluate(value: Any, bindings: Mapping[str, Any], field: str) -> Any:
    """Return `value` with every expression in it replaced by its result, however deep.

    Args:
        value: any JSON value of a definition.
        bindings: what `environment` returned.
        field: path of the value in its state, for the message: `Arguments/Payload/name`.

    Raises:
        ExpressionError: an expression raised, or its result is undefined or no JSON value.
    """
    if isinstance(value, dict):
        return {key: evaluate(member, bindings, f"{field}/{key}") for key, member in value.items()}
    if isinstance(value, list):
        return [evaluate(member, bindings, f"{field}[{index}]") for index, member in enumerate(value)]
    if not is_expression(value):
        return value
    where = f"The JSONata expression '{source(value)}' specified for the field '{field}'"
    compiled = parse(value)
    try:
        result = compiled.evaluate(None, dict(bindings))
        plain = to_json(result)
    except Exception as problem:  # JSONata's errors reach us as JException, ValueError, ZeroDivisionError, ...
        raise ExpressionError(f"{where} threw an error during evaluation. {problem}") from problem
    if result is None:
        raise ExpressionError(f"{where} returned nothing (undefined).")
    return plain


def wrong_type(value: Any, expected: str, found: Any, field: str) -> ExpressionError:
    """The error of a field whose expression has a result of another type than the field wants."""
    text = source(value) if is_expression(value) else str(value)
    return ExpressionError(
        f"The JSONata expression '{text}' specified for the field '{field}' returned an unexpected result type. "
        f"Expected '{expected}', but was '{_type_name(found)}' for value: {json.dumps(found, ensure_ascii=False)}"
    )


def _type_name(value: Any) -> str:
    names: list[tuple[type | tuple[type, ...], str]] = [
        (bool, "boolean"),
        ((int, float), "number"),
        (str, "string"),
        (list, "array"),
        (dict, "object"),
    ]
    return next((name for kind, name in names if isinstance(value, kind)), "null")
