"""What an endpoint serves is read back, so that a winner can be registered with it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from assay.aws import runtime
from assay.aws.evaluation_files import EvaluationFiles
from assay.aws.served_models import served_model
from assay.aws.storage import Storage
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Manifest, SourceObject
from assay.contracts.served_model import ServedModel
from assay.pipeline import steps

ROLE = "arn:aws:iam::123456789012:role/r"


@pytest.fixture
def sagemaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("OWNER", "assay")
    runtime.setting.cache_clear()
    with mock_aws():
        yield boto3.client("sagemaker")


def served(sagemaker: Any, variants: int = 1, **model: Any) -> ServedModel | None:
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, **model)
    production = [
        {"VariantName": f"v{number}", "ModelName": "m", "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1}
        for number in range(variants)
    ]
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=production)
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    return served_model("e", "job")


def test_image_artefact_environment_and_training_job_are_read(sagemaker: Any) -> None:
    container = {"Image": "i", "ModelDataUrl": "s3://b/model.tar.gz", "Environment": {"A": "1"}}
    assert served(sagemaker, PrimaryContainer=container) == ServedModel(
        image="i",
        model_data_url="s3://b/model.tar.gz",
        environment={"A": "1"},
        instance_type="ml.m5.xlarge",
        training_job="job",
    )


def test_a_secret_of_the_container_is_named_and_never_kept(sagemaker: Any) -> None:
    secrets = {"HF_TOKEN": "hf_x", "HUGGING_FACE_HUB_TOKEN": "hf_y", "API_KEY": "k", "db_password": "p"}
    container = {"Image": "i", "Environment": {"MAX_TOTAL_TOKENS": "2048", **secrets}}
    found = served(sagemaker, PrimaryContainer=container)
    assert found is not None
    assert found.environment == {"MAX_TOTAL_TOKENS": "2048"}
    assert found.withheld == sorted(secrets)
    assert "hf_" not in found.model_dump_json()


def test_an_uncompressed_artefact_keeps_its_source(sagemaker: Any) -> None:
    source = {"S3DataSource": {"S3Uri": "s3://b/model/", "S3DataType": "S3Prefix", "CompressionType": "None"}}
    found = served(sagemaker, PrimaryContainer={"Image": "i", "ModelDataSource": source})
    assert found is not None
    assert (found.model_data_url, found.model_data_source) == (None, source)


def test_what_is_not_one_container_of_one_model_is_not_known(sagemaker: Any) -> None:
    assert served(sagemaker, variants=2, PrimaryContainer={"Image": "i"}) is None


def test_a_chain_of_containers_is_not_known(sagemaker: Any) -> None:
    assert served(sagemaker, Containers=[{"Image": "i"}, {"Image": "j"}]) is None


def evaluation(suite: str = "sums") -> EvaluationPaths:
    """An evaluation that asks an endpoint which exists already, as far as its deploy step reads it."""
    paths = EvaluationPaths(bucket="drops", suite=suite, evaluation_id="1" * 32)
    boto3.client("s3").create_bucket(Bucket="drops", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    config = (
        b"pipeline: {name: sums}\ndataset: {input_data_location: x.jsonl}\nalgorithms: [FactualKnowledge]\n"
        b"models: [{name: m, provider: endpoint, endpoint_name: e}]\n"
    )
    source = SourceObject(uri="s3://drops/x", version_id=None, sha256="0")
    manifest = Manifest(
        evaluation_id=paths.evaluation_id,
        suite=suite,
        requested_at=datetime(2026, 1, 1, tzinfo=UTC),
        config=source,
        catalog=source,
        records=1,
        versions={},
    )
    storage = Storage("drops")
    storage.write(paths.config, config)
    storage.write(paths.manifest, manifest.model_dump_json().encode())
    return paths


def test_the_deploy_step_keeps_what_the_endpoint_serves(sagemaker: Any) -> None:
    paths = evaluation()
    served(sagemaker, PrimaryContainer={"Image": "i"})
    deployed = steps.deploy(paths.root, "m", ROLE, {"records": 1})
    assert deployed["failure"] is None
    assert (deployed["instance_type"], deployed.get("asynchronous")) == ("ml.m5.xlarge", False)
    assert EvaluationFiles(paths).served("e") == ServedModel(image="i", instance_type="ml.m5.xlarge")


def test_an_endpoint_that_cannot_be_looked_behind_is_used_all_the_same(
    sagemaker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DescribeModel")

    paths = evaluation()
    served(sagemaker, PrimaryContainer={"Image": "i"})
    monkeypatch.setattr("assay.aws.served_models.served_model", forbidden)
    assert steps.deploy(paths.root, "m", ROLE, {"records": 1})["failure"] is None
    assert EvaluationFiles(paths).served("e") is None
