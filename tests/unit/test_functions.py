"""The functions of conclude_evaluation, from the state's payload to what lies in S3 and SageMaker."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError
from moto import mock_aws
from pydantic import ValidationError

from assay.aws import runtime
from assay.aws.endpoints import Endpoints, Released
from assay.aws.registry import ModelRegistry, Registration, registration
from assay.aws.storage import Storage
from assay.contracts.catalog import Record
from assay.contracts.config import SuiteConfig, load_config
from assay.contracts.errors import TransientError
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.gate import GateResult
from assay.contracts.results import Comparison, Failure, Manifest, ModelOutcome, Response, ScoreRow, SourceObject
from assay.contracts.served_model import ServedModel
from assay.contracts.serving import Serving
from assay.inference.store import PartStore
from assay.pipeline.plan import endpoint_name
from assay.pipeline.release import release_all
from tests.unit.scores_support import write_rows
from tests.unit.test_reconcile import Sharing

PROJECT = Path(__file__).resolve().parents[2]
ID = "0123456789abcdef" * 2
PATHS = EvaluationPaths(bucket="drops", suite="sums", evaluation_id=ID)
REQUEST = {"evaluation_id": ID, "bucket": "drops", "suite": "sums"}
CONFIG = b"""\
pipeline: {name: sums}
dataset: {input_data_location: sums.jsonl}
models:
  - {name: good, model_id: m1, deployment_config: {instance_type: ml.m5.large}, endpoint_name: shared}
  - {name: bad, model_id: m1, deployment_config: {instance_type: ml.m5.large}, endpoint_name: shared}
  - {name: lost, model_id: m2, deployment_config: {instance_type: ml.m5.large}}
  - {name: found, provider: endpoint, endpoint_name: theirs}
algorithms: [FactualKnowledge]
model_registry: {model_package_group_name: sums-group, model_package_group_description: Models that add.}
"""
HANDLERS = [
    "compare_models",
    "check_gate",
    "register_model",
    "render_report",
    "release_endpoints",
    "reconcile_evaluations",
]
RECORDS = [
    Record(id=f"r{number}", model_input=f"{number}+{number}?", target_output=str(2 * number)) for number in range(8)
]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "POWERTOOLS_SERVICE_NAME": "assay",
        "POWERTOOLS_METRICS_NAMESPACE": "Assay",
        "OWNER": "assay-stack",
        "EVALUATIONS_TABLE": "evaluations",
    }.items():
        monkeypatch.setenv(name, value)
    runtime.setting.cache_clear()
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="drops", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        boto3.client("dynamodb").create_table(
            TableName="evaluations",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        )
        yield
    runtime.setting.cache_clear()


@pytest.fixture
def evaluation(aws: None) -> Storage:
    """An evaluation as its pipeline left it: one model right, one wrong, one that could not be deployed, one lost."""
    storage = Storage("drops")
    storage.write(PATHS.config, CONFIG)
    manifest = Manifest(
        evaluation_id=ID,
        suite="sums",
        requested_at=datetime(2020, 1, 1, tzinfo=UTC),
        config=SourceObject(uri="s3://drops/configs/sums.yaml", version_id="v", sha256="c" * 64),
        catalog=SourceObject(uri="s3://drops/catalogs/sums.jsonl", version_id="v", sha256="a" * 64),
        records=len(RECORDS),
        versions={"assay": "0"},
    )
    storage.write(PATHS.manifest, manifest.model_dump_json().encode())
    storage.write(PATHS.catalog, "".join(f"{record.model_dump_json()}\n" for record in RECORDS).encode())
    for model, value in (("good", 1.0), ("bad", 0.0)):
        keep_results(storage, model, value)
    failed = ModelOutcome(model="lost", status="failed", failure=Failure(kind="EndpointFailed", reason="no capacity"))
    storage.write(PATHS.outcome("lost"), failed.model_dump_json().encode())
    return storage


def keep_results(storage: Storage, model: str, value: float) -> None:
    outcome = ModelOutcome(model=model, status="evaluated", records=len(RECORDS), answered=len(RECORDS))
    storage.write(PATHS.outcome(model), outcome.model_dump_json().encode())
    responses = [
        Response(record_id=record.id, text=f"{model} says <b>", latency_ms=1.0, attempts=1, prompt=record.model_input)
        for record in RECORDS
    ]
    PartStore(storage, PATHS.responses(model)).append(responses)
    rows = [
        ScoreRow(record_id=record.id, algorithm="FactualKnowledge", score=score, value=value, direction="higher")
        for record in RECORDS
        for score in ("factual_knowledge", "factual_knowledge_quasi_exact")
    ]
    write_rows(storage, PATHS.scores(model), rows)


def handler(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The function's handler, loaded as Lambda does: by its file."""
    spec = importlib.util.spec_from_file_location(f"{name}_app", PROJECT / "functions" / name / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = ModuleType(spec.name)
    spec.loader.exec_module(module)
    context = LambdaContext()
    context._function_name = name
    context._memory_limit_in_mb = 512
    context._invoked_function_arn = f"arn:aws:lambda:eu-west-1:123456789012:function:{name}"
    context._aws_request_id = "request"
    return lambda event: module.lambda_handler(event, context)


def compared(evaluation: Storage) -> Comparison:
    """Compared, and through the gate."""
    handler("compare_models")(REQUEST)
    handler("check_gate")(REQUEST)
    return Comparison.model_validate_json(evaluation.read(PATHS.comparison))


# ---- compare_models


def test_models_are_compared_and_the_answer_only_refers_to_it(evaluation: Storage) -> None:
    answer = handler("compare_models")(REQUEST)
    assert answer == {
        "comparison_uri": f"s3://drops/evaluations/sums/{ID}/comparison.json",
        "winner": "good",
        "verdict": "better",
        "metric": "FactualKnowledge.factual_knowledge",
    }
    comparison = Comparison.model_validate_json(evaluation.read(PATHS.comparison))
    assert comparison.records == len(RECORDS)
    assert {model.model: model.rank for model in comparison.models} == {
        "good": 1,
        "bad": 2,
        "lost": None,
        "found": None,
    }


def test_a_log_line_and_a_metric_tell_of_the_comparison_but_no_prompt(
    evaluation: Storage, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    handler("compare_models")(REQUEST)
    [record] = caplog.records
    assert record.getMessage() == "models compared"
    assert {"evaluation_id": ID, "suite": "sums", "models_failed": 2, "winner": "good"}.items() <= vars(record).items()
    printed = capsys.readouterr().out
    [metric] = [line for line in map(json.loads, printed.splitlines()) if "_aws" in line]
    assert (metric["EvaluationsCompared"], metric["ModelsFailed"]) == ([1.0], [2.0])
    for text in (printed, str(vars(record))):
        assert RECORDS[0].model_input not in text
        assert "says" not in text


@pytest.mark.filterwarnings("ignore:No application metrics to publish")  # Powertools', of what was refused
@pytest.mark.parametrize(
    "event", [{}, {**REQUEST, "evaluation_id": "../other"}, {**REQUEST, "suite": "a/b"}, {**REQUEST, "extra": 1}]
)
@pytest.mark.parametrize("name", [name for name in HANDLERS if name != "reconcile_evaluations"])
def test_a_payload_that_names_no_evaluation_is_refused(aws: None, name: str, event: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        handler(name)(event)


# ---- register_model


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


def config(text: bytes = CONFIG) -> SuiteConfig:
    return load_config(text, "configs/sums.yaml")


def manifest(evaluation: Storage) -> Manifest:
    return Manifest.model_validate_json(evaluation.read(PATHS.manifest))


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


# ---- render_report


def test_the_report_is_kept_and_the_mail_links_to_it(evaluation: Storage) -> None:
    compared(evaluation)
    arn = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/sums-group/1"
    answer = handler("render_report")({**REQUEST, "model_package_arn": arn})
    page = evaluation.read(PATHS.report).decode()
    assert answer["report_uri"] == f"s3://drops/evaluations/sums/{ID}/report.html"
    assert "good" in page
    assert "bad says &lt;b&gt;" in page
    assert boto3.client("s3").head_object(Bucket="drops", Key=PATHS.report)["ContentType"].startswith("text/html")
    for wanted in (answer["report_uri"], arn, ID, "good"):
        assert wanted in answer["text"]
    assert re.fullmatch(r"[\x20-\x7e]{1,99}", answer["subject"])


def test_a_report_without_registration_is_rendered_too(evaluation: Storage) -> None:
    compared(evaluation)
    answer = handler("render_report")({**REQUEST, "model_package_arn": None})
    assert "was not registered" in " ".join(answer["text"].split())


# ---- release_endpoints


def create_endpoint(name: str, owner: str = "assay-stack") -> None:
    sagemaker = boto3.client("sagemaker")
    tags = Endpoints(owner).tags(ID, "sums")
    role = "arn:aws:iam::123456789012:role/r"
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"Image": "i"}, Tags=tags)
    variant = {"VariantName": "v", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], Tags=tags)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=tags)


def endpoints() -> set[str]:
    return {item["EndpointName"] for item in boto3.client("sagemaker").list_endpoints()["Endpoints"]}


def test_what_the_evaluation_left_running_is_deleted_and_nothing_else(evaluation: Storage) -> None:
    own = endpoint_name(config(), config().model("lost"), ID)
    create_endpoint("shared")
    create_endpoint(own)
    create_endpoint("theirs", owner="somebody")
    answer = handler("release_endpoints")(REQUEST)
    assert answer == {"released": ["shared", own], "left": {}, "stopped_training_jobs": [], "stopped_batch_jobs": []}
    assert endpoints() == {"theirs"}


def test_an_endpoint_of_somebody_else_under_our_name_is_left_with_the_reason(evaluation: Storage) -> None:
    create_endpoint("shared", owner="somebody")
    answer = handler("release_endpoints")(REQUEST)
    assert answer["released"] == []
    assert answer["left"]["shared"] == "not created by Assay"
    assert endpoints() == {"shared"}


def test_one_endpoint_that_cannot_be_deleted_does_not_keep_the_others(evaluation: Storage) -> None:
    tried = []

    class Stubborn:
        def look(self, name: str) -> Serving | None:
            return None

        def release(self, name: str, evaluation_id: str) -> Released:
            tried.append(name)
            if name == "shared":
                raise TransientError("shared is being updated")
            return Released(name, released=True)

    with pytest.raises(TransientError, match="being updated"):
        release_all(config(), ID, Stubborn(), Sharing())
    assert tried == ["shared", endpoint_name(config(), config().model("lost"), ID)]


# ---- settings


def test_a_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OWNER", raising=False)
    runtime.setting.cache_clear()
    with pytest.raises(RuntimeError, match="OWNER"):
        runtime.owner()


@pytest.mark.parametrize("name", HANDLERS)
def test_a_handler_loads_without_any_environment(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for variable in ("OWNER", "AWS_DEFAULT_REGION", "AWS_REGION", "POWERTOOLS_METRICS_NAMESPACE"):
        monkeypatch.delenv(variable, raising=False)
    handler(name)
