"""Executions of one of the stack's state machines: started where an event was lost, redriven where one died."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.exceptions import ClientError

from assay.aws.faults import code_of, transient_faults

DIED = ("FAILED", "TIMED_OUT", "ABORTED")
# Step Functions redrives for 14 days.
REDRIVABLE = timedelta(days=14)
MOST_REDRIVES = 20


@dataclass(frozen=True)
class DeadExecution:
    """An execution that can go on, with what the event was about that it was started by."""

    arn: str
    subject: str


class Machine:
    """One state machine that events start.

    Args:
        arn: its ARN.
        subject: the key of an event's `detail` that says what it is about.
        ended_on_purpose: errors with which it ends because there is nothing for it to do; these are not redriven.
        client: a boto3 Step Functions client; one of its own by default.
        now: the time, with its zone.
    """

    def __init__(
        self,
        arn: str,
        subject: str,
        ended_on_purpose: Collection[str],
        client: Any = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._arn = arn
        self._subject = subject
        self._on_purpose = ended_on_purpose
        self._client = client if client is not None else boto3.client("stepfunctions")
        self._now = now

    @transient_faults()
    def start(self, name: str, detail: dict[str, str]) -> bool:
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

    def dead(self) -> Iterator[DeadExecution]:
        """Executions that ended otherwise than the machine means to, and can still go on.

        Raises:
            TransientError: Step Functions did not answer.
        """
        with transient_faults():
            for status in DIED:
                pages = self._client.get_paginator("list_executions").paginate(
                    stateMachineArn=self._arn, statusFilter=status
                )
                for page in pages:
                    for item in filter(self._can_go_on, page["executions"]):
                        found = self._client.describe_execution(executionArn=item["executionArn"])
                        subject = self._subject_of(json.loads(found["input"]))
                        if subject is not None and found.get("error") not in self._on_purpose:
                            yield DeadExecution(item["executionArn"], subject)

    def _subject_of(self, event: Any) -> str | None:
        """None for an execution that somebody started by hand with something else than an event."""
        detail = event.get("detail") if isinstance(event, dict) else None
        subject = detail.get(self._subject) if isinstance(detail, dict) else None
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
