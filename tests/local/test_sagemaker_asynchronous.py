"""Asynchronous endpoints: requests wait for their turn, and answers and failures come by way of S3."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.adapters.sagemaker_jumpstart import MODEL_VARIABLE
from local.faults import FAULTS
from tests.local.conftest import Running, eventually
from tests.local.sagemaker_support import ROLE
from tests.local.test_sagemaker_endpoints import NEAREST, settled

BUCKET, NAME = "assay-test-queue", "queued"
PATHS = {"S3OutputPath": f"s3://{BUCKET}/answers", "S3FailurePath": f"s3://{BUCKET}/failures/"}
INPUT = f"s3://{BUCKET}/input.json"


def configure(running: Running, name: str, variant: dict[str, Any], **config: Any) -> None:
    shown = {"VariantName": "AllTraffic", "ModelName": NAME, **variant}
    running.aws("sagemaker").create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[{key: value for key, value in shown.items() if value is not None}],
        **config,
    )


INSTANCES = {"InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1}


@pytest.fixture(scope="module", autouse=True)
def endpoint(running: Running) -> Iterator[None]:
    sagemaker, s3 = running.aws("sagemaker"), running.aws("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": running.settings.region})
    s3.put_object(Bucket=BUCKET, Key="input.json", Body=json.dumps({"inputs": "In which city is the Eiffel Tower?"}))
    sagemaker.create_model(
        ModelName=NAME,
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": "image", "Environment": {MODEL_VARIABLE: NEAREST}},
    )
    asynchronous = {"ClientConfig": {"MaxConcurrentInvocationsPerInstance": 1}, "OutputConfig": PATHS}
    configure(running, NAME, INSTANCES, AsyncInferenceConfig=asynchronous)
    sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME)
    assert settled(running, NAME)["AsyncInferenceConfig"] == asynchronous
    yield
    sagemaker.delete_endpoint(EndpointName=NAME)


def invoke(running: Running, **keys: Any) -> dict[str, Any]:
    request = {"EndpointName": NAME, "ContentType": "application/json", "InputLocation": INPUT, **keys}
    answer: dict[str, Any] = running.aws("sagemaker-runtime").invoke_endpoint_async(**request)
    return answer


def found(running: Running, uri: str) -> bytes | None:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        return bytes(running.aws("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
    except running.aws("s3").exceptions.NoSuchKey:
        return None


def test_an_answer_lies_where_it_was_said_to_lie_and_the_request_keeps_its_id(running: Running) -> None:
    taken = invoke(running, InferenceId="mine", CustomAttributes="accept_eula=true")
    assert taken["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert taken["InferenceId"] == "mine"
    assert taken["OutputLocation"].startswith(f"s3://{BUCKET}/answers/")
    assert taken["FailureLocation"].startswith(f"s3://{BUCKET}/failures/")
    body = eventually(lambda: found(running, taken["OutputLocation"]))
    assert json.loads(body) == [{"generated_text": "Paris"}]
    assert found(running, taken["FailureLocation"]) is None


def test_more_requests_than_an_instance_works_on_wait_and_are_all_answered(running: Running) -> None:
    taken = [invoke(running) for _ in range(20)]
    assert len({item["OutputLocation"] for item in taken}) == 20
    for item in taken:
        assert eventually(functools.partial(found, running, item["OutputLocation"]))


def test_what_the_container_says_to_a_request_that_it_refuses_is_the_failure(running: Running) -> None:
    running.aws("s3").put_object(Bucket=BUCKET, Key="bad.json", Body=b'{"inputs": 3}')
    taken = invoke(running, InputLocation=f"s3://{BUCKET}/bad.json")
    told = json.loads(eventually(lambda: found(running, taken["FailureLocation"])))
    assert told["error_type"] == "validation"
    assert "'inputs' must be" in told["error"]
    gone = invoke(running, InputLocation=f"s3://{BUCKET}/none.json")
    assert b"could not be read" in eventually(lambda: found(running, gone["FailureLocation"]))


def test_a_request_that_hangs_leaves_nothing_behind_and_holds_nobody_up(running: Running) -> None:
    FAULTS.add([{"kind": "answer", "api": "sagemaker-runtime", "code": "hang"}])
    hanging, other = invoke(running), invoke(running)
    assert eventually(lambda: found(running, other["OutputLocation"]))
    time.sleep(0.2)
    assert found(running, hanging["OutputLocation"]) is None
    assert found(running, hanging["FailureLocation"]) is None


def test_an_endpoint_is_asked_in_its_own_way_only(running: Running) -> None:
    runtime = running.aws("sagemaker-runtime")
    with pytest.raises(ClientError, match=r"ValidationError.*InvokeEndpointAsync"):
        runtime.invoke_endpoint(EndpointName=NAME, Body=b"{}")
    with pytest.raises(ClientError, match=r"ValidationError.*not found"):
        invoke(running, EndpointName="nobody")
    with pytest.raises(ClientError, match=r"ValidationError.*from S3 only"):
        runtime.invoke_endpoint_async(EndpointName=NAME, Body=b"{}")


def test_a_queue_stands_before_instances_that_a_model_serves_and_nothing_else(running: Running) -> None:
    asynchronous = {"OutputConfig": PATHS}
    serverless = {"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}}
    with pytest.raises(ClientError, match="variants of instances"):
        configure(running, "odd", serverless, AsyncInferenceConfig=asynchronous)
    for output, fault in ({}, "needs an S3OutputPath"), ({**PATHS, "NotificationConfig": {}}, "NotificationConfig"):
        with pytest.raises(ClientError, match=fault):
            configure(running, "odd", INSTANCES, AsyncInferenceConfig={"OutputConfig": output})
