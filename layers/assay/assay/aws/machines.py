"""Executions of the stack's state machines: started where an event was lost, redriven where one died."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import boto3
from botocore.exceptions import ClientError

from assay.aws.faults import code_of, transient_faults
from assay.contracts.reconciliation import DeadExecution, PackageStatus

DIED = ("FAILED", "TIMED_OUT", "ABORTED")
# Step Functions redrives for 14 days.
REDRIVABLE = timedelta(days=14)
MOST_REDRIVES = 20


class Machine:
    """One state machine that events start; which one, its class says.

    Attributes:
        subject: the key of an event's `detail` that says what it is about.
        ended_on_purpose: errors with which it ends because there is nothing for it to do; these are not redriven.

    Args:
        arn: its ARN.
        client: a boto3 Step Functions client; one of its own by default.
        now: the time, with its zone.
    """

    subject: ClassVar[str]
    ended_on_purpose: ClassVar[frozenset[str]]

    def __init__(self, arn: str, client: Any = None, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._arn = arn
        self._client = client if client is not None else boto3.client("stepfunctions")
        self._now = now

    @transient_faults()
    def _begin(self, name: str, detail: dict[str, str]) -> bool:
        """Start an execution as the lost event would have; False when one of that name was started before.

        Args:
            name: at most 80 characters; Step Functions knows it for 90 days after the execution's end.
            detail: what the event would have said.
        """
        try:
            self._client.start_execution(stateMachineArn=self._arn, name=name, input=json.dumps({"detail": detail}))
        except ClientError as error:
            if code_of(error) == "ExecutionAlreadyExists":
                return False
            raise
        return True

    def going_on(self) -> Iterator[str]:
        """What executions are about that go on.

        Raises:
            TransientError: Step Functions did not answer.
        """
        with transient_faults():
            for found in self._listed("RUNNING"):
                subject = self._subject_of(json.loads(self._described(found)["input"]))
                if subject is not None:
                    yield subject

    def dead(self) -> Iterator[DeadExecution]:
        """Executions that ended otherwise than the machine means to, and can still go on.

        Raises:
            TransientError: Step Functions did not answer.
        """
        with transient_faults():
            for status in DIED:
                for item in filter(self._can_go_on, self._listed(status)):
                    found = self._described(item)
                    subject = self._subject_of(json.loads(found["input"]))
                    if subject is not None and found.get("error") not in self.ended_on_purpose:
                        yield DeadExecution(item["executionArn"], subject)

    def _listed(self, status: str) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("list_executions").paginate(stateMachineArn=self._arn, statusFilter=status)
        for page in pages:
            yield from page["executions"]

    def _described(self, item: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self._client.describe_execution(executionArn=item["executionArn"])
        return found

    def _subject_of(self, event: Any) -> str | None:
        """None for an execution that somebody started by hand with something else than an event."""
        detail = event.get("detail") if isinstance(event, dict) else None
        subject = detail.get(self.subject) if isinstance(detail, dict) else None
        return subject if isinstance(subject, str) else None

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


class Conclusions(Machine):
    """The executions of `conclude_evaluation`; each is about an evaluation, by its id."""

    subject = "pipelineExecutionDisplayName"
    # The machine ends by itself with these when it has announced a failure, or has no evaluation to conclude.
    ended_on_purpose = frozenset({"NotConcluded", "UnknownEvaluation"})

    def start(self, evaluation_id: str, execution_arn: str, status: str) -> bool:
        """Hand an ended pipeline to the machine as its status event would have; False when that was done before.

        The execution is named by the evaluation, so that it is done once.
        """
        detail = {
            self.subject: evaluation_id,
            "currentPipelineExecutionStatus": status,
            "pipelineExecutionArn": execution_arn,
        }
        return self._begin(evaluation_id, detail)


class ApprovalAnnouncements(Machine):
    """The executions of `announce_approval`; each is about a model package, by its ARN."""

    subject = "ModelPackageArn"
    # The machine ends with these when the package is of an evaluation that nobody knows, or something newer was told.
    ended_on_purpose = frozenset({"UnknownEvaluation", "DynamoDB.ConditionalCheckFailedException"})

    def tell(self, evaluation_id: str, package_arn: str, found: PackageStatus) -> bool:
        """Have the machine look at a package as its event would have; False when that was done before.

        The execution is named by what it is to tell. The machine itself reads how the package stands, and tells of that
        once, whoever else started it.
        """
        moment = int(found.changed_at.timestamp() * 1000)
        return self._begin(f"{evaluation_id}-{found.status}-{moment}", {self.subject: package_arn})
