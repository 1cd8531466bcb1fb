"""SageMaker endpoints: found, awaited, and released. What Assay did not create it never deletes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import boto3
from botocore.exceptions import ClientError

from assay.aws.faults import transient_faults
from assay.contracts.errors import TransientError
from assay.contracts.serving import Serving

T = TypeVar("T")
OWNER_TAG = "assay:owner"
EVALUATION_TAG = "assay:evaluation"
SUITE_TAG = "assay:suite"
MODEL_TAG = "assay:model"
# ARNs have names in lower case; the name in its own case is what an API call takes.
NAME_TAG = "assay:name"
# The SageMaker SDK's own tags on what it deploys from JumpStart.
JUMPSTART_TAG = "sagemaker-sdk:jumpstart-model"


class EndpointFailedError(Exception):
    """An endpoint cannot be used; the message is SageMaker's reason."""


@dataclass(frozen=True)
class Released:
    """What came of releasing an endpoint; `reason` says why it was left, when it was."""

    endpoint_name: str
    released: bool
    reason: str = ""


class Endpoints:
    """The endpoints of one account and region. A passing fault of SageMaker is a TransientError everywhere.

    Args:
        owner: value of the tag `assay:owner` that marks what this stack created.
        client: a boto3 SageMaker client; one of its own by default.
        sleep, clock: waiting and monotonic seconds.
    """

    def __init__(
        self,
        owner: str,
        client: Any = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._owner = owner
        self._client = client if client is not None else boto3.client("sagemaker")
        self._sleep = sleep
        self._clock = clock

    def tags(self, evaluation_id: str, suite: str, model: str = "", name: str = "") -> list[dict[str, str]]:
        """Tags for whatever an evaluation creates.

        Args:
            model: which model an endpoint serves, and its version.
            name: the endpoint's, which its configuration and its model have too.
        """
        values = {OWNER_TAG: self._owner, EVALUATION_TAG: evaluation_id, SUITE_TAG: suite}
        if model:
            values[MODEL_TAG] = model
        if name:
            values[NAME_TAG] = name
        return [{"Key": key, "Value": value} for key, value in values.items()]

    def status(self, name: str) -> str | None:
        """`InService`, `Creating`, `Failed`, …; None where there is no such endpoint."""
        description = self._describe(name)
        return None if description is None else str(description["EndpointStatus"])

    @transient_faults()
    def look(self, name: str) -> Serving | None:
        """The endpoint as it is: whose, which model by its tags or JumpStart's, and on what; None when not there."""
        description = self._describe(name)
        if description is None:
            return None
        tags = self._tags_of(description["EndpointArn"])
        jumpstart = [tags.get(f"{JUMPSTART_TAG}-{part}", "") for part in ("id", "version")]
        config = _found(self._client.describe_endpoint_config, EndpointConfigName=description["EndpointConfigName"])
        variant = {} if config is None else config["ProductionVariants"][0]
        return Serving(
            status=description["EndpointStatus"],
            evaluation_id=tags.get(EVALUATION_TAG) if tags.get(OWNER_TAG) == self._owner else None,
            model=tags.get(MODEL_TAG) or (":".join(jumpstart) if all(jumpstart) else ""),
            instance_type=variant.get("InstanceType"),
            instances=variant.get("InitialInstanceCount"),
            asynchronous="AsyncInferenceConfig" in description,
            serverless_mb=variant.get("ServerlessConfig", {}).get("MemorySizeInMB"),
        )

    def wait_in_service(self, name: str, seconds: float, poll_seconds: float = 5.0) -> None:
        """Return once the endpoint is in service.

        Raises:
            EndpointFailedError: it failed, vanished or took longer than `seconds`.
        """
        deadline = self._clock() + seconds
        pause = min(0.5, poll_seconds)
        status = "unknown"
        while True:
            try:
                description = self._describe(name)
            except TransientError:
                description = {"EndpointStatus": status}  # a throttled look says nothing of the endpoint
            if description is None:
                raise EndpointFailedError(f"endpoint {name} does not exist")
            status = description["EndpointStatus"]
            if status == "InService":
                return
            if status in {"Failed", "OutOfService", "Deleting"}:
                raise EndpointFailedError(description.get("FailureReason") or f"endpoint {name} is {status}")
            if self._clock() + pause > deadline:
                raise EndpointFailedError(f"endpoint {name} was still {status} after {seconds:.0f} s")
            self._sleep(pause)
            pause = min(pause * 2, poll_seconds)

    def settled(self, name: str, seconds: float, release: Callable[[], T], poll_seconds: float = 10.0) -> T:
        """Release an endpoint once it is no longer being created, and try again what SageMaker refused.

        Raises:
            TransientError: it could not be released within `seconds`.
        """
        deadline = self._clock() + seconds
        while True:
            try:
                if self.status(name) not in {"Creating", "Updating"}:
                    return release()
                fault = TransientError(f"endpoint {name} was still being created after {seconds:.0f} s")
            except TransientError as error:
                fault = error
            if self._clock() + poll_seconds > deadline:
                raise fault
            self._sleep(poll_seconds)

    def wait_gone(self, name: str, seconds: float, poll_seconds: float = 5.0) -> bool:
        """Wait until no endpoint has that name; False when one still does after `seconds`."""
        deadline = self._clock() + seconds
        while self._describe(name) is not None:
            if self._clock() + poll_seconds > deadline:
                return False
            self._sleep(poll_seconds)
        return True

    @transient_faults()
    def release(self, name: str, evaluation_id: str) -> Released:
        """Delete the endpoint, its configuration and its model where this evaluation created them.

        Parts that are gone already are no fault, so it may be called as often as one likes.

        Raises:
            TransientError: SageMaker did not delete something; calling again may.
        """
        description = self._describe(name)
        if description is not None:
            if (evaluation := self._evaluation_of(description["EndpointArn"])) != evaluation_id:
                whose = "not created by Assay" if evaluation is None else f"evaluation {evaluation} uses it"
                return Released(name, released=False, reason=whose)
            self._delete("delete_endpoint", EndpointName=name)
        existed = description is not None
        for part, describe, delete in (
            ("EndpointConfig", self._client.describe_endpoint_config, "delete_endpoint_config"),
            ("Model", self._client.describe_model, "delete_model"),
        ):
            found = _found(describe, **{f"{part}Name": name})
            if found is not None and self._evaluation_of(found[f"{part}Arn"]) == evaluation_id:
                self._delete(delete, **{f"{part}Name": name})
                existed = True
        return Released(name, released=existed, reason="" if existed else "nothing was there")

    @transient_faults()
    def _describe(self, name: str) -> dict[str, Any] | None:
        return _found(self._client.describe_endpoint, EndpointName=name)

    @transient_faults()
    def _tags_of(self, arn: str) -> dict[str, str]:
        pages = self._client.get_paginator("list_tags").paginate(ResourceArn=arn)
        return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}

    def _evaluation_of(self, arn: str) -> str | None:
        tags = self._tags_of(arn)
        return tags.get(EVALUATION_TAG) if tags.get(OWNER_TAG) == self._owner else None

    def _delete(self, operation: str, **names: str) -> None:
        try:
            getattr(self._client, operation)(**names)
        except ClientError as error:
            if not is_absent(error):
                raise TransientError(f"{operation} {names}: {error.response['Error']['Message']}") from error


def _found(describe: Callable[..., dict[str, Any]], **names: str) -> dict[str, Any] | None:
    try:
        return describe(**names)
    except ClientError as error:
        if is_absent(error):
            return None
        raise


def is_absent(error: ClientError) -> bool:
    """Whether SageMaker says that something is not there; it has no error code of its own for that."""
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"].lower()
    return code in {"ResourceNotFound", "ResourceNotFoundException"} or (
        code == "ValidationException" and ("could not find" in message or "does not exist" in message)
    )
