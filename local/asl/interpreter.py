"""The States Language at run time: state by state, JSONata only.

A definition that `local.asl.check` passed is expected; nothing is checked twice here. Semantics follow the States
Language specification (states-language.net) and the Step Functions developer guide.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from local.asl.errors import StateError
from local.asl.expressions import ExpressionError
from local.asl.history import dumps
from local.asl.integrations import iso
from local.asl.lifeline import Lifeline
from local.asl.recovery import Retries, catcher_for
from local.asl.tasks import Tasks
from local.asl.visit import Line, Outcome, Visit

_MOST_INLINE_ITEMS_AT_ONCE = 40


class Interpreter:
    """Runs states for every execution of one local cloud.

    Args:
        tasks: carries out Task states.
        time_scale: factor on Wait's Seconds and on the delays of Retry; timeouts keep their own pace.
        chance: draws the jitter of retries.
        now: the clock of the context object.
    """

    def __init__(self, tasks: Tasks, *, time_scale: float, chance: random.Random, now: Callable[[], datetime]) -> None:
        self._tasks = tasks
        self._time_scale = time_scale
        self._chance = chance
        self._now = now
        self._work: dict[str, Callable[[Visit], Outcome]] = {
            "Pass": self._pass,
            "Succeed": self._pass,
            "Fail": self._fail,
            "Choice": self._choice,
            "Wait": self._wait,
            "Task": self._recoverable(self._tasks.attempt),
            "Parallel": self._recoverable(self._parallel),
            "Map": self._recoverable(self._map),
        }

    def run(self, states: dict[str, Any], data: Any, line: Line) -> Any:
        """Run a state machine, a branch or an item processor and return its output.

        It begins at its StartAt, or where the line had come to when it is run again.

        Raises:
            StateError: a state failed and nothing caught it.
            EndedError: the line of control was told to end.
        """
        following: str | None = states["StartAt"]
        if line.reached is not None:
            following, data = line.reached
        while following is not None:
            line.lifeline.check()
            line.reached = (following, data)
            data, following = self._visit(following, states["States"][following], data, line)
        return data

    def _visit(self, name: str, state: dict[str, Any], data: Any, line: Line) -> tuple[Any, str | None]:
        kind = state["Type"]
        entered = line.trail.record(f"{kind}StateEntered", {"name": name, "input": dumps(data)}, state=name)
        line.context["State"] = {"Name": name, "EnteredTime": iso(self._now()), "RetryCount": 0}
        visit = Visit(name, state, data, line, entered)
        outcome = self._work[kind](visit)
        line.scope.assign(outcome.assigned)
        exited: dict[str, Any] = {"name": name, "output": dumps(outcome.output)}
        if outcome.assigned:
            exited["assignedVariables"] = {key: dumps(value) for key, value in outcome.assigned.items()}
        line.trail.record(f"{kind}StateExited", exited, state=name)
        return outcome.output, outcome.following

    def _pass(self, visit: Visit) -> Outcome:
        return visit.outcome(visit.state, visit.data, visit.state.get("Next"))

    def _fail(self, visit: Visit) -> Outcome:
        error, cause = (visit.typed(part, visit.state.get(part, ""), str, "string") for part in ("Error", "Cause"))
        raise StateError(error, cause)

    def _choice(self, visit: Visit) -> Outcome:
        for index, rule in enumerate(visit.state["Choices"]):
            path = f"Choices[{index}]/"
            if visit.typed(f"{path}Condition", rule["Condition"], bool, "boolean"):
                return visit.outcome(rule, visit.data, rule["Next"], path)
        if "Default" not in visit.state:
            raise StateError("States.NoChoiceMatched", f"No choice of '{visit.name}' matched, and it has no Default")
        return visit.outcome(visit.state, visit.data, visit.state["Default"])

    def _wait(self, visit: Visit) -> Outcome:
        if "Timestamp" in visit.state:
            text = visit.typed("Timestamp", visit.state["Timestamp"], str, "string")
            try:
                until = datetime.fromisoformat(text)
            except ValueError as problem:
                raise visit.query_error(ExpressionError(f"The field 'Timestamp' has no timestamp: {text}")) from problem
            delay = (until.replace(tzinfo=until.tzinfo or UTC) - self._now()).total_seconds()
        else:
            delay = (visit.whole_number("Seconds") or 0) * self._time_scale
        visit.line.lifeline.sleep(max(0.0, delay))
        return self._pass(visit)

    def _recoverable(self, attempt: Callable[[Visit], Any]) -> Callable[[Visit], Outcome]:
        """The work of a state with a result: attempt it, retry it, catch what is left."""

        def work(visit: Visit) -> Outcome:
            retries = Retries(visit.state.get("Retry", []), self._chance)
            while True:
                try:
                    result = attempt(visit)
                    return visit.outcome(visit.state, result, visit.state.get("Next"), result=result)
                except StateError as failure:
                    delay = retries.next_delay(failure.error)
                    if delay is None:
                        return _catch(visit, failure)
                visit.line.lifeline.sleep(delay * self._time_scale)
                visit.line.context["State"]["RetryCount"] += 1

        return work

    def _parallel(self, visit: Visit) -> list[Any]:
        state, line = visit.state, visit.line
        data = visit.evaluate(state["Arguments"], "Arguments") if "Arguments" in state else visit.data
        line.trail.record("ParallelStateStarted", state=visit.name)

        def branch(states: dict[str, Any]) -> Callable[[Lifeline], Any]:
            return lambda lifeline: self.run(states, data, line.fork(lifeline))

        return self._all(visit, "Parallel", [branch(states) for states in state["Branches"]], len(state["Branches"]))

    def _map(self, visit: Visit) -> list[Any]:
        state, line = visit.state, visit.line
        items = visit.typed("Items", state.get("Items", visit.data), list, "array")
        limit = visit.whole_number("MaxConcurrency") or _MOST_INLINE_ITEMS_AT_ONCE
        line.trail.record("MapStateStarted", {"length": len(items)}, state=visit.name)

        def process(index: int, item: Any) -> Callable[[Lifeline], Any]:
            return lambda lifeline: self._iterate(visit, index, item, lifeline)

        works = [process(index, item) for index, item in enumerate(items)]
        return self._all(visit, "Map", works, min(limit, _MOST_INLINE_ITEMS_AT_ONCE))

    def _iterate(self, visit: Visit, index: int, item: Any, lifeline: Lifeline) -> Any:
        line = visit.line.fork(lifeline, Map={"Item": {"Index": index, "Value": item}})
        named = {"name": visit.name, "index": index}
        line.trail.record("MapIterationStarted", named, state=visit.name)
        try:
            data = item
            if "ItemSelector" in visit.state:
                inner = Visit(visit.name, visit.state, visit.data, line, visit.entered)
                data = inner.evaluate(visit.state["ItemSelector"], "ItemSelector")
            output = self.run(visit.state["ItemProcessor"], data, line)
        except StateError:
            line.trail.record("MapIterationFailed", named, state=visit.name)
            raise
        line.trail.record("MapIterationSucceeded", named, state=visit.name)
        return output

    def _all(self, visit: Visit, kind: str, works: list[Callable[[Lifeline], Any]], concurrency: int) -> list[Any]:
        try:
            results = visit.line.lifeline.fan_out(works, concurrency)
            visit.require_size(results, "a result")
        except StateError:
            visit.line.trail.record(f"{kind}StateFailed", state=visit.name)
            raise
        visit.line.trail.record(f"{kind}StateSucceeded", state=visit.name)
        return results


def _catch(visit: Visit, failure: StateError) -> Outcome:
    found = catcher_for(visit.state.get("Catch", []), failure.error)
    if found is None:
        raise failure
    index, catcher = found
    error_output = failure.output()
    return visit.outcome(catcher, error_output, catcher["Next"], f"Catch[{index}]/", errorOutput=error_output)
