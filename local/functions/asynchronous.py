"""Asynchronous invocations: a queue, two retries with back-off, then the failure destination or the dead-letter queue.

Source: "Error handling for asynchronous invocation" and "Capturing records of Lambda asynchronous invocations".
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

from local.clients import client, queue_url
from local.functions.pool import ThrottledError
from local.functions.service import service
from local.functions.worker import Invocation, Outcome, failure
from local.timers import after

_RETRY_SECONDS = (60.0, 120.0)
_THROTTLE_SECONDS = 1.0
_DEFAULT_AGE = 21_600
_MESSAGE_LIMIT = 1024


def enqueue(function: Any, invocation: Invocation) -> None:
    """Take an event for `function` (moto's record) and run it in the background."""
    lambda_service = service()
    lambda_service.cloud.submit(_attempt, function.function_name, invocation, 1, time.time())


def _attempt(name: str, invocation: Invocation, count: int, queued: float) -> None:
    lambda_service = service()
    cloud = lambda_service.cloud
    scale = cloud.settings.time_scale
    function = lambda_service.function(name)
    config = function.event_invoke_config[-1].config if function.event_invoke_config else {}
    expires = queued + config.get("MaximumEventAgeInSeconds", _DEFAULT_AGE)
    try:
        outcome = lambda_service.run(function, invocation)
    except ThrottledError:
        if time.time() > expires:
            _conclude(function, config, invocation, count, failure("TooManyRequestsException", "Rate Exceeded."))
        else:
            after(cloud, _THROTTLE_SECONDS * scale, _attempt, name, invocation, count, queued)
        return
    retries = config.get("MaximumRetryAttempts", len(_RETRY_SECONDS))
    if outcome.error and count <= retries and time.time() < expires:
        after(cloud, _RETRY_SECONDS[count - 1] * scale, _attempt, name, invocation, count + 1, queued)
        return
    _conclude(function, config, invocation, count, outcome)


def _conclude(function: Any, config: dict[str, Any], invocation: Invocation, count: int, outcome: Outcome) -> None:
    destinations = config.get("DestinationConfig", {})
    side = "OnFailure" if outcome.error else "OnSuccess"
    destination = destinations.get(side, {}).get("Destination")
    if destination:
        _send_record(destination, function, _record(function, invocation, count, outcome), outcome)
    dead_letters = (function.dead_letter_config or {}).get("TargetArn")
    if dead_letters and outcome.error:
        _send_dead_letter(dead_letters, invocation, outcome)


def _record(function: Any, invocation: Invocation, count: int, outcome: Outcome) -> dict[str, Any]:
    response_context: dict[str, Any] = {"statusCode": 200, "executedVersion": "$LATEST"}
    if outcome.error:
        response_context["functionError"] = outcome.error
    return {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": invocation.request_id,
            "functionArn": f"{function.function_arn}:$LATEST",
            "condition": "RetriesExhausted" if outcome.error else "Success",
            "approximateInvokeCount": count,
        },
        "requestPayload": json.loads(invocation.payload),
        "responseContext": response_context,
        "responsePayload": json.loads(outcome.payload or b"null"),
    }


def _send_record(destination: str, function: Any, record: dict[str, Any], outcome: Outcome) -> None:
    settings = service().cloud.settings
    body = json.dumps(record)
    kind = destination.split(":")[2]
    if kind == "sqs":
        client(settings, "sqs").send_message(QueueUrl=queue_url(settings, destination), MessageBody=body)
    elif kind == "sns":
        client(settings, "sns").publish(TopicArn=destination, Message=body)
    elif kind == "lambda":
        client(settings, "lambda").invoke(FunctionName=destination, InvocationType="Event", Payload=body)
    else:
        entry = {
            "Source": "lambda",
            "DetailType": f"Lambda Function Invocation Result - {'Failure' if outcome.error else 'Success'}",
            "Resources": [destination, f"{function.function_arn}:$LATEST"],
            "Detail": body,
            "EventBusName": destination,
        }
        client(settings, "events").put_events(Entries=[entry])


def _send_dead_letter(target: str, invocation: Invocation, outcome: Outcome) -> None:
    settings = service().cloud.settings
    fault = json.loads(outcome.payload)
    message = str(fault.get("errorMessage", "") if isinstance(fault, dict) else fault)[:_MESSAGE_LIMIT] or "unknown"
    attributes = {
        "RequestID": {"DataType": "String", "StringValue": invocation.request_id},
        "ErrorCode": {"DataType": "Number", "StringValue": "200"},
        "ErrorMessage": {"DataType": "String", "StringValue": message},
    }
    body = invocation.payload.decode()
    if target.split(":")[2] == "sqs":
        client(settings, "sqs").send_message(
            QueueUrl=queue_url(settings, target), MessageBody=body, MessageAttributes=attributes
        )
    else:
        client(settings, "sns").publish(TopicArn=target, Message=body, MessageAttributes=attributes)
