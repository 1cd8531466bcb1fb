"""A model of Bedrock, one behind an API, and one of JumpStart in one suite: each is reached in its own way."""

from __future__ import annotations

import json
from typing import Any

import pytest
import urllib3

from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Comparison
from tests.end_to_end.conftest import PROJECT, Cloud

RECORDS = 6
SECRET = "assay/local-api"
JUDGED_SCORES = ("preference", "judge_score")
HOSTED = ("bedrock-smollm2", "api-smollm2")


def drop(cloud: Cloud, suite: str, config: str, records: int = RECORDS) -> None:
    lines = (PROJECT / "examples/catalogs/general-knowledge.jsonl").read_text().splitlines()[:records]
    config = config.replace("name: hosted-models", f"name: {suite}").replace(
        "general-knowledge.jsonl", f"{suite}.jsonl"
    )
    cloud.drop(f"catalogs/{suite}.jsonl", "\n".join(lines))
    cloud.drop(f"configs/{suite}.yaml", config)


def evaluate(cloud: Cloud, suite: str, config: str, records: int = RECORDS) -> tuple[EvaluationPaths, Comparison]:
    drop(cloud, suite, config, records)
    [completed] = cloud.wait(lambda: cloud.events("EvaluationCompleted", suite=suite))
    paths = EvaluationPaths(cloud.bucket, suite, completed["evaluation_id"])
    return paths, Comparison.model_validate_json(cloud.read(paths.comparison))


def responses(cloud: Cloud, paths: EvaluationPaths, model: str) -> list[dict[str, Any]]:
    keys = cloud.keys(paths.responses(model))
    return [json.loads(line) for key in keys for line in cloud.read(key).splitlines()]


@pytest.fixture(scope="module")
def config() -> str:
    return (PROJECT / "examples/configs/hosted-models.yaml").read_text()


@pytest.fixture(scope="module")
def finished(cloud: Cloud, config: str) -> tuple[EvaluationPaths, Comparison]:
    cloud.stack.client("secretsmanager").create_secret(Name=SECRET, SecretString="a-key-of-the-local-api")
    return evaluate(cloud, "hosted-models", config)


def test_every_provider_answers_every_record(finished: tuple[EvaluationPaths, Comparison]) -> None:
    outcomes = {model.model: model.outcome for model in finished[1].models}
    assert set(outcomes) == {*HOSTED, "nearest-neighbour"}
    for outcome in outcomes.values():
        assert (outcome.status, outcome.answered, outcome.failed) == ("evaluated", RECORDS, 0)
    assert [outcomes[name].endpoint_name for name in HOSTED] == [None, None]
    assert outcomes["nearest-neighbour"].endpoint_name is not None


def test_hosted_models_tell_of_tokens_and_ends(cloud: Cloud, finished: tuple[EvaluationPaths, Comparison]) -> None:
    ends = {"bedrock-smollm2": {"end_turn", "max_tokens", "stop_sequence"}, "api-smollm2": {"stop", "length"}}
    for name, known in ends.items():
        found = responses(cloud, finished[0], name)
        assert len(found) == RECORDS
        for response in found:
            assert response["input_tokens"] > response["output_tokens"] >= 0
            assert response["finish_reason"] in known
            assert response["request_id"]


def test_a_hosted_model_has_one_step_and_no_endpoint(
    cloud: Cloud, finished: tuple[EvaluationPaths, Comparison]
) -> None:
    sagemaker = cloud.stack.client("sagemaker")
    [execution] = cloud.executions("hosted-models")
    steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=execution["PipelineExecutionArn"])
    names = {step["StepName"] for step in steps["PipelineExecutionSteps"]}
    assert {f"evaluate-{name}" for name in HOSTED} <= names
    assert {name for name in names if name.startswith(("deploy", "cleanup"))} == {
        "deploy-nearest-neighbour",
        "cleanup-nearest-neighbour",
    }


def test_the_key_of_an_api_stands_nowhere(cloud: Cloud, finished: tuple[EvaluationPaths, Comparison]) -> None:
    for key in cloud.keys(finished[0].prefix):
        assert b"a-key-of-the-local-api" not in cloud.read(key)
    logs = [path for path in cloud.stack.settings.home.rglob("*.log") if path.is_file()]
    assert logs
    for path in logs:
        assert b"a-key-of-the-local-api" not in path.read_bytes()


def test_without_its_key_one_model_fails_and_the_others_are_evaluated(cloud: Cloud, config: str) -> None:
    _, comparison = evaluate(cloud, "no-key", config.replace(SECRET, "assay/none").replace("hosted-models", "no-key"))
    outcomes = {model.model: model.outcome for model in comparison.models}
    failure = outcomes["api-smollm2"].failure
    assert failure is not None
    assert (failure.kind, outcomes["api-smollm2"].records) == ("NotConnected", RECORDS)
    assert "assay/none cannot be read: ResourceNotFoundException" in failure.reason
    assert outcomes["bedrock-smollm2"].answered == outcomes["nearest-neighbour"].answered == RECORDS
    assert comparison.winner in {"bedrock-smollm2", "nearest-neighbour"}


JUDGED = """\
pipeline: {name: hosted-models}
dataset: {input_data_location: general-knowledge.jsonl, model_input_key: question, target_output_key: answer}
models:
  - name: small
    provider: bedrock
    model_id: local.smollm2-135m-instruct-v1:0
    evaluation_config: {inference_parameters: {maxTokens: 20, temperature: 0}}
  - name: near
    provider: jumpstart
    model_id: assay-nearest-neighbour-minilm
    deployment_config: {instance_type: ml.m5.xlarge}
algorithms: [Judge, {algorithm: JudgePreference, parameters: {rival: small}}, FactualKnowledge]
judge:
  provider: bedrock
  model_id: local.likeness-judge-minilm-v1:0
  evaluation_config: {inference_parameters: {maxTokens: 100, temperature: 0}}
limits: {budget_usd: 5}
pricing:
  tokens: {small: {input_usd: 1, output_usd: 5}, judge: {input_usd: 2, output_usd: 10}}
"""


def test_a_judge_compares_two_models_that_are_asked_within_a_budget_and_no_endpoint_waits_for_it(cloud: Cloud) -> None:
    paths, comparison = evaluate(cloud, "judged", JUDGED)
    sagemaker = cloud.stack.client("sagemaker")
    [execution] = cloud.executions("judged")
    found = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=execution["PipelineExecutionArn"])
    steps = {step["StepName"]: step for step in found["PipelineExecutionSteps"]}
    for name, rival in (("near", "small"), ("small", "small")):
        judging = steps[f"judge-{name}"]
        assert judging["StepStatus"] == "Succeeded"
        assert judging["StartTime"] >= max(steps[f"evaluate-{other}"]["EndTime"] for other in (name, rival))
    definition = json.loads(sagemaker.describe_pipeline(PipelineName="assay-judged")["PipelineDefinition"])
    waits = {step["Name"]: step.get("DependsOn", []) for step in definition["Steps"]}
    assert waits["cleanup-near"] == ["evaluate-near"]
    outcomes = {model.model: model.outcome for model in comparison.models}
    near, small = outcomes["near"].judge, outcomes["small"].judge
    assert near is not None
    assert small is not None
    # A grade each, and two comparisons of `near` with `small`; what two models say alike is put to the judge once.
    assert near.asked + near.cached == 3 * RECORDS
    assert small.asked + small.cached == RECORDS
    assert (near.failed, small.failed) == (0, 0)
    allotted = json.loads(cloud.read(paths.manifest))["judge_allotments"]
    assert 0 < (near.cost_usd or 0) < allotted["near"]
    assert 0 < (small.cost_usd or 0) < allotted["small"] < allotted["near"]
    means = {model.model: {score.score: score.mean for score in model.scores} for model in comparison.models}
    preferences, grades = ([means[name][score].value or 0 for name in ("small", "near")] for score in JUDGED_SCORES)
    assert preferences[0] == 0.5 < preferences[1]
    assert grades[0] < grades[1]
    assert {means[name][score].n for name in outcomes for score in JUDGED_SCORES} == {RECORDS}
    assert comparison.winner == "near"


BATCH = """\
pipeline: {name: hosted-models}
dataset: {input_data_location: general-knowledge.jsonl, model_input_key: question, target_output_key: answer}
models:
  - name: batch
    provider: bedrock
    model_id: eu.local.nearest-neighbour-minilm-v1:0
    bedrock_config: {batch_from_records: 100}
algorithms: [FactualKnowledge]
"""


def jobs(cloud: Cloud, evaluation_id: str) -> list[dict[str, Any]]:
    found = cloud.stack.client("bedrock").list_model_invocation_jobs(nameContains=evaluation_id)
    return list(found["invocationJobSummaries"])


def test_a_large_catalog_is_asked_by_one_batch_job_that_answers_without_latencies(cloud: Cloud) -> None:
    paths, comparison = evaluate(cloud, "by-batch", BATCH, records=100)
    [model] = comparison.models
    assert (model.outcome.answered, model.outcome.by_batch, model.outcome.latency) == (100, True, None)
    found = responses(cloud, paths, "batch")
    assert len({response["record_id"] for response in found}) == 100
    assert {response["latency_ms"] for response in found} == {None}
    assert all(response["text"] and response["input_tokens"] > 0 for response in found)
    [job] = jobs(cloud, paths.evaluation_id)
    assert (job["status"], job["successRecordCount"], job["modelInvocationType"]) == ("Completed", 100, "Converse")
    assert job["roleArn"].startswith("arn:aws:iam::")


def test_an_evaluation_that_is_stopped_stops_its_batch_job(cloud: Cloud) -> None:
    fault = [{"kind": "answer", "api": "bedrock-batch", "code": "Hanging"}]
    urllib3.request("POST", f"{cloud.stack.settings.endpoint_url}/_local/faults", json=fault)
    drop(cloud, "batch-stopped", BATCH, records=100)
    [started] = cloud.wait(lambda: cloud.events("EvaluationStarted", suite="batch-stopped"))
    identifier = started["evaluation_id"]
    cloud.wait(lambda: [job for job in jobs(cloud, identifier) if job.get("processedRecordCount") == 50])
    [execution] = cloud.executions("batch-stopped")
    cloud.stack.client("sagemaker").stop_pipeline_execution(PipelineExecutionArn=execution["PipelineExecutionArn"])
    cloud.wait(lambda: cloud.events("EvaluationFailed", suite="batch-stopped"))
    [job] = cloud.wait(lambda: [job for job in jobs(cloud, identifier) if job["status"] == "Stopped"])
    assert (job["processedRecordCount"], job["totalRecordCount"]) == (50, 100)
