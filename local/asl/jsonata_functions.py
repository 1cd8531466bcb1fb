"""The functions that Step Functions adds to JSONata, and the one that it takes away.

Meaning and names: Step Functions developer guide, "JSONata functions provided by Step Functions".
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from jsonata import Jsonata, Utils

_DIGESTS = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}


def to_jsonata(value: Any) -> Any:
    """Return a copy of a JSON value in which null is JSONata's null, so that it differs from undefined (None)."""
    if value is None:
        return Utils.NULL_VALUE
    if isinstance(value, dict):
        return {key: to_jsonata(member) for key, member in value.items()}
    if isinstance(value, list):
        return [to_jsonata(member) for member in value]
    return value


def to_json(value: Any) -> Any:
    """Return the plain JSON value of a JSONata result.

    Raises:
        ValueError: the result holds what JSON cannot: a function, infinity, not-a-number.
    """
    if value is None or value is Utils.NULL_VALUE:
        return None
    if isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is not a JSON number")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, dict):
        return {str(key): to_json(member) for key, member in value.items()}
    if isinstance(value, list | tuple | range):
        return [to_json(member) for member in value]
    raise ValueError("a function is not a JSON value")


def _partition(values: Any = None, size: Any = None) -> Any:
    if values is None:
        return None
    if not isinstance(size, int | float) or isinstance(size, bool) or int(size) < 1:
        raise ValueError("$partition needs a chunk size of at least 1")
    members = values if isinstance(values, list) else [values]
    width = int(size)
    return [list(members[start : start + width]) for start in range(0, len(members), width)]


def _range(first: Any = None, last: Any = None, step: Any = 1) -> Any:
    if first is None or last is None:
        return None
    if not step:
        raise ValueError("$range needs a step that is not zero")
    count = math.floor((last - first) / step + 1e-9) + 1
    return [first + step * index for index in range(max(0, count))]


def _hash(content: Any = None, algorithm: Any = None) -> Any:
    if content is None:
        return None
    if algorithm not in _DIGESTS:
        raise ValueError(f"$hash knows {', '.join(_DIGESTS)}, not {algorithm!r}")
    text = content if isinstance(content, str) else json.dumps(to_json(content), separators=(",", ":"))
    return hashlib.new(_DIGESTS[algorithm], text.encode(), usedforsecurity=False).hexdigest()


def _random(seed: Any = None) -> float:
    return random.random() if seed is None else random.Random(seed).random()  # noqa: S311 - JSONata's, not a secret


def _uuid() -> str:
    return str(uuid.uuid4())


def _parse(text: Any = None) -> Any:
    return None if text is None else to_jsonata(json.loads(text))


def _eval(*_: Any) -> Any:
    raise ValueError("$eval is not available in Step Functions, use $parse")


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "partition": _partition,
    "range": _range,
    "hash": _hash,
    "random": _random,
    "uuid": _uuid,
    "parse": _parse,
    "eval": _eval,
}

BINDINGS: Mapping[str, Any] = {name: Jsonata.JLambda(function) for name, function in _FUNCTIONS.items()}
"""What every expression sees beside `$states`, the variables and JSONata's own functions."""

NAMES: frozenset[str] = (frozenset(Jsonata.static_frame.bindings) | frozenset(_FUNCTIONS)) - {"eval"}
"""Names of all functions that an expression may call."""
