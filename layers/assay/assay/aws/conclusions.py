"""Executions of the machine that concludes evaluations: started where an event was lost, redriven where one died."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from assay.aws.machine import Machine
from assay.contracts.reconciliation import DeadConclusion

SUBJECT = "pipelineExecutionDisplayName"
# The machine ends by itself with these when it has announced a failure, or has no evaluation to conclude.
ENDED_ON_PURPOSE = {"NotConcluded", "UnknownEvaluation"}


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
        self._machine = Machine(machine_arn, SUBJECT, ENDED_ON_PURPOSE, client, now)

    def start(self, evaluation_id: str, execution_arn: str, status: str) -> bool:
        """Hand an ended pipeline to the machine as its status event would have; False when that was done before.

        The execution is named by the evaluation, so that it is done once.
        """
        detail = {
            SUBJECT: evaluation_id,
            "currentPipelineExecutionStatus": status,
            "pipelineExecutionArn": execution_arn,
        }
        return self._machine.start(evaluation_id, detail)

    def dead(self) -> Iterator[DeadConclusion]:
        """Executions that ended otherwise than the machine means to, and can still go on.

        Raises:
            TransientError: Step Functions did not answer.
        """
        for found in self._machine.dead():
            yield DeadConclusion(found.arn, found.subject)

    def redrive(self, arn: str) -> None:
        """Let an execution go on at the state where it died; what it had done it does not do again."""
        self._machine.redrive(arn)
