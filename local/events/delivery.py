"""Delivery of one payload to one target of EventBridge, with its retries and its dead-letter queue.

Source: "How EventBridge retries delivering events" and "Using dead-letter queues to process undelivered events".
"""

from __future__ import annotations

import json
import logging
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.clients import client, queue_url
from local.cloud import Cloud, UnsupportedError
from local.timers import after

_logger = logging.getLogger("local.events.delivery")
_PERMANENT = {
    "ResourceNotFoundException",
    "NotFound",
    "StateMachineDoesNotExist",
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
    "AccessDeniedException",
    "ValidationException",
    "InvalidParameter",
    "UnsupportedError",
    "RequestTooLargeException",
}
_DEFAULT_RETRIES = 185
_DEFAULT_AGE_SECONDS = 86_400
_LONGEST_PAUSE_SECONDS = 300.0


@dataclass(frozen=True)
class Delivery:
    """A payload on its way to a target.

    Attributes:
        target: the target as PutTargets or CreateSchedule took it (Arn, RetryPolicy, DeadLetterConfig, ...).
        rule_arn: what sent it, named in the dead letter.
        event: the event that a bus target is given; None for what a schedule sends.
    """

    target: dict[str, Any]
    payload: str
    rule_arn: str
    event: dict[str, Any] | None = None
    started: float = field(default_factory=time.time)


Sender = Callable[[Cloud, Delivery], None]


def deliver(cloud: Cloud, delivery: Delivery, attempt: int = 0) -> None:
    """Send the payload; on a failure that may pass, come back later; otherwise put it into the dead-letter queue."""
    try:
        sender(delivery.target["Arn"])(cloud, delivery)
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    except BotoCoreError as error:
        code, message = type(error).__name__, str(error)  # no answer at all, or one that came too late
    else:
        return
    policy = delivery.target.get("RetryPolicy") or {}
    exhausted = None
    if attempt >= int(policy.get("MaximumRetryAttempts", _DEFAULT_RETRIES)):
        exhausted = "MaximumRetryAttempts"
    elif time.time() - delivery.started >= int(policy.get("MaximumEventAgeInSeconds", _DEFAULT_AGE_SECONDS)):
        exhausted = "MaximumEventAgeInSeconds"
    if code in _PERMANENT or exhausted:
        _logger.warning("event not delivered", extra={"target": delivery.target["Arn"], "error": f"{code}: {message}"})
        _bury(cloud, delivery, attempt, code, message, exhausted)
        return
    pause = min(2.0**attempt, _LONGEST_PAUSE_SECONDS) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
    after(cloud, pause * cloud.settings.time_scale, deliver, cloud, delivery, attempt + 1)


def _bury(cloud: Cloud, delivery: Delivery, attempt: int, code: str, message: str, exhausted: str | None) -> None:
    queue = (delivery.target.get("DeadLetterConfig") or {}).get("Arn")
    if not queue:
        return
    attributes = {
        "ERROR_CODE": code,
        "ERROR_MESSAGE": message or code,
        "RULE_ARN": delivery.rule_arn,
        "TARGET_ARN": delivery.target["Arn"],
        "RETRY_ATTEMPTS": str(attempt),
    }
    if exhausted:
        attributes["EXHAUSTED_RETRY_CONDITION"] = exhausted
    client(cloud.settings, "sqs").send_message(
        QueueUrl=queue_url(cloud.settings, queue),
        MessageBody=json.dumps(delivery.event) if delivery.event is not None else delivery.payload,
        MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
    )


def sender(arn: str) -> Sender:
    """Return what sends to targets of this kind.

    Raises:
        UnsupportedError: the local cloud does not deliver to this service.
    """
    service = arn.split(":")[2] if arn.count(":") >= 5 else ""
    if service not in SENDERS:
        raise UnsupportedError(f"events are not delivered to {arn!r}: {service!r} is no target that is carried out")
    return SENDERS[service]


def _to_lambda(cloud: Cloud, delivery: Delivery) -> None:
    arguments = {"InvocationType": "Event", "Payload": delivery.payload}
    client(cloud.settings, "lambda").invoke(FunctionName=delivery.target["Arn"], **arguments)


def _to_state_machine(cloud: Cloud, delivery: Delivery) -> None:
    name = f"{uuid.uuid4()}_{uuid.uuid4()}"
    client(cloud.settings, "stepfunctions").start_execution(
        stateMachineArn=delivery.target["Arn"], name=name, input=delivery.payload
    )


def _to_topic(cloud: Cloud, delivery: Delivery) -> None:
    client(cloud.settings, "sns").publish(TopicArn=delivery.target["Arn"], Message=_as_message(delivery.payload))


def _to_queue(cloud: Cloud, delivery: Delivery) -> None:
    arguments = {}
    if group := (delivery.target.get("SqsParameters") or {}).get("MessageGroupId"):
        arguments["MessageGroupId"] = group
    client(cloud.settings, "sqs").send_message(
        QueueUrl=queue_url(cloud.settings, delivery.target["Arn"]),
        MessageBody=_as_message(delivery.payload),
        **arguments,
    )


def _as_message(payload: str) -> str:
    """A transformed input that is a JSON string reaches topics and queues as its text, without the quotes."""
    if payload.startswith('"'):
        value = json.loads(payload)
        return str(value)
    return payload


SENDERS: dict[str, Sender] = {
    "lambda": _to_lambda,
    "states": _to_state_machine,
    "sns": _to_topic,
    "sqs": _to_queue,
}
