"""Whether the states of one line of control lead somewhere: no dangling transition, none that is never reached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_ENDING = ("Succeed", "Fail")


def flow_faults(place: str, body: dict[str, Any]) -> Iterator[str]:
    """Yield the faults of the transitions of a state machine, a branch or an item processor called `place`."""
    states: dict[str, Any] = {name: state for name, state in body["States"].items() if isinstance(state, dict)}
    start = body.get("StartAt")
    if not isinstance(start, str) or start not in states:
        yield f"{place}, StartAt: names no state: {start!r}"
        return
    for name, state in states.items():
        yield from (f"state {name!r}, {fault}" for fault in _ending_faults(state))
        for field, target in transitions(state):
            if not isinstance(target, str) or target not in states:
                yield f"state {name!r}, {field}: names no state of the same level: {target!r}"
    reached, waiting = {start}, [start]
    while waiting:
        for _, target in transitions(states[waiting.pop()]):
            if isinstance(target, str) and target in states and target not in reached:
                reached.add(target)
                waiting.append(target)
    for name in states:
        if name not in reached:
            yield f"state {name!r}: is never reached"
    if not any(states[name].get("Type") in _ENDING or states[name].get("End") is True for name in reached):
        yield f"{place}: no state that ends it can be reached"


def transitions(state: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each field of a state that names another, with the name."""
    for field in ("Next", "Default"):
        if field in state:
            yield field, state[field]
    for field in ("Choices", "Catch"):
        rules = state.get(field)
        for index, rule in enumerate(rules if isinstance(rules, list) else []):
            if isinstance(rule, dict) and "Next" in rule:
                yield f"{field}[{index}]/Next", rule["Next"]


def _ending_faults(state: dict[str, Any]) -> Iterator[str]:
    kind = state.get("Type")
    if kind == "Choice" or kind in _ENDING:
        return
    if "End" in state and state["End"] is not True:
        yield "End: can only be true"
    if ("Next" in state) == ("End" in state):
        yield "Next: a state has either Next or End"
