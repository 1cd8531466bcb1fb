"""The functions of conclude_evaluation, from the state's payload to what lies in S3 and SageMaker."""

from __future__ import annotations

import json
import re
from typing import Any

import boto3
import pytest
from pydantic import ValidationError

from assay.aws import runtime
from assay.aws.endpoints import Endpoints, Released
from assay.aws.storage import Storage
from assay.contracts.errors import TransientError
from assay.contracts.results import Comparison
from assay.contracts.serving import Serving
from assay.pipeline.plan import endpoint_name
from assay.pipeline.release import release_all
from tests.unit.function_support import ID, PATHS, RECORDS, REQUEST, compared, config, handler
from tests.unit.test_reconcile import Sharing

HANDLERS = [
    "compare_models",
    "check_gate",
    "register_model",
    "render_report",
    "release_endpoints",
    "reconcile_evaluations",
]


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
def test_a_payload_that_names_no_evaluation_is_refused(deployed: Storage, name: str, event: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        handler(name)(event)


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
