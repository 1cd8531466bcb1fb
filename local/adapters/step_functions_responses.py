"""Answers of the Step Functions API where moto's miss a member or ignore a parameter."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.stepfunctions import exceptions, responses

from local.asl.errors import StateError
from local.asl.execution import RUNNING, SUCCEEDED, Execution
from local.asl.tokens import PendingTask, TaskOverError, UnknownTokenError
from local.cloud import Cloud, LocalCloudError, require

_Response = require(responses, "StepFunctionResponse")
_MOST_EVENTS = 1000


class TaskDoesNotExistError(exceptions.AWSError):  # type: ignore[misc]
    """The task of the token has ended."""

    TYPE = "TaskDoesNotExist"


class ExecutionNotRedrivableError(exceptions.AWSError):  # type: ignore[misc]
    """Only what failed, timed out or was aborted can go on."""

    TYPE = "ExecutionNotRedrivable"


class InvalidOutputError(exceptions.AWSError):  # type: ignore[misc]
    """The output of a task is not JSON."""

    TYPE = "InvalidOutput"


def install(_: Cloud) -> None:
    """Replace moto's answers by ours."""
    for method in (
        describe_execution,
        list_executions,
        stop_execution,
        get_execution_history,
        send_task_success,
        send_task_failure,
        send_task_heartbeat,
    ):
        require(_Response, method.__name__)
        setattr(_Response, method.__name__, method)
    present = getattr(_Response, "redrive_execution", redrive_execution)
    if present is not redrive_execution:
        raise LocalCloudError("moto now has RedriveExecution: this adapter was written for moto 5.2.5")
    _Response.redrive_execution = redrive_execution


def _summary(execution: Execution) -> dict[str, Any]:
    stopped = {} if execution.status == RUNNING else {"stopDate": execution.stop_date}
    return {
        "executionArn": execution.execution_arn,
        "stateMachineArn": execution.state_machine_arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": execution.start_date,
        "redriveCount": execution.redrives,
        **stopped,
    }


def describe_execution(self: Any) -> ActionResult:
    execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    answer = {**_summary(execution), "input": execution.execution_input, "inputDetails": {"included": True}}
    if execution.status == SUCCEEDED:
        answer |= {"output": execution.output, "outputDetails": execution.output_details}
    answer |= {name: getattr(execution, name) for name in ("error", "cause") if getattr(execution, name) is not None}
    return ActionResult(answer)


def list_executions(self: Any) -> ActionResult:
    executions, token = self.stepfunction_backend.list_executions(
        self._get_param("stateMachineArn"),
        status_filter=self._get_param("statusFilter"),
        max_results=self._get_int_param("maxResults"),
        next_token=self._get_param("nextToken"),
    )
    return ActionResult({"executions": [_summary(execution) for execution in executions], "nextToken": token})


def stop_execution(self: Any) -> ActionResult:
    execution = self.stepfunction_backend.stop_execution(
        self._get_param("executionArn"), error=self._get_param("error"), cause=self._get_param("cause")
    )
    return ActionResult({"stopDate": execution.stop_date})


def redrive_execution(self: Any) -> ActionResult:
    execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    if not execution.redrive():
        raise ExecutionNotRedrivableError(f"Execution {execution.execution_arn} is {execution.status}")
    return ActionResult({"redriveDate": datetime.now(UTC)})


def get_execution_history(self: Any) -> ActionResult:
    """Pages are counted from the end that the caller asked for; a token is the place of the next event."""
    history = self.stepfunction_backend.get_execution_history(self._get_param("executionArn"))
    events = history["events"][::-1] if self._get_param("reverseOrder") else history["events"]
    start = int(self._get_param("nextToken") or 0)
    end = start + (self._get_int_param("maxResults") or _MOST_EVENTS)
    more = {"nextToken": str(end)} if end < len(events) else {}
    return ActionResult({"events": events[start:end], **more})


def send_task_success(self: Any) -> EmptyResult:
    task = _task(self)
    try:
        output = json.loads(self._get_param("output"))
    except ValueError as problem:
        raise InvalidOutputError(f"Invalid Output: '{problem}'") from problem
    return _notify(lambda: task.resolve(output))


def send_task_failure(self: Any) -> EmptyResult:
    task = _task(self)
    failure = StateError(self._get_param("error") or "", self._get_param("cause") or "")
    return _notify(lambda: task.resolve(None, failure))


def send_task_heartbeat(self: Any) -> EmptyResult:
    return _notify(_task(self).heartbeat)


def _task(response: Any) -> PendingTask:
    try:
        task: PendingTask = response.stepfunction_backend.task_tokens.find(response._get_param("taskToken"))
    except UnknownTokenError as problem:
        raise exceptions.InvalidToken from problem
    return task


def _notify(message: Any) -> EmptyResult:
    try:
        message()
    except TaskOverError as problem:
        raise TaskDoesNotExistError("Task Timed Out: 'Provided task does not exist anymore'") from problem
    return EmptyResult()
