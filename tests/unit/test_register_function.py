"""register_model, from the state's payload to the package that awaits approval."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from assay.aws.registry import ModelRegistry, Registration, registration
from assay.aws.storage import Storage
from assay.contracts.config import SuiteConfig
from assay.contracts.gate import GateResult
from assay.contracts.results import Comparison, ModelOutcome
from assay.contracts.served_model import ServedModel
from tests.unit.function_support import CONFIG, ID, PATHS, REQUEST, compared, config, handler, manifest

SERVED = ServedModel(
    image="123456789012.dkr.ecr.eu-west-1.amazonaws.com/serving:1",
    model_data_url="s3://jumpstart/model.tar.gz",
    environment={"SM_NUM_GPUS": "1"},
    instance_type="ml.m5.xlarge",
    training_job="pipelines-sums-good",
    withheld=["HF_TOKEN"],
)


def with_endpoint(evaluation: Storage, name: str = "shared") -> None:
    """The evaluation as it is when its models were asked through an endpoint."""
    for model in ("good", "bad"):
        outcome = ModelOutcome.model_validate_json(evaluation.read(PATHS.outcome(model)))
        body = outcome.model_copy(update={"endpoint_name": name}).model_dump_json().encode()
        evaluation.write(PATHS.outcome(model), body)
    evaluation.write(PATHS.endpoint(name), SERVED.model_dump_json().encode())


def described(
    evaluation: Storage, comparison: Comparison | None = None, settings: SuiteConfig | None = None
) -> Registration:
    comparison = comparison or compared(evaluation)
    return registration(
        comparison,
        config=settings or config(),
        manifest=manifest(evaluation),
        gate=GateResult.model_validate_json(evaluation.read(PATHS.gate)),
        paths=PATHS,
        now=datetime(2026, 11, 24, tzinfo=UTC),
    )


def refused(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


def _replaced(item: Registration, **values: Any) -> Registration:
    return Registration(**{**vars(item), **values})


def test_the_winner_is_registered_with_its_numbers_and_awaits_approval(evaluation: Storage) -> None:
    compared(evaluation)
    arn = handler("register_model")(REQUEST)["model_package_arn"]
    sagemaker = boto3.client("sagemaker")
    package = sagemaker.describe_model_package(ModelPackageName=arn)
    assert package["ModelPackageGroupName"] == "sums-group"
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert package["ModelMetrics"]["ModelQuality"]["Statistics"] == {
        "ContentType": "application/json",
        "S3Uri": f"s3://drops/evaluations/sums/{ID}/comparison.json",
    }
    properties = package["CustomerMetadataProperties"]
    assert properties["evaluation_id"] == ID
    assert (properties["model"], properties["model_id"], properties["verdict"]) == ("good", "m1", "better")
    assert (properties["metric"], properties["metric_value"]) == ("FactualKnowledge.factual_knowledge", "1")
    group = sagemaker.describe_model_package_group(ModelPackageGroupName="sums-group")
    assert group["ModelPackageGroupDescription"] == "Models that add."


def test_a_winner_that_assay_deployed_is_registered_with_image_artefact_and_training_job(evaluation: Storage) -> None:
    with_endpoint(evaluation)
    compared(evaluation)
    arn = handler("register_model")(REQUEST)["model_package_arn"]
    package = boto3.client("sagemaker").describe_model_package(ModelPackageName=arn)
    [container] = package["InferenceSpecification"]["Containers"]
    assert (container["Image"], container["ModelDataUrl"]) == (SERVED.image, SERVED.model_data_url)
    assert container["Environment"] == {"SM_NUM_GPUS": "1"}
    properties = package["CustomerMetadataProperties"]
    assert (properties["deployable"], properties["training_job"]) == ("True", "pipelines-sums-good")
    assert properties["needs_environment"] == "HF_TOKEN"
    item = registration(
        Comparison.model_validate_json(evaluation.read(PATHS.comparison)),
        config=config(),
        manifest=manifest(evaluation),
        gate=GateResult.model_validate_json(evaluation.read(PATHS.gate)),
        paths=PATHS,
        now=datetime(2026, 11, 24, tzinfo=UTC),
        served=SERVED,
    )
    assert json.loads(item.model_card)["model_overview"]["model_artifact"] == ["s3://jumpstart/model.tar.gz"]


def test_a_winner_behind_somebody_elses_endpoint_is_only_referred_to(evaluation: Storage) -> None:
    text = CONFIG.replace(
        b"{name: good, model_id: m1, deployment_config: {instance_type: ml.m5.large}, endpoint_name: shared}",
        b"{name: good, provider: endpoint, endpoint_name: theirs-too}",
    )
    evaluation.write(PATHS.config, text)
    with_endpoint(evaluation, "theirs-too")
    compared(evaluation)
    arn = handler("register_model")(REQUEST)["model_package_arn"]
    package = boto3.client("sagemaker").describe_model_package(ModelPackageName=arn)
    assert "InferenceSpecification" not in package
    properties = package["CustomerMetadataProperties"]
    assert (properties["deployable"], properties["endpoint_name"]) == ("False", "theirs-too")


@pytest.mark.parametrize("code", ["ValidationException", "AccessDenied", "AccessDeniedException"])
def test_an_artefact_that_may_not_be_registered_costs_no_registration(evaluation: Storage, code: str) -> None:
    sent: list[dict[str, Any]] = []

    class Picky:
        def __getattr__(self, name: str) -> Any:
            return getattr(boto3.client("sagemaker"), name)

        def create_model_package(self, **request: Any) -> Any:
            sent.append(request)
            if "InferenceSpecification" in request:
                raise refused(code, "Could not access model data")
            return {"ModelPackageArn": "arn:package"}

    item = _replaced(described(evaluation), served=SERVED)
    assert ModelRegistry("assay-stack", Picky()).register(item) == "arn:package"
    first, second = sent
    assert second["SourceUri"] == item.source_uri
    assert "Could not access model data" in second["CustomerMetadataProperties"]["not_deployable_because"]
    assert second["ClientToken"] != first["ClientToken"]
    assert len(second["ClientToken"]) <= 36


@pytest.mark.filterwarnings("ignore:No application metrics to publish")  # Powertools', of what was refused
def test_a_winner_that_the_gate_stopped_cannot_be_registered(evaluation: Storage) -> None:
    compared(evaluation)
    gate = GateResult.model_validate_json(evaluation.read(PATHS.gate))
    evaluation.write(PATHS.gate, gate.model_copy(update={"outcome": "failed"}).model_dump_json().encode())
    with pytest.raises(ValueError, match="has not passed its gate"):
        handler("register_model")(REQUEST)
    assert boto3.client("sagemaker").list_model_packages()["ModelPackageSummaryList"] == []


def test_registering_again_gives_the_same_package(evaluation: Storage) -> None:
    compared(evaluation)
    first, second = handler("register_model")(REQUEST), handler("register_model")(REQUEST)
    assert first == second
    packages = boto3.client("sagemaker").list_model_packages(ModelPackageGroupName="sums-group")
    assert len(packages["ModelPackageSummaryList"]) == 1


def test_another_evaluation_of_the_suite_is_another_version(evaluation: Storage) -> None:
    item = described(evaluation)
    registry = ModelRegistry("assay-stack")
    first = registry.register(item)
    properties = {**item.properties, "evaluation_id": "f" * 32}
    second = registry.register(_replaced(item, evaluation_id="f" * 32, properties=properties))
    assert second != first


def test_a_group_that_somebody_created_meanwhile_is_used(evaluation: Storage) -> None:
    class Raced:
        """A registry in which the group appears between the look and the creation."""

        def __getattr__(self, name: str) -> Any:
            return getattr(boto3.client("sagemaker"), name)

        def describe_model_package_group(self, **_: Any) -> Any:
            raise refused("ValidationException", "ModelPackageGroup does not exist.")

        def create_model_package_group(self, **request: Any) -> Any:
            boto3.client("sagemaker").create_model_package_group(**request)
            raise refused("ValidationException", "Model Package Group already exists: arn")

    assert ModelRegistry("assay-stack", Raced()).register(described(evaluation)).endswith("sums-group/1")


def test_a_refused_group_is_no_package(evaluation: Storage) -> None:
    class Forbidden:
        def describe_model_package_group(self, **_: Any) -> Any:
            raise refused("ValidationException", "ModelPackageGroup does not exist.")

        def create_model_package_group(self, **_: Any) -> Any:
            raise refused("ValidationException", "1 validation error detected: name is wrong")

    with pytest.raises(ClientError, match="name is wrong"):
        ModelRegistry("assay-stack", Forbidden()).register(described(evaluation))


def test_properties_keep_to_sagemakers_alphabet_and_limits(evaluation: Storage) -> None:
    comparison = compared(evaluation)
    long = comparison.model_copy(update={"explanation": "word\n" * 1000})
    item = described(evaluation, long)
    assert len(item.properties) <= 50
    for key, value in item.properties.items():
        assert re.fullmatch(r"[\w .:/=+\-@]{1,128}", key)
        assert re.fullmatch(r"[\w .:/=+\-@]{1,256}", value)
    assert len(item.description) <= 1024
    assert "\n" not in item.description


def test_a_comparison_without_winner_registers_nothing(evaluation: Storage) -> None:
    lost = compared(evaluation).model_copy(update={"winner": None})
    with pytest.raises(ValueError, match="no winner"):
        described(evaluation, lost)


def test_the_models_own_group_goes_before_the_suites(evaluation: Storage) -> None:
    text = CONFIG.replace(
        b"endpoint_name: shared}", b"endpoint_name: shared, register_config: {model_package_group_name: own}}"
    )
    compared(evaluation)
    assert described(evaluation, settings=config(text)).group == "own"
