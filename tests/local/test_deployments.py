"""Models are deployed by the SDK as a config says: on the first instance type that has room, serverless, from S3."""

from __future__ import annotations

import functools
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.aws.endpoints import EndpointFailedError, Endpoints
from assay.aws.huggingface import environment
from assay.aws.providers import Connection, connect
from assay.contracts.config import DeploymentSection, ModelSection
from assay.pipeline import endpoint_lifecycle
from assay.pipeline.endpoint_lifecycle import Creation
from assay.pipeline.sharing import EndpointRefusedError, clash_of
from local.adapters.sagemaker_endpoints import endpoints_of
from local.faults import FAULTS
from local.models.payload import Parameters, Prompt
from local.models.saved import saved_model
from local.models.weights import smollm2_directory
from tests.local.conftest import Running, eventually
from tests.local.sagemaker_support import OPT_OUT, ROLE

# The SDK's own warnings: it announces its successor at every turn.
pytestmark = pytest.mark.filterwarnings("ignore")

EVALUATION = "0" * 32
BUCKET = "assay-test-weights"
CACHE = Path(__file__).resolve().parents[2] / ".assay/cache/models"
NEAREST = "assay-nearest-neighbour-minilm"
# As an endpoint's description says it.
NO_CAPACITY = (
    "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. Please retry using a "
    "different ML instance type or after some time."
)
TYPES = ["ml.g5.xlarge", "ml.m5.xlarge", "ml.m5.2xlarge"]


@pytest.fixture(autouse=True)
def _quiet_sdk(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sagemaker.yaml").write_text(OPT_OUT)
    monkeypatch.setenv("SAGEMAKER_USER_CONFIG_OVERRIDE", str(tmp_path / "sagemaker.yaml"))
    monkeypatch.setenv("SAGEMAKER_SUPPRESS_V2_WARNING", "1")


@pytest.fixture(autouse=True)
def _room_for_all(running: Running) -> Iterator[None]:
    yield
    FAULTS.clear()
    for instance_type in TYPES:
        endpoints_of(running.cloud).quotas.set(instance_type, 10)
    sagemaker = running.aws("sagemaker")
    ours = Endpoints("assay")
    for endpoint in sagemaker.list_endpoints()["Endpoints"]:
        name = endpoint["EndpointName"]
        ours.settled(name, 120, functools.partial(ours.release, name, EVALUATION), 0.2)
    eventually(lambda: not sagemaker.list_endpoints()["Endpoints"])
    # Released by its tags: what the SDK creates on the way must bear them too.
    assert sagemaker.list_endpoint_configs()["EndpointConfigs"] == []
    assert sagemaker.list_models()["Models"] == []


def quota(running: Running, **instances: int) -> None:
    for name, count in instances.items():
        endpoints_of(running.cloud).quotas.set(f"ml.{name.replace('_', '.')}", count)


def bring_up(name: str, deployment: dict[str, Any], **keys: Any) -> tuple[Endpoints, str]:
    raw = {"name": "m", "provider": "jumpstart", "model_id": NEAREST, "deployment_config": deployment, **keys}
    endpoints = Endpoints("assay")
    tags = endpoints.tags(EVALUATION, "suite")
    creation = Creation(name, EVALUATION, BUCKET, tags, ROLE, None, f"s3://{BUCKET}/asynchronous")
    return endpoints, endpoint_lifecycle.bring_up(endpoints, creation, ModelSection.model_validate(raw), 240)


def hardware(endpoints: Endpoints, name: str) -> str | None:
    found = endpoints.look(name)
    return None if found is None else found.hardware


def answer(running: Running, name: str, body: Any) -> Any:
    reply = running.aws("sagemaker-runtime").invoke_endpoint(
        EndpointName=name, ContentType="application/json", Body=json.dumps(body)
    )
    return json.loads(reply["Body"].read())


def test_where_the_quota_is_used_up_the_next_type_is_tried(running: Running) -> None:
    quota(running, g5_xlarge=0, m5_xlarge=1)
    first, _ = bring_up("first", {"instance_type": TYPES})
    assert hardware(first, "first") == "ml.m5.xlarge"
    second, version = bring_up("second", {"instance_type": TYPES})
    assert (hardware(second, "second"), version) == ("ml.m5.2xlarge", "1.0.0")


def test_where_aws_has_no_capacity_the_next_type_is_tried(running: Running) -> None:
    FAULTS.add([{"kind": "endpoint", "about": "capacity", "times": 2, "reason": NO_CAPACITY}])
    endpoints, _ = bring_up("capacity", {"instance_type": TYPES})
    assert hardware(endpoints, "capacity") == "ml.m5.2xlarge"
    assert answer(running, "capacity", {"inputs": "In which city is the Eiffel Tower?"}) == [
        {"generated_text": "Paris"}
    ]


def test_where_there_is_no_room_at_all_every_type_and_its_reason_are_told(running: Running) -> None:
    quota(running, g5_xlarge=0, m5_xlarge=0)
    with pytest.raises(EndpointFailedError) as failed:
        bring_up("none", {"instance_type": TYPES[:2]})
    for instance_type in TYPES[:2]:
        assert f"{instance_type}: ResourceLimitExceeded: An error occurred (ResourceLimitExceeded)" in str(failed.value)
    sagemaker = running.aws("sagemaker")
    assert sagemaker.list_endpoints()["Endpoints"] == []
    assert sagemaker.list_endpoint_configs()["EndpointConfigs"] == []
    assert sagemaker.list_models()["Models"] == []


def test_a_model_that_does_not_start_is_not_tried_on_another_type(running: Running) -> None:
    with pytest.raises(EndpointFailedError, match="did not pass the ping health check") as failed:
        bring_up("broken", {"instance_type": TYPES}, model_id="assay-broken-model")
    assert "ml.m5.xlarge" not in str(failed.value)


def test_a_serverless_endpoint_has_memory_and_no_instances(running: Running) -> None:
    endpoints, _ = bring_up("serverless", {"serverless": {"memory_mb": 4096, "max_concurrency": 3}})
    assert hardware(endpoints, "serverless") == "serverless 4096 MB"
    [variant] = running.aws("sagemaker").describe_endpoint_config(EndpointConfigName="serverless")["ProductionVariants"]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 4096, "MaxConcurrency": 3}
    assert "InstanceType" not in variant
    assert answer(running, "serverless", {"inputs": "In which city is the Eiffel Tower?"}) == [
        {"generated_text": "Paris"}
    ]


@pytest.fixture(scope="module")
def bucket(running: Running) -> str:
    location = {"LocationConstraint": running.settings.region}
    running.aws("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=location)
    return BUCKET


@pytest.mark.usefixtures("bucket")
def test_an_asynchronous_endpoint_is_deployed_with_its_queue_and_asked_through_it(running: Running) -> None:
    deployment = {"instance_type": "ml.m5.xlarge", "asynchronous": {"max_concurrent_invocations": 3}}
    endpoints, _ = bring_up("with-a-queue", deployment)
    config = running.aws("sagemaker").describe_endpoint(EndpointName="with-a-queue")["AsyncInferenceConfig"]
    assert config["ClientConfig"] == {"MaxConcurrentInvocationsPerInstance": 3}
    assert hardware(endpoints, "with-a-queue") == "ml.m5.xlarge"
    section = ModelSection.model_validate(
        {"name": "m", "model_id": NEAREST, "deployment_config": deployment, "endpoint_name": "with-a-queue"}
    )
    found = endpoints.look("with-a-queue")
    assert endpoint_lifecycle.has_queue(found, "with-a-queue", section)
    model = connect(section, Connection(4, 30, "with-a-queue", f"s3://{BUCKET}/asynchronous"))
    assert model.ask("In which city is the Eiffel Tower?", deadline_seconds=30).text == "Paris"
    component = section.model_copy(update={"inference_component_name": "part"})
    with pytest.raises(EndpointRefusedError, match="its queue knows no inference components"):
        endpoint_lifecycle.has_queue(found, "with-a-queue", component)
    at_once = section.model_copy(update={"deployment_config": DeploymentSection(instance_type="ml.m5.xlarge")})
    assert found is not None
    assert clash_of(found, section, found.model) is None
    assert clash_of(found, at_once, found.model) == "is asynchronous"


@pytest.fixture(scope="module")
def weights(running: Running, bucket: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of random weights in a bucket, as a folder and as an archive: nobody else has its answers."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("weights")
    tokenizer = AutoTokenizer.from_pretrained(smollm2_directory(CACHE))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(7)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(folder)
    s3 = running.aws("s3")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz", compresslevel=1) as tar:
        for file in folder.iterdir():
            tar.add(file, file.name)
            s3.upload_file(str(file), bucket, f"models/tiny/{file.name}")
    s3.put_object(Bucket=bucket, Key="models/tiny.tar.gz", Body=archive.getvalue())
    return folder


@pytest.mark.parametrize(
    ("container", "data"), [("tgi", "models/tiny/"), ("lmi", "models/tiny.tar.gz")], ids=["folder", "archive"]
)
def test_weights_in_s3_are_what_a_hugging_face_model_answers_with(
    running: Running, weights: Path, container: str, data: str
) -> None:
    name = f"tiny-{container}"
    bring_up(
        name,
        {"instance_type": "ml.g5.xlarge"},
        provider="huggingface",
        model_id=None,
        huggingface_config={"container": container, "model_data": f"s3://{BUCKET}/{data}"},
    )
    parameters = {"max_new_tokens": 8, "details": True}
    [said] = answer(running, name, {"inputs": "Once upon a time", "parameters": parameters})
    [expected] = saved_model(weights, 1).answer([Prompt("Once upon a time", Parameters(max_new_tokens=8))])
    assert said["generated_text"] == expected.text != ""
    assert said["details"]["generated_tokens"] == expected.output_tokens == 8
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4, "temperature": 0}
    assert answer(running, name, body)["usage"]["completion_tokens"] == 4


def test_a_model_of_the_hub_cannot_be_had_here_and_says_so(running: Running) -> None:
    with pytest.raises(EndpointFailedError, match="org/model would come from the Hugging Face hub"):
        bring_up("hub", {"instance_type": "ml.g5.xlarge"}, provider="huggingface", model_id="org/model")


def test_a_container_is_told_what_to_load_and_which_format_to_speak() -> None:
    raw = {"name": "m", "provider": "huggingface", "model_id": "org/model", "deployment_config": {}}
    raw["deployment_config"] = {"instance_type": "ml.g5.xlarge"}

    def told(**keys: Any) -> dict[str, str]:
        return environment(ModelSection.model_validate({**raw, **keys}))

    assert told() == {"HF_MODEL_ID": "org/model"}
    assert told(model_version="abc") == {"HF_MODEL_ID": "org/model", "REVISION": "abc"}
    lmi = {"container": "lmi", "environment": {"OPTION_MAX_MODEL_LEN": 4096, "OPTION_ENABLE_X": True}}
    assert told(model_version="abc", huggingface_config=lmi) == {
        "HF_MODEL_ID": "org/model",
        "OPTION_REVISION": "abc",
        "OPTION_MAX_MODEL_LEN": "4096",
        "OPTION_ENABLE_X": "true",
    }
    chat = {"request_format": "chat_completions"}
    assert told(evaluation_config=chat)["MESSAGES_API_ENABLED"] == "true"
    here = {"model_data": "s3://bucket/models/tiny/"}
    assert told(huggingface_config=here, model_version="abc") == {"HF_MODEL_ID": "/opt/ml/model"}
