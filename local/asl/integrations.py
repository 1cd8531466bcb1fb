"""Carrying out a Task: the call to the service, its answer as Step Functions shows it, its errors by name."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.model import ListShape, MapShape, Shape, StructureShape

from local.asl.errors import EndedError, StateError
from local.asl.lifeline import Lifeline
from local.asl.resources import Integration, pascal
from local.clients import client
from local.cloud import Settings

_POLL_SECONDS = 0.1


class Integrations:
    """The calls that states make, through the services of one local cloud."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def call(self, integration: Integration, arguments: Any, lifeline: Lifeline) -> Any:
        """Make the call and return its result as a JSON value.

        Args:
            integration: what the state's Resource names.
            arguments: the state's evaluated Arguments, named as Step Functions names them.
            lifeline: of the task; a nested execution is stopped when it ends.

        Raises:
            StateError: the service refused, or answered with what Step Functions takes for a failure.
        """
        if not isinstance(arguments, dict):
            raise StateError("States.Runtime", f"The arguments of {integration.resource} must be an object")
        try:
            return _request(client(self._settings, integration.service), integration, arguments, lifeline)
        except ClientError as error:
            raise _service_error(integration, error) from error
        except ParamValidationError as error:
            raise StateError("States.Runtime", str(error)) from error
        except BotoCoreError as error:
            raise StateError(f"{integration.error_prefix}.SdkClientException", str(error)) from error


def _request(api: Any, integration: Integration, arguments: dict[str, Any], lifeline: Lifeline) -> Any:
    if integration.service == "lambda" and integration.optimised:
        return _invoke(api, arguments)
    shape = integration.operation.input_shape
    request = _to_request(shape, arguments, stringify=integration.optimised) if shape else {}
    response = getattr(api, xform_name(integration.operation.name))(**request)
    result = _to_result(integration.operation.output_shape, response)
    if integration.optimised and integration.service == "events" and result.get("FailedEntryCount", 0) > 0:
        raise StateError("EventBridge.FailedEntry", json.dumps(result))
    if integration.pattern in {"sync", "sync:2"}:
        return _await_execution(api, integration, result["ExecutionArn"], lifeline)
    return result


def _invoke(api: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    payload = json.dumps(arguments.get("Payload", {}), ensure_ascii=False).encode()
    response = api.invoke(**{**arguments, "Payload": payload})
    text = response["Payload"].read().decode()
    if response.get("FunctionError"):
        raise StateError(_function_error_name(text), text)
    result = {"ExecutedVersion": response.get("ExecutedVersion", "$LATEST"), "StatusCode": response["StatusCode"]}
    return {**result, "Payload": json.loads(text)} if text else result


def _function_error_name(text: str) -> str:
    """The runtime names the exception's class; a process that died without a word is `Lambda.Unknown`."""
    try:
        report = json.loads(text)
    except json.JSONDecodeError:
        return "Lambda.Unknown"
    name = report.get("errorType") if isinstance(report, dict) else None
    return name if isinstance(name, str) and name else "Lambda.Unknown"


def _await_execution(api: Any, integration: Integration, arn: str, lifeline: Lifeline) -> dict[str, Any]:
    try:
        while True:
            description = api.describe_execution(executionArn=arn)
            if description["status"] != "RUNNING":
                break
            lifeline.sleep(_POLL_SECONDS)
    except EndedError:
        api.stop_execution(executionArn=arn, cause="The execution that started it has ended")
        raise
    answer = api.meta.service_model.operation_model("DescribeExecution").output_shape
    result: dict[str, Any] = _to_result(answer, description)
    if description["status"] != "SUCCEEDED":
        raise StateError("States.TaskFailed", json.dumps(result, ensure_ascii=False))
    if integration.pattern == "sync:2":
        for member in ("Input", "Output"):
            if member in result:
                result[member] = json.loads(result[member])
    return result


def _to_request(shape: Shape, value: Any, *, stringify: bool) -> Any:
    """Arguments under botocore's names; objects for string parameters become JSON where Step Functions does so."""
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        names = {pascal(name): name for name in shape.members}
        unknown = sorted(set(value) - set(names))
        if unknown:
            raise StateError("States.Runtime", f"The API has no parameter {', '.join(unknown)}")
        return {
            names[key]: _to_request(shape.members[names[key]], member, stringify=stringify)
            for key, member in value.items()
        }
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_to_request(shape.member, member, stringify=stringify) for member in value]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {key: _to_request(shape.value, member, stringify=stringify) for key, member in value.items()}
    if shape.type_name == "string" and stringify and not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if shape.type_name == "blob" and isinstance(value, str):
        return value.encode()
    return value


def _to_result(shape: Shape | None, value: Any) -> Any:
    """An answer as JSON under Step Functions' names: datetimes as ISO text, bytes as text (base64 when not UTF-8)."""
    if isinstance(shape, StructureShape):
        return {
            pascal(name): _to_result(member, value[name]) for name, member in shape.members.items() if name in value
        }
    if isinstance(shape, ListShape):
        return [_to_result(shape.member, member) for member in value]
    if isinstance(shape, MapShape):
        return {key: _to_result(shape.value, member) for key, member in value.items()}
    return {} if shape is None else _scalar(value.read() if hasattr(value, "read") else value)


def _scalar(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


def iso(moment: datetime) -> str:
    """A moment as Step Functions writes it: UTC, milliseconds, Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _service_error(integration: Integration, error: ClientError) -> StateError:
    details, metadata = error.response["Error"], error.response.get("ResponseMetadata", {})
    cause = (
        f"{details.get('Message', '')} (Service: {integration.error_prefix}, "
        f"Status Code: {metadata.get('HTTPStatusCode')}, Request ID: {metadata.get('RequestId')})"
    )
    return StateError(f"{integration.error_prefix}.{_error_name(integration, details.get('Code', ''))}", cause)


def _error_name(integration: Integration, code: str) -> str:
    """The class that the Java SDK has for the error: its own when the service's model declares it, else the general."""
    for shape in integration.operation.service_model.error_shapes:
        if code in {shape.name, shape.metadata.get("error", {}).get("code")}:
            name = shape.name.removesuffix("Fault")
            return name if name.endswith("Exception") else f"{name}Exception"
    return integration.general_error
