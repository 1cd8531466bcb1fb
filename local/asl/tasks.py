"""The Task state's own work: one attempt at its call, within its timeouts, with or without a callback."""

from __future__ import annotations

import time
from typing import Any

from local.asl.errors import StateError
from local.asl.history import dumps
from local.asl.integrations import Integrations
from local.asl.lifeline import Lifeline
from local.asl.resources import WAIT_FOR_TASK_TOKEN, Integration, parse_resource
from local.asl.tokens import PendingTask, TaskTokens
from local.asl.visit import Visit

_TIMEOUTS = frozenset({"States.Timeout", "States.HeartbeatTimeout"})


class Tasks:
    """Carries out Task states through the services and the task tokens of one local cloud."""

    def __init__(self, integrations: Integrations, tokens: TaskTokens, region: str) -> None:
        self._integrations = integrations
        self._tokens = tokens
        self._region = region

    def attempt(self, visit: Visit) -> Any:
        """Make one attempt and return the task's result.

        Raises:
            StateError: what the service, the function or the callback failed with, or a timeout.
        """
        integration = parse_resource(visit.state["Resource"])
        lifeline = Lifeline(parent=visit.line.lifeline)
        pending: PendingTask | None = None
        if integration.pattern == WAIT_FOR_TASK_TOKEN:
            token, pending = self._tokens.issue(lifeline)
            visit.line.context["Task"] = {"Token": token}
        try:
            return self._carry_out(visit, integration, lifeline, pending)
        finally:
            visit.line.context.pop("Task", None)
            lifeline.end()
            if pending is not None:
                pending.close()

    def _carry_out(
        self, visit: Visit, integration: Integration, lifeline: Lifeline, pending: PendingTask | None
    ) -> Any:
        named = {"resourceType": integration.resource_type, "resource": integration.resource}
        record = visit.line.trail.record
        arguments = visit.evaluate(visit.state["Arguments"], "Arguments") if "Arguments" in visit.state else visit.data
        visit.require_size(arguments, "arguments")
        timeout, heartbeat = visit.whole_number("TimeoutSeconds", 1), visit.whole_number("HeartbeatSeconds", 1)
        limits = {"timeoutInSeconds": timeout, "heartbeatInSeconds": heartbeat}
        scheduled = {**named, "region": self._region, "parameters": dumps(arguments), **limits}
        record("TaskScheduled", scheduled, state=visit.name)
        record("TaskStarted", named, state=visit.name)
        limit = None if timeout is None else time.monotonic() + timeout
        try:
            result = self._call(integration, arguments, lifeline, timeout)
            if pending is not None:
                record("TaskSubmitted", {**named, "output": dumps(result)}, state=visit.name)
                result = pending.await_result(limit, heartbeat)
            visit.require_size(result, "a result")
        except StateError as failure:
            kind = "TaskTimedOut" if failure.error in _TIMEOUTS else "TaskFailed"
            record(kind, {**named, "error": failure.error, "cause": failure.cause}, state=visit.name)
            raise
        record("TaskSucceeded", {**named, "output": dumps(result)}, state=visit.name)
        return result

    def _call(self, integration: Integration, arguments: Any, lifeline: Lifeline, timeout: int | None) -> Any:
        # In a thread of its own: a call that outlives its state must not keep the execution from going on.
        job = lifeline.spawn(lambda: self._integrations.call(integration, arguments, lifeline))
        if not lifeline.wait(lambda: job.done, timeout):
            raise StateError("States.Timeout", f"The task took longer than its {timeout} seconds")
        return job.value()
