"""How the model packages stand that evaluations registered, and the machine that tells of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.exceptions import ClientError

from assay.aws.faults import code_of, transient_faults
from assay.aws.machine import Machine
from assay.contracts.reconciliation import DeadAnnouncement, PackageStatus

LARGEST_BATCH = 100
WAITING = "PendingManualApproval"
SUBJECT = "ModelPackageArn"
# The machine ends with these when the package is of an evaluation that nobody knows, or something newer was told of it.
ENDED_ON_PURPOSE = {"UnknownEvaluation", "DynamoDB.ConditionalCheckFailedException"}


class RegisteredPackages:
    """Versions in the Model Registry.

    Args:
        client: a boto3 SageMaker client; one of its own by default.
    """

    def __init__(self, client: Any = None) -> None:
        self._client = client if client is not None else boto3.client("sagemaker")

    def statuses(self, arns: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Each package's ARN with its approval status; one that was deleted, or is not told of this time, is left out.

        Raises:
            TransientError: SageMaker did not answer at all.
        """
        for first in range(0, len(arns), LARGEST_BATCH):
            batch = list(arns[first : first + LARGEST_BATCH])
            with transient_faults():
                found = self._client.batch_describe_model_package(ModelPackageArnList=batch)
            for arn, summary in found.get("ModelPackageSummaries", {}).items():
                yield str(arn), str(summary.get("ModelApprovalStatus", WAITING))

    @transient_faults()
    def status(self, arn: str) -> PackageStatus | None:
        """How a package stands, and since when; None when it was deleted.

        Raises:
            TransientError: SageMaker did not answer.
        """
        try:
            package = self._client.describe_model_package(ModelPackageName=arn)
        except ClientError as error:
            if code_of(error) == "ValidationException" and "does not exist" in str(error):
                return None
            raise
        return PackageStatus(
            status=package.get("ModelApprovalStatus", WAITING),
            changed_at=package.get("LastModifiedTime") or package["CreationTime"],
        )


class ApprovalAnnouncements:
    """The executions of `announce_approval`.

    Args:
        machine_arn: of the state machine.
        client: a boto3 Step Functions client; one of its own by default.
        now: the time, with its zone.
    """

    def __init__(
        self, machine_arn: str, client: Any = None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._machine = Machine(machine_arn, SUBJECT, ENDED_ON_PURPOSE, client, now)

    def tell(self, evaluation_id: str, package_arn: str, found: PackageStatus) -> bool:
        """Have the machine look at a package as its event would have; False when that was done before.

        The execution is named by what it is to tell. The machine itself reads how the package stands, and tells of that
        once, whoever else started it.
        """
        moment = int(found.changed_at.timestamp() * 1000)
        return self._machine.start(f"{evaluation_id}-{found.status}-{moment}", {SUBJECT: package_arn})

    def dead(self) -> Iterator[DeadAnnouncement]:
        """Executions that ended otherwise than the machine means to, and can still go on.

        Raises:
            TransientError: Step Functions did not answer.
        """
        for found in self._machine.dead():
            yield DeadAnnouncement(found.arn, found.subject)

    def redrive(self, arn: str) -> None:
        """Let an execution go on at the state where it died; what it had told it does not tell again."""
        self._machine.redrive(arn)
