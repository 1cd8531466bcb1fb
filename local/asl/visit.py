"""One visit of one state: the data it sees, and how its fields are evaluated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from local.asl.errors import StateError
from local.asl.expressions import ExpressionError, environment, evaluate, wrong_type
from local.asl.history import Trail, dumps
from local.asl.lifeline import Lifeline

LARGEST_DATA_BYTES = 256 * 1024


class Scope:
    """Variables that a line of control sees: its own, and those of the lines around it, which it cannot assign.

    A Parallel's branch and a Map's item have a scope each; what they assign ends with them.
    """

    def __init__(self, around: Scope | None = None) -> None:
        self._around = around
        self._own: dict[str, Any] = {}

    def visible(self) -> dict[str, Any]:
        return {**(self._around.visible() if self._around else {}), **self._own}

    def assign(self, values: dict[str, Any]) -> None:
        self._own.update(values)


@dataclass
class Line:
    """One line of control: the execution itself, a branch of a Parallel, or an item of a Map.

    Attributes:
        lifeline: whether it may go on.
        trail: its events.
        scope: its variables.
        context: its context object, `$states.context`.
        reached: the state that was entered last, and what it was given: there a redriven execution goes on.
    """

    lifeline: Lifeline
    trail: Trail
    scope: Scope
    context: dict[str, Any]
    reached: tuple[str, Any] | None = None

    def fork(self, lifeline: Lifeline, **context: Any) -> Line:
        """A line inside this one, with `context` added to its context object."""
        return Line(lifeline, self.trail.fork(), Scope(self.scope), {**self.context, **context})


@dataclass(frozen=True)
class Outcome:
    """How a state ended: its output, what it assigns, and the state that follows (None: the line of control ends)."""

    output: Any
    assigned: dict[str, Any]
    following: str | None


@dataclass
class Visit:
    """A state that was entered with `data`; `entered` is the id of that event."""

    name: str
    state: dict[str, Any]
    data: Any
    line: Line
    entered: int
    variables: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        # A state sees the variables as they were when it was entered, also while it assigns them.
        self.variables = self.line.scope.visible()

    def evaluate(self, value: Any, field_path: str, **states: Any) -> Any:
        """Evaluate a field; `states` are `result` or `errorOutput` where the field may see them.

        Raises:
            StateError: `States.QueryEvaluationError`.
        """
        seen = {"input": self.data, "context": self.line.context, **states}
        try:
            return evaluate(value, environment(seen, self.variables), field_path)
        except ExpressionError as problem:
            raise self.query_error(problem) from problem

    def typed(self, field_path: str, value: Any, kinds: type | tuple[type, ...], expected: str, **states: Any) -> Any:
        """Evaluate a field that must have a certain type of value."""
        found = self.evaluate(value, field_path, **states)
        if not isinstance(found, kinds) or (isinstance(found, bool) and kinds is not bool):
            raise self.query_error(wrong_type(value, expected, found, field_path))
        return found

    def whole_number(self, field_path: str, least: int = 0) -> int | None:
        """Evaluate a field that is an integer of at least `least`, None when the state has no such field."""
        if field_path not in self.state:
            return None
        value = self.state[field_path]
        number: int = self.typed(field_path, value, int, "integer")
        if number < least:
            raise self.query_error(ExpressionError(f"The field '{field_path}' must be at least {least}, not {number}"))
        return number

    def outcome(
        self, fields: dict[str, Any], default: Any, following: str | None, path: str = "", **states: Any
    ) -> Outcome:
        """Evaluate the Output and Assign of a state, a catcher or a choice rule, neither seeing the other's result."""
        output = self.evaluate(fields["Output"], f"{path}Output", **states) if "Output" in fields else default
        assigned = self.typed(f"{path}Assign", fields.get("Assign", {}), dict, "object", **states)
        self.require_size(output, "output")
        self.require_size(assigned, "assigned variables")
        return Outcome(output, assigned, following)

    def require_size(self, value: Any, what: str) -> None:
        """Raise `States.DataLimitExceeded` for more data than may pass between states."""
        size = len(dumps(value).encode())
        if size > LARGEST_DATA_BYTES:
            raise StateError(
                "States.DataLimitExceeded",
                f"The state '{self.name}' has {what} of {size} bytes, more than the maximum of {LARGEST_DATA_BYTES}.",
            )

    def query_error(self, problem: ExpressionError) -> StateError:
        return StateError(
            "States.QueryEvaluationError",
            f"An error occurred while executing the state '{self.name}' (entered at the event id #{self.entered}). "
            f"{problem}",
        )
