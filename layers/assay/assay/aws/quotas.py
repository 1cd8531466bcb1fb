"""The account's quotas on endpoints, from Service Quotas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from assay.contracts.lanes import Quotas

# As Service Quotas names them: "ml.g5.2xlarge for endpoint usage", in instances.
SUFFIX = " for endpoint usage"


class ServiceQuotas:
    """What Service Quotas says of one account and region.

    Args:
        client: a boto3 client of service-quotas; one of its own by default.
    """

    def __init__(self, client: Any = None) -> None:
        self._client = client if client is not None else boto3.client("service-quotas")

    def endpoint_instances(self, instance_types: Iterable[str]) -> Quotas:
        """Instances of each type that may serve endpoints. What cannot be read is left out, and the fault said.

        A quota is found by its name, since its code differs from type to type: all of SageMaker's are paged through
        until each was met. One that nobody ever raised may have no applied value, and then AWS's default is what holds.
        """
        wanted = {f"{instance_type}{SUFFIX}": instance_type for instance_type in instance_types}
        found: dict[str, int] = {}
        try:
            for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
                self._read(operation, wanted, found)
        except ClientError as error:
            return Quotas(found, f"Service Quotas answered {error.response['Error']['Code']}")
        except BotoCoreError as error:
            return Quotas(found, f"Service Quotas did not answer: {type(error).__name__}")
        return Quotas(found)

    def _read(self, operation: str, wanted: Mapping[str, str], found: dict[str, int]) -> None:
        """Add to `found` what one of the two lists says of types that are not in it yet."""
        if len(found) == len(wanted):
            return
        for page in self._client.get_paginator(operation).paginate(ServiceCode="sagemaker"):
            for quota in page["Quotas"]:
                if quota["QuotaName"] in wanted:
                    found.setdefault(wanted[quota["QuotaName"]], int(quota["Value"]))
            if len(found) == len(wanted):
                return
