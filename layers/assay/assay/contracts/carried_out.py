"""What a config may say and this version does not do. Each such key is refused, so that nobody believes in its effect.

A capability that comes to be is one line less here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from assay.contracts.section import Broken

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class NotYet:
    """A key, every spelling of it, that has no effect yet.

    Attributes:
        path: key names from the top, each with its other spellings after a `|`; `*` is every item of a list.
        what: what it would do.
        when: the values that this holds for; any value but null and an empty one when None.
    """

    path: str
    what: str
    when: Callable[[Any], bool] | None = None


NOT_YET = (
    NotYet("notify", "notices of a suite's own"),
)  # fmt: skip


def not_carried_out(values: Any) -> Iterator[Broken]:
    """Each key as written in a config that would have no effect, with a sentence. `values` may be anything."""
    for item in NOT_YET:
        for path, value in _found(values, item.path.split("."), ()):
            if value not in (None, [], {}) and (item.when is None or item.when(value)):
                yield path, f"{item.what}: understood, and not carried out by this version"


def _found(values: Any, parts: list[str], path: Path) -> Iterator[tuple[Path, Any]]:
    if not parts:
        yield path, values
    elif parts[0] == "*":
        for index, item in enumerate(values if isinstance(values, list) else []):
            yield from _found(item, parts[1:], (*path, index))
    elif isinstance(values, dict):
        for name in parts[0].split("|"):
            if name in values:
                yield from _found(values[name], parts[1:], (*path, name))
