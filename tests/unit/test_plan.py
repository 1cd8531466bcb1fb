"""How a config becomes endpoints and steps."""

from __future__ import annotations

import pytest

from assay.contracts.config import PipelineSection, SuiteConfig
from assay.pipeline.plan import endpoint_name, plan


def config(*models: dict[str, object]) -> SuiteConfig:
    base = {"model_id": "m", "deployment_config": {"instance_type": "ml.m5.xlarge"}}
    return SuiteConfig.model_validate(
        {
            "pipeline": {"name": "suite"},
            "dataset": {"input_data_location": "x.jsonl"},
            "models": [{**base, **model} for model in models],
            "algorithms": ["FactualKnowledge"],
        }
    )


def test_models_that_name_one_endpoint_share_its_deployment_and_its_cleanup() -> None:
    first, second = plan(
        config({"name": "a", "endpoint_name": "shared"}, {"name": "b"}, {"name": "c", "endpoint_name": "shared"})
    )
    assert (first.deploy_step, first.cleanup_step) == ("deploy-shared", "cleanup-shared")
    assert [model.step for model in first.models] == ["evaluate-a", "evaluate-c"]
    assert [model.step for model in second.models] == ["evaluate-b"]


def test_names_that_differ_only_in_punctuation_get_different_steps() -> None:
    endpoints = plan(config({"name": "a.b"}, {"name": "a-b"}, {"name": "a_b"}))
    steps = [step for item in endpoints for step in (item.deploy_step, item.cleanup_step, item.models[0].step)]
    assert len(set(steps)) == 9
    assert all(step.replace("-", "").isalnum() for step in steps)


def test_an_endpoint_without_a_name_gets_one_of_its_own_for_each_evaluation() -> None:
    suite = config({"name": "a.long" + "x" * 40})
    names = {endpoint_name(suite, suite.models[0], identifier * 32) for identifier in "ab"}
    assert len(names) == 2
    assert all(len(name) <= 63 and name.replace("-", "").isalnum() for name in names)


def test_a_generated_name_is_what_its_arn_says_in_lower_case() -> None:
    suite = config({"name": "SmolLM2"}, {"name": "smollm2"})
    names = {endpoint_name(suite, model, "a" * 32) for model in suite.models}
    assert len(names) == 2
    assert all(name == name.lower() for name in names)


def test_an_endpoint_keeps_the_name_that_the_config_gives() -> None:
    suite = config({"name": "a", "endpoint_name": "mine"})
    assert endpoint_name(suite, suite.models[0], "0" * 32) == "mine"


@pytest.mark.parametrize(
    ("suite_name", "models"),
    [
        ("customer-support-chatbot-germany-production-2026", ("llama-x", "llama-y")),
        ("suite", ("llama-3.1", "llama-3-1")),
    ],
    ids=["a long suite cuts them alike", "they differ only in punctuation"],
)
def test_models_of_one_evaluation_never_meet_on_an_endpoint(suite_name: str, models: tuple[str, str]) -> None:
    first, second = models
    suite = config({"name": first}, {"name": second})
    suite = suite.model_copy(update={"pipeline": PipelineSection(name=suite_name)})
    names = {endpoint_name(suite, model, "a" * 32) for model in suite.models}
    assert len(names) == 2
    assert all(len(name) <= 63 for name in names)
