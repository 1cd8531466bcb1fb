"""The pipeline definition that the SageMaker SDK uploaded, read back and checked; what we cannot carry out is refused.

Source: the definition schema of version 2020-12-01, as sagemaker 2.257 writes it for `@step` functions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

VERSION = "2020-12-01"
BOOTSTRAP_CHANNEL = "sagemaker_remote_function_bootstrap"
LONGEST_DEFINITION = 1_048_576
PARAMETER_TYPES = {"String": str, "Integer": int, "Float": float, "Boolean": bool}
EXECUTION_VARIABLES = frozenset(
    {"PipelineName", "PipelineArn", "PipelineExecutionId", "PipelineExecutionArn", "StartDateTime", "CurrentDateTime"}
)
STEP_PROPERTIES = frozenset({"OutputDataConfig.S3OutputPath", "TrainingJobName", "TrainingJobArn"})
RETRIED_EXCEPTIONS = frozenset(
    {
        "Step.SERVICE_FAULT",
        "Step.THROTTLING",
        "SageMaker.JOB_INTERNAL_ERROR",
        "SageMaker.CAPACITY_ERROR",
        "SageMaker.RESOURCE_LIMIT",
    }
)
_TOP_KEYS = frozenset({"Version", "Metadata", "Parameters", "PipelineExperimentConfig", "Steps"})
_STEP_KEYS = frozenset({"Name", "Type", "Arguments", "DependsOn", "DisplayName", "Description", "RetryPolicies"})
_ARGUMENT_KEYS = frozenset(
    {
        "TrainingJobName",
        "RoleArn",
        "StoppingCondition",
        "RetryStrategy",
        "InputDataConfig",
        "OutputDataConfig",
        "AlgorithmSpecification",
        "ResourceConfig",
        "EnableNetworkIsolation",
        "EnableInterContainerTrafficEncryption",
        "EnableManagedSpotTraining",
        "Environment",
        "Tags",
        "VpcConfig",
    }
)
_NAME = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9])*")
_STEP_REFERENCE = re.compile(r"Steps\.([^.\[]+)\.(.+)")


class DefinitionError(Exception):
    """The definition is broken, or asks for something that the local cloud does not carry out."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of the pipeline; `default` is None when an execution must give it."""

    name: str
    type: str
    default: Any = None
    allowed: tuple[Any, ...] = ()


@dataclass(frozen=True)
class RetryPolicy:
    """When a failed attempt is repeated. Intervals in seconds; `expire_after` in seconds from the first failure."""

    exceptions: frozenset[str]
    interval: float = 1.0
    backoff: float = 2.0
    attempts: int | None = None
    expire_after: float | None = None


@dataclass(frozen=True)
class Step:
    """One step; `arguments` still hold references, `after` are the steps whose success it waits for."""

    name: str
    arguments: Mapping[str, Any]
    after: frozenset[str]
    display_name: str | None = None
    description: str | None = None
    retry_policies: tuple[RetryPolicy, ...] = ()


@dataclass(frozen=True)
class Definition:
    """A checked definition: every reference points at something, and the steps form no circle."""

    parameters: Mapping[str, Parameter]
    steps: Mapping[str, Step]


def read_definition(text: str) -> Definition:
    """Read a definition.

    Raises:
        DefinitionError: it is broken or asks for what is not carried out; the message names the place.
    """
    if len(text) > LONGEST_DEFINITION:
        raise DefinitionError(f"Pipeline definition holds {len(text)} characters, more than {LONGEST_DEFINITION}")
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise DefinitionError(f"Pipeline definition is not valid JSON: {error}") from error
    if not isinstance(document, dict) or document.get("Version") != VERSION:
        raise DefinitionError(f"Pipeline definition must be of Version {VERSION}")
    _refuse_unknown("the pipeline definition", document, _TOP_KEYS)
    parameters = {item["Name"]: _read_parameter(item) for item in document.get("Parameters", [])}
    items = document.get("Steps", [])
    if not items:
        raise DefinitionError("Pipeline definition must have at least one step")
    names = [item.get("Name", "") for item in items]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DefinitionError(f"Step names must be unique in a pipeline; found twice: {', '.join(repeated)}")
    steps = {item["Name"]: _read_step(item, parameters, frozenset(names)) for item in items}
    try:
        TopologicalSorter({name: step.after for name, step in steps.items()}).prepare()
    except CycleError as error:
        raise DefinitionError(f"Steps depend on each other in a circle: {' -> '.join(error.args[1])}") from error
    return Definition(parameters, steps)


def _refuse_unknown(place: str, item: Mapping[str, Any], known: frozenset[str]) -> None:
    unknown = sorted(set(item) - known)
    if unknown:
        raise DefinitionError(f"The local cloud does not carry out {', '.join(unknown)} of {place}")


def _read_parameter(item: Mapping[str, Any]) -> Parameter:
    name, kind = item.get("Name", ""), item.get("Type", "")
    if kind not in PARAMETER_TYPES:
        raise DefinitionError(f"Parameter {name!r} has an unknown type {kind!r}")
    _refuse_unknown(f"parameter {name!r}", item, frozenset({"Name", "Type", "DefaultValue", "EnumValues"}))
    return Parameter(name, kind, item.get("DefaultValue"), tuple(item.get("EnumValues", ())))


def _read_step(item: Mapping[str, Any], parameters: Mapping[str, Parameter], names: frozenset[str]) -> Step:
    name = item.get("Name", "")
    if not _NAME.fullmatch(name):
        raise DefinitionError(f"Step name {name!r} may hold letters, digits and hyphens only")
    if item.get("Type") != "Training":
        raise DefinitionError(f"Step {name!r}: the local cloud does not carry out steps of type {item.get('Type')!r}")
    _refuse_unknown(f"step {name!r}", item, _STEP_KEYS)
    arguments = item.get("Arguments", {})
    _check_arguments(name, arguments)
    after = set(item.get("DependsOn", []))
    for path in references(arguments, name):
        after.update(_check_reference(name, path, parameters, names))
    missing = sorted(after - names)
    if missing:
        raise DefinitionError(f"Step {name!r} depends on {', '.join(missing)}, which the pipeline does not have")
    return Step(
        name=name,
        arguments=arguments,
        after=frozenset(after),
        display_name=item.get("DisplayName"),
        description=item.get("Description"),
        retry_policies=tuple(_read_policy(name, policy) for policy in item.get("RetryPolicies", [])),
    )


def _check_arguments(name: str, arguments: Mapping[str, Any]) -> None:
    place = f"step {name!r}"
    _refuse_unknown(place, arguments, _ARGUMENT_KEYS)
    for key in ("AlgorithmSpecification", "OutputDataConfig", "ResourceConfig", "StoppingCondition", "RoleArn"):
        if key not in arguments:
            raise DefinitionError(f"Step {name!r} lacks {key}")
    algorithm = arguments["AlgorithmSpecification"]
    _refuse_unknown(
        place,
        algorithm,
        frozenset({"TrainingImage", "TrainingInputMode", "ContainerEntrypoint", "ContainerArguments"}),
    )
    if not any(BOOTSTRAP_CHANNEL in str(part) for part in algorithm.get("ContainerEntrypoint", [])):
        raise DefinitionError(f"Step {name!r}: the local cloud only runs steps that the SDK's @step built")
    if algorithm.get("TrainingInputMode") != "File":
        raise DefinitionError(f"Step {name!r}: the local cloud only carries out TrainingInputMode File")
    if arguments["ResourceConfig"].get("InstanceCount") != 1:
        raise DefinitionError(f"Step {name!r}: the local cloud runs a step on one instance (InstanceCount 1)")
    if arguments.get("EnableNetworkIsolation"):
        raise DefinitionError(f"Step {name!r}: the local cloud does not carry out EnableNetworkIsolation")
    _refuse_unknown(place, arguments["OutputDataConfig"], frozenset({"S3OutputPath", "KmsKeyId", "CompressionType"}))
    for channel in arguments.get("InputDataConfig", []):
        _refuse_unknown(
            f"{place}, channel {channel.get('ChannelName')!r}", channel, frozenset({"ChannelName", "DataSource"})
        )
        source = channel["DataSource"].get("S3DataSource", {})
        if source.get("S3DataType") != "S3Prefix" or "S3Uri" not in source:
            raise DefinitionError(f"Step {name!r}: the local cloud only reads channels of S3DataType S3Prefix")


def _read_policy(name: str, item: Mapping[str, Any]) -> RetryPolicy:
    place = f"the retry policy of step {name!r}"
    _refuse_unknown(
        place, item, frozenset({"ExceptionType", "IntervalSeconds", "BackoffRate", "MaxAttempts", "ExpireAfterMin"})
    )
    exceptions = frozenset(item.get("ExceptionType", []))
    _refuse_unknown(place, dict.fromkeys(exceptions), RETRIED_EXCEPTIONS)
    expire = item.get("ExpireAfterMin")
    return RetryPolicy(
        exceptions=exceptions,
        interval=float(item.get("IntervalSeconds", 1)),
        backoff=float(item.get("BackoffRate", 2.0)),
        attempts=item.get("MaxAttempts"),
        expire_after=None if expire is None else expire * 60.0,
    )


def references(value: Any, step: str) -> Iterator[str]:
    """Yield the path of every `Get` inside `value`.

    Raises:
        DefinitionError: a function other than Std:Join is used.
    """
    if isinstance(value, dict):
        if set(value) == {"Get"}:
            yield value["Get"]
            return
        for key, inner in value.items():
            if key.startswith("Std:") and key != "Std:Join":
                raise DefinitionError(f"Step {step!r}: the local cloud does not carry out the function {key}")
            yield from references(inner, step)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner, step)


def _check_reference(step: str, path: str, parameters: Mapping[str, Parameter], names: frozenset[str]) -> set[str]:
    """Return the steps that a reference waits for."""
    kind, _, rest = path.partition(".")
    if kind == "Parameters":
        if rest not in parameters:
            raise DefinitionError(f"Step {step!r} refers to parameter {rest!r}, which the pipeline does not have")
        return set()
    if kind == "Execution":
        if rest not in EXECUTION_VARIABLES:
            raise DefinitionError(f"Step {step!r} refers to {path}, which is not an execution variable")
        return set()
    found = _STEP_REFERENCE.fullmatch(path)
    if not found or found[1] not in names:
        raise DefinitionError(f"Step {step!r} refers to {path}, which the pipeline does not have")
    if found[2] not in STEP_PROPERTIES:
        raise DefinitionError(f"Step {step!r}: the local cloud does not carry out the step property {path}")
    return {found[1]}


def resolve(value: Any, scope: Mapping[str, Any]) -> Any:
    """Return `value` with every reference and Std:Join replaced; `scope` maps a `Get` path to its value."""
    if isinstance(value, dict):
        if set(value) == {"Get"}:
            return scope[value["Get"]]
        if set(value) == {"Std:Join"}:
            join = value["Std:Join"]
            return str(join.get("On", "")).join(_text(resolve(part, scope)) for part in join["Values"])
        return {key: resolve(inner, scope) for key, inner in value.items()}
    if isinstance(value, list):
        return [resolve(inner, scope) for inner in value]
    return value


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def bind_parameters(definition: Definition, given: list[dict[str, str]]) -> dict[str, Any]:
    """Return every parameter's value, of its type, from what an execution gives and the defaults.

    Raises:
        DefinitionError: a parameter is unknown, missing, of the wrong type or not among its allowed values.
    """
    values = {item["Name"]: item["Value"] for item in given}
    unknown = sorted(set(values) - set(definition.parameters))
    if unknown:
        raise DefinitionError(f"Unknown parameters: [{', '.join(unknown)}] are not in the pipeline definition")
    bound = {
        name: _convert(parameter, values[name]) if name in values else parameter.default
        for name, parameter in definition.parameters.items()
    }
    missing = sorted(name for name, value in bound.items() if value is None)
    if missing:
        raise DefinitionError(f"Parameters [{', '.join(missing)}] do not have default values and were not given")
    for name, parameter in definition.parameters.items():
        if parameter.allowed and bound[name] not in parameter.allowed:
            raise DefinitionError(f"Parameter {name!r} must be one of {list(parameter.allowed)}")
    return bound


def _convert(parameter: Parameter, text: str) -> Any:
    try:
        if parameter.type == "Boolean":
            return {"true": True, "false": False}[text.lower()]
        return PARAMETER_TYPES[parameter.type](text)
    except (ValueError, KeyError) as error:
        raise DefinitionError(f"Parameter {parameter.name!r}: {text!r} is not of type {parameter.type}") from error
