"""Ten models run through two lanes; what goes wrong with one model costs no other; the winner's endpoint may stay."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Comparison, Manifest
from tests.end_to_end import chaos

MODELS = 10
CONFIG = """\
pipeline: {{name: {suite}}}
dataset: {{input_data_location: {suite}.jsonl}}
models:
{models}
algorithms: [FactualKnowledge]
limits: {{{limits}}}
"""
MODEL = """\
  - name: {name}
    model_id: {model_id}
    deployment_config: {{instance_type: ml.m5.xlarge}}
    evaluation_config: {{prompt_template: "wait {wait} s: $model_input"{more}}}"""


@pytest.fixture(scope="module")
def cloud() -> Iterator[chaos.Cloud]:
    """A cloud of its own, whose steps are warm: each of these evaluations has many."""
    with chaos.a_cloud() as running:
        yield running


def model(name: str, wait: float = 0.0, model_id: str = "assay-echo", more: str = "") -> str:
    return MODEL.format(name=name, wait=wait, model_id=model_id, more=more)


def evaluate(cloud: chaos.Cloud, suite: str, models: list[str], limits: str, seconds: float) -> dict[str, Any]:
    """Drop a suite, wait for its end, and return the announcement's detail."""
    bucket, s3 = cloud.stack.outputs["BucketName"], cloud.stack.client("s3")
    s3.put_object(Bucket=bucket, Key=f"catalogs/{suite}.jsonl", Body=chaos.CATALOG.encode())
    config = CONFIG.format(suite=suite, models="\n".join(models), limits=limits)
    s3.put_object(Bucket=bucket, Key=f"configs/{suite}.yaml", Body=config.encode())
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for event in cloud.stack.events():
            if event["detail-type"].startswith("Evaluation") and event["detail"]["suite"] == suite:
                assert event["detail-type"] not in ("EvaluationRejected", "EvaluationFailed"), event["detail"]
                if event["detail-type"] == "EvaluationCompleted":
                    detail: dict[str, Any] = event["detail"]
                    return detail
        time.sleep(0.5)
    raise AssertionError(f"{suite} had not ended after {seconds:.0f} s; logs are in {cloud.stack.settings.home}")


def read(cloud: chaos.Cloud, detail: dict[str, Any], name: str) -> bytes:
    paths = EvaluationPaths(cloud.stack.outputs["BucketName"], detail["suite"], detail["evaluation_id"])
    body = cloud.stack.client("s3").get_object(Bucket=paths.bucket, Key=f"{paths.prefix}/{name}")["Body"]
    return bytes(body.read())


def most_at_once(cloud: chaos.Cloud) -> tuple[int, int]:
    """From SageMaker's events: endpoints that were created, and the most of them that existed at the same time."""
    alive: set[str] = set()
    most = created = 0
    for event in cloud.stack.events():
        if event["detail-type"] == "SageMaker Endpoint State Change":
            name, status = event["detail"]["EndpointName"], event["detail"]["EndpointStatus"]
            if status == "CREATING":
                created += 1
                alive.add(name)
            elif status == "DELETING":
                alive.discard(name)
            most = max(most, len(alive))
    return created, most


def test_ten_models_of_different_length_run_through_two_lanes(cloud: chaos.Cloud) -> None:
    models = [model(f"m{number}", wait=0.2 * (number % 4)) for number in range(MODELS)]
    detail = evaluate(cloud, "ten-models", models, "endpoints: 2", 800)
    comparison = Comparison.model_validate_json(read(cloud, detail, "comparison.json"))
    assert len(comparison.models) == MODELS
    assert {item.outcome.status for item in comparison.models} == {"evaluated"}
    assert most_at_once(cloud) == (MODELS, 2)
    assert cloud.resources() == set()
    manifest = Manifest.model_validate_json(read(cloud, detail, "manifest.json"))
    assert [(lane.endpoints, lane.source) for lane in manifest.lanes] == [(2, "config")]


def test_a_model_that_answers_nothing_costs_the_other_nothing_and_the_winners_endpoint_stays(
    cloud: chaos.Cloud,
) -> None:
    models = [model("good"), model("bad", more=", inference_parameters: {no_such_parameter: 1}")]
    detail = evaluate(cloud, "half-mute", models, "keep_winner_hours: 1", 300)
    comparison = Comparison.model_validate_json(read(cloud, detail, "comparison.json"))
    found = {item.model: item for item in comparison.models}
    assert comparison.winner == "good"
    assert (found["good"].outcome.answered, found["good"].outcome.failed) == (4, 0)
    assert (found["bad"].outcome.answered, found["bad"].outcome.failed, found["bad"].rank) == (0, 4, None)
    deadline = time.monotonic() + 60
    while len(cloud.resources()) > 3 and time.monotonic() < deadline:
        time.sleep(0.5)
    assert {arn.partition("/")[2].split("-")[2] for arn in cloud.resources()} == {"good"}
    assert len(cloud.resources()) == 3
    cloud.ids[0] = detail["evaluation_id"]
    assert cloud.reconcile()["deleted"] == []  # its hour is not over
    cloud.stack.client("sagemaker").delete_endpoint(EndpointName=found["good"].outcome.endpoint_name)


def test_a_quota_that_is_used_up_is_named_and_costs_the_other_model_nothing(cloud: chaos.Cloud) -> None:
    cloud.ask("quotas", {"ml.g5.xlarge": 0})
    models = [model("good"), model("too-large").replace("ml.m5.xlarge", "ml.g5.xlarge")]
    detail = evaluate(cloud, "small-quota", models, "concurrency: 4", 300)
    comparison = Comparison.model_validate_json(read(cloud, detail, "comparison.json"))
    found = {item.model: item for item in comparison.models}
    assert comparison.winner == "good"
    assert found["too-large"].outcome.failure is not None
    assert "ml.g5.xlarge for endpoint usage" in found["too-large"].outcome.failure.reason
    manifest = json.loads(read(cloud, detail, "manifest.json"))
    reasons = {lane["instance_type"]: lane["reason"] for lane in manifest["lanes"]}
    assert "0 x ml.g5.xlarge" in reasons["ml.g5.xlarge"]
