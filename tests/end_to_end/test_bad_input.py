"""What is refused is told with its line and starts nothing; what fails in the middle is told and leaves nothing."""

from __future__ import annotations

import json

import pytest

from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Comparison
from tests.end_to_end.conftest import Cloud

CATALOG = "\n".join(
    json.dumps({"id": name, "model_input": f"What is the capital of {name}?", "target_output": capital})
    for name, capital in [("France", "Paris"), ("Japan", "Tokyo"), ("Egypt", "Cairo"), ("Peru", "Lima")]
)
CONFIG = """\
pipeline:
  name: {suite}
dataset:
  input_data_location: {suite}.jsonl
models:
  - name: nearest
    model_id: assay-nearest-neighbour-minilm
    deployment_config: {{instance_type: ml.m5.xlarge}}
algorithms:
  - FactualKnowledge
"""
BROKEN_MODEL = """\
  - name: broken
    model_id: assay-broken-model
    deployment_config: {{instance_type: ml.g5.2xlarge}}
algorithms:
"""


@pytest.mark.parametrize(
    ("suite", "config", "catalog", "refused", "line"),
    [
        ("not-yaml", "pipeline: [\n", CATALOG, "configs/not-yaml.yaml", 2),
        ("no-models", CONFIG.replace("models:", "model:"), CATALOG, "configs/no-models.yaml", 1),
        ("no-such", CONFIG.replace("FactualKnowledge", "Guesswork"), CATALOG, "configs/no-such.yaml", 10),
        ("bad-line", CONFIG, f"{CATALOG}\n{{broken", "catalogs/bad-line.jsonl", 5),
    ],
)
def test_bad_input_is_refused_three_ways_and_starts_nothing(
    cloud: Cloud, suite: str, config: str, catalog: str, refused: str, line: int
) -> None:
    text = config if config.startswith("pipeline: [") else config.format(suite=suite)
    cloud.drop(f"catalogs/{suite}.jsonl", catalog)
    cloud.drop(f"configs/{suite}.yaml", text)
    subject = f"s3://{cloud.bucket}/{refused}"
    [mail] = cloud.wait(lambda: cloud.mails(refused))
    [event] = [item for item in cloud.events("EvaluationRejected") if item["data"]["subject"] == subject]
    written = json.loads(cloud.read(f"rejected/{refused}.json"))
    assert line in [fault["line"] for fault in written["faults"]]
    assert written["faults"] == event["data"]["faults"]
    assert f"line {line}" in mail["text"]
    assert cloud.executions(suite) == []
    assert cloud.keys(f"evaluations/{suite}/") == []


def test_a_model_whose_endpoint_fails_is_shown_as_failed_and_the_other_is_evaluated(cloud: Cloud) -> None:
    suite = "half-broken"
    cloud.drop(f"catalogs/{suite}.jsonl", CATALOG)
    cloud.drop(f"configs/{suite}.yaml", CONFIG.replace("algorithms:\n", BROKEN_MODEL).format(suite=suite))
    [completed] = cloud.wait(lambda: cloud.events("EvaluationCompleted", suite=suite))
    paths = EvaluationPaths(cloud.bucket, suite, completed["evaluation_id"])
    comparison = Comparison.model_validate_json(cloud.read(paths.comparison))
    models = {model.model: model for model in comparison.models}
    assert comparison.winner == "nearest"
    assert models["nearest"].outcome.answered == 4
    assert models["broken"].rank is None
    failure = models["broken"].outcome.failure
    assert failure is not None
    assert failure.kind == "EndpointFailed"
    assert failure.reason in cloud.read(paths.report).decode()
    assert cloud.endpoints() == []


def test_a_config_waits_for_its_catalog_and_starts_when_it_comes(cloud: Cloud) -> None:
    suite = "early"
    cloud.drop(f"configs/{suite}.yaml", CONFIG.format(suite=suite))
    item = {"pk": {"S": f"SUITE#{suite}"}, "sk": {"S": "CONFIG"}}
    dynamodb, table = cloud.stack.client("dynamodb"), cloud.stack.outputs["EvaluationsTable"]
    cloud.wait(lambda: "Item" in dynamodb.get_item(TableName=table, Key=item))
    assert cloud.executions(suite) == []
    cloud.drop(f"catalogs/{suite}.jsonl", CATALOG)
    cloud.wait(lambda: cloud.events("EvaluationCompleted", suite=suite))
    assert len(cloud.executions(suite)) == 1


def test_an_evaluation_that_is_stopped_is_told_as_failed_and_leaves_no_endpoint(cloud: Cloud) -> None:
    suite = "stopped"
    cloud.drop(f"catalogs/{suite}.jsonl", CATALOG)
    cloud.drop(f"configs/{suite}.yaml", CONFIG.format(suite=suite))
    [execution] = cloud.wait(lambda: cloud.executions(suite))
    cloud.wait(cloud.endpoints)
    cloud.stack.client("sagemaker").stop_pipeline_execution(PipelineExecutionArn=execution["PipelineExecutionArn"])
    [failed] = cloud.wait(lambda: cloud.events("EvaluationFailed", suite=suite))
    cloud.wait(lambda: cloud.mails(failed["evaluation_id"]))
    assert cloud.endpoints() == []
    assert cloud.events("EvaluationCompleted", suite=suite) == []
