"""Mail by an SNS topic."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

import boto3

from assay.aws.faults import transient_faults

_SUITES = 100


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
    def send(self, mail: Mail, occasion: str, suites: Sequence[str] = ()) -> None:
        """Publish one mail.

        Args:
            occasion: `completed`, `failed`, `rejected` or `approval`: what a subscription may filter by.
            suites: whom it concerns, likewise; of more than a hundred, the first hundred.

        Raises:
            TransientError: SNS did not take it.
        """
        attributes = {"occasion": [occasion], "suite": list(suites[:_SUITES])}
        self._client.publish(
            TopicArn=self._topic_arn,
            Subject=mail.subject,
            Message=mail.text,
            MessageAttributes={
                name: {"DataType": "String.Array", "StringValue": json.dumps(values)}
                for name, values in attributes.items()
                if values
            },
        )
