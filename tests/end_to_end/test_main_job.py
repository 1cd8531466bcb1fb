"""A dropped config becomes a decision and a mail: the real template, handlers, pipeline and models."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Comparison, Manifest, ModelOutcome
from tests.end_to_end.conftest import PROJECT, Cloud

RECORDS = 12


@dataclass(frozen=True)
class Finished:
    paths: EvaluationPaths
    completed: dict[str, Any]
    comparison: Comparison


@pytest.fixture(scope="module")
def finished(cloud: Cloud) -> Finished:
    """The example, on its first dozen records, from drop to mail."""
    lines = (PROJECT / "examples/catalogs/general-knowledge.jsonl").read_text().splitlines()[:RECORDS]
    config = (PROJECT / "examples/configs/general-knowledge.yaml").read_text()
    config = config.replace("name: general-knowledge", "name: main-job").replace(
        "general-knowledge.jsonl", "dozen.jsonl"
    )
    cloud.drop("catalogs/dozen.jsonl", "\n".join(lines))
    cloud.drop("configs/main-job.yaml", config)
    [completed] = cloud.wait(lambda: cloud.events("EvaluationCompleted", suite="main-job"))
    paths = EvaluationPaths(cloud.bucket, "main-job", completed["evaluation_id"])
    return Finished(paths, completed, Comparison.model_validate_json(cloud.read(paths.comparison)))


def test_every_model_answered_every_record_and_is_ranked(finished: Finished) -> None:
    models = {model.model: model for model in finished.comparison.models}
    assert set(models) == {"smollm2-plain", "smollm2-few-shot", "nearest-neighbour"}
    for model in models.values():
        assert (model.outcome.status, model.outcome.answered, model.outcome.failed) == ("evaluated", RECORDS, 0)
        assert model.outcome.latency is not None
        assert model.outcome.latency.p50 > 0
    assert sorted(model.rank or 0 for model in models.values())[0] == 1
    assert finished.comparison.winner in models


def test_responses_and_scores_lie_where_they_can_be_opened(cloud: Cloud, finished: Finished) -> None:
    for model in finished.comparison.models:
        responses = [
            json.loads(line)
            for key in cloud.keys(finished.paths.responses(model.model))
            for line in cloud.read(key).splitlines()
        ]
        assert len({response["record_id"] for response in responses}) == len(responses) == RECORDS
        assert all(response["latency_ms"] > 0 and response["text"] for response in responses)
        [scores] = cloud.keys(finished.paths.scores(model.model))
        table = pq.read_table(io.BytesIO(cloud.read(scores)))
        assert table.column_names == ["record_id", "algorithm", "score", "value", "direction", "error"]
        assert table.num_rows == RECORDS * 7
        summary = model.scores[0]
        rows = [
            row for row in table.to_pylist() if (row["algorithm"], row["score"]) == (summary.algorithm, summary.score)
        ]
        assert sum(row["value"] for row in rows) / RECORDS == pytest.approx(summary.mean.value)


def test_the_two_prompts_shared_one_endpoint(cloud: Cloud, finished: Finished) -> None:
    outcomes = {
        name: ModelOutcome.model_validate_json(cloud.read(finished.paths.outcome(name))).endpoint_name
        for name in ("smollm2-plain", "smollm2-few-shot", "nearest-neighbour")
    }
    assert outcomes["smollm2-plain"] == outcomes["smollm2-few-shot"] == "smollm2-135m-instruct"
    assert outcomes["nearest-neighbour"] != "smollm2-135m-instruct"


def test_no_endpoint_and_no_process_but_the_daemon_is_left(cloud: Cloud, finished: Finished) -> None:
    sagemaker = cloud.stack.client("sagemaker")
    assert cloud.endpoints() == []
    assert sagemaker.list_endpoint_configs()["EndpointConfigs"] == []
    assert sagemaker.list_models()["Models"] == []

    def nothing_runs() -> bool:
        cloud.stack.rest()  # ends what is idle; the completion has just woken the reconciler
        return not psutil.Process(cloud.stack.pid).children(recursive=True)

    assert cloud.wait(nothing_runs)


def test_the_winner_is_registered_and_waits_for_approval(cloud: Cloud, finished: Finished) -> None:
    sagemaker = cloud.stack.client("sagemaker")
    [summary] = sagemaker.list_model_packages(ModelPackageGroupName="main-job")["ModelPackageSummaryList"]
    package = sagemaker.describe_model_package(ModelPackageName=summary["ModelPackageArn"])
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"] == finished.paths.uri(
        finished.paths.comparison
    )
    properties = package["CustomerMetadataProperties"]
    assert finished.comparison.winner in properties.values()
    assert finished.paths.evaluation_id in properties.values()
    assert properties["deployable"] == "True"
    [container] = package["InferenceSpecification"]["Containers"]
    assert container["Image"]
    assert container["ModelDataSource"]["S3DataSource"]["S3Uri"].startswith("s3://jumpstart-cache-prod-")
    assert json.loads(package["ModelCard"]["ModelCardContent"])["evaluation_details"]


def test_the_report_is_one_page_that_loads_nothing(cloud: Cloud, finished: Finished) -> None:
    page = cloud.read(finished.paths.report).decode()
    assert page.lstrip().lower().startswith("<!doctype html>")
    for model in finished.comparison.models:
        assert model.model in page
    assert "src=" not in page
    assert "<link" not in page


def test_the_mail_gives_the_verdict_and_where_to_read_on(cloud: Cloud, finished: Finished) -> None:
    [mail] = cloud.wait(lambda: cloud.mails(finished.paths.evaluation_id))
    assert str(finished.comparison.winner) in mail["text"]
    assert finished.paths.uri(finished.paths.report) in mail["text"]
    assert len(mail["subject"]) < 100


def test_started_and_completed_are_announced_once_each(cloud: Cloud, finished: Finished) -> None:
    identifier = finished.paths.evaluation_id
    assert len(cloud.events("EvaluationStarted", evaluation_id=identifier)) == 1
    assert len(cloud.events("EvaluationCompleted", evaluation_id=identifier)) == 1
    assert cloud.events("EvaluationFailed", evaluation_id=identifier) == []


def test_the_manifest_names_the_files_and_versions_behind_the_numbers(cloud: Cloud, finished: Finished) -> None:
    manifest = Manifest.model_validate_json(cloud.read(finished.paths.manifest))
    assert manifest.catalog.uri == f"s3://{cloud.bucket}/catalogs/dozen.jsonl"
    assert manifest.records == RECORDS
    assert manifest.config.version_id
    assert {"assay", "sagemaker", "python"} <= set(manifest.versions)


def test_the_same_event_again_is_no_second_evaluation(cloud: Cloud, finished: Finished) -> None:
    version = Manifest.model_validate_json(cloud.read(finished.paths.manifest)).config.version_id
    event = {
        "version": "0",
        "id": "7bf73129-1428-4cd3-a780-95db273d1602",
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {
            "bucket": {"name": cloud.bucket},
            "object": {"key": "configs/main-job.yaml", "version-id": version, "sequencer": "00"},
        },
    }
    functions = cloud.stack.client("lambda").list_functions()["Functions"]
    [name] = [item["FunctionName"] for item in functions if "StartEvaluation" in item["FunctionName"]]
    reply = cloud.stack.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event).encode())
    assert "FunctionError" not in reply
    assert [item["PipelineExecutionDisplayName"] for item in cloud.executions("main-job")] == [
        finished.paths.evaluation_id
    ]
