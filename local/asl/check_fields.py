"""The fields of one state: which its type has, which are JSONPath's, which are not carried out, and their values."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import Any

from local.asl.check_variables import expression_faults
from local.asl.expressions import is_expression
from local.asl.resources import WAIT_FOR_TASK_TOKEN, ResourceError, argument_faults, parse_resource

_COMMON = frozenset({"Type", "Comment", "QueryLanguage"})
_FLOW = frozenset({"Next", "End", "Output", "Assign"})
_RECOVERY = frozenset({"Retry", "Catch"})
_FIELDS: dict[str, frozenset[str]] = {
    "Task": _FLOW | _RECOVERY | {"Resource", "Arguments", "TimeoutSeconds", "HeartbeatSeconds"},
    "Parallel": _FLOW | _RECOVERY | {"Branches", "Arguments"},
    "Map": _FLOW | _RECOVERY | {"Items", "ItemSelector", "ItemProcessor", "MaxConcurrency"},
    "Pass": _FLOW,
    "Wait": _FLOW | {"Seconds", "Timestamp"},
    "Choice": frozenset({"Choices", "Default", "Output"}),
    "Succeed": frozenset({"Output"}),
    "Fail": frozenset({"Error", "Cause"}),
}
_JSONPATH = frozenset(
    [
        "InputPath",
        "OutputPath",
        "ResultPath",
        "ResultSelector",
        "Parameters",
        "Result",
        "ItemsPath",
        "SecondsPath",
        "TimestampPath",
        "TimeoutSecondsPath",
        "HeartbeatSecondsPath",
        "MaxConcurrencyPath",
        "ErrorPath",
        "CausePath",
        "Variable",
    ]
)
_NOT_CARRIED_OUT = {
    "Credentials": "a role of another account",
    "ItemReader": "a distributed Map",
    "ItemBatcher": "a distributed Map",
    "ResultWriter": "a distributed Map",
    "Label": "a distributed Map",
    "ToleratedFailureCount": "a distributed Map",
    "ToleratedFailurePercentage": "a distributed Map",
    "Iterator": "the old name of ItemProcessor",
}
_BEFORE = frozenset({"input", "context"})
_AFTER_RESULT = _BEFORE | {"result"}
_AFTER_ERROR = _BEFORE | {"errorOutput"}
_WITH_RESULT = frozenset({"Task", "Parallel", "Map"})
_EVALUATED = [
    "Arguments",
    "Items",
    "ItemSelector",
    "MaxConcurrency",
    "Seconds",
    "Timestamp",
    "TimeoutSeconds",
    "HeartbeatSeconds",
    "Error",
    "Cause",
]


def field_faults(state: dict[str, Any], variables: frozenset[str]) -> Iterator[str]:
    """Yield the faults of a state's fields, each as `Field: problem`; `variables` are the names it may refer to."""
    kind = state.get("Type")
    if not isinstance(kind, str) or kind not in _FIELDS:
        yield f"Type: unknown state type {kind!r}"
        return
    yield from _name_faults(state, _FIELDS[kind] | _COMMON)
    if state.get("QueryLanguage", "JSONata") != "JSONata":
        yield "QueryLanguage: only JSONata is carried out"
    for name in _EVALUATED:
        if name in state:
            yield from expression_faults(state[name], name, variables, _BEFORE)
    after = _AFTER_RESULT if kind in _WITH_RESULT else _BEFORE
    yield from _outcome_faults(state, "", variables, after)
    if kind in _WITH_RESULT:
        yield from _retry_faults(state.get("Retry", []))
        yield from _catch_faults(state.get("Catch", []), variables)
    if kind in _CHECKS:
        yield from _CHECKS[kind](state, variables)


def _name_faults(state: dict[str, Any], known: frozenset[str]) -> Iterator[str]:
    for name in state:
        if name in known:
            continue
        if name == "Assign" and state["Type"] == "Choice":
            # The developer guide has it apply whichever rule matches, AWS's recorded behaviour only when none does.
            yield "Assign: is carried out in the rules of a Choice only"
        elif name in _JSONPATH:
            yield f"{name}: is a field of JSONPath states, and only JSONata is carried out"
        elif name in _NOT_CARRIED_OUT:
            yield f"{name}: {_NOT_CARRIED_OUT[name]} is not carried out"
        else:
            close = difflib.get_close_matches(name, known, 1)
            yield f"{name}: unknown field of a {state['Type']}" + (f", did you mean {close[0]}?" if close else "")


def _outcome_faults(
    fields: dict[str, Any], path: str, variables: frozenset[str], states: frozenset[str]
) -> Iterator[str]:
    for name in ("Output", "Assign"):
        if name in fields:
            yield from expression_faults(fields[name], f"{path}{name}", variables, states)
    if not isinstance(fields.get("Assign", {}), dict):
        yield f"{path}Assign: must be an object"


def _rules(rules: Any, path: str, known: str, needed: str) -> Iterator[tuple[str, dict[str, Any] | None, str]]:
    """Walk the rules of a Retry, a Catch or a Choice: (path, rule, "") for a sound one, else (path, None, problem)."""
    if not isinstance(rules, list):
        yield path, None, "must be an array"
        return
    for index, rule in enumerate(rules):
        place = f"{path}[{index}]"
        if not isinstance(rule, dict):
            yield place, None, "must be an object"
            continue
        for name in rule:
            if name not in known.split():
                yield f"{place}/{name}", None, "unknown field"
        missing = [name for name in needed.split() if name not in rule]
        if missing:
            yield place, None, f"misses {', '.join(missing)}"
        else:
            yield place, rule, ""


def _error_names_faults(rule: dict[str, Any], place: str, *, last: bool) -> Iterator[str]:
    names = rule["ErrorEquals"]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        yield f"{place}/ErrorEquals: must be an array of error names"
    elif "States.ALL" in names and (len(names) > 1 or not last):
        yield f"{place}/ErrorEquals: States.ALL stands alone, in the last rule"


def _retry_faults(retriers: Any) -> Iterator[str]:
    known = "ErrorEquals IntervalSeconds MaxAttempts BackoffRate MaxDelaySeconds JitterStrategy Comment"
    for place, rule, problem in _rules(retriers, "Retry", known, "ErrorEquals"):
        if rule is None:
            yield f"{place}: {problem}"
            continue
        yield from _error_names_faults(rule, place, last=rule is retriers[-1])
        for name, least in (("IntervalSeconds", 1), ("MaxAttempts", 0), ("MaxDelaySeconds", 1)):
            if name in rule and not _is_integer(rule[name], least):
                yield f"{place}/{name}: must be an integer of at least {least}"
        rate = rule.get("BackoffRate", 2.0)
        if not isinstance(rate, int | float) or isinstance(rate, bool) or rate < 1:
            yield f"{place}/BackoffRate: must be a number of at least 1"
        longest, interval = rule.get("MaxDelaySeconds"), rule.get("IntervalSeconds", 1)
        if isinstance(longest, int) and isinstance(interval, int) and longest <= interval:
            yield f"{place}/MaxDelaySeconds: must be greater than IntervalSeconds"
        if rule.get("JitterStrategy", "NONE") not in ["FULL", "NONE"]:
            yield f"{place}/JitterStrategy: is FULL or NONE"


def _catch_faults(catchers: Any, variables: frozenset[str]) -> Iterator[str]:
    for place, rule, problem in _rules(catchers, "Catch", "ErrorEquals Next Output Assign Comment", "ErrorEquals Next"):
        if rule is None:
            yield f"{place}: {problem}"
            continue
        yield from _error_names_faults(rule, place, last=rule is catchers[-1])
        yield from _outcome_faults(rule, f"{place}/", variables, _AFTER_ERROR)


def _choice_faults(state: dict[str, Any], variables: frozenset[str]) -> Iterator[str]:
    choices = state.get("Choices")
    if not choices:
        yield "Choices: must be an array of at least one rule"
        return
    for place, rule, problem in _rules(choices, "Choices", "Condition Next Output Assign Comment", "Condition Next"):
        if rule is None:
            yield f"{place}: {problem}"
            continue
        if not isinstance(rule["Condition"], bool) and not is_expression(rule["Condition"]):
            yield f"{place}/Condition: must be an expression or a boolean"
        yield from expression_faults(rule["Condition"], f"{place}/Condition", variables, _BEFORE)
        yield from _outcome_faults(rule, f"{place}/", variables, _BEFORE)


def _task_faults(state: dict[str, Any], _: frozenset[str]) -> Iterator[str]:
    for name in ("TimeoutSeconds", "HeartbeatSeconds"):
        if name in state and not is_expression(state[name]) and not _is_integer(state[name], 1):
            yield f"{name}: must be a positive integer"
    timeout, heartbeat = state.get("TimeoutSeconds"), state.get("HeartbeatSeconds")
    if isinstance(timeout, int) and isinstance(heartbeat, int) and heartbeat >= timeout:
        yield "HeartbeatSeconds: must be less than TimeoutSeconds"
    try:
        integration = parse_resource(str(state.get("Resource", "")))
    except ResourceError as problem:
        yield f"Resource: {problem}"
        return
    if "HeartbeatSeconds" in state and integration.pattern != WAIT_FOR_TASK_TOKEN:
        yield f"HeartbeatSeconds: is carried out with .{WAIT_FOR_TASK_TOKEN} only"
    if "Arguments" in state:
        arguments = _without_payload(state["Arguments"]) if integration.service == "lambda" else state["Arguments"]
        shape = integration.operation.input_shape
        for path, problem_text in argument_faults(shape, arguments, "Arguments", optimised=integration.optimised):
            yield f"{path}: {problem_text}"


def _without_payload(arguments: Any) -> Any:
    """A function's Payload is any JSON, and not what the API's model says."""
    return {**arguments, "Payload": ""} if isinstance(arguments, dict) and "Payload" in arguments else arguments


def _wait_faults(state: dict[str, Any], _: frozenset[str]) -> Iterator[str]:
    if ("Seconds" in state) == ("Timestamp" in state):
        yield "Seconds: a Wait has either Seconds or Timestamp"
    if "Seconds" in state and not is_expression(state["Seconds"]) and not _is_integer(state["Seconds"], 0):
        yield "Seconds: must be an integer of at least 0"


def _parallel_faults(state: dict[str, Any], _: frozenset[str]) -> Iterator[str]:
    branches = state.get("Branches")
    if not isinstance(branches, list) or not branches:
        yield "Branches: must be an array of at least one branch"
        return
    for index, branch in enumerate(branches):
        yield from _block_field_faults(branch, f"Branches[{index}]", {"StartAt", "States", "Comment"})


def _map_faults(state: dict[str, Any], _: frozenset[str]) -> Iterator[str]:
    if "Items" in state and not is_expression(state["Items"]) and not isinstance(state["Items"], list):
        yield "Items: must be an array or an expression"
    limit = state.get("MaxConcurrency", 0)
    if not is_expression(limit) and not _is_integer(limit, 0):
        yield "MaxConcurrency: must be an integer of at least 0"
    processor = state.get("ItemProcessor")
    yield from _block_field_faults(processor, "ItemProcessor", {"StartAt", "States", "Comment", "ProcessorConfig"})
    if isinstance(processor, dict) and processor.get("ProcessorConfig", {"Mode": "INLINE"}) != {"Mode": "INLINE"}:
        yield "ItemProcessor/ProcessorConfig: only the mode INLINE is carried out"


def _block_field_faults(block: Any, path: str, known: set[str]) -> Iterator[str]:
    if not isinstance(block, dict):
        yield f"{path}: must be an object with StartAt and States"
        return
    for name in block:
        if name not in known:
            yield f"{path}/{name}: unknown field"


def _is_integer(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


_CHECKS: dict[str, Callable[[dict[str, Any], frozenset[str]], Iterator[str]]] = {
    "Choice": _choice_faults,
    "Task": _task_faults,
    "Wait": _wait_faults,
    "Parallel": _parallel_faults,
    "Map": _map_faults,
}
