"""YAML as values with the place of every key, refusing what a config never needs.

PyYAML keeps marks on nodes only, so the node tree is walked here; the safe schema alone resolves scalars.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, ClassVar

import yaml

from assay.contracts.errors import Fault, RejectedError

MAX_BYTES = 262_144
MAX_NODES = 20_000
MAX_DEPTH = 50
MAX_INTEGER = 2**63 - 1
MAX_QUOTED = 200  # of what PyYAML says, which quotes anchors and tags whole
_TOO_DEEP = f"the file is nested too deeply: at most {MAX_DEPTH} levels are allowed"
_PLAIN_COLLECTIONS = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
# YAML 1.1, which PyYAML reads, takes 1e-5 for text, 1:30 for ninety and 010 for eight. A config means what it says.
_EXPONENT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """Plain values, the (line, column) of each key path, both 1-based, and what was wrong with single values.

    A value that is refused by `faults` stands as None; of a key that stands twice, the first one counts.
    """

    values: Any
    positions: dict[Path, tuple[int, int]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

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
        RejectedError: not UTF-8, not YAML, empty, too large, nested too deeply, or expanding without end by aliases.
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
        fault = Fault(f"not YAML: {message[:MAX_QUOTED]}")
        if mark is not None:
            fault = Fault(fault.message, line=mark.line + 1, column=mark.column + 1)
        raise RejectedError(subject, [fault]) from error
    except RecursionError as error:
        raise RejectedError(subject, [Fault(_TOO_DEEP, line=1)]) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # A reader's error knows no line, and an escape beyond Unicode is a bare ValueError of `chr`.
        position = getattr(error, "position", None)
        line = text.decode("utf-8-sig")[:position].count("\n") + 1 if isinstance(position, int) else 1
        problem = " ".join(str(getattr(error, "reason", error)).split())
        raise RejectedError(subject, [Fault(f"not YAML: {problem[:MAX_QUOTED]}", line=line)]) from error
    if root is None:
        raise RejectedError(subject, [Fault("the file is empty", line=1)])
    walk = _Walk()
    try:
        values = walk.value(root, ())
    except _UnreadableError as error:
        raise RejectedError(subject, [error.fault]) from error
    return Document(values=values, positions=walk.positions, faults=tuple(walk.faults))


class _UnreadableError(Exception):
    """The file is not worth reading on."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(fault.message)


class _PlainLoader(yaml.SafeLoader):
    """YAML's own tags alone, whatever another library has taught PyYAML's loaders in this process."""

    yaml_constructors: ClassVar[dict[str | None, Any]] = {
        tag: constructor
        for tag, constructor in yaml.constructor.SafeConstructor.yaml_constructors.items()
        if tag is None or tag.startswith("tag:yaml.org,2002:")
    }
    yaml_multi_constructors: ClassVar[dict[str | None, Any]] = {}


class _Walk:
    def __init__(self) -> None:
        self.positions: dict[Path, tuple[int, int]] = {}
        self.faults: list[Fault] = []
        self._nodes = 0
        self._constructor = _PlainLoader("")

    def value(self, node: yaml.Node, path: Path) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _UnreadableError(_fault(node, path, f"more than {MAX_NODES:,} values, aliases expanded"))
        if len(path) > MAX_DEPTH:
            raise _UnreadableError(_fault(node, path[:3], _TOO_DEEP))
        self.positions.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN_COLLECTIONS:
            self._refuse(node, path, f"this value cannot be read: the tag {node.tag[:80]!r} is not allowed")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path) if isinstance(node, yaml.ScalarNode) else None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != "tag:yaml.org,2002:str":
                self._refuse(key_node, path, _key_that_is_no_text(key_node))
                continue
            key = key_node.value
            if not _is_text(key):
                self._refuse(key_node, path, _HALF_A_CHARACTER)
                continue
            if key in result:
                first = self.positions[(*path, key)][0]
                self._refuse(key_node, (*path, key), f"the key stands twice, first on line {first}")
                continue
            self.positions[(*path, key)] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            result[key] = self.value(value_node, (*path, key))
        return result

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        plain = node.style is None
        if plain and _EXPONENT.fullmatch(node.value):
            value: Any = float(node.value)
        elif plain and _LEADING_ZERO.fullmatch(node.value):
            self._refuse(node, path, f"write the number without its leading zero, or quote it; found {node.value[:80]}")
            return None
        elif plain and ":" in node.value:
            value = node.value
        else:
            value = self._constructed(node, path)
        if isinstance(value, float) and not math.isfinite(value):
            self._refuse(node, path, f"a number must be finite, found {node.value[:80]}")
            return None
        if isinstance(value, int) and abs(value) > MAX_INTEGER:
            self._refuse(node, path, f"a whole number must fit 64 bits, found {node.value[:80]}")
            return None
        if isinstance(value, str) and not _is_text(value):
            self._refuse(node, path, _HALF_A_CHARACTER)
            return None
        # Dates and the like stand for the text that was written.
        return value if isinstance(value, str | int | float | bool | None) else node.value

    def _constructed(self, node: yaml.ScalarNode, path: Path) -> Any:
        try:
            return self._constructor.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError, OverflowError, LookupError, AttributeError, TypeError) as error:
            # PyYAML's constructors break in as many ways as there are explicit tags (`!!int ""`, `!!timestamp x`).
            problem = getattr(error, "problem", None) or f"it is not of the type that its tag {node.tag[:80]!r} says"
            self._refuse(node, path, f"this value cannot be read: {problem[:MAX_QUOTED]}")
            return None

    def _refuse(self, node: yaml.Node, path: Path, message: str) -> None:
        self.faults.append(_fault(node, path, message))


_HALF_A_CHARACTER = "the text holds half of a surrogate pair, which is no character"


def _is_text(value: str) -> bool:
    return not any(0xD800 <= ord(character) <= 0xDFFF for character in value)


def _key_that_is_no_text(node: yaml.Node) -> str:
    if node.tag == "tag:yaml.org,2002:merge":
        return "merge keys (`<<`) are not read; write the keys out, or alias the whole mapping"
    found = node.value if isinstance(node, yaml.ScalarNode) else "a collection"
    return f"a key must be text, found {str(found)[:80]}"


def _fault(node: yaml.Node, path: Path, message: str) -> Fault:
    mark = node.start_mark
    return Fault(message, line=mark.line + 1, column=mark.column + 1, key=dotted(path))
