"""Executions of the machine that concludes evaluations: started where an event was lost, redriven where one died."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.exceptions import ClientError

from assay.aws.faults import code_of, transient_faults
from assay.contracts.reconciliation import DeadConclusion

DIED = ("FAILED", "TIMED_OUT", "ABORTED")
# The machine ends by itself with these when it has announced a failure, or has no evaluation to conclude.
ENDED_ON_PURPOSE = {"NotConcluded", "UnknownEvaluation"}
# Step Functions redrives for 14 days.
REDRIVABLE = timedelta(days=14)
MOST_REDRIVES = 20


class Conclusions:
    """The executions of `conclude_evaluation`.

    Args:
        machine_arn: of the state machine.
        client: a boto3 Step Functions client; one of its own by default.
        now: the time, with its zone.
    """

    def __init__(
        self, machine_arn: str, client: Any = None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._machine = machine_arn
        self._client = client if client is not None else boto3.client("stepfunctions")
        self._now = now

    @transient_faults()
    def start(self, evaluation_id: str, execution_arn: str, status: str) -> bool:
        """Hand an ended pipeline to the machine as its status event would have; False when that was done before.

        The execution is named by the evaluation, so that it is done once.
        """
        detail = {
            "pipelineExecutionDisplayName": evaluation_id,
            "currentPipelineExecutionStatus": status,
            "pipelineExecutionArn": execution_arn,
        }
        try:
            self._client.start_execution(
                stateMachineArn=self._machine, name=evaluation_id, input=json.dumps({"detail": detail})
            )
        except ClientError as error:
            if code_of(error) == "ExecutionAlreadyExists":
                return False
            raise
        return True

    def dead(self) -> Iterator[DeadConclusion]:
        """Executions that ended otherwise than the machine means to, and can still go on.

        Raises:
            TransientError: Step Functions did not answer.
        """
        with transient_faults():
            for status in DIED:
                pages = self._client.get_paginator("list_executions").paginate(
                    stateMachineArn=self._machine, statusFilter=status
                )
                for page in pages:
                    for item in page["executions"]:
                        if self._can_go_on(item):
                            found = self._client.describe_execution(executionArn=item["executionArn"])
                            if found.get("error") not in ENDED_ON_PURPOSE:
                                detail = json.loads(found["input"])["detail"]
                                yield DeadConclusion(item["executionArn"], str(detail["pipelineExecutionDisplayName"]))

    def _can_go_on(self, item: dict[str, Any]) -> bool:
        return bool(self._now() - item["stopDate"] < REDRIVABLE and item.get("redriveCount", 0) < MOST_REDRIVES)

    @transient_faults()
    def redrive(self, arn: str) -> None:
        """Let an execution go on at the state where it died; what it had done it does not do again."""
        try:
            self._client.redrive_execution(executionArn=arn)
        except ClientError as error:
            if code_of(error) != "ExecutionNotRedrivable":  # another one was quicker
                raise
