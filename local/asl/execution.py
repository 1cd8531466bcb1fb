"""One execution of a state machine: from its start to its end, whichever way that comes."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from local.asl.errors import EndedError, ExecutionTimedOutError, StateError
from local.asl.history import History, Trail, dumps
from local.asl.integrations import iso
from local.asl.interpreter import Interpreter
from local.asl.lifeline import Lifeline
from local.asl.visit import Line, Scope

RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED = "RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"
_EVENTS = {
    SUCCEEDED: "ExecutionSucceeded",
    FAILED: "ExecutionFailed",
    TIMED_OUT: "ExecutionTimedOut",
    ABORTED: "ExecutionAborted",
}


@dataclass(frozen=True)
class Machine:
    """The state machine as it was when the execution started; a later update does not touch it."""

    arn: str
    name: str
    role_arn: str
    definition: dict[str, Any]


class Execution:
    """An execution, under the names by which moto's answers know it.

    Args:
        machine: what is run.
        name, arn: of the execution.
        text: its input as it was given, JSON.
        interpreter: runs the states.
        log: file for its events, see `local.asl.history`.
        now: the clock.
        on_change: is called with the execution after each change of its status, RUNNING included.
    """

    def __init__(
        self,
        machine: Machine,
        *,
        name: str,
        arn: str,
        text: str,
        interpreter: Interpreter,
        log: Path,
        now: Callable[[], datetime],
        on_change: Callable[[Execution], None],
    ) -> None:
        self.machine = machine
        self.name = name
        self.execution_arn = arn
        self.state_machine_arn = machine.arn
        self.execution_input = text
        self.start_date = now()
        self.stop_date: datetime | None = None
        self.status = RUNNING
        self.output: str | None = None
        self.output_details = {"included": True}
        self.error: str | None = None
        self.cause: str | None = None
        self._interpreter = interpreter
        self._history = History(log, now)
        self._trail = Trail(self._history)
        self._lifeline = Lifeline(seconds=machine.definition.get("TimeoutSeconds"))
        self._line: Line | None = None
        self.redrives = 0
        self._now = now
        self._on_change = on_change
        self._lock = threading.Lock()

    def start(self) -> None:
        """Run the states in a thread of their own."""
        self._trail.record("ExecutionStarted", {"input": self.execution_input, "roleArn": self.machine.role_arn})
        self._on_change(self)
        threading.Thread(target=self._run, name=f"execution {self.name}", daemon=True).start()

    def stop(self, error: str | None = None, cause: str | None = None) -> None:
        """Abort it, when it still runs."""
        self._finish(ABORTED, error=error, cause=cause)

    def redrive(self) -> bool:
        """Go on at the state that failed, with what it was given and the variables as they were.

        False for an execution that runs or has succeeded. What a Parallel or a Map had done is done again, where AWS
        goes on with the branches that failed.
        """
        with self._lock:
            if self.status not in (FAILED, TIMED_OUT, ABORTED) or self._line is None:
                return False
            self.redrives += 1
            self.status, self.stop_date, self.error, self.cause = RUNNING, None, None, None
            self._lifeline = self._line.lifeline = Lifeline(seconds=self.machine.definition.get("TimeoutSeconds"))
            self._line.context["Execution"]["RedriveCount"] = self.redrives
            self._history.reopen()
            self._trail.record("ExecutionRedriven", {"redriveCount": self.redrives})
        self._on_change(self)
        threading.Thread(target=self._run, name=f"execution {self.name}", daemon=True).start()
        return True

    def history(self) -> list[dict[str, Any]]:
        return self._history.events()

    def _run(self) -> None:
        data = json.loads(self.execution_input)
        if self._line is None:
            self._line = Line(self._lifeline, self._trail, Scope(), self._context(data))
        line = self._line
        try:
            output = self._interpreter.run(self.machine.definition, data, line)
        except StateError as failure:
            self._finish(FAILED, error=failure.error, cause=failure.cause)
        except ExecutionTimedOutError:
            self._finish(TIMED_OUT)
        except EndedError:
            # Only stop() ends the outermost line, and it has written the end itself.
            return
        except Exception as fault:
            logging.getLogger("local").exception("interpreter failed", extra={"execution": self.execution_arn})
            self._finish(FAILED, error="States.Runtime", cause=f"The local interpreter failed: {fault!r}")
        else:
            self._finish(SUCCEEDED, output=dumps(output))

    def _finish(
        self, status: str, *, output: str | None = None, error: str | None = None, cause: str | None = None
    ) -> None:
        with self._lock:
            if self.status != RUNNING:
                return
            self.stop_date = self._now()
            self.output, self.error, self.cause = output, error, cause
            details = {"output": output} if status == SUCCEEDED else {"error": error, "cause": cause}
            self._trail.record(_EVENTS[status], details)
            self.status = status
        self._lifeline.end()
        self._on_change(self)

    def _context(self, data: Any) -> dict[str, Any]:
        return {
            "Execution": {
                "Id": self.execution_arn,
                "Input": data,
                "Name": self.name,
                "RoleArn": self.machine.role_arn,
                "StartTime": iso(self.start_date),
                "RedriveCount": 0,
            },
            "StateMachine": {"Id": self.machine.arn, "Name": self.machine.name},
        }
