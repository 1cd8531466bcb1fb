"""Endpoints are processes: they come into service, answer, fail with a reason, and end when they are deleted."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.adapters.sagemaker_endpoints import endpoints_of
from local.adapters.sagemaker_jumpstart import MODEL_VARIABLE
from local.events import bus
from tests.local.conftest import Running, eventually
from tests.local.sagemaker_support import ROLE, is_running, run_sdk

NEAREST = "nearest-neighbour-minilm"


def create(running: Running, name: str, model: str | None, instance_type: str = "ml.g5.xlarge") -> None:
    sagemaker = running.aws("sagemaker")
    environment = {MODEL_VARIABLE: model} if model else {}
    sagemaker.create_model(
        ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "image", "Environment": environment}
    )
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InstanceType": instance_type,
        "InitialInstanceCount": 1,
        "InitialVariantWeight": 1.0,
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    tags = [{"Key": "assay:evaluation", "Value": "e1"}]
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=tags)


def settled(running: Running, name: str) -> dict[str, Any]:
    """Wait until an endpoint is no longer being created, and describe it."""

    def described() -> dict[str, Any] | None:
        description: dict[str, Any] = running.aws("sagemaker").describe_endpoint(EndpointName=name)
        return description if description["EndpointStatus"] != "Creating" else None

    description: dict[str, Any] = eventually(described, timeout=60)
    return description


@pytest.fixture(scope="module")
def endpoint(running: Running) -> Iterator[str]:
    create(running, "nearest", NEAREST)
    assert settled(running, "nearest")["EndpointStatus"] == "InService"
    yield "nearest"
    running.aws("sagemaker").delete_endpoint(EndpointName="nearest")


def test_an_endpoint_in_service_answers_and_says_which_variant_did(running: Running, endpoint: str) -> None:
    answer = running.aws("sagemaker-runtime").invoke_endpoint(
        EndpointName=endpoint,
        ContentType="application/json",
        CustomAttributes="accept_eula=true",
        Body=json.dumps({"inputs": "In which city is the Eiffel Tower?"}),
    )
    assert json.loads(answer["Body"].read()) == [{"generated_text": "Paris"}]
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["CustomAttributes"] == "accept_eula=true"
    (variant,) = settled(running, endpoint)["ProductionVariants"]
    assert variant["CurrentInstanceCount"] == 1


def test_many_requests_at_once_are_all_answered(running: Running, endpoint: str) -> None:
    runtime = running.aws("sagemaker-runtime")
    body = json.dumps({"inputs": "In which city is the Eiffel Tower?"})

    def ask(_: int) -> Any:
        return json.loads(runtime.invoke_endpoint(EndpointName=endpoint, Body=body)["Body"].read())

    with ThreadPoolExecutor(64) as pool:
        assert list(pool.map(ask, range(128))) == [[{"generated_text": "Paris"}]] * 128


def test_a_payload_that_the_model_refuses_is_a_model_error_with_its_own_status(running: Running, endpoint: str) -> None:
    with pytest.raises(ClientError) as refused:
        running.aws("sagemaker-runtime").invoke_endpoint(EndpointName=endpoint, Body=b'{"inputs": 3}')
    response: dict[str, Any] = dict(refused.value.response)
    assert response["Error"]["Code"] == "ModelError"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == 400
    assert "'inputs' must be" in response["OriginalMessage"]


def test_an_endpoint_name_is_taken_until_the_endpoint_is_gone(running: Running, endpoint: str) -> None:
    sagemaker = running.aws("sagemaker")
    with pytest.raises(ClientError, match=r"ValidationException.*Cannot create already existing endpoint"):
        sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=endpoint)
    with pytest.raises(ClientError, match=r"Cannot create already existing endpoint.*endpoint/nearest"):
        sagemaker.create_endpoint(EndpointName=endpoint.title(), EndpointConfigName=endpoint)
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        sagemaker.create_endpoint(EndpointName="another", EndpointConfigName="another")


def test_an_instance_type_that_aws_does_not_have_is_refused(running: Running) -> None:
    with pytest.raises(ClientError, match=r"ml\.g5\.huge.*failed to satisfy constraint"):
        create(running, "huge", NEAREST, instance_type="ml.g5.huge")


def test_what_would_change_nothing_here_is_refused_and_not_passed_over(running: Running) -> None:
    sagemaker, image = running.aws("sagemaker"), {"Image": "image"}
    with pytest.raises(ClientError, match="exactly one container"):
        sagemaker.create_model(ModelName="two", ExecutionRoleArn=ROLE, Containers=[image, image])
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1}
    for changes, fault in (
        ({"ProductionVariants": [{key: variant[key] for key in variant if key != "ModelName"}]}, "by the model"),
        ({"ShadowProductionVariants": [variant]}, "ShadowProductionVariants"),
        ({"ExecutionRoleArn": ROLE}, "by inference components"),
    ):
        with pytest.raises(ClientError, match=fault):
            sagemaker.create_endpoint_config(EndpointConfigName="odd", **{"ProductionVariants": [variant], **changes})


def test_what_moto_would_only_pretend_is_refused(running: Running) -> None:
    with pytest.raises(ClientError, match="create_processing_job is not carried out"):
        running.aws("sagemaker").create_processing_job(
            ProcessingJobName="pretended",
            AppSpecification={"ImageUri": "image"},
            RoleArn=ROLE,
            ProcessingResources={
                "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
            },
        )
    with pytest.raises(ClientError, match="invoke_model is not carried out"):
        running.aws("bedrock-runtime").invoke_model(modelId="any", body="{}")


def test_models_and_endpoints_are_listed_in_pages_by_a_part_of_their_name(running: Running, endpoint: str) -> None:
    sagemaker = running.aws("sagemaker")
    for number in range(3):
        sagemaker.create_model(ModelName=f"paged-{number}", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "image"})
    pages = sagemaker.get_paginator("list_models").paginate(NameContains="paged", PaginationConfig={"PageSize": 2})
    found = [[model["ModelName"] for model in page["Models"]] for page in pages]
    assert [len(page) for page in found] == [2, 1]
    assert {name for page in found for name in page} == {"paged-0", "paged-1", "paged-2"}
    with pytest.raises(ClientError, match="Cannot create already existing model"):
        sagemaker.create_model(ModelName="paged-0", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "image"})
    listed = sagemaker.list_endpoints(NameContains=endpoint, StatusEquals="InService")["Endpoints"]
    assert [item["EndpointName"] for item in listed] == [endpoint]


def test_tags_can_be_added_replaced_listed_and_removed(running: Running, endpoint: str) -> None:
    sagemaker, arn = running.aws("sagemaker"), settled(running, endpoint)["EndpointArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "assay:owner", "Value": "a"}, {"Key": "x", "Value": "y"}])
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "assay:owner", "Value": "b"}])
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["x"])
    assert {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]} == {
        "assay:evaluation": "e1",
        "assay:owner": "b",
    }
    with pytest.raises(ClientError, match="Could not find endpoint"):
        sagemaker.list_tags(ResourceArn=f"{arn}-not-there")


def test_an_arn_has_the_name_in_lower_case_and_the_calls_take_it_in_its_own(running: Running) -> None:
    create(running, "Upper-Case", None)
    settled(running, "Upper-Case")
    sagemaker = running.aws("sagemaker")
    arns = {
        "endpoint": sagemaker.describe_endpoint(EndpointName="Upper-Case")["EndpointArn"],
        "endpoint-config": sagemaker.describe_endpoint_config(EndpointConfigName="Upper-Case")["EndpointConfigArn"],
        "model": sagemaker.describe_model(ModelName="Upper-Case")["ModelArn"],
    }
    for kind, arn in arns.items():
        assert arn.endswith(f":{kind}/upper-case")
        sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "assay:owner", "Value": "upper"}])
        assert {"Key": "assay:owner", "Value": "upper"} in sagemaker.list_tags(ResourceArn=arn)["Tags"]
    found = running.aws("resourcegroupstaggingapi").get_resources(
        TagFilters=[{"Key": "assay:owner", "Values": ["upper"]}],
        ResourceTypeFilters=[f"sagemaker:{kind}" for kind in arns],
    )
    assert {item["ResourceARN"] for item in found["ResourceTagMappingList"]} == set(arns.values())
    sagemaker.delete_endpoint(EndpointName="Upper-Case")


@pytest.mark.parametrize(
    ("model", "reason"),
    [("broken-model", "exited with code 1: FileNotFoundError"), (None, "is not one of the local JumpStart models")],
)
def test_an_endpoint_that_cannot_start_is_failed_with_the_reason(
    running: Running, model: str | None, reason: str
) -> None:
    name = f"failing-{model}"
    create(running, name, model)
    description = settled(running, name)
    assert description["EndpointStatus"] == "Failed"
    assert reason in description["FailureReason"]
    with pytest.raises(ClientError, match="ValidationError"):
        running.aws("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=b"{}")
    running.aws("sagemaker").delete_endpoint(EndpointName=name)


def test_the_port_of_an_endpoint_is_taken_from_the_start_so_that_nothing_else_can_take_it(running: Running) -> None:
    create(running, "loading", NEAREST)
    host = eventually(lambda: endpoints_of(running.cloud)._hosts.get("loading"))
    socket.create_connection((running.settings.host, host.connections.port), timeout=5).close()
    assert running.aws("sagemaker").describe_endpoint(EndpointName="loading")["EndpointStatus"] == "Creating"
    running.aws("sagemaker").delete_endpoint(EndpointName="loading")


def test_a_deleted_endpoint_ends_its_process_and_is_gone(running: Running) -> None:
    create(running, "short-lived", NEAREST)
    settled(running, "short-lived")
    serving = endpoints_of(running.cloud).serving("short-lived")
    host, _ = serving
    running.aws("sagemaker").delete_endpoint(EndpointName="short-lived")

    def gone() -> bool:
        listed = running.aws("sagemaker").list_endpoints(NameContains="short-lived")["Endpoints"]
        return not listed and not is_running(host.process.pid)

    eventually(gone)
    with pytest.raises(ClientError, match=r"ValidationError.*not found"):
        running.aws("sagemaker-runtime").invoke_endpoint(EndpointName="short-lived", Body=b"{}")
    with pytest.raises(ClientError, match="Could not find endpoint"):
        running.aws("sagemaker").describe_endpoint(EndpointName="short-lived")
    told = [
        event["detail"]["EndpointStatus"]
        for event in bus.seen()
        if event["detail-type"] == "SageMaker Endpoint State Change"
        and event["detail"]["EndpointName"] == "short-lived"
    ]
    assert told == ["CREATING", "IN_SERVICE", "DELETING"]


def test_the_sdk_deploys_a_jumpstart_model_unchanged_and_refuses_an_unknown_one(
    running: Running, tmp_path: Path
) -> None:
    program = f"""
        from sagemaker.jumpstart.model import JumpStartModel

        model = JumpStartModel(model_id="assay-broken-model", model_version="*", role={ROLE!r})
        tags = [{{"Key": "assay:evaluation", "Value": "e1"}}]
        model.deploy(endpoint_name="from-the-sdk", wait=False, accept_eula=True, tags=tags)
        try:
            JumpStartModel(model_id="not-a-model", model_version="*", role={ROLE!r})
        except ValueError as error:
            print(error)
        """
    printed = run_sdk(running, tmp_path, program, 100)
    assert "Invalid model ID: 'not-a-model'" in printed
    description = settled(running, "from-the-sdk")
    assert "broken-model" in description["FailureReason"]
    tags = running.aws("sagemaker").list_tags(ResourceArn=description["EndpointArn"])["Tags"]
    assert {"Key": "assay:evaluation", "Value": "e1"} in tags
    running.aws("sagemaker").delete_endpoint(EndpointName="from-the-sdk")


def test_an_endpoint_beyond_the_quota_of_its_instance_type_is_refused(running: Running, endpoint: str) -> None:
    endpoints_of(running.cloud).quotas.set("ml.c5.xlarge", 1)
    create(running, "within", NEAREST, "ml.c5.xlarge")
    with pytest.raises(ClientError, match="current utilization of 1 Instances") as refused:
        create(running, "beyond", NEAREST, "ml.c5.xlarge")
    assert refused.value.response["Error"]["Code"] == "ResourceLimitExceeded"
    running.aws("sagemaker").delete_endpoint(EndpointName="within")
    create(running, "another", NEAREST, "ml.c5.xlarge")
    running.aws("sagemaker").delete_endpoint(EndpointName="another")
