"""Mail by an SNS topic."""

from __future__ import annotations

import json
from typing import Any, Protocol

import boto3

from assay.aws.faults import transient_faults


class Mail(Protocol):
    """What is sent: fewer than 100 ASCII characters on one line, and plain text. SNS refuses every other subject."""

    @property
    def subject(self) -> str: ...
    @property
    def text(self) -> str: ...


class Mailer:
    """Sends to everybody who subscribed.

    Args:
        topic_arn: the topic.
        client: a boto3 SNS client; one of its own by default.
    """

    def __init__(self, topic_arn: str, client: Any = None) -> None:
        self._topic_arn = topic_arn
        self._client = client if client is not None else boto3.client("sns")

    @transient_faults()
    def send(self, mail: Mail, occasion: str) -> None:
        """Publish one mail.

        Args:
            occasion: `completed`, `failed`, `rejected` or `approval`: what a subscription may filter by.

        Raises:
            TransientError: SNS did not take it.
        """
        self._client.publish(
            TopicArn=self._topic_arn,
            Subject=mail.subject,
            Message=mail.text,
            MessageAttributes={"occasion": {"DataType": "String.Array", "StringValue": json.dumps([occasion])}},
        )
