"""Model packages in the Model Registry: what their registration wrote about them, and how they stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import boto3
from botocore.exceptions import ClientError

from assay.aws.faults import code_of, transient_faults
from assay.contracts.errors import ModelPackageRefusedError
from assay.contracts.reconciliation import PackageStatus

LARGEST_BATCH = 100
WAITING = "PendingManualApproval"


class ModelPackages:
    """The versions in the Model Registry.

    Args:
        client: a boto3 SageMaker client; one of its own by default.
    """

    def __init__(self, client: Any = None) -> None:
        self._client = client if client is not None else boto3.client("sagemaker")

    @transient_faults()
    def properties(self, arn: str) -> dict[str, str] | None:
        """What was written about a package when it was registered; None when there is no such package.

        Raises:
            ModelPackageRefusedError: it is of another account or region, or otherwise not to be seen from here.
            TransientError: SageMaker did not do its part.
        """
        try:
            package = self._described(arn)
        except ClientError as error:
            if code_of(error) in ("AccessDeniedException", "ValidationException"):
                raise ModelPackageRefusedError(_words_of(error)) from error
            raise
        return None if package is None else dict(package.get("CustomerMetadataProperties", {}))

    @transient_faults()
    def status(self, arn: str) -> PackageStatus | None:
        """How a package stands, and since when; None when there is no such package.

        Raises:
            TransientError: SageMaker did not do its part.
        """
        package = self._described(arn)
        if package is None:
            return None
        return PackageStatus(
            status=package.get("ModelApprovalStatus", WAITING),
            changed_at=package.get("LastModifiedTime") or package["CreationTime"],
        )

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

    def _described(self, arn: str) -> dict[str, Any] | None:
        try:
            package: dict[str, Any] = self._client.describe_model_package(ModelPackageName=arn)
        except ClientError as error:
            if code_of(error) == "ValidationException" and "does not exist" in _words_of(error):
                return None
            raise
        return package


def _words_of(error: ClientError) -> str:
    return str(error.response["Error"].get("Message") or error)
