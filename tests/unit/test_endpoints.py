"""Endpoints are awaited and released, and what is not ours stays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from assay.aws.endpoints import EndpointFailedError, Endpoints, Released
from assay.contracts.config import SuiteConfig
from assay.contracts.errors import TransientError
from assay.contracts.serving import Serving
from assay.pipeline.release import release_all
from tests.unit.test_reconcile import Sharing

MINE, OTHER = "0" * 32, "1" * 32


@pytest.fixture
def sagemaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield boto3.client("sagemaker")


def create(sagemaker: Any, name: str, tags: list[dict[str, str]]) -> None:
    role = "arn:aws:iam::123456789012:role/r"
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"Image": "i"}, Tags=tags)
    variant = {"VariantName": "v", "ModelName": name, "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], Tags=tags)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=tags)


def left(sagemaker: Any) -> tuple[int, int, int]:
    return (
        len(sagemaker.list_endpoints()["Endpoints"]),
        len(sagemaker.list_endpoint_configs()["EndpointConfigs"]),
        len(sagemaker.list_models()["Models"]),
    )


def test_what_this_evaluation_created_is_released_whole(sagemaker: Any) -> None:
    endpoints = Endpoints("assay")
    create(sagemaker, "e", endpoints.tags(MINE, "suite"))
    assert endpoints.release("e", MINE) == Released("e", released=True)
    assert left(sagemaker) == (0, 0, 0)


def test_releasing_twice_is_no_fault(sagemaker: Any) -> None:
    endpoints = Endpoints("assay")
    create(sagemaker, "e", endpoints.tags(MINE, "suite"))
    endpoints.release("e", MINE)
    assert endpoints.release("e", MINE) == Released("e", released=False, reason="nothing was there")


def test_what_a_dead_step_left_half_created_is_released(sagemaker: Any) -> None:
    endpoints = Endpoints("assay")
    create(sagemaker, "e", endpoints.tags(MINE, "suite"))
    sagemaker.delete_endpoint(EndpointName="e")
    assert endpoints.release("e", MINE).released
    assert left(sagemaker) == (0, 0, 0)


@pytest.mark.parametrize(
    ("owner", "evaluation", "reason"),
    [("assay", OTHER, f"evaluation {OTHER} uses it"), ("another-stack", MINE, "not created by Assay")],
)
def test_what_somebody_else_created_stays(sagemaker: Any, owner: str, evaluation: str, reason: str) -> None:
    create(sagemaker, "e", Endpoints(owner).tags(evaluation, "suite"))
    assert Endpoints("assay").release("e", MINE) == Released("e", released=False, reason=reason)
    assert left(sagemaker) == (1, 1, 1)


def test_an_endpoint_without_tags_stays(sagemaker: Any) -> None:
    create(sagemaker, "e", [])
    assert not Endpoints("assay").release("e", MINE).released
    assert left(sagemaker) == (1, 1, 1)


class Described:
    """A client that tells one status after another; the clock moves with each sleep."""

    def __init__(self, *statuses: dict[str, str]) -> None:
        self.statuses = list(statuses)
        self.now = 0.0

    def describe_endpoint(self, **_: str) -> dict[str, str]:
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def endpoints(self) -> Endpoints:
        return Endpoints("assay", client=self, sleep=self.sleep, clock=lambda: self.now)


def test_waiting_ends_when_the_endpoint_is_in_service() -> None:
    client = Described({"EndpointStatus": "Creating"}, {"EndpointStatus": "Creating"}, {"EndpointStatus": "InService"})
    client.endpoints().wait_in_service("e", 60)
    assert client.now == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ({"EndpointStatus": "Failed", "FailureReason": "no capacity"}, "no capacity"),
        ({"EndpointStatus": "Deleting"}, "endpoint e is Deleting"),
        ({"EndpointStatus": "Creating"}, "endpoint e was still Creating after 60 s"),
    ],
)
def test_an_endpoint_that_will_not_serve_is_told_with_its_reason(description: dict[str, str], reason: str) -> None:
    client = Described(description)
    with pytest.raises(EndpointFailedError, match=reason):
        client.endpoints().wait_in_service("e", 60)
    assert client.now <= 60


def test_a_delete_that_is_refused_may_be_tried_again(sagemaker: Any) -> None:
    endpoints = Endpoints("assay")
    create(sagemaker, "e", endpoints.tags(MINE, "suite"))

    class Refusing:
        def __getattr__(self, name: str) -> Any:
            return getattr(sagemaker, name)

        def delete_endpoint_config(self, **_: str) -> None:
            error = {"Error": {"Code": "ThrottlingException", "Message": "slow down"}}
            raise sagemaker.exceptions.ClientError(error, "DeleteEndpointConfig")

    with pytest.raises(TransientError, match="slow down"):
        Endpoints("assay", client=Refusing()).release("e", MINE)
    assert endpoints.release("e", MINE).released
    assert left(sagemaker) == (0, 0, 0)


def throttled(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, operation)


def test_a_throttled_look_does_not_end_the_wait() -> None:
    class Throttling(Described):
        throttles = 1

        def describe_endpoint(self, **names: str) -> dict[str, str]:
            if self.throttles:
                self.throttles -= 1
                raise throttled("DescribeEndpoint")
            return super().describe_endpoint(**names)

    client = Throttling({"EndpointStatus": "Creating"}, {"EndpointStatus": "InService"})
    client.endpoints().wait_in_service("e", 60)
    assert client.now == pytest.approx(1.5)


@pytest.mark.parametrize("operation", ["describe_endpoint", "describe_endpoint_config", "describe_model"])
def test_a_look_that_is_throttled_while_releasing_may_be_tried_again(sagemaker: Any, operation: str) -> None:
    create(sagemaker, "e", Endpoints("assay").tags(MINE, "suite"))

    class Throttling:
        def __getattr__(self, name: str) -> Any:
            return self._refuse if name == operation else getattr(sagemaker, name)

        def _refuse(self, **_: str) -> None:
            raise throttled(operation)

    with pytest.raises(TransientError, match="Rate exceeded"):
        Endpoints("assay", client=Throttling()).release("e", MINE)


def test_one_endpoint_that_cannot_be_looked_at_does_not_keep_the_others_running(sagemaker: Any) -> None:
    section = {"provider": "jumpstart", "model_id": "m", "deployment_config": {"instance_type": "ml.m5.xlarge"}}
    config = SuiteConfig.model_validate(
        {
            "pipeline": {"name": "suite"},
            "dataset": {"input_data_location": "x.jsonl"},
            "models": [{**section, "name": name, "endpoint_name": name} for name in ("first", "second")],
            "algorithms": ["FactualKnowledge"],
        }
    )
    for name in ("first", "second"):
        create(sagemaker, name, Endpoints("assay").tags(MINE, "suite"))

    class Throttling:
        def __getattr__(self, name: str) -> Any:
            return getattr(sagemaker, name)

        def describe_endpoint(self, **names: str) -> Any:
            if names["EndpointName"] == "first":
                raise throttled("DescribeEndpoint")
            return sagemaker.describe_endpoint(**names)

    with pytest.raises(TransientError, match="Rate exceeded"):
        release_all(config, MINE, Endpoints("assay", client=Throttling()), Sharing())
    assert [item["EndpointName"] for item in sagemaker.list_endpoints()["Endpoints"]] == ["first"]


class Stubborn:
    """An endpoint that is being created for a while, and whose first deletes are refused."""

    def __init__(self, sagemaker: Any, creating: int, refusals: int) -> None:
        self.sagemaker, self.creating, self.refusals, self.now = sagemaker, creating, refusals, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sagemaker, name)

    def describe_endpoint(self, **names: str) -> dict[str, Any]:
        found: dict[str, Any] = self.sagemaker.describe_endpoint(**names)
        self.creating -= 1
        return {**found, "EndpointStatus": "Creating"} if self.creating >= 0 else found

    def delete_endpoint(self, **names: str) -> None:
        self.refusals -= 1
        if self.refusals >= 0:
            error = {"Error": {"Code": "ValidationException", "Message": "in use"}}
            raise self.sagemaker.exceptions.ClientError(error, "DeleteEndpoint")
        self.sagemaker.delete_endpoint(**names)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def endpoints(self) -> Endpoints:
        return Endpoints("assay", client=self, sleep=self.sleep, clock=lambda: self.now)


def test_an_endpoint_that_is_being_created_is_released_when_it_has_settled(sagemaker: Any) -> None:
    create(sagemaker, "e", Endpoints("assay").tags(MINE, "suite"))
    client = Stubborn(sagemaker, creating=3, refusals=2)
    endpoints = client.endpoints()
    assert endpoints.settled("e", 600, lambda: endpoints.release("e", MINE)).released
    assert left(sagemaker) == (0, 0, 0)


def test_an_endpoint_that_never_settles_is_told(sagemaker: Any) -> None:
    create(sagemaker, "e", Endpoints("assay").tags(MINE, "suite"))
    client = Stubborn(sagemaker, creating=10_000, refusals=0)
    endpoints = client.endpoints()
    with pytest.raises(TransientError, match="still being created after 600 s"):
        endpoints.settled("e", 600, lambda: endpoints.release("e", MINE))
    assert client.now <= 600


def test_an_endpoint_says_what_it_serves_and_whose_it_is(sagemaker: Any) -> None:
    endpoints = Endpoints("assay")
    create(sagemaker, "e", endpoints.tags(MINE, "suite", "some-model:1.0.0"))
    assert endpoints.look("e") == Serving("InService", MINE, "some-model:1.0.0", "ml.m5.xlarge", 1)
    of_the_sdk = {"sagemaker-sdk:jumpstart-model-id": "m", "sagemaker-sdk:jumpstart-model-version": "2.0.0"}
    create(sagemaker, "f", [{"Key": key, "Value": value} for key, value in of_the_sdk.items()])
    assert endpoints.look("f") == Serving("InService", None, "m:2.0.0", "ml.m5.xlarge", 1)
    create(sagemaker, "g", [])
    assert endpoints.look("g") == Serving("InService", None, "", "ml.m5.xlarge", 1)
    assert endpoints.look("other") is None


@pytest.mark.parametrize(
    ("serving", "hardware"),
    [
        (Serving("InService", None, "", "ml.m5.xlarge", 1), "ml.m5.xlarge"),
        (Serving("InService", None, "", None, None, serverless_mb=4096), "serverless 4096 MB"),
        (Serving("InService", None, "", None, None), None),
    ],
)
def test_an_endpoint_runs_on_instances_or_on_memory_or_nobody_knows(serving: Serving, hardware: str | None) -> None:
    assert serving.hardware == hardware


def test_releasing_all_tries_again_while_there_is_time(sagemaker: Any) -> None:
    create(sagemaker, "e", Endpoints("assay").tags(MINE, "suite"))
    client = Stubborn(sagemaker, creating=0, refusals=2)
    models = [
        {"name": "a", "model_id": "m", "endpoint_name": "e", "deployment_config": {"instance_type": "ml.m5.xlarge"}}
    ]
    suite = SuiteConfig.model_validate(
        {
            "pipeline": {"name": "s"},
            "dataset": {"input_data_location": "x.jsonl"},
            "models": models,
            "algorithms": ["FactualKnowledge"],
        }
    )
    with pytest.raises(TransientError, match="in use"):
        release_all(suite, MINE, client.endpoints(), Sharing(), clock=lambda: client.now, sleep=client.sleep)
    results = release_all(
        suite, MINE, client.endpoints(), Sharing(), seconds=60, clock=lambda: client.now, sleep=client.sleep
    )
    assert [item.released for item in results] == [True]
    assert left(sagemaker) == (0, 0, 0)
