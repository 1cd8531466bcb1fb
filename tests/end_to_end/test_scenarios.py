"""The three scenarios, each from a dropped config to a registered winner: several models, several tuned ones, both.

The models are real and so is the training; nothing about the results is arranged. The examples are made smaller: fewer
countries to validate with, fewer to be asked.
"""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from assay.contracts.config import SuiteConfig, load_config
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Comparison, ModelOutcome, Training
from assay.pipeline.plan import dependencies
from tests.end_to_end.conftest import PROJECT, Cloud

SCENARIOS = ("scenario-1-models", "scenario-2-finetuned", "scenario-3-base-and-finetuned")
LEARNED, VALIDATED, ASKED = 64, 4, 20
CHATS, INSTRUCTIONS = "smollm2-tuned-on-chats", "smollm2-tuned-on-instructions"


@dataclass(frozen=True)
class Finished:
    """One scenario that has ended."""

    cloud: Cloud
    config: SuiteConfig
    paths: EvaluationPaths
    comparison: Comparison

    def outcome(self, model: str) -> ModelOutcome:
        return ModelOutcome.model_validate_json(self.cloud.read(self.paths.outcome(model)))

    def training(self, model: str) -> Training:
        training = self.outcome(model).training
        assert training is not None
        return training

    def share_right(self, model: str, category: str) -> float:
        """Mean of factual_knowledge over one category, from the score files."""
        [key] = self.cloud.keys(self.paths.scores(model))
        rows = pq.read_table(io.BytesIO(self.cloud.read(key))).to_pylist()
        values = [
            row["value"]
            for row in rows
            if row["score"] == "factual_knowledge" and row["record_id"].endswith(f"-{category}")
        ]
        assert len(values) == ASKED
        return float(sum(values) / len(values))


def first_lines(path: Path, count: int) -> str:
    return "\n".join(path.read_text(encoding="utf-8").splitlines()[:count]) + "\n"


@pytest.fixture(scope="module")
def finished(cloud: Cloud) -> Mapping[str, Finished]:
    """All three, dropped together: they run beside each other, as other teams' evaluations do."""
    examples = PROJECT / "examples"
    for file in sorted((examples / "training").glob("*/*.jsonl")):
        count = VALIDATED if file.stem == "validation" else LEARNED
        cloud.drop(f"training/{file.parent.name}/{file.name}", first_lines(file, count))
    for file in sorted((examples / "training").glob("*/template.json")):
        cloud.drop(f"training/{file.parent.name}/{file.name}", file.read_text())
    cloud.drop("catalogs/geography.jsonl", first_lines(examples / "catalogs/geography.jsonl", 2 * ASKED))
    configs = {}
    for name in SCENARIOS:
        text = (examples / f"configs/{name}.yaml").read_bytes()
        cloud.drop(f"configs/{name}.yaml", text)
        configs[name] = load_config(text, name)
    found = {}
    for name, config in configs.items():
        suite = config.suite
        cloud.wait(functools.partial(ended, cloud, suite, f"configs/{name}.yaml"), 800)
        [completed] = cloud.events("EvaluationCompleted", suite=suite)
        paths = EvaluationPaths(cloud.bucket, suite, completed["evaluation_id"])
        comparison = Comparison.model_validate_json(cloud.read(paths.comparison))
        found[name] = Finished(cloud, config, paths, comparison)
    return found


def ended(cloud: Cloud, suite: str, config_key: str) -> list[dict[str, Any]]:
    """The event that tells of an end, whichever it is: an evaluation that failed is not waited for in vain."""
    kinds = ("EvaluationCompleted", "EvaluationFailed")
    refused = [event for event in cloud.events("EvaluationRejected") if event["data"]["subject"].endswith(config_key)]
    return [event for kind in kinds for event in cloud.events(kind, suite=suite)] + refused


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_steps_that_ran_are_those_that_are_planned(
    cloud: Cloud, finished: Mapping[str, Finished], name: str
) -> None:
    scenario = finished[name]
    [execution] = cloud.executions(scenario.config.suite)
    arn = execution["PipelineExecutionArn"]
    steps = cloud.stack.client("sagemaker").list_pipeline_execution_steps(PipelineExecutionArn=arn)
    ran = {step["StepName"]: step["StepStatus"] for step in steps["PipelineExecutionSteps"]}
    assert ran == dict.fromkeys(dependencies(scenario.config), "Succeeded")


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_model_answered_every_record_and_the_best_is_ranked_first(
    finished: Mapping[str, Finished], name: str
) -> None:
    comparison = finished[name].comparison
    assert {model.model for model in comparison.models} == {model.name for model in finished[name].config.models}
    for model in comparison.models:
        assert (model.outcome.status, model.outcome.answered, model.outcome.failed) == ("evaluated", 2 * ASKED, 0)
    means = {model.model: model.scores[0].mean.value or 0.0 for model in comparison.models}
    assert comparison.winner is not None
    assert means[comparison.winner] == max(means.values())


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_winner_of_each_scenario_is_registered_in_its_group(
    cloud: Cloud, finished: Mapping[str, Finished], name: str
) -> None:
    scenario = finished[name]
    sagemaker = cloud.stack.client("sagemaker")
    group = scenario.config.model_package_group
    [summary] = sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]
    package = sagemaker.describe_model_package(ModelPackageName=summary["ModelPackageArn"])
    assert scenario.comparison.winner in package["CustomerMetadataProperties"].values()


def test_two_fine_tuned_models_are_each_made_by_a_training_job_whose_loss_was_measured(
    cloud: Cloud, finished: Mapping[str, Finished]
) -> None:
    scenario = finished["scenario-2-finetuned"]
    jobs = {}
    for name in (CHATS, INSTRUCTIONS):
        training = scenario.training(name)
        job = cloud.stack.client("sagemaker").describe_training_job(TrainingJobName=training.job)
        assert job["TrainingJobStatus"] == "Completed"
        assert training.artefact_uri == job["ModelArtifacts"]["S3ModelArtifacts"]
        assert cloud.keys(training.artefact_uri.removeprefix(f"s3://{cloud.bucket}/"))
        assert training.examples == {"training": LEARNED, "validation": VALIDATED}
        assert training.billable_seconds == job["BillableTimeInSeconds"]
        losses = {metric.partition(":")[2]: value for metric, value in training.metrics.items()}
        # One of six continents by chance alone would be a loss of 1.8 nats for its first token.
        assert 0 < losses["eval-loss"] < 1.8
        assert losses["train-loss"] > 0
        jobs[name] = training
    assert jobs[CHATS].job != jobs[INSTRUCTIONS].job
    assert jobs[CHATS].metrics != jobs[INSTRUCTIONS].metrics


def test_tuning_helps_with_unseen_countries_and_costs_what_was_not_trained(finished: Mapping[str, Finished]) -> None:
    scenario = finished["scenario-3-base-and-finetuned"]
    trained = {line["dialog"][0]["content"] for line in lines("training/continents-chats/train.jsonl")}
    asked = {line["question"] for line in lines("catalogs/geography.jsonl")}
    assert not trained & asked
    assert scenario.outcome("smollm2").training is None
    base, tuned = ({kind: scenario.share_right(name, kind) for kind in ("continents", "capitals")}
                   for name in ("smollm2", CHATS))  # fmt: skip
    assert tuned["continents"] > base["continents"]
    assert tuned["capitals"] < base["capitals"]


def lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (PROJECT / "examples" / path).read_text(encoding="utf-8").splitlines()]


CARRIED = """\
pipeline: {name: asked-for}
dataset: {input_data_location: asked-for.jsonl, model_input_key: question, target_output_key: answer}
models:
  - name: candidate
    provider: huggingface
    model_id: HuggingFaceTB/SmolLM2-135M-Instruct
    deployment_config: {instance_type: ml.m5.xlarge}
    evaluation_config:
      output: "[0].generated_text"
      inference_parameters: {max_new_tokens: 8}
algorithms: [FactualKnowledge]
"""


def test_a_pipeline_may_have_a_registered_model_evaluated_in_the_place_of_one(
    cloud: Cloud, finished: Mapping[str, Finished]
) -> None:
    first = finished[SCENARIOS[0]]
    [won] = cloud.events("EvaluationCompleted", suite=first.config.suite)
    cloud.drop("catalogs/asked-for.jsonl", first_lines(PROJECT / "examples/catalogs/geography.jsonl", 4))
    override = {"name": "candidate", "model_package_arn": won["data"]["model_package_arn"]}
    cloud.request(config=CARRIED, model=override, correlation_id="build 21")
    [completed] = cloud.wait(functools.partial(cloud.events, "EvaluationCompleted", correlation_id="build 21"))
    paths = EvaluationPaths(cloud.bucket, "asked-for", completed["evaluation_id"])
    outcome = ModelOutcome.model_validate_json(cloud.read(paths.outcome("candidate")))
    assert (outcome.status, outcome.answered, outcome.failed) == ("evaluated", 4, 0), outcome.failure
    [model] = load_config(cloud.read(paths.config), paths.config).models
    winner = first.config.model(str(first.comparison.winner))
    assert (model.provider, model.model_id) == ("jumpstart", winner.model_id)


def test_nothing_is_left_running(cloud: Cloud, finished: Mapping[str, Finished]) -> None:
    assert cloud.endpoints() == []
    assert cloud.stack.client("sagemaker").list_models()["Models"] == []

    def nothing_runs() -> bool:
        cloud.stack.rest()  # ends what is idle; the completion has just woken the reconciler
        return not psutil.Process(cloud.stack.pid).children(recursive=True)

    assert cloud.wait(nothing_runs)


def test_a_seed_config_that_fine_tunes_starts_and_says_that_its_model_is_not_here(cloud: Cloud) -> None:
    text = (PROJECT / "tests/seed_configs/basic_finetuning.yaml").read_text()
    suite = load_config(text.encode(), "seed").suite
    row = json.dumps({"instruction": "Say it.", "context": "", "response": "It."})
    for folder in ("support_train", "support_validation"):
        cloud.drop(f"{folder}/data.jsonl", row)
    cloud.drop("catalogs/support_questions.jsonl", json.dumps({"question": "Is it?", "answer": "It is."}))
    cloud.drop("configs/seed.yaml", text)
    cloud.wait(lambda: cloud.events("EvaluationStarted", suite=suite))
    [event] = cloud.wait(functools.partial(ended, cloud, suite, "configs/seed.yaml"))
    paths = EvaluationPaths(cloud.bucket, suite, event["evaluation_id"])
    outcome = ModelOutcome.model_validate_json(cloud.read(paths.outcome("llama-3-8b-tuned")))
    assert outcome.failure is not None
    assert outcome.failure.kind == "FinetuningFailed"
    assert "meta-textgeneration-llama-3-8b" in outcome.failure.reason


def test_training_data_at_fault_are_refused_with_their_line_before_anything_starts(cloud: Cloud) -> None:
    text = (PROJECT / "examples/configs/scenario-2-finetuned.yaml").read_text()
    text = text.replace("geography-finetuned", "faulty-training").replace("training/continents", "faulty/continents")
    for kind in ("chats", "instructions"):
        for folder in (f"faulty/continents-{kind}", f"faulty/continents-{kind}-validation"):
            cloud.drop(f"{folder}/data.jsonl", '{"question": "?"}\n')
    cloud.drop("configs/faulty-training.yaml", text)
    [rejected] = cloud.wait(lambda: [item for item in cloud.events("EvaluationRejected") if "faulty" in str(item)])
    messages = [fault["message"] for fault in rejected["data"]["faults"]]
    assert "data.jsonl, line 1: must have `dialog`, a list of messages" in messages
    assert all(fault["line"] for fault in rejected["data"]["faults"])
    assert cloud.executions("faulty-training") == []
