"""What every section of a config has in common."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
)
from pydantic import model_validator as validator
from pydantic_core import InitErrorDetails, PydanticCustomError

Broken = tuple[tuple[str | int, ...], str]

SUITE_NAME = r"^[A-Za-z0-9](-*[A-Za-z0-9]){0,47}$"
MODEL_NAME = r"^[A-Za-z0-9]([._-]*[A-Za-z0-9]){0,47}$"
RESOURCE_NAME = r"^[A-Za-z0-9](-*[A-Za-z0-9]){0,62}$"
# What SNS delivers to: ASCII, and a host with a dot.
EMAIL = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}$"
INSTANCE_TYPE = r"^ml\.[a-z0-9-]+\.[a-z0-9]+$"

# A pattern in the words that a fault uses.
IN_WORDS = {
    SUITE_NAME: "1 to 48 letters, digits and hyphens, a letter or digit first and last",
    MODEL_NAME: "1 to 48 letters, digits, dots, underscores and hyphens, a letter or digit first and last",
    RESOURCE_NAME: "1 to 63 letters, digits and hyphens, a letter or digit first and last",
    EMAIL: "an address such as team@example.org",
    INSTANCE_TYPE: "a SageMaker instance type such as ml.g5.2xlarge",
}

SuiteName = Annotated[str, Field(pattern=SUITE_NAME)]
ModelName = Annotated[str, Field(pattern=MODEL_NAME)]
Email = Annotated[str, Field(pattern=EMAIL)]
EndpointName = Annotated[str, Field(pattern=RESOURCE_NAME)]
InstanceType = Annotated[str, Field(pattern=INSTANCE_TYPE)]


MAX_EXPRESSION_DEPTH = 50


def expression_depth(expression: str) -> int:
    """How deep an expression nests at most: open brackets, and prefixes, on each of which the parser recurses."""
    depth = deepest = 0
    for character in expression:
        if character in "[{(!&":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]})":
            depth -= 1
    return deepest


def _that_compiles(expression: str) -> str:
    import jmespath

    if expression_depth(expression) > MAX_EXPRESSION_DEPTH:
        raise ValueError(
            f"not a JMESPath expression: nested too deeply, at most {MAX_EXPRESSION_DEPTH} levels are allowed"
        )
    try:
        with warnings.catch_warnings(action="ignore"):  # an old way to write a literal still reads
            jmespath.compile(expression)
    except RecursionError as error:
        raise ValueError("not a JMESPath expression: it is nested too deeply") from error
    except (jmespath.exceptions.JMESPathError, ValueError, IndexError, KeyError, TypeError) as error:
        # Besides its own errors, the parser lets those of `int` and `json` through.
        raise ValueError(f"not a JMESPath expression: {' '.join(str(error).split())[:200]}") from error
    return expression


JmesPath = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_that_compiles)]


def _that_may_be_a_key(location: str) -> str:
    return _that_compiles(location) if set(location) & set("[]{}|&@*\"'`") else location


# Of a field in a record: the name of a key or column (`gpt-4`, `my question`), or a JMESPath. Whether a record has it
# shows when the catalog is read; what looks like a JMESPath must be one.
FieldLocation = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_that_may_be_a_key)]
Scalar = str | int | float | bool


class Section(BaseModel):
    """A part of a config: immutable, closed to unknown keys, and no value is taken for another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True, allow_inf_nan=False)

    @classmethod
    def short_form(cls, value: Any) -> Any:
        """The mapping that a shorter way to write this section stands for."""
        return value

    @classmethod
    def broken_rules(cls, raw: dict[str, Any]) -> Iterator[Broken]:  # noqa: ARG003  (sections have rules of their own)
        """What is wrong between keys, as (path below this section, sentence).

        It sees the section as written, whatever else is wrong with it, so that no fault hides another. Values may have
        any type.
        """
        yield from ()

    @classmethod
    def written(cls, raw: dict[str, Any], field: str) -> str | None:
        """The spelling in which `raw` holds `field`; None when it does not."""
        return next((name for name in spellings(cls, field) if name in raw), None)

    @classmethod
    def value_of(cls, raw: dict[str, Any], field: str) -> Any:
        """What `raw` says of `field` in either spelling; None where it says nothing."""
        name = cls.written(raw, field)
        return None if name is None else raw[name]

    @validator(mode="wrap")
    @classmethod
    def _with_every_fault(cls, value: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        value = cls.short_form(value)
        if not isinstance(value, dict):
            return handler(value)
        twice = list(_written_twice(cls, value))
        errors: list[InitErrorDetails] = []
        section = None
        try:
            section = handler(value)
        except ValidationError as error:
            superfluous = {path for path, _ in twice}
            errors = [_again(item) for item in error.errors(include_url=False) if item["loc"] not in superfluous]
        for path, message in (*twice, *cls.broken_rules(value)):
            kind = PydanticCustomError("rule", "{message}", {"message": message})
            errors.append({"type": kind, "loc": path, "input": value})
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return section


def spellings(section: type[BaseModel], field: str) -> list[str]:
    """Every way to write the key of `field`, the preferred one first."""
    alias = section.model_fields[field].validation_alias
    return [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [field]


def _written_twice(section: type[BaseModel], raw: dict[str, Any]) -> Iterator[Broken]:
    for field in section.model_fields:
        names = [name for name in spellings(section, field) if name in raw]
        for name in names[1:]:
            yield (name,), f"another spelling of `{names[0]}`, which stands here too; write one of them"


def _again(item: Any) -> InitErrorDetails:
    kind = item["type"]
    if kind == "rule":
        kind = PydanticCustomError("rule", "{message}", item["ctx"])
    details: InitErrorDetails = {"type": kind, "loc": item["loc"], "input": item["input"]}
    if "ctx" in item:
        details["ctx"] = item["ctx"]
    return details
