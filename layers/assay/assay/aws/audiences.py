"""The people whom a suite's own config names: a topic for each suite that names some, beside the stack's topic."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.exceptions import ClientError

from assay.aws.faults import code_of, transient_faults
from assay.aws.mail import Mail, Mailer
from assay.contracts.errors import AddressRefusedError

_PENDING = ("PendingConfirmation", "Deleted")


@dataclass(frozen=True)
class Audiences:
    """Topics of suites. A suite has one as long as its config has `notify`.

    SNS knows one subscription for an address and a topic, so addresses of two suites cannot share the stack's.

    Attributes:
        arn_prefix: of the topics' ARNs; the suite's name follows.
        owner: value of the tag `assay:owner`.
        dead_letters_arn: the queue for mails that could not be delivered.
        client: a boto3 SNS client.
    """

    arn_prefix: str
    owner: str
    dead_letters_arn: str
    client: Any = field(default_factory=lambda: boto3.client("sns"))

    @transient_faults()
    def put(self, suite: str, emails: Collection[str]) -> None:
        """Have exactly these addresses hear of a suite from now on. SNS asks each new one whether it wants to.

        Raises:
            AddressRefusedError: SNS does not take one of them; those before it hear of the suite.
        """
        topic = self._arn(suite)
        self.client.create_topic(Name=topic.rpartition(":")[2], Tags=[{"Key": "assay:owner", "Value": self.owner}])
        wanted = {_normal(email): email for email in emails}
        present = self._subscriptions(topic)
        for address in sorted(wanted.keys() - present.keys()):
            self._subscribe(topic, wanted[address])
        for address in sorted(present.keys() - wanted.keys()):
            # Whoever has not answered yet cannot be taken off; SNS forgets them after two days.
            if present[address] not in _PENDING:
                self.client.unsubscribe(SubscriptionArn=present[address])

    @transient_faults()
    def remove(self, suite: str) -> None:
        """Have nobody hear of a suite by its own topic; a suite without one stays so."""
        self.client.delete_topic(TopicArn=self._arn(suite))

    def send(self, suite: str, mail: Mail, occasion: str) -> None:
        """Publish one mail to the people of a suite; to nobody where it has none.

        Raises:
            TransientError: SNS did not take it.
        """
        try:
            Mailer(self._arn(suite), self.client).send(mail, occasion, [suite])
        except ClientError as error:
            if code_of(error) != "NotFound":
                raise

    def _arn(self, suite: str) -> str:
        return f"{self.arn_prefix}{suite}"

    def _subscribe(self, topic: str, email: str) -> None:
        redrive = json.dumps({"deadLetterTargetArn": self.dead_letters_arn})
        try:
            self.client.subscribe(
                TopicArn=topic, Protocol="email", Endpoint=email, Attributes={"RedrivePolicy": redrive}
            )
        except ClientError as error:
            message = error.response["Error"].get("Message", "")
            if code_of(error) == "InvalidParameter" and "Endpoint" in message:
                raise AddressRefusedError(f"{email}: {message}") from error
            raise

    def _subscriptions(self, topic: str) -> dict[str, str]:
        """ARN of each address's subscription, or that it has not answered yet."""
        pages = self.client.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
        return {
            _normal(item["Endpoint"]): item["SubscriptionArn"]
            for page in pages
            for item in page["Subscriptions"]
            if item["Protocol"] == "email"
        }


def _normal(email: str) -> str:
    """The address with its host in lower case, as SNS may tell it."""
    name, _, host = email.rpartition("@")
    return f"{name}@{host.lower()}"
