"""What a stack created in SageMaker, found by its tag, wherever the evaluation is that asked for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import boto3
from botocore.exceptions import ClientError

from assay.aws.endpoints import EVALUATION_TAG, NAME_TAG, OWNER_TAG, is_absent
from assay.aws.faults import transient_faults
from assay.contracts.errors import TransientError
from assay.contracts.reconciliation import Owned

# Kind, as its ARN says, and the name's parameter in the API.
_PARAMETERS = {"endpoint": "EndpointName", "endpoint-config": "EndpointConfigName", "model": "ModelName"}


class OwnedResources:
    """Endpoints, endpoint configurations and models with the tag `assay:owner` of this stack.

    Args:
        owner: the tag's value.
        sagemaker, tagging: boto3 clients of SageMaker and of the Resource Groups Tagging API.
    """

    def __init__(self, owner: str, sagemaker: Any = None, tagging: Any = None) -> None:
        self._owner = owner
        self._sagemaker = sagemaker if sagemaker is not None else boto3.client("sagemaker")
        self._tagging = tagging if tagging is not None else boto3.client("resourcegroupstaggingapi")

    def owned(self) -> Iterator[Owned]:
        """Everything that has the tag. The list may be behind by a little: `delete` looks again.

        Raises:
            TransientError: the service did not answer.
        """
        with transient_faults():
            pages = self._tagging.get_paginator("get_resources").paginate(
                TagFilters=[{"Key": OWNER_TAG, "Values": [self._owner]}],
                ResourceTypeFilters=[f"sagemaker:{kind}" for kind in _PARAMETERS],
            )
            for page in pages:
                for item in page["ResourceTagMappingList"]:
                    tags = {tag["Key"]: tag["Value"] for tag in item["Tags"]}
                    kind, _, name = str(item["ResourceARN"]).rpartition(":")[2].partition("/")
                    # SageMaker writes names into ARNs in lower case.
                    if tags.get(NAME_TAG, "").lower() == name.lower():
                        name = tags[NAME_TAG]
                    yield Owned(kind, name, item["ResourceARN"], tags.get(EVALUATION_TAG, ""))

    @transient_faults()
    def created_at(self, resource: Owned) -> datetime | None:
        """When it was created; None when it is gone."""
        found = self._describe(resource)
        return None if found is None else found["CreationTime"]

    @transient_faults()
    def delete(self, resource: Owned) -> bool:
        """Delete it if it still has the tags that it was found by; False when it is gone, going, or another's by now.

        Raises:
            TransientError: SageMaker did not delete it, such as an endpoint that it is still creating.
        """
        found = self._describe(resource)
        if found is None or found.get("EndpointStatus") == "Deleting":
            return False
        pages = self._sagemaker.get_paginator("list_tags").paginate(ResourceArn=resource.arn)
        try:
            tags = {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}
        except ClientError as error:
            if is_absent(error):
                return False
            raise
        if tags.get(OWNER_TAG) != self._owner or tags.get(EVALUATION_TAG, "") != resource.evaluation_id:
            return False
        delete = getattr(self._sagemaker, f"delete_{resource.kind.replace('-', '_')}")
        try:
            delete(**{_PARAMETERS[resource.kind]: resource.name})
        except ClientError as error:
            if is_absent(error):
                return False
            raise TransientError(f"{resource.arn}: {error.response['Error']['Message']}") from error
        return True

    def _describe(self, resource: Owned) -> dict[str, Any] | None:
        describe = getattr(self._sagemaker, f"describe_{resource.kind.replace('-', '_')}")
        try:
            found: dict[str, Any] = describe(**{_PARAMETERS[resource.kind]: resource.name})
        except ClientError as error:
            if is_absent(error):
                return None
            raise
        return found
