"""Prompts are compared like models, and an expanded config is one that can be read again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.contracts.config import SuiteConfig, load_config
from assay.contracts.contenders import contenders, dump_config
from assay.contracts.errors import RejectedError
from assay.pipeline.plan import dependencies, endpoint_name, plan

CONFIG = """\
pipeline: {name: prompts}
dataset:
  input_data_location: x.jsonl
  prompt_templates:
    plain: $model_input
    polite: "Please answer: $model_input"
models:
  - {name: small, model_id: m, deployment_config: {instance_type: ml.m5.xlarge}}
  - name: live
    provider: endpoint
    endpoint_name: live
    evaluation_config: {output: "[0].text", inference_parameters: {temperature: 1e-2}}
  - {name: ours, provider: responses, response_key: answers.ours}
algorithms: [FactualKnowledge]
"""


def load(text: str = CONFIG) -> SuiteConfig:
    return load_config(text.encode(), "configs/prompts.yaml")


def test_each_model_with_each_template_is_a_contender() -> None:
    expanded = contenders(load())
    assert [(model.name, model.evaluation_config.prompt_template) for model in expanded.models] == [
        ("small--plain", "$model_input"),
        ("small--polite", "Please answer: $model_input"),
        ("live--plain", "$model_input"),
        ("live--polite", "Please answer: $model_input"),
        ("ours", "$model_input"),
    ]
    assert expanded.model("live--polite").evaluation_config.output == "[0].text"


def test_contenders_of_one_model_share_its_endpoint() -> None:
    expanded = contenders(load())
    assert [(item.name, [model.name for model in item.models]) for item in plan(expanded)] == [
        ("small", ["small--plain", "small--polite"]),
        ("live", ["live--plain", "live--polite"]),
    ]
    names = {endpoint_name(expanded, model, "0" * 32) for model in expanded.models[:2]}
    [name] = names
    assert name.startswith("prompts-small-")


def test_the_price_of_a_model_s_tokens_is_that_of_its_contenders() -> None:
    text = CONFIG + "pricing: {tokens: {small: {input_usd: 1.0, output_usd: 2.0}}}\n"
    pricing = contenders(load(text)).pricing
    assert pricing is not None
    assert {name.partition("--")[0] for name in pricing.tokens} == {"small"}
    assert len(pricing.tokens) == 2


def test_given_answers_need_no_endpoint_and_no_step_but_their_evaluation() -> None:
    steps = dependencies(contenders(load()))
    assert steps["evaluate-ours"] == ("preprocess",)
    assert not [name for name in steps if "ours" in name and name != "evaluate-ours"]


def test_a_config_without_templates_is_left_as_it_is() -> None:
    config = contenders(load())
    assert contenders(config) == config


def test_an_expanded_config_can_be_written_and_read_again() -> None:
    expanded = contenders(load())
    assert load(dump_config(expanded).decode()) == expanded


@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    number=st.floats(allow_nan=False, allow_infinity=False),
)
def test_any_text_and_number_survives_being_written_and_read(text: str, number: float) -> None:
    model = {
        "name": "m",
        "provider": "endpoint",
        "endpoint_name": "e",
        "evaluation_config": {
            "content_template": ["PROMPT_PLACEHOLDER", text],
            "inference_parameters": {text: text, "number": number},
            "prompt_template": f"$model_input {text}",
        },
    }
    config = SuiteConfig.model_validate(
        {
            "pipeline": {"name": "suite"},
            "dataset": {"input_data_location": "x.jsonl"},
            "models": [model],
            "algorithms": ["FactualKnowledge"],
        }
    )
    assert load_config(dump_config(config), "x") == config


@pytest.mark.parametrize("text", ["1e5", "010", "1:30", "no", "null", "~", "2024-01-01", "<<", "=", "", " a", "0x1f"])
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    config = load(CONFIG.replace("temperature: 1e-2", f'stop: "{text}"'))
    read = load(dump_config(config).decode())
    assert read.model("live").evaluation_config.inference_parameters == {"stop": text}


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "words"),
    [
        (
            "output: ",
            "prompt_template: $prompt, output: ",
            12,
            "models[1].evaluation_config.prompt_template",
            "exclude",
        ),
        ("name: live\n", f"name: {'l' * 44}\n", 9, "models[1].name", "at most 48"),
        ("name: live\n", "name: small--plain\n", 8, "models[0].name", "is another model"),
    ],
)
def test_templates_that_cannot_be_put_to_the_models_are_refused(
    old: str, new: str, line: int, key: str, words: str
) -> None:
    assert old in CONFIG
    with pytest.raises(RejectedError) as caught:
        load(CONFIG.replace(old, new, 1))
    assert [(fault.line, fault.key) for fault in caught.value.faults] == [(line, key)]
    assert words in caught.value.faults[0].message


def test_more_contenders_than_models_are_allowed_are_refused() -> None:
    many = "".join(f"    t{number}: $model_input\n" for number in range(30))
    with pytest.raises(RejectedError, match="2 models with 31 prompt templates are more than 50 contenders"):
        load(CONFIG.replace("    plain: $model_input\n", many))
