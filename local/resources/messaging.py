"""Topics, queues, their policies and subscriptions."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from local.resources.resource import Resource, as_flag, as_text, tag_map


class Topic(Resource):
    type_name = "AWS::SNS::Topic"
    name_property = "TopicName"
    name_limit = 256
    attribute_names = ("TopicArn", "TopicName")

    def create(self) -> None:
        tags = [{"Key": key, "Value": value} for key, value in tag_map(self.properties).items()]
        self.physical_resource_id = self.aws("sns").create_topic(Name=self.name, Tags=tags)["TopicArn"]
        self.attributes = {"TopicArn": self.physical_resource_id, "TopicName": self.name}
        self.update()

    def update(self) -> None:
        sns, arn = self.aws("sns"), self.physical_resource_id
        for name in ("DisplayName", "KmsMasterKeyId"):
            if name in self.properties or name in self.previous:
                value = str(self.properties.get(name, ""))
                sns.set_topic_attributes(TopicArn=arn, AttributeName=name, AttributeValue=value)
        wanted, present = _subscribers(self.properties), _subscribers(self.previous)
        for protocol, endpoint in wanted - present:
            sns.subscribe(TopicArn=arn, Protocol=protocol, Endpoint=endpoint)
        if present - wanted:
            for found in sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]:
                if (found["Protocol"], found["Endpoint"]) in present - wanted:
                    sns.unsubscribe(SubscriptionArn=found["SubscriptionArn"])

    def remove(self) -> None:
        self.aws("sns").delete_topic(TopicArn=self.physical_resource_id)


class TopicPolicy(Resource):
    type_name = "AWS::SNS::TopicPolicy"

    def create(self) -> None:
        self.update()

    def update(self) -> None:
        policy = json.dumps(self.properties["PolicyDocument"])
        for arn in self.properties["Topics"]:
            self.aws("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy)

    def remove(self) -> None:
        """A topic that outlives its policy keeps it; policies are not checked locally."""


class Subscription(Resource):
    type_name = "AWS::SNS::Subscription"
    replaces = ("TopicArn", "Protocol", "Endpoint")
    # What a property that is gone goes back to.
    _defaults: ClassVar[dict[str, str]] = {
        "FilterPolicy": "",
        "FilterPolicyScope": "MessageAttributes",
        "RedrivePolicy": "",
        "RawMessageDelivery": "false",
    }

    def create(self) -> None:
        subscribed = self.aws("sns").subscribe(
            **self.pick("TopicArn", "Protocol", "Endpoint"), ReturnSubscriptionArn=True
        )
        self.physical_resource_id = subscribed["SubscriptionArn"]
        self.update()

    def update(self) -> None:
        gone = set(self.previous) - set(self.properties)
        values: dict[str, Any] = {name: value for name, value in self._defaults.items() if name in gone}
        for name in ("FilterPolicy", "RedrivePolicy"):
            if name in self.properties:
                values[name] = json.dumps(self.properties[name])
        if "FilterPolicyScope" in self.properties:
            values["FilterPolicyScope"] = self.properties["FilterPolicyScope"]
        if "RawMessageDelivery" in self.properties:
            values["RawMessageDelivery"] = as_text(as_flag(self.properties["RawMessageDelivery"]))
        for name, value in sorted(values.items(), reverse=True):
            self.aws("sns").set_subscription_attributes(
                SubscriptionArn=self.physical_resource_id, AttributeName=name, AttributeValue=value
            )

    def remove(self) -> None:
        self.aws("sns").unsubscribe(SubscriptionArn=self.physical_resource_id)


class Queue(Resource):
    type_name = "AWS::SQS::Queue"
    name_property = "QueueName"
    name_limit = 80
    attribute_names = ("Arn", "QueueName", "QueueUrl")
    replaces = ("FifoQueue",)
    # The attributes, and what one that is gone goes back to.
    _defaults: ClassVar[dict[str, str]] = {
        "DelaySeconds": "0",
        "MaximumMessageSize": "262144",
        "MessageRetentionPeriod": "345600",
        "ReceiveMessageWaitTimeSeconds": "0",
        "VisibilityTimeout": "30",
        "KmsMasterKeyId": "",
        "ContentBasedDeduplication": "false",
        "SqsManagedSseEnabled": "true",
        "RedrivePolicy": "",
    }

    def create(self) -> None:
        attributes = self._wanted()
        if as_flag(self.properties.get("FifoQueue", False)):
            attributes["FifoQueue"] = "true"
        created = self.aws("sqs").create_queue(
            QueueName=self.name, Attributes=attributes, tags=tag_map(self.properties)
        )
        self.physical_resource_id = created["QueueUrl"]
        described = self.aws("sqs").get_queue_attributes(QueueUrl=created["QueueUrl"], AttributeNames=["QueueArn"])
        self.attributes = {
            "Arn": described["Attributes"]["QueueArn"],
            "QueueName": self.name,
            "QueueUrl": created["QueueUrl"],
        }

    def update(self) -> None:
        if attributes := self._wanted():
            self.aws("sqs").set_queue_attributes(QueueUrl=self.physical_resource_id, Attributes=attributes)

    def remove(self) -> None:
        self.aws("sqs").delete_queue(QueueUrl=self.physical_resource_id)

    def _wanted(self) -> dict[str, str]:
        gone = set(self.previous) - set(self.properties)
        wanted = {name: value for name, value in self._defaults.items() if name in gone}
        wanted |= {name: as_text(value) for name, value in self.pick(*self._defaults).items()}
        return wanted | {name: json.dumps(value) for name, value in self.pick("RedrivePolicy").items()}


class QueuePolicy(Resource):
    type_name = "AWS::SQS::QueuePolicy"

    def create(self) -> None:
        self.update()

    def update(self) -> None:
        policy = json.dumps(self.properties["PolicyDocument"])
        for url in self.properties["Queues"]:
            self.aws("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})

    def remove(self) -> None:
        """A queue that outlives its policy keeps it; policies are not checked locally."""


def _subscribers(topic: dict[str, Any]) -> set[tuple[str, str]]:
    return {(item["Protocol"], item["Endpoint"]) for item in topic.get("Subscription", [])}
