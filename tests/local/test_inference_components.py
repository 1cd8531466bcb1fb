"""Inference components: an endpoint of instances only, and models that are put onto it, asked by their names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from assay.aws.providers import Connection, connect
from assay.contracts.config import ModelSection
from assay.inference.errors import ModelAnswerError
from local.adapters.sagemaker_endpoints import endpoints_of
from local.adapters.sagemaker_jumpstart import MODEL_VARIABLE
from tests.local.conftest import Running, eventually
from tests.local.sagemaker_support import ROLE, is_running
from tests.local.test_sagemaker_endpoints import settled

ENDPOINT = "shared-instances"
NEAREST, ECHO = "with-nearest", "with-echo"
VARIANT = {"VariantName": "AllTraffic", "InstanceType": "ml.g5.xlarge", "InitialInstanceCount": 1}
NEEDS = {"MinMemoryRequiredInMb": 1024, "NumberOfAcceleratorDevicesRequired": 1}


def component(name: str, model: str | None = None, **keys: Any) -> dict[str, Any]:
    """What CreateInferenceComponent is asked for."""
    container = {"Image": "image", "Environment": {MODEL_VARIABLE: model}}
    return {
        "InferenceComponentName": name,
        "EndpointName": ENDPOINT,
        "VariantName": "AllTraffic",
        "Specification": {"Container": container, "ComputeResourceRequirements": NEEDS},
        "RuntimeConfig": {"CopyCount": 1},
        **keys,
    }


def described(running: Running, name: str) -> dict[str, Any]:
    """A component that is no longer being created."""

    def once() -> dict[str, Any] | None:
        found: dict[str, Any] = running.aws("sagemaker").describe_inference_component(InferenceComponentName=name)
        return found if found["InferenceComponentStatus"] != "Creating" else None

    found: dict[str, Any] = eventually(once, timeout=60)
    return found


def delete(running: Running, name: str) -> None:
    sagemaker = running.aws("sagemaker")
    sagemaker.delete_inference_component(InferenceComponentName=name)
    eventually(lambda: not sagemaker.list_inference_components(NameContains=name)["InferenceComponents"])


@pytest.fixture(scope="module", autouse=True)
def endpoint(running: Running) -> Iterator[None]:
    sagemaker = running.aws("sagemaker")
    sagemaker.create_endpoint_config(EndpointConfigName=ENDPOINT, ExecutionRoleArn=ROLE, ProductionVariants=[VARIANT])
    sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=ENDPOINT)
    assert settled(running, ENDPOINT)["EndpointStatus"] == "InService"
    sagemaker.create_model(
        ModelName="echo",
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": "image", "Environment": {MODEL_VARIABLE: "echo"}},
    )
    sagemaker.create_inference_component(**component(NEAREST, "nearest-neighbour-minilm"))
    by_model = {"ModelName": "echo", "ComputeResourceRequirements": NEEDS}
    sagemaker.create_inference_component(**component(ECHO, Specification=by_model))
    for name in (NEAREST, ECHO):
        assert described(running, name)["InferenceComponentStatus"] == "InService"
    yield
    for name in (NEAREST, ECHO):
        delete(running, name)
    sagemaker.delete_endpoint(EndpointName=ENDPOINT)


def asked(name: str) -> str:
    raw = {"name": "m", "provider": "endpoint", "endpoint_name": ENDPOINT, "inference_component_name": name}
    model = connect(ModelSection.model_validate(raw), Connection(1, 30.0, ENDPOINT))
    return model.ask("In which city is the Eiffel Tower?", deadline_seconds=30).text


def test_each_component_of_an_endpoint_answers_for_itself(running: Running) -> None:
    assert asked(NEAREST) == "Paris"
    assert asked(ECHO) not in ("", "Paris")


def test_a_component_that_is_not_there_is_the_requests_fault(running: Running) -> None:
    with pytest.raises(ModelAnswerError, match="ValidationError"):
        asked("nobody")
    runtime = running.aws("sagemaker-runtime")
    with pytest.raises(ClientError, match=r"ValidationError.*Inference Component Name"):
        runtime.invoke_endpoint(EndpointName=ENDPOINT, Body=json.dumps({"inputs": "Hi"}))


def test_a_component_is_described_and_listed_with_its_endpoint(running: Running) -> None:
    found = described(running, ECHO)
    assert (found["EndpointName"], found["VariantName"]) == (ENDPOINT, "AllTraffic")
    assert found["Specification"]["ModelName"] == "echo"
    assert found["RuntimeConfig"] == {"DesiredCopyCount": 1, "CurrentCopyCount": 1}
    listed = running.aws("sagemaker").list_inference_components
    names = {item["InferenceComponentName"] for item in listed(EndpointNameEquals=ENDPOINT)["InferenceComponents"]}
    assert {NEAREST, ECHO} <= names
    assert listed(EndpointNameEquals="another")["InferenceComponents"] == []


def test_a_component_that_does_not_start_says_why(running: Running) -> None:
    sagemaker = running.aws("sagemaker")
    sagemaker.create_inference_component(**component("broken", "broken-model"))
    found = described(running, "broken")
    assert found["InferenceComponentStatus"] == "Failed"
    assert "did not pass the ping health check" in found["FailureReason"]
    with pytest.raises(ModelAnswerError):
        asked("broken")
    delete(running, "broken")


def test_a_deleted_component_ends_its_process_and_an_endpoint_goes_after_its_components(running: Running) -> None:
    sagemaker = running.aws("sagemaker")
    sagemaker.create_inference_component(**component("short-lived", "echo"))
    described(running, "short-lived")
    host, _ = endpoints_of(running.cloud).serving(ENDPOINT, "short-lived")
    with pytest.raises(ClientError, match="Delete them first"):
        sagemaker.delete_endpoint(EndpointName=ENDPOINT)
    delete(running, "short-lived")
    eventually(lambda: not is_running(host.process.pid))
    with pytest.raises(ClientError, match="Could not find inference component"):
        sagemaker.describe_inference_component(InferenceComponentName="short-lived")


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"InferenceComponentName": ECHO}, "already existing"),
        ({"EndpointName": "nobody"}, "is not there"),
        ({"VariantName": "Another"}, "Could not find variant"),
        ({"RuntimeConfig": {"CopyCount": 2}}, "exactly one copy"),
        ({"Specification": {"BaseInferenceComponentName": ECHO}}, "BaseInferenceComponentName"),
        ({"Specification": {"ModelName": "nobody"}}, "Could not find model"),
    ],
)
def test_what_cannot_be_or_is_not_carried_out_here_is_refused(
    running: Running, keys: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ClientError, match=fault):
        running.aws("sagemaker").create_inference_component(**component("odd", "echo", **keys))
