"""Follow one evaluation through the pipeline and the state machine, by AWS's own APIs: the same here and there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from assay.aws.evaluations import Evaluations

FINISHED = {"Succeeded", "Failed", "Stopped"}


@dataclass(frozen=True)
class Activity:
    """One pipeline step or one state, as it stands.

    Attributes:
        kind: `step` or `state`.
        status: `Executing`, `Succeeded`, `Failed`, `Stopped`.
        seconds: how long it has run, or ran.
    """

    kind: str
    name: str
    status: str
    started: datetime
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class Snapshot:
    """Where an evaluation stands. `status` is None until the evaluation is known; `reason` is why it failed."""

    status: str | None
    activities: list[Activity] = field(default_factory=list)
    execution_arn: str | None = None
    ended: bool = False
    reason: str | None = None


@dataclass(frozen=True)
class Follower:
    """Reads where an evaluation stands.

    Args:
        sagemaker, stepfunctions: boto3 clients.
        log: the table of evaluations.
    """

    sagemaker: Any
    stepfunctions: Any
    log: Evaluations

    def snapshot(self, evaluation_id: str) -> Snapshot:
        """The evaluation's steps and states so far, by start time."""
        state = self.log.get(evaluation_id)
        if state is None:
            return Snapshot(status=None)
        activities = [*self._steps(state.execution_arn), *self._states(state.concluded_by)]
        return Snapshot(
            status=state.status,
            activities=sorted(activities, key=lambda activity: activity.started),
            execution_arn=state.execution_arn,
            ended=self._has_ended(state.concluded_by),
            reason=state.reason,
        )

    def _steps(self, execution: str | None) -> Iterator[Activity]:
        if execution is None:
            return
        pages = self.sagemaker.get_paginator("list_pipeline_execution_steps")
        for page in pages.paginate(PipelineExecutionArn=execution):
            for step in page["PipelineExecutionSteps"]:
                if "StartTime" in step:
                    ended = step.get("EndTime", datetime.now(UTC))
                    yield Activity(
                        kind="step",
                        name=step["StepName"],
                        status=step["StepStatus"],
                        started=step["StartTime"],
                        seconds=(ended - step["StartTime"]).total_seconds(),
                        reason=step.get("FailureReason", ""),
                    )

    def _states(self, execution: str | None) -> Iterator[Activity]:
        if execution is None:
            return
        pages = self.stepfunctions.get_paginator("get_execution_history").paginate(executionArn=execution)
        running: dict[str, datetime] = {}
        finished: list[Activity] = []
        for event in (event for page in pages for event in page["events"]):
            kind, time = event["type"], event["timestamp"]
            if kind.endswith("StateEntered"):
                running[event["stateEnteredEventDetails"]["name"]] = time
            elif kind.endswith("StateExited"):
                name = event["stateExitedEventDetails"]["name"]
                began = running.pop(name)
                finished.append(Activity("state", name, "Succeeded", began, (time - began).total_seconds()))
        yield from finished
        ended = self._has_ended(execution)
        for name, began in running.items():
            status = "Failed" if ended else "Executing"
            yield Activity("state", name, status, began, (datetime.now(UTC) - began).total_seconds())

    def _has_ended(self, execution: str | None) -> bool:
        if execution is None:
            return False
        return bool(self.stepfunctions.describe_execution(executionArn=execution)["status"] != "RUNNING")
