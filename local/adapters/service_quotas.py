"""Service Quotas: how many instances of each type may serve endpoints here, so that a quota can be met on one machine.

`POST /_local/quotas` with `{"ml.g5.2xlarge": 1}` sets quotas; they hold until the cloud ends.
"""

from __future__ import annotations

import json
from typing import Any

from moto.servicequotas import responses
from werkzeug.wrappers import Request, Response

from local.adapters.sagemaker_endpoints import endpoints_of, instance_types
from local.cloud import ACCOUNT_ID, Cloud, require
from local.front import local_path

LARGEST_PAGE = 100

_Response = require(responses, "ServiceQuotasResponse")
require(_Response, "list_aws_default_service_quotas")


def install(cloud: Cloud) -> None:
    quotas = endpoints_of(cloud).quotas

    def list_service_quotas(self: Any) -> str:
        request = json.loads(self.body)
        if request["ServiceCode"] != "sagemaker":
            raise NotImplementedError(f"the quotas of {request['ServiceCode']}")
        start = int(request.get("NextToken", 0))
        end = start + int(request.get("MaxResults", LARGEST_PAGE))
        names = sorted(instance_types())
        page = [_quota(cloud, name, index, quotas.of(name)) for index, name in enumerate(names)][start:end]
        return json.dumps({"Quotas": page, **({"NextToken": str(end)} if end < len(names) else {})})

    def change(request: Request) -> Response:
        for name, instances in request.get_json().items():
            quotas.set(name, instances)
        return Response(status=204)

    _Response.list_service_quotas = list_service_quotas
    local_path("quotas", change)


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
