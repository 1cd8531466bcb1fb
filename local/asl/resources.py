"""What a Task's Resource names: a service, an operation, and how the state waits for it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import botocore.session
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

from local.asl.expressions import is_expression

_PREFIX = "arn:aws:states:::"
_OPTIMISED: dict[str, tuple[str, str, str, frozenset[str]]] = {
    "lambda": ("lambda", "Lambda", "AWSLambdaException", frozenset({"invoke"})),
    "dynamodb": (
        "dynamodb",
        "DynamoDB",
        "AmazonDynamoDBException",
        frozenset({"getItem", "putItem", "updateItem", "deleteItem"}),
    ),
    "events": ("events", "EventBridge", "AmazonEventBridgeException", frozenset({"putEvents"})),
    "sns": ("sns", "SNS", "AmazonSNSException", frozenset({"publish"})),
    "sqs": ("sqs", "SQS", "AmazonSQSException", frozenset({"sendMessage"})),
    "states": ("stepfunctions", "StepFunctions", "AWSStepFunctionsException", frozenset({"startExecution"})),
}
"""Optimised integrations: botocore's service name, the prefix of error names, the name of an error that the service's
model does not declare (the Java SDK's general class), the actions that are carried out."""

_SDK: dict[str, tuple[str, str]] = {
    "cloudwatch": ("cloudwatch", "CloudWatch"),
    "cloudwatchlogs": ("logs", "CloudWatchLogs"),
    "dynamodb": ("dynamodb", "DynamoDb"),
    "eventbridge": ("events", "EventBridge"),
    "lambda": ("lambda", "Lambda"),
    "s3": ("s3", "S3"),
    "sagemaker": ("sagemaker", "SageMaker"),
    "sagemakerruntime": ("sagemaker-runtime", "SageMakerRuntime"),
    "scheduler": ("scheduler", "Scheduler"),
    "sfn": ("stepfunctions", "Sfn"),
    "sns": ("sns", "Sns"),
    "sqs": ("sqs", "Sqs"),
    "ssm": ("ssm", "Ssm"),
    "sts": ("sts", "Sts"),
}
"""AWS SDK integrations: botocore's service name, the prefix of error names (the Java SDK's client name)."""

WAIT_FOR_TASK_TOKEN = "waitForTaskToken"  # noqa: S105 - the name of a pattern
_SYNC = {"sync", "sync:2"}


class ResourceError(Exception):
    """A Resource that the local cloud does not carry out; the message says what it is."""


@dataclass(frozen=True)
class Integration:
    """A parsed Resource.

    Attributes:
        service: botocore's name of the service.
        operation: botocore's model of the API call.
        optimised: whether it is one of Step Functions' own integrations and not an AWS SDK one.
        pattern: "" (request and response), `sync`, `sync:2` or `waitForTaskToken`.
        error_prefix: what error names of the service begin with.
        general_error: name, after the prefix, of an error that the service's model does not declare.
        resource_type: what the execution history calls the service: `dynamodb`, `aws-sdk:sagemaker`.
        resource: what the history calls the action: `updateItem`, `sendMessage.waitForTaskToken`.
    """

    service: str
    operation: OperationModel
    optimised: bool
    pattern: str
    error_prefix: str
    general_error: str
    resource_type: str
    resource: str


@functools.cache
def _service_model(service: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(service)


@functools.cache
def parse_resource(resource: str) -> Integration:
    """Return the integration that a Resource names.

    Raises:
        ResourceError: the local cloud does not carry it out, or there is no such service or action.
    """
    if not resource.startswith(_PREFIX):
        raise ResourceError(f"{resource!r} is not carried out; name a service integration ({_PREFIX}...)")
    rest = resource[len(_PREFIX) :]
    optimised = not rest.startswith("aws-sdk:")
    service_name, _, action_and_pattern = rest.removeprefix("aws-sdk:").partition(":")
    action, _, pattern = action_and_pattern.partition(".")
    if optimised:
        if service_name not in _OPTIMISED or action not in _OPTIMISED[service_name][-1]:
            raise ResourceError(f"the integration {service_name}:{action} is not carried out")
        service, prefix, general_error, _ = _OPTIMISED[service_name]
    else:
        if service_name not in _SDK:
            raise ResourceError(f"the AWS SDK integration of {service_name!r} is not carried out")
        service, prefix = _SDK[service_name]
        general_error = f"{prefix}Exception"
    if pattern and pattern not in _patterns(service_name, optimised=optimised):
        raise ResourceError(f"{action!r} of {service_name} is not carried out with the pattern .{pattern}")
    model = _service_model(service)
    name = action[:1].upper() + action[1:]
    if not action[:1].islower() or name not in model.operation_names:
        raise ResourceError(f"{service_name} has no action {action!r}")
    return Integration(
        service=service,
        operation=model.operation_model(name),
        optimised=optimised,
        pattern=pattern,
        error_prefix=prefix,
        general_error=general_error,
        resource_type=service_name if optimised else f"aws-sdk:{service_name}",
        resource=action_and_pattern,
    )


def _patterns(service_name: str, *, optimised: bool) -> set[str]:
    if not optimised:
        return {WAIT_FOR_TASK_TOKEN}
    if service_name == "states":
        return {WAIT_FOR_TASK_TOKEN, *_SYNC}
    return set() if service_name == "dynamodb" else {WAIT_FOR_TASK_TOKEN}


def pascal(name: str) -> str:
    """A member's name as Step Functions writes it; some services' own models begin them in lower case."""
    return name[:1].upper() + name[1:]


def argument_faults(shape: Shape | None, arguments: Any, field: str, *, optimised: bool) -> Iterator[tuple[str, str]]:
    """Yield (field, problem) for each argument that the API does not know or misses; expressions are not looked into.

    Objects where the API wants a string are right in optimised integrations: Step Functions writes them as JSON.
    """
    if shape is None or is_expression(arguments):
        return
    expected = {"structure": dict, "map": dict, "list": list}.get(shape.type_name)
    if expected is not None and not isinstance(arguments, expected):
        yield field, f"must be an {'array' if expected is list else 'object'}"
    elif isinstance(shape, StructureShape):
        yield from _structure_faults(shape, arguments, field, optimised=optimised)
    elif isinstance(shape, ListShape):
        for index, value in enumerate(arguments):
            yield from argument_faults(shape.member, value, f"{field}[{index}]", optimised=optimised)
    elif isinstance(shape, MapShape):
        for key, value in arguments.items():
            yield from argument_faults(shape.value, value, f"{field}/{key}", optimised=optimised)
    elif isinstance(arguments, dict | list) and not (optimised and shape.type_name in {"string", "blob"}):
        yield field, f"must be a {shape.type_name}"


def _structure_faults(
    shape: StructureShape, arguments: dict[str, Any], field: str, *, optimised: bool
) -> Iterator[tuple[str, str]]:
    members = {pascal(name): member for name, member in shape.members.items()}
    for key, value in arguments.items():
        if key in members:
            yield from argument_faults(members[key], value, f"{field}/{key}", optimised=optimised)
        else:
            yield f"{field}/{key}", "is not a parameter of this API"
    for required in shape.required_members:
        if pascal(required) not in arguments:
            yield field, f"misses {pascal(required)}"
