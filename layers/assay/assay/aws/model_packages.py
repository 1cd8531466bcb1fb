"""Model packages as a request names them: what their registration wrote about them."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.exceptions import ClientError

from assay.aws.faults import code_of, transient_faults
from assay.contracts.errors import ModelPackageRefusedError


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
            package = self._client.describe_model_package(ModelPackageName=arn)
        except ClientError as error:
            message = str(error.response["Error"].get("Message") or error)
            if code_of(error) == "ValidationException" and "does not exist" in message:
                return None
            if code_of(error) in ("AccessDeniedException", "ValidationException"):
                raise ModelPackageRefusedError(message) from error
            raise
        return dict(package.get("CustomerMetadataProperties", {}))
