"""The config of a suite: what a team writes in YAML, checked whole before anything starts.

The keys of the project that Assay grew out of keep their names (`finetuning` and `provider` are spellings of
`finetuning_config` and `model_provider`).
"""

from __future__ import annotations

import difflib
import json
import string
from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, ValidationError, field_validator, model_validator

from assay.contracts import yaml_positions
from assay.contracts.algorithms import ALGORITHMS, Algorithm, Direction
from assay.contracts.dataset import DatasetSection
from assay.contracts.errors import Fault, RejectedError
from assay.contracts.section import Section

PLACEHOLDER = "PROMPT_PLACEHOLDER"
PROMPT_VARIABLES = ("model_input", "feature", "prompt")

SuiteName = Annotated[str, Field(pattern=r"^[A-Za-z0-9](-*[A-Za-z0-9]){0,47}$")]
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([._-]*[A-Za-z0-9]){0,47}$")]
EndpointName = Annotated[str, Field(pattern=r"^[A-Za-z0-9](-*[A-Za-z0-9]){0,62}$")]


class PipelineSection(Section):
    """The suite. `name` is the suite's name everywhere: in S3, in events and in the pipeline's name."""

    name: SuiteName


class DeploymentSection(Section):
    """How many instances, of which type, serve the model."""

    instance_type: str = Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")
    num_instances: Annotated[int, Field(ge=1, le=64)] = 1


class EvaluationSection(Section):
    """How a record becomes a request, and a reply becomes a response.

    Attributes:
        output: JMESPath of the answer in the reply's JSON.
        content_template: the request's `inputs`, with "PROMPT_PLACEHOLDER" standing for the prompt, at any depth.
        inference_parameters: the request's `parameters`.
        prompt_template: text around the record's input; `$model_input` (also $feature, $prompt) is replaced.
    """

    output: str = Field("[0].generated_text", min_length=1)
    content_template: Any = PLACEHOLDER
    inference_parameters: dict[str, Any] = Field(default_factory=dict)
    custom_attributes: dict[str, str | int | float | bool] = Field(default_factory=dict)
    prompt_template: str = "$model_input"

    @field_validator("output")
    @classmethod
    def _is_jmespath(cls, value: str) -> str:
        import jmespath

        try:
            jmespath.compile(value)
        except jmespath.exceptions.JMESPathError as error:
            raise ValueError(f"not a JMESPath expression: {' '.join(str(error).split())}") from error
        return value

    @field_validator("content_template")
    @classmethod
    def _holds_placeholder(cls, value: Any) -> Any:
        if not _stands_in(value):
            raise ValueError(f'"{PLACEHOLDER}" must stand somewhere in it, or the model would never see the prompt')
        return value

    @field_validator("prompt_template")
    @classmethod
    def _holds_variable(cls, value: str) -> str:
        if not set(PROMPT_VARIABLES) & set(string.Template(value).get_identifiers()):
            names = ", ".join(f"${name}" for name in PROMPT_VARIABLES)
            raise ValueError(f"one of {names} must stand in it, or every prompt would be the same")
        return value


class RegisterSection(Section):
    """Where this model is registered, when it is not the suite's own group."""

    model_package_group_name: EndpointName


class ModelSection(Section):
    """One candidate.

    Attributes:
        provider: `jumpstart` deploys `model_id`; `endpoint` asks an endpoint that exists already.
        endpoint_name: models that name the same endpoint share it; by default the model's own name.
    """

    name: ModelName
    provider: Literal["jumpstart", "endpoint"] = Field(
        "jumpstart", validation_alias=AliasChoices("provider", "model_provider")
    )
    model_id: str | None = Field(None, min_length=1)
    model_version: str = "*"
    endpoint_name: EndpointName | None = None
    deployment_config: DeploymentSection | None = None
    evaluation_config: EvaluationSection = Field(default_factory=EvaluationSection)
    register_config: RegisterSection | None = None
    cleanup_endpoint: bool = True

    @model_validator(mode="after")
    def _names_what_its_provider_needs(self) -> ModelSection:
        if self.provider == "jumpstart" and self.model_id is None:
            raise ValueError("a jumpstart model needs `model_id`")
        if self.provider == "jumpstart" and self.deployment_config is None:
            raise ValueError("a jumpstart model needs `deployment_config`")
        if self.provider == "endpoint" and self.endpoint_name is None:
            raise ValueError("a model behind an existing endpoint needs `endpoint_name`")
        if self.provider == "endpoint" and self.deployment_config is not None:
            raise ValueError("`deployment_config` has no place here: the endpoint exists already")
        return self


class AlgorithmSection(Section):
    """An algorithm of fmeval, by its class name. `module` and `config` may only repeat what is known of it."""

    algorithm: str
    module: str | None = None
    config: str | None = None
    target_output_delimiter: str | None = Field(None, min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: Any) -> Any:
        return {"algorithm": value} if isinstance(value, str) else value

    @field_validator("algorithm")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value not in ALGORITHMS:
            raise ValueError(
                f"unknown algorithm {value!r}{_did_you_mean(value, ALGORITHMS)}; known: {', '.join(ALGORITHMS)}"
            )
        return value

    @model_validator(mode="after")
    def _agrees_with_what_is_known(self) -> AlgorithmSection:
        known = ALGORITHMS[self.algorithm]
        for key, found, wanted in (("module", self.module, known.module), ("config", self.config, known.config)):
            if found is not None and found != wanted:
                raise ValueError(f"`{key}` of {self.algorithm} is {wanted!r}, found {found!r}; leave it out")
        if self.target_output_delimiter is not None and not known.delimited:
            raise ValueError(f"{self.algorithm} takes no `target_output_delimiter`")
        return self

    @property
    def known(self) -> Algorithm:
        return ALGORITHMS[self.algorithm]


class RegistrySection(Section):
    """The model package group of the suite; by default a group of the suite's name."""

    model_package_group_name: EndpointName
    model_package_group_description: str = ""


class SelectionSection(Section):
    """What decides. `metric` is a score's name, or `<algorithm>.<score>` where two algorithms give the same."""

    metric: str


class GateSection(Section):
    """What a winner must pass.

    Attributes:
        confidence: level of every interval.
        max_failed: share of records that a model may fail to answer and still be ranked.
    """

    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    max_failed: Annotated[float, Field(ge=0, le=1)] = 0.05


class LimitsSection(Section):
    """Bounds of one evaluation.

    Attributes:
        concurrency: requests in flight to one model.
        request_seconds: deadline of one record with its retries.
        deploy_seconds: how long an endpoint may take to be in service.
        evaluate_seconds: how long one model's evaluation may take.
    """

    concurrency: Annotated[int, Field(ge=1, le=1000)] = 16
    request_seconds: Annotated[float, Field(gt=0, le=3600)] = 120.0
    deploy_seconds: Annotated[int, Field(ge=1, le=86_400)] = 1800
    evaluate_seconds: Annotated[int, Field(ge=60, le=432_000)] = 86_400


class SuiteConfig(Section):
    """A whole config."""

    pipeline: PipelineSection
    dataset: DatasetSection
    models: Annotated[list[ModelSection], Field(min_length=1, max_length=50)]
    algorithms: Annotated[list[AlgorithmSection], Field(min_length=1)]
    model_registry: RegistrySection | None = None
    selection: SelectionSection | None = None
    gate: GateSection = Field(default_factory=GateSection)
    limits: LimitsSection = Field(default_factory=LimitsSection)

    @property
    def suite(self) -> str:
        return self.pipeline.name

    @property
    def model_package_group(self) -> str:
        return self.model_registry.model_package_group_name if self.model_registry else self.suite

    def metric(self) -> tuple[str, str, Direction]:
        """The algorithm, score and direction that rank the models: the first algorithm's first score unless chosen."""
        if self.selection is None:
            first = self.algorithms[0].known
            score = next(iter(first.scores))
            return first.name, score, first.scores[score]
        algorithm, _, score = self.selection.metric.rpartition(".")
        for item in self.algorithms:
            if score in item.known.scores and algorithm in ("", item.algorithm):
                return item.algorithm, score, item.known.scores[score]
        raise ValueError(f"no algorithm of this config gives the score {self.selection.metric!r}")

    def model(self, name: str) -> ModelSection:
        """The model called `name`."""
        return next(model for model in self.models if model.name == name)


def load_config(text: bytes, subject: str) -> SuiteConfig:
    """Read and check a config.

    Args:
        text: the YAML file as it was dropped.
        subject: its key, to name in errors.

    Raises:
        RejectedError: with every fault of the file, each with line, column and key path.
    """
    document = yaml_positions.load(text, subject)
    if not isinstance(document.values, dict):
        raise RejectedError(
            subject, [Fault("a config is a mapping with `pipeline`, `dataset`, `models`, `algorithms`", line=1)]
        )
    try:
        config = SuiteConfig.model_validate(document.values)
    except ValidationError as error:
        raise RejectedError(subject, _faults(error, document)) from error
    if faults := list(_faults_between_sections(config, document)):
        raise RejectedError(subject, faults)
    return config


def _faults(error: ValidationError, document: yaml_positions.Document) -> list[Fault]:
    faults = []
    for item in error.errors(include_url=False):
        path = tuple(
            part for part in item["loc"] if isinstance(part, int) or not part.startswith(("function-", "tagged-"))
        )
        message = _sentence(item, path)
        line, column = document.position(path)
        faults.append(Fault(message, line=line, column=column, key=yaml_positions.dotted(path)))
    return sorted(faults, key=lambda fault: (fault.line or 0, fault.column or 0))


def _sentence(item: Any, path: yaml_positions.Path) -> str:
    match item["type"]:
        case "missing":
            return "this key is missing"
        case "extra_forbidden":
            return f"unknown key{_did_you_mean(str(path[-1]), _keys_at(path[:-1]))}"
        case "value_error":
            return str(item["ctx"]["error"])
        case _:
            found = json.dumps(item["input"], default=str)
            found = found if len(found) <= 80 else f"{found[:77]}..."
            return f"{item['msg'][0].lower()}{item['msg'][1:]}, found {found}"


def _keys_at(path: yaml_positions.Path) -> list[str]:
    """Keys that the schema knows at `path`."""
    schema = SuiteConfig.model_json_schema(by_alias=False)
    node: dict[str, Any] = schema
    for part in path:
        node = _resolve(node, schema)
        node = node.get("items", {}) if isinstance(part, int) else node.get("properties", {}).get(part, {})
    return list(_resolve(node, schema).get("properties", {}))


def _resolve(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    for choice in node.get("anyOf", [node]):
        if "$ref" in choice:
            found: dict[str, Any] = schema["$defs"][choice["$ref"].rsplit("/", 1)[-1]]
            return found
    return node


def _stands_in(template: Any) -> bool:
    """Whether the placeholder stands in a value at any depth; a key is never replaced."""
    if isinstance(template, dict):
        return any(_stands_in(item) for item in template.values())
    if isinstance(template, list):
        return any(_stands_in(item) for item in template)
    return isinstance(template, str) and PLACEHOLDER in template


def _did_you_mean(found: str, known: Any) -> str:
    close = difflib.get_close_matches(found, list(known), n=1, cutoff=0.6)
    return f"; did you mean `{close[0]}`?" if close else ""


def _faults_between_sections(config: SuiteConfig, document: yaml_positions.Document) -> list[Fault]:
    faults: list[Fault] = []

    def fault(message: str, *path: str | int) -> None:
        line, column = document.position(path)
        faults.append(Fault(message, line=line, column=column, key=yaml_positions.dotted(path)))

    for name, count in Counter(model.name for model in config.models).items():
        if count > 1:
            last = max(index for index, model in enumerate(config.models) if model.name == name)
            fault(f"the name {name!r} stands {count} times; names must differ", "models", last, "name")
    for name, count in Counter(item.algorithm for item in config.algorithms).items():
        if count > 1:
            last = max(index for index, item in enumerate(config.algorithms) if item.algorithm == name)
            fault(f"{name} stands {count} times", "algorithms", last)
    deployed: dict[str, tuple[int, ModelSection]] = {}
    for index, model in enumerate(config.models):
        endpoint = model.endpoint_name or model.name
        first_index, first = deployed.setdefault(endpoint, (index, model))
        if first_index != index and _deployment(first) != _deployment(model):
            fault(
                f"models {first.name!r} and {model.name!r} share the endpoint {endpoint!r}, "
                "so provider, model_id, model_version, deployment_config and cleanup_endpoint must be the same",
                "models",
                index,
                "endpoint_name",
            )
    try:
        config.metric()
    except ValueError as error:
        fault(str(error), "selection", "metric")
    return faults


def _deployment(model: ModelSection) -> tuple[Any, ...]:
    return (model.provider, model.model_id, model.model_version, model.deployment_config, model.cleanup_endpoint)
