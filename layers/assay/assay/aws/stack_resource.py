"""A resource of a CloudFormation stack that a function carries out: what it is asked, and how it answers.

The protocol is CloudFormation's for custom resources: a request has a URL, to which the answer is put.
"""

from __future__ import annotations

import json
from typing import Any

import boto3
import urllib3
from aws_lambda_powertools.utilities.data_classes import CloudFormationCustomResourceEvent

# CloudFormation reads no more of an answer than 4,096 bytes.
LONGEST_REASON = 1_000
_RETRIES = urllib3.Retry(5, backoff_factor=1.0, status_forcelist=(500, 502, 503, 504), allowed_methods={"PUT"})


def is_request(event: dict[str, Any]) -> bool:
    """Whether an event is CloudFormation's."""
    return "RequestType" in event and "ResponseURL" in event


def goes_with_its_stack(request: CloudFormationCustomResourceEvent, cloudformation: Any = None) -> bool:
    """Whether the resource is deleted because the whole stack is, and not by an update or the end of a failed one."""
    if request.request_type != "Delete":
        return False
    client = cloudformation if cloudformation is not None else boto3.client("cloudformation")
    [stack] = client.describe_stacks(StackName=request.stack_id)["Stacks"]
    return bool(stack["StackStatus"] == "DELETE_IN_PROGRESS")


def answer(request: CloudFormationCustomResourceEvent, name: str, failure: str | None = None) -> None:
    """Tell CloudFormation that the request was carried out, or why it was not.

    Args:
        name: the physical id of the resource, the same each time: another one would replace it.
        failure: None for success.

    Raises:
        urllib3.exceptions.HTTPError: the answer could not be put.
    """
    body = {
        "Status": "SUCCESS" if failure is None else "FAILED",
        "Reason": (failure or "carried out")[:LONGEST_REASON],
        "PhysicalResourceId": name,
        "StackId": request.stack_id,
        "RequestId": request.request_id,
        "LogicalResourceId": request.logical_resource_id,
    }
    # The URL is signed for a request without a content type.
    put = urllib3.request(
        "PUT",
        request.response_url,
        body=json.dumps(body).encode(),
        headers={"Content-Type": ""},
        retries=_RETRIES,
        timeout=30.0,
    )
    if put.status != 200:
        raise urllib3.exceptions.HTTPError(f"CloudFormation took no answer: {put.status}")
