"""The topics of suites, against moto's SNS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from assay.aws.audiences import Audiences
from assay.contracts.errors import AddressRefusedError

TOPICS = "arn:aws:sns:eu-west-1:123456789012:assay-suite-"
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:mails"


@dataclass(frozen=True)
class Letter:
    subject: str = "Assay: sums"
    text: str = "It is refused."


@pytest.fixture
def sns(aws: None) -> Any:
    boto3.client("sqs").create_queue(QueueName="mails")
    return boto3.client("sns")


@pytest.fixture
def audiences(sns: Any) -> Audiences:
    return Audiences(TOPICS, "assay", QUEUE, sns)


def readers(sns: Any, suite: str = "sums") -> list[str]:
    found = sns.list_subscriptions_by_topic(TopicArn=f"{TOPICS}{suite}")["Subscriptions"]
    return sorted(item["Endpoint"] for item in found)


def test_a_suites_topic_has_exactly_the_addresses_of_its_config(audiences: Audiences, sns: Any) -> None:
    audiences.put("sums", ["ada@example.org", "bob@example.org"])
    audiences.put("sums", ["bob@example.org", "cy@example.org"])
    assert readers(sns) == ["bob@example.org", "cy@example.org"]
    [tag] = sns.list_tags_for_resource(ResourceArn=f"{TOPICS}sums")["Tags"]
    assert tag == {"Key": "assay:owner", "Value": "assay"}


def test_nobody_is_asked_twice(audiences: Audiences, sns: Any) -> None:
    audiences.put("sums", ["ada@Example.org"])
    before = sns.list_subscriptions_by_topic(TopicArn=f"{TOPICS}sums")["Subscriptions"]
    audiences.put("sums", ["ada@example.ORG"])
    assert sns.list_subscriptions_by_topic(TopicArn=f"{TOPICS}sums")["Subscriptions"] == before


def test_mail_that_cannot_be_delivered_is_kept(audiences: Audiences, sns: Any) -> None:
    audiences.put("sums", ["ada@example.org"])
    [item] = sns.list_subscriptions_by_topic(TopicArn=f"{TOPICS}sums")["Subscriptions"]
    attributes = sns.get_subscription_attributes(SubscriptionArn=item["SubscriptionArn"])["Attributes"]
    assert QUEUE in attributes["RedrivePolicy"]


def test_two_suites_may_name_one_address(audiences: Audiences, sns: Any) -> None:
    audiences.put("sums", ["ada@example.org"])
    audiences.put("facts", ["ada@example.org"])
    assert readers(sns, "sums") == readers(sns, "facts") == ["ada@example.org"]


def test_a_suite_without_people_has_no_topic(audiences: Audiences, sns: Any) -> None:
    audiences.put("sums", ["ada@example.org"])
    audiences.remove("sums")
    audiences.remove("sums")
    assert sns.list_topics()["Topics"] == []


def test_a_mail_reaches_a_suites_topic_and_one_to_a_suite_without_is_no_fault(audiences: Audiences, sns: Any) -> None:
    audiences.put("sums", ["ada@example.org"])
    sns.subscribe(TopicArn=f"{TOPICS}sums", Protocol="sqs", Endpoint=QUEUE)
    audiences.send("sums", Letter(), "rejected")
    audiences.send("facts", Letter(), "rejected")
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="mails")["QueueUrl"]
    [message] = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert "It is refused." in message["Body"]


def test_an_address_that_sns_does_not_take_is_named(audiences: Audiences, sns: Any) -> None:
    def refuse(**_: Any) -> Any:
        raise ClientError(
            {"Error": {"Code": "InvalidParameter", "Message": "Invalid parameter: Endpoint"}}, "Subscribe"
        )

    sns.meta.events.register("before-call.sns.Subscribe", refuse)
    with pytest.raises(AddressRefusedError, match=r"ada@example\.org: Invalid parameter: Endpoint"):
        audiences.put("sums", ["ada@example.org"])


def test_an_address_that_has_not_answered_is_neither_asked_again_nor_taken_off(audiences: Audiences, sns: Any) -> None:
    audiences.put("sums", ["ada@example.org"])

    def pending(parsed: dict[str, Any], **_: Any) -> None:
        for item in parsed["Subscriptions"]:
            item["SubscriptionArn"] = "PendingConfirmation"

    # moto confirms every address at once.
    sns.meta.events.register("after-call.sns.ListSubscriptionsByTopic", pending)
    audiences.put("sums", ["ada@example.org"])
    audiences.put("sums", ["bob@example.org"])
    assert readers(sns) == ["ada@example.org", "bob@example.org"]
