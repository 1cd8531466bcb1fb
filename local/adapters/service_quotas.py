"""Service Quotas: how many instances of each type may serve endpoints here, so that a quota can be met on one machine.

`POST /_local/quotas` with `{"ml.g5.2xlarge": 1}` sets quotas; they hold until the cloud ends. As in an account where
nobody asked for more, the others have a default and no applied value.
"""

from __future__ import annotations

import json
from typing import Any

from moto.servicequotas import responses
from werkzeug.wrappers import Request, Response

from local.adapters.sagemaker_endpoints import QUOTA_INSTANCES, endpoints_of, instance_types
from local.cloud import ACCOUNT_ID, Cloud, require
from local.front import local_path

LARGEST_PAGE = 100

_Response = require(responses, "ServiceQuotasResponse")
require(_Response, "list_aws_default_service_quotas")


def install(cloud: Cloud) -> None:
    quotas = endpoints_of(cloud).quotas

    def list_service_quotas(self: Any) -> str:
        return _page(cloud, json.loads(self.body), quotas.applied())

    def list_aws_default_service_quotas(self: Any) -> str:
        return _page(cloud, json.loads(self.body), dict.fromkeys(instance_types(), QUOTA_INSTANCES))

    def change(request: Request) -> Response:
        for name, instances in request.get_json().items():
            quotas.set(name, instances)
        return Response(status=204)

    _Response.list_service_quotas = list_service_quotas
    _Response.list_aws_default_service_quotas = list_aws_default_service_quotas
    local_path("quotas", change)


def _page(cloud: Cloud, request: dict[str, Any], instances: dict[str, int]) -> str:
    if request["ServiceCode"] != "sagemaker":
        raise NotImplementedError(f"the quotas of {request['ServiceCode']}")
    start = int(request.get("NextToken", 0))
    end = start + int(request.get("MaxResults", LARGEST_PAGE))
    # A code is the same in both lists.
    every = enumerate(sorted(instance_types()))
    found = [_quota(cloud, name, index, instances[name]) for index, name in every if name in instances]
    return json.dumps({"Quotas": found[start:end], **({"NextToken": str(end)} if end < len(found) else {})})


def _quota(cloud: Cloud, instance_type: str, index: int, instances: int) -> dict[str, Any]:
    code = f"L-{index:08X}"
    return {
        "ServiceCode": "sagemaker",
        "ServiceName": "Amazon SageMaker",
        "QuotaArn": f"arn:aws:servicequotas:{cloud.settings.region}:{ACCOUNT_ID}:sagemaker/{code}",
        "QuotaCode": code,
        "QuotaName": f"{instance_type} for endpoint usage",
        "Value": float(instances),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }
