"""Endpoints are awaited and released, and what is not ours stays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from assay.aws.endpoints import EndpointFailedError, Endpoints, Released
from assay.contracts.errors import TransientError

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
