"""The two ways in which a state's work comes to an end that is not its output."""

from __future__ import annotations


class StateError(Exception):
    """A failure that the execution knows by name: Retry and Catch match `error`, people read `cause`.

    Attributes:
        error: an error name of the States Language (`States.Timeout`) or of a service
            (`SageMaker.ResourceNotFoundException`), or what a function or a Fail state called it.
        cause: what happened, as text; for a function's error it is the JSON that the runtime returned.
    """

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause

    def output(self) -> dict[str, str]:
        """The value of `$states.errorOutput` in a Catch."""
        return {"Error": self.error, "Cause": self.cause}


class EndedError(Exception):
    """The line of control was told to end: its execution was stopped, or a sibling failed. Nothing catches it."""


class ExecutionTimedOutError(EndedError):
    """The state machine's own TimeoutSeconds have passed."""
