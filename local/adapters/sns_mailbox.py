"""Publish checks subjects as SNS does, keeps a mail for every message, and invokes subscribed functions properly.

moto sends e-mail nowhere, and gives a subscribed function an event of constants.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from moto.sns import models
from moto.sns.exceptions import InvalidParameterValue
from werkzeug.wrappers import Request, Response

from local.clients import client
from local.cloud import Cloud, UnsupportedError, require
from local.front import local_path
from local.mailbox import Mailbox

MESSAGE_LIMIT_BYTES = 262_144
SUBJECT_LIMIT = 100
_PROTOCOLS = {"email", "sqs", "lambda"}

_SNSBackend = require(models, "SNSBackend")
_Topic = require(models, "Topic")
_Subscription = require(models, "Subscription")
_publish = require(_SNSBackend, "publish")
_subscribe = require(_SNSBackend, "subscribe")
_topic_publish = require(_Topic, "publish")
_deliver = require(_Subscription, "publish")


def install(cloud: Cloud) -> None:
    """Keep mails below the daemon's home and list them."""
    mailbox = Mailbox(cloud.settings.home / "mails")

    def publish(self: Any, message: str, arn: str | None, **arguments: Any) -> str:
        check_message(message, arguments.get("subject"))
        return str(_publish(self, message, arn, **arguments))

    def topic_publish(self: Any, message: str, **arguments: Any) -> str:
        message_id = str(_topic_publish(self, message, **arguments))
        readers = tuple(
            subscription.endpoint
            for subscription in self.sns_backend.list_subscriptions_by_topic(topic_arn=self.arn)[0]
            if subscription.protocol == "email" and _passes(subscription, arguments.get("message_attributes"), message)
        )
        text = message
        if arguments.get("message_structure") == "json":
            texts = json.loads(message)
            text = texts.get("email", texts["default"])
        mailbox.add(self.arn, readers, arguments.get("subject"), text, message_id)
        return message_id

    def deliver(self: Any, message: str, message_id: str, **arguments: Any) -> None:
        if self.protocol != "lambda":
            _deliver(self, message, message_id, **arguments)
        elif _passes(self, arguments.get("message_attributes"), message):
            event = _function_event(self, message, message_id, arguments)
            client(cloud.settings, "lambda").invoke(
                FunctionName=self.endpoint, InvocationType="Event", Payload=json.dumps(event)
            )

    def subscribe(self: Any, topic_arn: str, endpoint: str, protocol: str) -> Any:
        if protocol not in _PROTOCOLS:
            raise UnsupportedError(f"subscriptions with protocol {protocol!r} are not carried out by the local cloud")
        return _subscribe(self, topic_arn, endpoint, protocol)

    def list_mails(_request: Request) -> Response:
        return Response(json.dumps(mailbox.mails()), content_type="application/json")

    _SNSBackend.publish = publish
    _SNSBackend.subscribe = subscribe
    _Topic.publish = topic_publish
    _Subscription.publish = deliver
    local_path("mails", list_mails)


def check_message(message: str, subject: str | None) -> None:
    """Refuse what SNS refuses.

    Raises:
        InvalidParameterValue: an empty or too long message; a subject that is not below 100 printable ASCII characters,
            or is empty or starts with a space.
    """
    if not message:
        raise InvalidParameterValue("Invalid parameter: Empty message")
    if len(message.encode()) > MESSAGE_LIMIT_BYTES:
        raise InvalidParameterValue("Invalid parameter: Message too long")
    if subject is None:
        return
    printable = subject.isascii() and subject.isprintable()
    if not subject or subject[0] == " " or not printable or len(subject) >= SUBJECT_LIMIT:
        raise InvalidParameterValue("Invalid parameter: Subject")


def _passes(subscription: Any, attributes: dict[str, Any] | None, message: str) -> bool:
    matcher = subscription._filter_policy_matcher
    return matcher is None or bool(matcher.matches(attributes, message))


def _function_event(
    subscription: Any, message: str, message_id: str, arguments: dict[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    attributes = arguments.get("message_attributes") or {}
    record = {
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription.arn,
        "Sns": {
            "Type": "Notification",
            "MessageId": message_id,
            "TopicArn": subscription.topic.arn,
            "Subject": arguments.get("subject"),
            "Message": message,
            "Timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "MessageAttributes": {
                name: {"Type": value["Type"], "Value": value["Value"]} for name, value in attributes.items()
            },
        },
    }
    return {"Records": [record]}
