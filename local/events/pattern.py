"""EventBridge's event patterns: which events a rule takes.

Written from "Creating Amazon EventBridge event patterns" and "Comparison operators for use in event patterns". moto's
own matcher lacks wildcards and reads arrays differently, so none of it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_MISSING = object()
_NUMERIC = {
    "=": lambda left, right: left == right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
_STRING_OPERATORS = ("prefix", "suffix", "equals-ignore-case", "wildcard")


class InvalidPatternError(ValueError):
    """The pattern is not one that EventBridge accepts, or uses an operator that is not carried out here."""


def validate(pattern: Any, path: str = "$") -> None:
    """Check a whole pattern, so that a rule is refused when it is put and not when an event comes.

    Raises:
        InvalidPatternError: with the place and the fault.
    """
    if not isinstance(pattern, Mapping) or not pattern:
        raise InvalidPatternError(f"{path} must be a non-empty object")
    for key, value in pattern.items():
        here = f"{path}.{key}"
        if key == "$or":
            if not isinstance(value, list) or len(value) < 2:
                raise InvalidPatternError(f"{here} must be a list of at least two patterns")
            for alternative in value:
                validate(alternative, here)
        elif isinstance(value, Mapping):
            validate(value, here)
        elif isinstance(value, list) and value:
            for test in value:
                _validate_test(test, here)
        else:
            raise InvalidPatternError(f"{here} must be an object or a non-empty array")


def _validate_test(test: Any, path: str) -> None:
    if test is None or isinstance(test, str | bool | int | float):
        return
    if not isinstance(test, Mapping) or len(test) != 1:
        raise InvalidPatternError(f"{path}: a test is a value or an object with one operator")
    ((operator, operand),) = test.items()
    if operator == "exists":
        valid = isinstance(operand, bool)
    elif operator in ("prefix", "suffix"):
        valid = isinstance(operand, str) or (isinstance(operand, Mapping) and set(operand) == {"equals-ignore-case"})
    elif operator in ("equals-ignore-case", "wildcard"):
        valid = isinstance(operand, str)
    elif operator == "numeric":
        valid = (
            isinstance(operand, list)
            and len(operand) in (2, 4)
            and all(sign in _NUMERIC for sign in operand[::2])
            and all(_is_number(bound) for bound in operand[1::2])
        )
    elif operator == "anything-but":
        valid = _is_anything_but(operand)
    else:
        raise InvalidPatternError(f"{path}: operator {operator!r} is not carried out by the local cloud")
    if not valid:
        raise InvalidPatternError(f"{path}: {operator} does not take {operand!r}")


def _is_anything_but(operand: Any) -> bool:
    if isinstance(operand, Mapping):
        return len(operand) == 1 and all(
            operator in _STRING_OPERATORS and all(isinstance(text, str) for text in _as_list(value))
            for operator, value in operand.items()
        )
    return bool(_as_list(operand)) and all(isinstance(value, str) or _is_number(value) for value in _as_list(operand))


def matches(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Whether `event` is taken by `pattern`: every field of the pattern has a value in the event that passes a test."""
    return all(_field_matches(key, wanted, event) for key, wanted in pattern.items())


def _field_matches(key: str, wanted: Any, event: Any) -> bool:
    if key == "$or":
        return any(matches(alternative, event) for alternative in wanted)
    found = event.get(key, _MISSING) if isinstance(event, Mapping) else _MISSING
    if isinstance(wanted, Mapping):
        # An array of objects passes when one object passes as a whole; nothing passes only tests for absence.
        candidates = found if isinstance(found, list) else [found]
        return any(matches(wanted, candidate if isinstance(candidate, Mapping) else {}) for candidate in candidates)
    return any(_test(test, found) for test in wanted)


def _test(test: Any, found: Any) -> bool:
    if isinstance(test, Mapping) and "exists" in test:
        present = found is not _MISSING and not isinstance(found, Mapping)
        return present is test["exists"]
    if found is _MISSING:
        return False
    values = found if isinstance(found, list) else [found]
    return any(_value_matches(test, value) for value in values)


def _value_matches(test: Any, value: Any) -> bool:
    if not isinstance(test, Mapping):
        return _equal(test, value)
    ((operator, operand),) = test.items()
    if operator == "numeric":
        return _is_number(value) and all(
            _NUMERIC[sign](value, bound) for sign, bound in zip(operand[::2], operand[1::2], strict=True)
        )
    if operator == "anything-but":
        return _is_none_of(operand, value)
    return isinstance(value, str) and _text_matches(operator, operand, value)


def _text_matches(operator: str, operand: Any, value: str) -> bool:
    if isinstance(operand, Mapping):
        return _text_matches(operator, operand["equals-ignore-case"].lower(), value.lower())
    if operator == "prefix":
        return value.startswith(operand)
    if operator == "suffix":
        return value.endswith(operand)
    if operator == "equals-ignore-case":
        return bool(value.lower() == operand.lower())
    return _wildcard(operand).fullmatch(value) is not None


def _is_none_of(operand: Any, value: Any) -> bool:
    if isinstance(operand, Mapping):
        ((operator, texts),) = operand.items()
        return not (isinstance(value, str) and any(_text_matches(operator, text, value) for text in _as_list(texts)))
    return not any(_equal(excluded, value) for excluded in _as_list(operand))


def _wildcard(text: str) -> re.Pattern[str]:
    """`*` is any run of characters; a backslash takes away the meaning of the `*` or backslash after it."""
    pieces = re.findall(r"\\[*\\]|\*|[^*\\]+|\\", text)
    return re.compile(
        "".join(
            ".*" if piece == "*" else re.escape(piece[1:] if piece in (r"\*", r"\\") else piece) for piece in pieces
        ),
        re.DOTALL,
    )


def _equal(left: Any, right: Any) -> bool:
    # Python holds True == 1; JSON does not.
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_list(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else [value]
