"""What another pipeline may ask for: the detail of `EvaluationRequested`, checked like a config."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, field_validator

from assay.contracts.config import SuiteConfig, load_config
from assay.contracts.config_faults import faults_of
from assay.contracts.contenders import dump_config, dump_values
from assay.contracts.errors import Fault, RejectedError
from assay.contracts.model_section import ModelSection
from assay.contracts.provider_sections import S3_URI
from assay.contracts.section import Broken, EndpointName, ModelName, Section, SuiteName
from assay.contracts.yaml_positions import MAX_DEPTH, Document

REQUEST_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
MAX_CORRELATION_ID = 256
_SOURCES = ("endpoint_name", "model_package_arn", "model_data")
# How a model is asked and where it is registered stays; everything else of its section says which model it is.
_KEPT = ("name", "evaluation_config", "register_config")


# As the schema of the event says it.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _that_prints(text: str) -> str:
    if _UNPRINTABLE.search(text):
        raise ValueError(f"must be printable, without control characters and line breaks, found {text[:80]!r}")
    return text


def _nulls(section: type[Section], raw: dict[str, Any]) -> Iterator[Broken]:
    """What the schema says of null: it is no value. A key that asks for nothing is left out."""
    for name, field in section.model_fields.items():
        if not field.is_required() and name in raw and raw[name] is None:
            yield (name,), "must not be null; leave the key out"


class OverrideSection(Section):
    """Another model in the place of one of the suite's, asked and scored as the config says of that one."""

    name: ModelName = Field(description="Which model of the config.")
    endpoint_name: EndpointName | None = Field(None, description="An endpoint that exists already.")
    model_package_arn: str | None = Field(
        None,
        pattern=r"^arn:[a-z-]+:sagemaker:[a-z0-9-]+:[0-9]{12}:model-package/[A-Za-z0-9-]+/[0-9]+$",
        description="A version in the Model Registry that Assay registered: the model as it was evaluated then.",
    )
    model_data: str | None = Field(
        None,
        pattern=S3_URI,
        description="Weights in S3, as `huggingface_config.model_data` takes them; served by the model's "
        "`deployment_config`.",
    )

    @classmethod
    def broken_rules(cls, raw: dict[str, Any]) -> Iterator[Broken]:
        yield from _nulls(cls, raw)
        given = [name for name in _SOURCES if raw.get(name) is not None]
        if len(given) != 1:
            found = " and ".join(f"`{name}`" for name in given) or "none"
            yield (), f"one of {', '.join(f'`{name}`' for name in _SOURCES)} must be given, found {found}"


class RequestSection(Section):
    """The detail of `EvaluationRequested`."""

    schema_version: Literal["1"] = Field(description="Version of this contract.")
    request_id: Annotated[str, Field(pattern=REQUEST_ID)] | None = Field(
        None, description="Names the request: the same one again is no other evaluation. The event's id when left out."
    )
    correlation_id: (
        Annotated[str, Field(min_length=1, max_length=MAX_CORRELATION_ID), AfterValidator(_that_prints)] | None
    ) = Field(None, description="Comes back in every event of the evaluation.")
    suite: SuiteName | None = Field(None, description="A suite whose config lies in the bucket.")
    config: Any = Field(None, description="A config to evaluate once, as its text or as a mapping.")
    model: OverrideSection | None = Field(None, description="Another model in the place of one of the config's.")

    @field_validator("config")
    @classmethod
    def _is_a_config(cls, value: Any) -> Any:
        if value is not None and not isinstance(value, str | dict):
            raise ValueError(f"must be the text of a config, or a mapping, found {type(value).__name__}")
        return value

    @classmethod
    def broken_rules(cls, raw: dict[str, Any]) -> Iterator[Broken]:
        yield from _nulls(cls, raw)
        given = [name for name in ("suite", "config") if raw.get(name) is not None]
        if len(given) != 1:
            yield (), f"either `suite` or `config` must be given, found {'both' if given else 'none'}"


def read_request(detail: dict[str, Any], subject: str) -> RequestSection:
    """Check the detail of an `EvaluationRequested`.

    Raises:
        RejectedError: with every fault, each with its key.
    """
    if _depth(detail) > MAX_DEPTH:
        raise RejectedError(subject, [Fault(f"is nested too deeply: at most {MAX_DEPTH} levels are allowed")])
    try:
        json.dumps(detail, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        fault = Fault(f"holds {error.object[error.start]!r}, half of a surrogate pair, which is no character")
        raise RejectedError(subject, [fault]) from error
    try:
        return RequestSection.model_validate(detail)
    except ValidationError as error:
        raise RejectedError(subject, faults_of(error, Document(detail), RequestSection)) from error


def own_id(detail: dict[str, Any]) -> str | None:
    """The request's own id, of a detail that may be wrong in any way; None where it gives no valid one."""
    return _valid(detail, "request_id")


def correlation_of(detail: dict[str, Any]) -> str | None:
    """The correlation id, likewise: whoever waits is told of a refusal under it."""
    return _valid(detail, "correlation_id")


def carried_config(config: str | dict[str, Any], subject: str) -> tuple[SuiteConfig, bytes]:
    """Check a config that a request carries; the config and its text.

    Raises:
        RejectedError: with every fault below the key `config`; with lines where the config is text.
    """
    text = config.encode() if isinstance(config, str) else dump_values(config)
    try:
        checked = load_config(text, subject)
    except RejectedError as error:
        raise in_carried_config(error, lines=isinstance(config, str)) from error
    lasting = {"schedule": checked.schedule, "notify": checked.notify}
    faults = [
        Fault("has no place in a request: a config that is carried is evaluated once", key=f"config.{key}")
        for key, section in lasting.items()
        if section is not None
    ]
    if faults:
        raise RejectedError(subject, faults)
    return checked, text


def in_carried_config(error: RejectedError, *, lines: bool) -> RejectedError:
    """Faults of a config that a request carries, by their keys in the request; with `lines` where it is text."""
    faults = [
        Fault(
            fault.message,
            line=fault.line if lines else None,
            column=fault.column if lines else None,
            key=f"config.{fault.key}" if fault.key else "config",
        )
        for fault in error.faults
    ]
    return RejectedError(error.subject, faults, error.total)


def overridden(
    config: SuiteConfig, override: OverrideSection, subject: str, registered: ModelSection | None = None
) -> tuple[SuiteConfig, bytes]:
    """The config with another model in the place of one, checked like any config, and its text.

    Args:
        registered: the model that the override names by its package.

    Raises:
        RejectedError: there is no such model, or what comes of it is no valid config.
    """
    names = [model.name for model in config.models]
    if override.name not in names:
        message = f"the config has no model {override.name!r}, but {', '.join(names)}"
        raise RejectedError(subject, [Fault(message, key="model.name")])
    models = [
        _replaced(model, override, registered) if model.name == override.name else model for model in config.models
    ]
    text = dump_config(config.model_copy(update={"models": models}))
    try:
        return load_config(text, subject), text
    except RejectedError as error:
        faults = [Fault(f"with this model, {fault.key}: {fault.message}", key="model") for fault in error.faults]
        raise RejectedError(subject, faults, error.total) from error


def _replaced(model: ModelSection, override: OverrideSection, registered: ModelSection | None) -> ModelSection:
    kept = {name: getattr(model, name) for name in _KEPT}
    if registered is not None:
        return registered.model_copy(update={**kept, "contender_of": None})
    if override.endpoint_name is not None:
        return ModelSection.model_construct(**kept, provider="endpoint", endpoint_name=override.endpoint_name)
    # Weights that stand in for a model of the hub keep its container and its instances.
    weights = model.huggingface_config.model_copy(update={"model_data": override.model_data})
    return ModelSection.model_construct(
        **kept,
        provider="huggingface",
        model_id=model.model_id if model.provider == "huggingface" else None,
        huggingface_config=weights,
        deployment_config=model.deployment_config,
    )


def _valid(detail: dict[str, Any], name: str) -> str | None:
    """A value that is valid by itself, whatever is wrong beside it."""
    try:
        minimal = {"schema_version": "1", "suite": "any", name: detail.get(name)}
        value: str | None = getattr(read_request(minimal, ""), name)
    except RejectedError:
        return None
    return value


def _depth(value: Any) -> int:
    """How deep mappings and lists nest; counted without recursion, since an event may nest deeper than Python does."""
    depth, level = 0, [value]
    while level := [
        item
        for outer in level
        if isinstance(outer, dict | list)
        for item in (outer.values() if isinstance(outer, dict) else outer)
    ]:
        depth += 1
    return depth
