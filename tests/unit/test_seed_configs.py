"""Configs in the spelling of the project that Assay grew out of work as they are, and become the right pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from assay.contracts.config import load_config
from assay.contracts.contenders import dump_config
from assay.pipeline.plan import dependencies

FOLDER = Path(__file__).resolve().parents[1] / "seed_configs"
NAMES = sorted(path.name for path in FOLDER.glob("*.yaml"))


def chain(endpoint: str, model: str, *, tuned: bool = False) -> dict[str, list[str]]:
    """The branch of one model: step -> the steps that it waits for."""
    before = {f"finetune-{endpoint}": ["preprocess"]} if tuned else {}
    return {
        **before,
        f"deploy-{endpoint}": [*before, "preprocess"],
        f"evaluate-{model}": [f"deploy-{endpoint}", "preprocess"],
        f"cleanup-{endpoint}": [f"evaluate-{model}"],
    }


def expected(name: str) -> dict[str, list[str]]:
    prefix = "eval-adv-" if name.startswith("advanced") else "eval-"
    single = chain(f"{prefix}mistral-7b", "mistral-7b")
    chat = chain(f"{prefix}llama-3-8b-chat", "llama-3-8b-chat")
    falcon = chain(f"{prefix}falcon-40b", "falcon-40b")
    tuned = chain(f"{prefix}llama-3-8b-tuned", "llama-3-8b-tuned", tuned=True)
    branches = {"single_model": [single], "finetuning": [tuned], "scale": [chat, falcon]}
    kind = name.partition("_")[2].removesuffix(".yaml")
    steps: dict[str, list[str]] = {"preprocess": []}
    for branch in branches.get(kind, [chat, falcon, tuned]):
        steps |= branch
    return steps


def test_there_are_eight_of_them() -> None:
    kinds = ("single_model", "finetuning", "scale", "hybrid")
    assert sorted(f"{spelling}_{kind}.yaml" for spelling in ("basic", "advanced") for kind in kinds) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_is_valid_and_plans_the_right_steps(name: str) -> None:
    config = load_config((FOLDER / name).read_bytes(), name)
    assert {step: sorted(waits) for step, waits in dependencies(config).items()} == expected(name)


@pytest.mark.parametrize("name", NAMES)
def test_it_survives_being_written_anew(name: str) -> None:
    config = load_config((FOLDER / name).read_bytes(), name)
    assert load_config(dump_config(config), name) == config


@pytest.mark.parametrize("name", NAMES)
def test_it_is_evaluated_as_it_is(name: str) -> None:
    assert load_config((FOLDER / name).read_bytes(), name).suite.startswith("support-")


@pytest.mark.filterwarnings("ignore")  # the SDK's own: it announces its successor at every turn
@pytest.mark.parametrize("name", NAMES)
def test_the_pipeline_that_is_built_is_the_one_that_is_planned(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.pipeline.build import StepSettings, build_pipeline, upsert

    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="drops", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        settings = StepSettings(
            bucket="drops",
            role_arn="arn:aws:iam::123456789012:role/steps",
            image_uri="image:1",
            instance_type="ml.m5.large",
            owner="assay",
            table_name="evaluations",
            batch_role_arn="arn:aws:iam::123456789012:role/batch",
        )
        upsert(build_pipeline("assay-seed", load_config((FOLDER / name).read_bytes(), name), settings), settings)
        described = boto3.client("sagemaker").describe_pipeline(PipelineName="assay-seed")
        definition: dict[str, Any] = json.loads(described["PipelineDefinition"])
    assert {step["Name"]: sorted(step.get("DependsOn", [])) for step in definition["Steps"]} == expected(name)
