"""What is wrong with a definition, found before it runs: what AWS refuses, and what the local cloud does not carry out.

AWS refuses most of this at CreateStateMachine; moto accepts nearly all of it and fails, or goes wrong, at run time.
"""

from __future__ import annotations

import difflib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from local.asl.check_fields import field_faults
from local.asl.check_flow import flow_faults
from local.asl.check_variables import assignment_faults, known_variables
from local.cloud import UnsupportedError

_MACHINE_FIELDS = frozenset({"Comment", "QueryLanguage", "StartAt", "States", "TimeoutSeconds", "Version"})
_LONGEST_NAME = 80


class DefinitionError(UnsupportedError):
    """A definition that the local cloud does not carry out.

    Attributes:
        faults: each fault with the state and the field that it is in.
    """

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def check_definition(definition: dict[str, Any]) -> None:
    """Raise DefinitionError with every fault of a state machine's definition; do nothing when it has none."""
    faults = list(_machine_faults(definition))
    if faults:
        raise DefinitionError(faults)


def states_of(definition: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every state of a sound definition with its name, those of branches and item processors included."""
    for block in _blocks(definition):
        yield from block.body["States"].items()


@dataclass(frozen=True)
class _Block:
    """States that run in one line of control, and the names of the variables that they see from around them."""

    place: str
    body: dict[str, Any]
    around: frozenset[str]


def _machine_faults(definition: Any) -> Iterator[str]:
    if not isinstance(definition, dict):
        yield "state machine: the definition must be an object"
        return
    if definition.get("QueryLanguage", "JSONPath") != "JSONata":
        yield "state machine, QueryLanguage: only JSONata is carried out, and JSONPath is the default"
    yield from _unknown("state machine", definition, _MACHINE_FIELDS)
    timeout = definition.get("TimeoutSeconds", 1)
    if not isinstance(timeout, int) or isinstance(timeout, bool) or timeout < 1:
        yield "state machine, TimeoutSeconds: must be a positive integer"
    seen: set[str] = set()
    for block in _blocks(definition):
        yield from _block_faults(block, seen)


def _block_faults(block: _Block, seen: set[str]) -> Iterator[str]:
    states = block.body.get("States")
    if not isinstance(states, dict) or not states:
        yield f"{block.place}, States: must be an object with at least one state"
        return
    variables = known_variables(states) | block.around
    for name, state in states.items():
        place = f"state {name!r}"
        if name in seen:
            yield f"{place}: the name is used twice in the state machine"
        seen.add(name)
        if not 0 < len(name) <= _LONGEST_NAME:
            yield f"{place}: a name has 1 to {_LONGEST_NAME} characters"
        if not isinstance(state, dict):
            yield f"{place}: must be an object"
            continue
        for fault in (*field_faults(state, variables), *assignment_faults(state, block.around)):
            yield f"{place}, {fault}"
    yield from flow_faults(block.place, block.body)


def _blocks(definition: dict[str, Any]) -> Iterator[_Block]:
    waiting = deque([_Block("state machine", definition, frozenset())])
    while waiting:
        block = waiting.popleft()
        yield block
        waiting.extend(_inner_blocks(block))


def _inner_blocks(block: _Block) -> Iterator[_Block]:
    states = block.body.get("States")
    if not isinstance(states, dict):
        return
    around = known_variables(states) | block.around
    for name, state in states.items():
        if not isinstance(state, dict):
            continue
        branches = state.get("Branches")
        for index, branch in enumerate(branches if isinstance(branches, list) else []):
            if isinstance(branch, dict):
                yield _Block(f"state {name!r}, Branches[{index}]", branch, around)
        if isinstance(state.get("ItemProcessor"), dict):
            yield _Block(f"state {name!r}, ItemProcessor", state["ItemProcessor"], around)


def _unknown(place: str, body: dict[str, Any], known: frozenset[str]) -> Iterator[str]:
    for field in body:
        if field not in known:
            close = difflib.get_close_matches(field, known, 1)
            yield f"{place}, {field}: unknown field" + (f", did you mean {close[0]}?" if close else "")
