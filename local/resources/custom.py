"""Custom resources: a function of the template carries them out, asked and answering by CloudFormation's protocol."""

from __future__ import annotations

import json
import time
import uuid
from concurrent.futures import TimeoutError as NotYetError
from typing import Any

from local import stack_answers
from local.cloud import LocalCloudError
from local.resources.resource import Resource

DEFAULT_SECONDS = 3600


class CustomResource(Resource):
    """`AWS::CloudFormation::CustomResource`, and `Custom::` with any name."""

    type_name = "AWS::CloudFormation::CustomResource"

    def create(self) -> None:
        [stack] = self.aws("cloudformation").describe_stacks(StackName=self.name.partition("/")[0])["Stacks"]
        self._stack = str(stack["StackId"])
        self._take(self._ask("Create"))

    def update(self) -> None:
        answer = self._ask("Update", PhysicalResourceId=self.physical_resource_id, OldResourceProperties=self.previous)
        if answer["PhysicalResourceId"] != self.physical_resource_id:
            raise LocalCloudError("an update that gives another PhysicalResourceId is not carried out")
        self._take(answer)

    def remove(self) -> None:
        self._ask("Delete", PhysicalResourceId=self.physical_resource_id)

    @classmethod
    def generated_name(cls, stack: str, logical_id: str) -> str:
        return f"{stack}/{logical_id}"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return bool(attr)

    def _take(self, answer: dict[str, Any]) -> None:
        self.physical_resource_id = answer["PhysicalResourceId"]
        self.attributes = {name: str(value) for name, value in answer.get("Data", {}).items()}

    def _ask(self, kind: str, **more: Any) -> dict[str, Any]:
        """Have the function do it, and wait for its answer.

        Raises:
            LocalCloudError: it said that it failed, or nothing in `ServiceTimeout`.
        """
        path, answer = stack_answers.expect()
        request = {
            "RequestType": kind,
            "ResponseURL": f"{self.cloud.settings.endpoint_url}{path}",
            "StackId": self._stack,
            "RequestId": str(uuid.uuid4()),
            "LogicalResourceId": self.logical_resource_id,
            "ResourceType": self.type_in_template,
            "ResourceProperties": self.properties,
            "ServiceToken": self.properties["ServiceToken"],
            **more,
        }
        self.aws("lambda").invoke(
            FunctionName=self.properties["ServiceToken"], InvocationType="Event", Payload=json.dumps(request).encode()
        )
        seconds = float(self.properties.get("ServiceTimeout", DEFAULT_SECONDS))
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.cloud.stopping.is_set():
            try:
                found = answer.result(timeout=0.5)
            except NotYetError:
                continue
            if found["Status"] != "SUCCESS":
                raise LocalCloudError(f"its function answered {found['Status']}: {found.get('Reason')}")
            return found
        stack_answers.give_up(path)
        raise LocalCloudError(f"its function did not answer within {seconds:g} s")
