"""Schedules of suites in EventBridge Scheduler, which call the function that starts evaluations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.exceptions import ClientError

from assay.aws.faults import code_of, transient_faults
from assay.contracts.errors import ScheduleRefusedError
from assay.contracts.events import DueEvaluation, DueEvent

# As long as EventBridge itself tries to deliver a drop.
DELIVERY_SECONDS, DELIVERY_ATTEMPTS = 21_600, 100


@dataclass(frozen=True)
class Schedules:
    """One group of schedules, a schedule a suite, called by the suite's name.

    Attributes:
        group: the group's name.
        role_arn: what Scheduler calls the function as.
        function_arn: what is called.
        dead_letters_arn: the queue for what could not be delivered.
        client: a boto3 EventBridge Scheduler client.
    """

    group: str
    role_arn: str
    function_arn: str
    dead_letters_arn: str
    client: Any = field(default_factory=lambda: boto3.client("scheduler"))

    @transient_faults()
    def put(self, suite: str, expression: str, timezone: str) -> None:
        """Evaluate a suite by the clock from now on, in place of what was.

        Raises:
            ScheduleRefusedError: Scheduler does not take the expression.
        """
        due = DueEvent(detail=DueEvaluation(suite=suite, scheduled_time="<aws.scheduler.scheduled-time>"))
        schedule = {
            "Name": suite,
            "GroupName": self.group,
            "ScheduleExpression": expression,
            "ScheduleExpressionTimezone": timezone,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {
                "Arn": self.function_arn,
                "RoleArn": self.role_arn,
                "Input": due.model_dump_json(by_alias=True),
                "RetryPolicy": {
                    "MaximumEventAgeInSeconds": DELIVERY_SECONDS,
                    "MaximumRetryAttempts": DELIVERY_ATTEMPTS,
                },
                "DeadLetterConfig": {"Arn": self.dead_letters_arn},
            },
        }
        try:
            self._update_or_create(schedule)
        except ClientError as error:
            message = error.response["Error"]["Message"]
            # A role that cannot be assumed is the stack's fault, and no config's.
            if code_of(error) == "ValidationException" and "role" not in message.lower():
                raise ScheduleRefusedError(message) from error
            raise

    @transient_faults()
    def remove(self, suite: str) -> None:
        """Evaluate a suite by the clock no more; a suite without a schedule stays so."""
        try:
            self.client.delete_schedule(Name=suite, GroupName=self.group)
        except ClientError as error:
            if code_of(error) != "ResourceNotFoundException":
                raise

    def _update_or_create(self, schedule: dict[str, Any]) -> None:
        try:
            self.client.update_schedule(**schedule)
        except ClientError as error:
            if code_of(error) != "ResourceNotFoundException":
                raise
            self.client.create_schedule(**schedule)
