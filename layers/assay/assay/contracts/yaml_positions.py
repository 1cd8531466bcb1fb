"""YAML as values with the place of every key, refusing what a config never needs.

PyYAML keeps marks on nodes only, so the node tree is walked here; the safe schema alone resolves scalars.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import yaml

from assay.contracts.errors import Fault, RejectedError

MAX_BYTES = 262_144
MAX_NODES = 20_000
_PLAIN_COLLECTIONS = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """Plain values, and the (line, column) of each key path, both 1-based."""

    values: Any
    positions: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def position(self, path: Path) -> tuple[int | None, int | None]:
        """Place of `path`, or of the nearest parent that has one."""
        for length in range(len(path), -1, -1):
            if (found := self.positions.get(path[:length])) is not None:
                return found
        return (None, None)


def dotted(path: Path) -> str:
    """`("models", 1, "name")` as `models[1].name`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def load(text: bytes, subject: str) -> Document:
    """Parse one YAML document.

    Raises:
        RejectedError: not UTF-8, not YAML, empty, too large, with duplicate keys, non-string keys, a number that is not
            finite, or aliases that expand without end; every fault with its line.
    """
    if len(text) > MAX_BYTES:
        raise RejectedError(subject, [Fault(f"the file has {len(text):,} bytes; at most {MAX_BYTES:,} are allowed")])
    try:
        root = yaml.compose(text.decode("utf-8-sig"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        raise RejectedError(subject, [Fault("the file is not UTF-8", line=line)]) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = " ".join(part for part in (error.context, error.problem) if part)
        fault = Fault(f"not YAML: {message}")
        if mark is not None:
            fault = Fault(fault.message, line=mark.line + 1, column=mark.column + 1)
        raise RejectedError(subject, [fault]) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise RejectedError(subject, [Fault(f"not YAML: {error}")]) from error
    if root is None:
        raise RejectedError(subject, [Fault("the file is empty", line=1)])
    walk = _Walk()
    try:
        values = walk.value(root, ())
    except RecursionError as error:
        raise RejectedError(subject, [Fault("the file is nested too deeply")]) from error
    if walk.faults:
        raise RejectedError(subject, walk.faults)
    return Document(values=values, positions=walk.positions)


class _Walk:
    def __init__(self) -> None:
        self.positions: dict[Path, tuple[int, int]] = {}
        self.faults: list[Fault] = []
        self._nodes = 0
        self._constructor = yaml.SafeLoader("")

    def value(self, node: yaml.Node, path: Path) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            if self._nodes == MAX_NODES + 1:
                self._fault(node, path, f"more than {MAX_NODES:,} values, aliases expanded")
            return None
        self.positions.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN_COLLECTIONS:
            self._fault(node, path, f"this value cannot be read: the tag {node.tag!r} is not allowed")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != "tag:yaml.org,2002:str":
                found = key_node.value if isinstance(key_node, yaml.ScalarNode) else "a collection"
                self._fault(key_node, path, f"a key must be text, found {found}")
                continue
            key = key_node.value
            if key in result:
                first = self.positions[(*path, key)][0]
                self._fault(key_node, (*path, key), f"the key stands twice, first on line {first}")
                continue
            self.positions[(*path, key)] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            result[key] = self.value(value_node, (*path, key))
        return result

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        try:
            value = self._constructor.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError) as error:
            problem = getattr(error, "problem", None) or str(error)
            self._fault(node, path, f"this value cannot be read: {problem}")
            return None
        if isinstance(value, float) and not math.isfinite(value):
            self._fault(node, path, f"a number must be finite, found {node.value}")
            return None
        if not isinstance(value, str | int | float | bool | None):
            return node.value
        return value

    def _fault(self, node: yaml.Node, path: Path, message: str) -> None:
        mark = node.start_mark
        self.faults.append(Fault(message, line=mark.line + 1, column=mark.column + 1, key=dotted(path)))
