"""What a config may say of each provider, and what it may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from assay.contracts.config import SuiteConfig, load_config
from assay.contracts.contenders import contenders, dump_config
from assay.contracts.model_section import ModelSection

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/configs"
SMALL = {"instance_type": "ml.m5.xlarge"}
LEAST: dict[str, dict[str, Any]] = {
    "jumpstart": {"model_id": "m", "deployment_config": SMALL},
    "huggingface": {"model_id": "org/m", "deployment_config": SMALL},
    "endpoint": {"endpoint_name": "live"},
    "bedrock": {"model_id": "amazon.nova-lite-v1:0"},
    "openai": {"model_id": "gpt"},
    "plugin": {"plugin_config": {"name": "acme"}},
    "responses": {"response_key": "theirs"},
}


def section(provider: str, **keys: Any) -> ModelSection:
    return ModelSection.model_validate({"name": "m", "provider": provider, **LEAST[provider], **keys})


def faults(provider: str, **keys: Any) -> dict[str, str]:
    """Key path and sentence of each fault."""
    with pytest.raises(ValidationError) as caught:
        section(provider, **keys)
    return {".".join(map(str, item["loc"])): item["msg"] for item in caught.value.errors()}


@pytest.mark.parametrize("provider", LEAST)
def test_the_least_that_a_provider_needs_is_enough_and_less_is_not(provider: str) -> None:
    assert section(provider).provider == provider
    for key in LEAST[provider]:
        with pytest.raises(ValidationError, match=f"needs `{key}`"):
            section(provider, **{key: None})


@pytest.mark.parametrize(
    ("key", "value", "owner"),
    [
        ("huggingface_config", {"container": "lmi"}, "huggingface"),
        ("bedrock_config", {"region": "eu-west-1"}, "bedrock"),
        ("api_config", {"base_url": "https://api.example.com/v1"}, "openai"),
        ("plugin_config", {"name": "acme"}, "plugin"),
        ("response_key", "theirs", "responses"),
        ("inference_component_name", "part", "endpoint"),
    ],
)
def test_a_key_of_one_provider_has_no_place_with_the_others(key: str, value: Any, owner: str) -> None:
    assert getattr(section(owner, **{key: value}), key) is not None
    for provider in set(LEAST) - {owner}:
        assert "has no place" in faults(provider, **{key: value})[key]


@pytest.mark.parametrize("provider", ["bedrock", "openai", "plugin", "responses"])
@pytest.mark.parametrize("key", ["deployment_config", "endpoint_name", "cleanup_endpoint"])
def test_a_model_that_a_service_hosts_has_no_endpoint(provider: str, key: str) -> None:
    values = {"deployment_config": SMALL, "endpoint_name": "e", "cleanup_endpoint": False}
    assert "has no place" in faults(provider, **{key: values[key]})[key]
    assert not section(provider).has_endpoint


@pytest.mark.parametrize("key", ["output", "request_format", "custom_attributes"])
def test_keys_of_an_endpoints_wire_format_have_no_place_where_the_provider_knows_the_format(key: str) -> None:
    value = {"output": "a.b", "request_format": "chat_completions", "custom_attributes": {"a": 1}}[key]
    assert section("endpoint", evaluation_config={key: value})
    for provider in ("bedrock", "openai", "plugin"):
        assert "forms requests" in faults(provider, evaluation_config={key: value})[f"evaluation_config.{key}"]


CHATS: list[Any] = [
    "PROMPT_PLACEHOLDER",
    "Question: PROMPT_PLACEHOLDER",
    [{"role": "user", "content": "PROMPT_PLACEHOLDER"}],
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Two and two?"},
        {"role": "assistant", "content": "Four."},
        {"role": "user", "content": "PROMPT_PLACEHOLDER"},
    ],
]
NO_CHATS: list[Any] = [
    {"text": "PROMPT_PLACEHOLDER"},
    ["PROMPT_PLACEHOLDER"],
    [{"role": "tool", "content": "PROMPT_PLACEHOLDER"}],
    [{"role": "user", "content": ["PROMPT_PLACEHOLDER"]}],
    [{"role": "user", "content": "PROMPT_PLACEHOLDER"}, {"role": "system", "content": "s"}],
    [{"role": "system", "content": "PROMPT_PLACEHOLDER"}],
]


@pytest.mark.parametrize("provider", ["bedrock", "openai"])
def test_a_conversation_is_a_text_or_a_chat_and_nothing_else(provider: str) -> None:
    for template in CHATS:
        assert section(provider, evaluation_config={"content_template": template})
    for template in NO_CHATS:
        found = faults(provider, evaluation_config={"content_template": template})
        assert "must be a text or a chat" in found["evaluation_config.content_template"]


@pytest.mark.parametrize("provider", ["jumpstart", "endpoint"])
def test_an_endpoint_takes_any_template_unless_its_format_is_a_chat(provider: str) -> None:
    for template in [*CHATS, *NO_CHATS]:
        assert section(provider, evaluation_config={"content_template": template})
    for template in NO_CHATS:
        wanted = {"content_template": template, "request_format": "chat_completions"}
        assert "text or a chat" in faults(provider, evaluation_config=wanted)["evaluation_config.content_template"]


def test_a_system_prompt_needs_a_chat_to_stand_in() -> None:
    raw = {"content_template": "<|user|>PROMPT_PLACEHOLDER", "system_prompt": "Be brief."}
    assert "needs a chat" in faults("endpoint", evaluation_config=raw)["evaluation_config.system_prompt"]
    assert section("endpoint", evaluation_config={**raw, "request_format": "chat_completions"})
    assert section("endpoint", evaluation_config={"system_prompt": "Be brief."})
    assert section("bedrock", evaluation_config=raw)


def test_the_system_speaks_once() -> None:
    twice = {"content_template": CHATS[3], "system_prompt": "Be brief."}
    assert "already" in faults("bedrock", evaluation_config=twice)["evaluation_config.system_prompt"]


@pytest.mark.parametrize("name", ["stop", "stop_sequences", "stopSequences"])
def test_what_ends_an_answer_is_said_once(name: str) -> None:
    raw = {"stop_sequences": ["\n"], "inference_parameters": {name: ["\n"]}}
    found = faults("endpoint", evaluation_config=raw)
    assert "mean the same" in found[f"evaluation_config.inference_parameters.{name}"]


@pytest.mark.parametrize(
    ("name", "called"), [("max_tokens", "maxTokens"), ("top_p", "topP"), ("stop", "stopSequences")]
)
def test_bedrocks_parameters_have_bedrocks_names(name: str, called: str) -> None:
    found = faults("bedrock", evaluation_config={"inference_parameters": {name: 1}})
    assert f"calls it `{called}`" in found[f"evaluation_config.inference_parameters.{name}"]
    assert section("bedrock", evaluation_config={"inference_parameters": {called: 1, "top_k": 40}})


@pytest.mark.parametrize(
    ("api", "words"),
    [
        ({"base_url": "api.example.com"}, "must be a URL"),
        ({"base_url": "ftp://api.example.com"}, "must be a URL"),
        ({"base_url": "http://api.example.com/v1"}, "https://"),
        ({"base_url": "https://u:p@api.example.com/v1"}, "password"),
        ({"base_url": "https://api.example.com/v1?key=1"}, "must be a URL"),
        ({"base_url": "https://[api/v1"}, "not a URL"),
        ({"headers": {"Authorization": "Bearer x"}}, "is a key"),
        ({"headers": {"x-team": "a\nb"}}, "printable"),
    ],
)
def test_an_api_is_named_by_a_url_that_leaks_nothing(api: dict[str, Any], words: str) -> None:
    assert any(words in message for message in faults("openai", api_config=api).values())


def test_an_api_on_this_machine_may_be_plain() -> None:
    assert section("openai", api_config={"base_url": "http://127.0.0.1:8000/v1/"}).api_config.base_url == (
        "http://127.0.0.1:8000/v1"
    )


def test_a_hugging_face_model_is_of_the_hub_or_of_s3_and_its_environment_holds_no_secret() -> None:
    weights = {"model_data": "s3://bucket/weights/"}
    assert section("huggingface", model_id=None, huggingface_config=weights)
    found = faults("huggingface", huggingface_config={"environment": {"HF_TOKEN": "hf_x"}})
    assert "readable" in found["huggingface_config.environment.HF_TOKEN"]
    assert section("huggingface", huggingface_config={"environment": {"MAX_TOTAL_TOKENS": 4096}})


def test_an_endpoint_has_instances_or_is_serverless() -> None:
    serverless = {"serverless": {"memory_mb": 4096}}
    assert section("jumpstart", deployment_config=serverless).deployment_config is not None
    for key, value in {"instance_type": "ml.m5.xlarge", "num_instances": 2}.items():
        assert (
            "exclude" in faults("jumpstart", deployment_config={**serverless, key: value})[f"deployment_config.{key}"]
        )
    assert "needs `instance_type`" in faults("jumpstart", deployment_config={})["deployment_config"]


def test_guardrail_and_version_go_together() -> None:
    assert "go together" in faults("bedrock", bedrock_config={"guardrail_identifier": "g"})["bedrock_config"]


SUITE = """\
pipeline: {name: s}
dataset:
  input_data_location: c.jsonl
  prompt_templates: {short: "$model_input", long: "Think. $model_input"}
models:
  - {name: hosted, provider: bedrock, model_id: amazon.nova-lite-v1:0}
  - {name: api, provider: openai, model_id: gpt, api_config: {api_key_secret: assay/openai}}
  - {name: own, provider: plugin, plugin_config: {name: acme}}
algorithms: [FactualKnowledge]
"""


def test_prompts_to_hosted_models_are_contenders_that_share_nothing() -> None:
    expanded = contenders(load_config(SUITE.encode(), "s.yaml"))
    assert [model.name for model in expanded.models] == [
        f"{model}--{template}" for model in ("hosted", "api", "own") for template in ("short", "long")
    ]
    assert all(model.contender_of is None for model in expanded.models)
    assert load_config(dump_config(expanded), "s.yaml") == expanded
    assert isinstance(expanded, SuiteConfig)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_carried_out_whole(path: Path) -> None:
    assert load_config(path.read_bytes(), path.name).models


PROVISIONED = "arn:aws:bedrock:eu-west-1:123456789012:provisioned-model/abc123def456"
PROFILE = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-lite-v1:0"


def test_a_model_of_bedrock_is_asked_by_batch_from_the_size_on_that_the_config_says_and_else_never() -> None:
    asked = section("bedrock", bedrock_config={"batch_from_records": 1000})
    assert (asked.asked_by_batch(999), asked.asked_by_batch(1000)) == (False, True)
    assert not section("bedrock").asked_by_batch(1_000_000)
    assert section("bedrock", model_id=PROFILE, bedrock_config={"batch_from_records": 100}).asked_by_batch(100)


@pytest.mark.parametrize(
    ("keys", "key", "words"),
    [
        ({"bedrock_config": {"batch_from_records": 99}}, "bedrock_config.batch_from_records", "100"),
        (
            {"bedrock_config": {"batch_from_records": 100, "guardrail_identifier": "g", "guardrail_version": "1"}},
            "bedrock_config.batch_from_records",
            "no guardrail is applied",
        ),
        (
            {"model_id": PROVISIONED, "bedrock_config": {"batch_from_records": 100}},
            "bedrock_config.batch_from_records",
            "no batch inference job for a provisioned-model",
        ),
    ],
)
def test_what_a_batch_job_cannot_do_is_refused_in_the_config(keys: dict[str, Any], key: str, words: str) -> None:
    assert words in faults("bedrock", **keys)[key]
