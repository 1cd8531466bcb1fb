"""The `models` of a config: how each is reached, what it is asked, and where it is registered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field

from assay.contracts.deployment_section import Count, DeploymentSection
from assay.contracts.evaluation_section import EvaluationSection, no_room_for_system, not_a_conversation
from assay.contracts.provider_sections import ApiSection, BedrockSection, HuggingFaceSection, PluginSection
from assay.contracts.section import Broken, EndpointName, FieldLocation, InstanceType, ModelName, Scalar, Section

Provider = Literal["jumpstart", "huggingface", "endpoint", "bedrock", "openai", "plugin", "responses"]

# Providers whose models are asked through a SageMaker endpoint.
ENDPOINT_PROVIDERS = ("jumpstart", "huggingface", "endpoint")

# What each provider needs to be told, and what would have no meaning for it.
_NEEDS: dict[str, tuple[str, ...]] = {
    "jumpstart": ("model_id", "deployment_config"),
    "huggingface": ("deployment_config",),
    "endpoint": ("endpoint_name",),
    "bedrock": ("model_id",),
    "openai": ("model_id",),
    "plugin": ("plugin_config",),
    "responses": ("response_key",),
}
_ENDPOINT_KEYS = (
    "deployment_config",
    "finetuning_config",
    "contender_of",
    "endpoint_name",
    "inference_component_name",
    "cleanup_endpoint",
)
# Keys that only one provider knows.
_OWN_KEYS = {
    "huggingface_config": "huggingface",
    "bedrock_config": "bedrock",
    "api_config": "openai",
    "plugin_config": "plugin",
    "response_key": "responses",
    "inference_component_name": "endpoint",
}
_HAS_NO_PLACE: dict[str, tuple[tuple[str, ...], str]] = {
    "jumpstart": ((), "the answers come from the model"),
    "huggingface": (("finetuning_config",), "only JumpStart models are fine-tuned"),
    "endpoint": (
        ("model_id", "model_version", "deployment_config", "finetuning_config"),
        "the endpoint exists already, and is asked as it is",
    ),
    "bedrock": ((*_ENDPOINT_KEYS, "model_version"), "Bedrock serves the model, and its id says which"),
    "openai": ((*_ENDPOINT_KEYS, "model_version"), "the API serves the model, and its id says which"),
    "plugin": (_ENDPOINT_KEYS, "the plug-in reaches the model"),
    "responses": (
        (*_ENDPOINT_KEYS, "model_id", "model_version", "evaluation_config"),
        "the catalog holds the answers, and no model is called",
    ),
}
# Keys of `evaluation_config` that speak of an endpoint's requests and replies.
_REQUEST_KEYS = ("request_format", "output", "log_probability", "custom_attributes")
# ARNs of what Bedrock serves, and takes no batch inference job for.
_NOT_IN_BATCHES = re.compile(
    r"^arn:[a-z-]+:bedrock:[^:]*:[^:]*:"
    r"(provisioned-model|imported-model|custom-model-deployment|prompt-router|default-prompt-router)/"
)
# What a parameter of another API is called in Bedrock's `inferenceConfig`.
_CONVERSE_NAMES = {
    "max_tokens": "maxTokens",
    "max_new_tokens": "maxTokens",
    "max_gen_len": "maxTokens",
    "maxTokenCount": "maxTokens",
    "max_completion_tokens": "maxTokens",
    "top_p": "topP",
    "stop": "stopSequences",
    "stop_sequences": "stopSequences",
}


# A day, in seconds: the pipeline's step waits for the job.
LONGEST_TRAINING = 86_400
# Parameters of the training job; the others are hyperparameters of the model.
_OF_THE_JOB = ("instance_type", "num_instances", "max_run", "use_spot", "max_wait", "checkpoint_s3_uri")


class FinetuningParameters(Section):
    """How the model is fine-tuned. Further keys are hyperparameters of the model, handed on as they are."""

    model_config = Section.model_config | {"extra": "allow"}
    __pydantic_extra__: dict[str, Scalar]

    instance_type: InstanceType = Field(description="SageMaker instance type of the training job.")
    num_instances: Count = Field(
        1, description="Instances of the training job.", json_schema_extra={"unit": "instances"}
    )
    epoch: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Passes over the training data; the model's own default when left out."
    )
    max_input_length: Annotated[int, Field(ge=-1)] | None = Field(
        None,
        description="Longest input; longer ones are cut. -1 leaves it to the model.",
        json_schema_extra={"unit": "tokens"},
    )
    instruction_tuned: bool | None = Field(None, description="Whether the training data are instructions with answers.")
    chat_dataset: bool | None = Field(None, description="Whether the training data are chats.")

    max_run: Annotated[int, Field(ge=1, le=LONGEST_TRAINING)] = Field(
        LONGEST_TRAINING,
        description="Longest time that the training job may train; it is stopped then, and counts as failed.",
        json_schema_extra={"unit": "s"},
    )
    use_spot: bool = Field(
        False, description="Train on spare capacity at a lower price, which SageMaker may interrupt and resume."
    )
    max_wait: Annotated[int, Field(ge=1, le=LONGEST_TRAINING)] | None = Field(
        None,
        description="With `use_spot`: longest time for waiting and training together; at least `max_run`.",
        json_schema_extra={"unit": "s"},
    )
    checkpoint_s3_uri: str | None = Field(
        None,
        min_length=1,
        description="Where the training job keeps its checkpoints, and finds them after an interruption: a key below "
        "`checkpoints/` in the stack's bucket, or an `s3://` URI. Only a model whose training script writes "
        "checkpoints has some.",
    )

    @classmethod
    def broken_rules(cls, raw: dict[str, Any]) -> Iterator[Broken]:
        if raw.get("instruction_tuned") is True and raw.get("chat_dataset") is True:
            yield ("chat_dataset",), "training data are instructions or chats: one of the two must be false"
        longest, wait = raw.get("max_run"), raw.get("max_wait")
        if wait is not None and raw.get("use_spot") is not True:
            yield ("max_wait",), "has a meaning only with `use_spot: true`"
        elif isinstance(longest, int) and isinstance(wait, int) and wait < longest:
            yield ("max_wait",), f"must be at least `max_run`, {longest} s: it is for waiting and training together"

    def hyperparameters(self) -> dict[str, str]:
        """What the training script is told, as SageMaker takes it: text."""
        values = self.model_dump(exclude=set(_OF_THE_JOB), exclude_none=True)
        return {key: str(value) for key, value in values.items()}

    @property
    def seconds(self) -> int:
        """Longest time to train, which cannot be longer than the wait for it."""
        return min(self.max_run, self.max_wait or self.max_run)


class FinetuningSection(Section):
    """Tune the model first, and evaluate what comes of it."""

    train_data_path: str = Field(
        min_length=1, description="Training data: an `s3://` URI, or a key or folder in the stack's bucket."
    )
    validation_data_path: str | None = Field(
        None, min_length=1, description="Validation data, in the same form; none when left out."
    )
    parameters: FinetuningParameters = Field(description="Instances and hyperparameters of the training job.")


class RegisterSection(Section):
    """Where this model is registered, when it is not the suite's own group."""

    model_package_group_name: EndpointName = Field(description="Name of the model package group.")


class ModelSection(Section):
    """One candidate."""

    name: ModelName = Field(description="The model's name in rankings and reports; different for each.")
    provider: Provider = Field(
        "jumpstart",
        validation_alias=AliasChoices("provider", "model_provider"),
        description="`jumpstart` deploys `model_id`; `huggingface` deploys a model of the hub or of S3; `endpoint` "
        "asks an endpoint that exists already and leaves it alone; `bedrock` asks Bedrock; `openai` asks an API that "
        "speaks OpenAI's chat format; `plugin` asks through code of yours; `responses` calls no model and takes the "
        "answers from the catalog.",
    )
    model_id: str | None = Field(None, min_length=1, description="The provider's id of the model.")
    model_version: str = Field("*", min_length=1, description="Version of `model_id`; `*` is the newest.")
    endpoint_name: EndpointName | None = Field(
        None,
        description="Name of the endpoint. Models that name the same one share it. One of its own for each evaluation "
        "when left out.",
    )
    inference_component_name: EndpointName | None = Field(
        None, description="Inference component of the endpoint that is asked, where the endpoint has several."
    )
    response_key: FieldLocation | None = Field(
        None, description="Key, CSV column or JMESPath of this model's ready answer in the catalog's record."
    )
    contender_of: ModelName | None = Field(
        None,
        description="Written by Assay where it expands prompt templates: the model whose endpoint this contender "
        "shares with its like.",
    )
    deployment_config: DeploymentSection | None = Field(None, description="What serves the model.")
    finetuning_config: FinetuningSection | None = Field(
        None,
        validation_alias=AliasChoices("finetuning_config", "finetuning"),
        description="Fine-tune the model before it is deployed.",
    )
    evaluation_config: EvaluationSection = Field(
        default_factory=EvaluationSection, description="How the model is asked, and how its reply is read."
    )
    huggingface_config: HuggingFaceSection = Field(
        default_factory=HuggingFaceSection, description="Container and weights of a `huggingface` model."
    )
    bedrock_config: BedrockSection = Field(
        default_factory=BedrockSection, description="Region, guardrail and batch inference of a `bedrock` model."
    )
    api_config: ApiSection = Field(default_factory=ApiSection, description="Address and key of an `openai` model.")
    plugin_config: PluginSection | None = Field(None, description="The code that reaches a `plugin` model.")
    register_config: RegisterSection | None = Field(
        None, description="Where the model is registered when it wins; the suite's own group when left out."
    )
    cleanup_endpoint: bool = Field(
        True, description="Delete the endpoint afterwards. What Assay did not create it never deletes."
    )

    @classmethod
    def broken_rules(cls, raw: dict[str, Any]) -> Iterator[Broken]:
        provider = cls.value_of(raw, "provider") if cls.written(raw, "provider") else "jumpstart"
        if not isinstance(provider, str) or provider not in _NEEDS:
            return
        for field in _NEEDS[provider]:
            if cls.value_of(raw, field) is None:
                yield (), f"a model of the provider `{provider}` needs `{field}`"
        if provider == "huggingface" and not (raw.get("model_id") or _has(raw, "huggingface_config", "model_data")):
            yield (), "a model of the provider `huggingface` needs `model_id`, or `huggingface_config.model_data`"
        keys, reason = _HAS_NO_PLACE[provider]
        foreign = [(key, f"it is a key of the provider `{owner}`") for key, owner in _OWN_KEYS.items()]
        unknown = dict(foreign) | dict.fromkeys(keys, reason)
        for field, why in unknown.items():
            if _OWN_KEYS.get(field) == provider:
                continue
            if (name := cls.written(raw, field)) is not None and raw[name] is not None:
                yield (name,), f"`{name}` has no place with the provider `{provider}`: {why}"
        unfit = _NOT_IN_BATCHES.match(str(raw.get("model_id"))) if provider == "bedrock" else None
        if unfit and _has(raw, "bedrock_config", "batch_from_records"):
            message = f"Bedrock takes no batch inference job for a {unfit[1]}; it is asked one by one"
            yield ("bedrock_config", "batch_from_records"), message
        evaluation = raw.get("evaluation_config")
        if isinstance(evaluation, dict) and provider in ("bedrock", "openai", "plugin"):
            yield from _of_conversations(provider, evaluation)
        elif isinstance(evaluation, dict) and provider in ENDPOINT_PROVIDERS and no_room_for_system(evaluation):
            message = "a system prompt needs a chat: write `content_template` as a list of messages"
            yield ("evaluation_config", "system_prompt"), message

    @property
    def has_endpoint(self) -> bool:
        """Whether it is asked through a SageMaker endpoint, deployed or found."""
        return self.provider in ENDPOINT_PROVIDERS

    @property
    def is_asked(self) -> bool:
        """Whether a model is called at all; else the catalog holds its answers."""
        return self.provider != "responses"

    def asked_by_batch(self, records: int) -> bool:
        """Whether a batch inference job asks it so many records at a time, and not one request for each."""
        least = self.bedrock_config.batch_from_records
        return least is not None and records >= least

    @property
    def endpoint_group(self) -> str:
        """What models have in common that share an endpoint."""
        return self.endpoint_name or self.contender_of or self.name


def endpoint_group(raw: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    """The endpoint that a model as written is asked through, and everything that decides how it is deployed."""
    group = raw.get("endpoint_name") or raw.get("contender_of") or raw.get("name")
    deployment = raw.get("deployment_config")
    if isinstance(deployment, dict):
        deployment = {"num_instances": 1, **deployment}
    return group, (
        ModelSection.value_of(raw, "provider") or "jumpstart",
        raw.get("model_id"),
        raw.get("model_version", "*"),
        deployment,
        ModelSection.value_of(raw, "finetuning_config"),
        raw.get("huggingface_config"),
        raw.get("cleanup_endpoint", True),
    )


def _of_conversations(provider: str, evaluation: dict[str, Any]) -> Iterator[Broken]:
    """What is wrong with `evaluation_config` where the provider itself forms requests and reads replies."""
    for key in _REQUEST_KEYS:
        if evaluation.get(key) is not None:
            message = f"`{key}` has no place with the provider `{provider}`: it forms requests and reads replies itself"
            yield ("evaluation_config", key), message
    if "content_template" in evaluation and (why := not_a_conversation(evaluation["content_template"])):
        message = f"with the provider `{provider}` it must be a text or a chat: {why}"
        yield ("evaluation_config", "content_template"), message
    parameters = evaluation.get("inference_parameters")
    if provider == "bedrock" and isinstance(parameters, dict):
        for name in parameters:
            if name in _CONVERSE_NAMES:
                message = f"Bedrock calls it `{_CONVERSE_NAMES[name]}`"
                yield ("evaluation_config", "inference_parameters", name), message


def _has(raw: dict[str, Any], section: str, key: str) -> bool:
    inner = raw.get(section)
    return isinstance(inner, dict) and inner.get(key) is not None
