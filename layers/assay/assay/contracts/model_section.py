"""The `models` of a config: how each is reached, what it is asked, and where it is registered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, Discriminator, Field, Tag, field_validator

from assay.contracts.prompt_template import that_shows_the_prompt
from assay.contracts.section import (
    Broken,
    EndpointName,
    FieldLocation,
    InstanceType,
    JmesPath,
    ModelName,
    Scalar,
    Section,
)

PLACEHOLDER = "PROMPT_PLACEHOLDER"

Provider = Literal["jumpstart", "huggingface", "endpoint", "bedrock", "openai", "responses"]
Count = Annotated[int, Field(ge=1, le=64)]
InstanceTypes = Annotated[
    Annotated[InstanceType, Tag("one")]
    | Annotated[list[InstanceType], Field(min_length=1, max_length=5), Tag("several")],
    Discriminator(lambda value: "several" if isinstance(value, list) else "one"),
]

# What each provider needs to be told, and what would have no meaning for it.
_NEEDS: dict[str, tuple[str, ...]] = {
    "jumpstart": ("model_id", "deployment_config"),
    "huggingface": ("model_id", "deployment_config"),
    "endpoint": ("endpoint_name",),
    "bedrock": ("model_id",),
    "openai": ("model_id",),
    "responses": ("response_key",),
}
_ENDPOINT_KEYS = ("deployment_config", "finetuning_config", "contender_of")
_HAS_NO_PLACE: dict[str, tuple[tuple[str, ...], str]] = {
    "jumpstart": (("response_key",), "the answers come from the model"),
    "huggingface": (("response_key",), "the answers come from the model"),
    "endpoint": (
        ("model_id", "model_version", "deployment_config", "finetuning_config", "response_key"),
        "the endpoint exists already, and is asked as it is",
    ),
    "bedrock": ((*_ENDPOINT_KEYS, "endpoint_name", "response_key"), "Bedrock serves the model"),
    "openai": ((*_ENDPOINT_KEYS, "endpoint_name", "response_key"), "the API serves the model"),
    "responses": (
        (*_ENDPOINT_KEYS, "model_id", "model_version", "endpoint_name", "evaluation_config", "cleanup_endpoint"),
        "the catalog holds the answers, and no model is called",
    ),
}


class DeploymentSection(Section):
    """How many instances, of which type, serve the model."""

    instance_type: InstanceTypes = Field(
        description="SageMaker instance type such as `ml.g5.2xlarge`; a list names others to fall back on, in order."
    )
    num_instances: Count = Field(
        1, description="Instances behind the endpoint.", json_schema_extra={"unit": "instances"}
    )

    @property
    def preferred_instance_type(self) -> str:
        return self.instance_type if isinstance(self.instance_type, str) else self.instance_type[0]


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

    def hyperparameters(self) -> dict[str, str]:
        """Everything but the instances, as SageMaker takes it: text."""
        values = self.model_dump(exclude={"instance_type", "num_instances"}, exclude_none=True)
        return {key: str(value) for key, value in values.items()}


class FinetuningSection(Section):
    """Tune the model first, and evaluate what comes of it."""

    train_data_path: str = Field(
        min_length=1, description="Training data: an `s3://` URI, or a key or folder in the stack's bucket."
    )
    validation_data_path: str | None = Field(
        None, min_length=1, description="Validation data, in the same form; none when left out."
    )
    parameters: FinetuningParameters = Field(description="Instances and hyperparameters of the training job.")


class EvaluationSection(Section):
    """How a record becomes a request, and a reply becomes a response."""

    output: JmesPath = Field("[0].generated_text", description="JMESPath of the answer in the reply's JSON.")
    content_template: Any = Field(
        PLACEHOLDER,
        description=f'The request\'s `inputs`, with "{PLACEHOLDER}" standing for the prompt at any depth.',
    )
    inference_parameters: dict[str, Any] = Field(
        default_factory=dict, description="The request's `parameters`, handed on as they are."
    )
    custom_attributes: dict[str, Scalar] = Field(
        default_factory=dict,
        description="Sent with every request as SageMaker's custom attributes; `accept_eula: true` accepts the "
        "model's licence at deployment too.",
    )
    prompt_template: Annotated[str, AfterValidator(that_shows_the_prompt)] = Field(
        "$model_input",
        description="Text around the record's input: `$model_input` (also `$feature`, `$prompt`) stands for it, "
        "`$name` for the catalog's column `name`.",
    )

    @field_validator("content_template")
    @classmethod
    def _holds_placeholder(cls, value: Any) -> Any:
        if not _stands_in(value):
            raise ValueError(f'"{PLACEHOLDER}" must stand somewhere in it, or the model would never see the prompt')
        return value


class RegisterSection(Section):
    """Where this model is registered, when it is not the suite's own group."""

    model_package_group_name: EndpointName = Field(description="Name of the model package group.")


class ModelSection(Section):
    """One candidate."""

    name: ModelName = Field(description="The model's name in rankings and reports; different for each.")
    provider: Provider = Field(
        "jumpstart",
        validation_alias=AliasChoices("provider", "model_provider"),
        description="`jumpstart` deploys `model_id`; `endpoint` asks an endpoint that exists already and leaves it "
        "alone; `responses` calls no model and takes the answers from the catalog; `huggingface`, `bedrock` and "
        "`openai` are understood.",
    )
    model_id: str | None = Field(None, min_length=1, description="The provider's id of the model.")
    model_version: str = Field("*", min_length=1, description="Version of `model_id`; `*` is the newest.")
    endpoint_name: EndpointName | None = Field(
        None,
        description="Name of the endpoint. Models that name the same one share it. One of its own for each evaluation "
        "when left out.",
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
        keys, reason = _HAS_NO_PLACE[provider]
        for field in keys:
            if (name := cls.written(raw, field)) is not None and raw[name] is not None:
                yield (name,), f"`{name}` has no place with the provider `{provider}`: {reason}"

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
        raw.get("cleanup_endpoint", True),
    )


def _stands_in(template: Any) -> bool:
    """Whether the placeholder stands in a value at any depth; a key is never replaced."""
    if isinstance(template, dict):
        return any(_stands_in(item) for item in template.values())
    if isinstance(template, list):
        return any(_stands_in(item) for item in template)
    return isinstance(template, str) and PLACEHOLDER in template
