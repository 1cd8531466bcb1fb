"""What the product's own state machines need around them, and queues that hear what they announce and mail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from tests.local.step_functions_support import FUNCTION, ROLE, Machines

PROJECT = Path(__file__).resolve().parents[2]
ID = "0123456789abcdef" * 2


@dataclass(frozen=True)
class Surroundings:
    """A table with one evaluation, a bus and a topic of one name.

    Attributes:
        name: of the table, the bus and the rule.
        topic: its ARN.
    """

    machines: Machines
    name: str
    topic: str
    bus_queue: str
    mail_queue: str
    suite_queue: str

    @classmethod
    def make(cls, machines: Machines, name: str) -> Surroundings:
        machines.client("dynamodb").create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
        sqs, sns, events = (machines.client(service) for service in ("sqs", "sns", "events"))
        queues = {heard: sqs.create_queue(QueueName=f"{name}-{heard}")["QueueUrl"] for heard in ("bus", "mail")}
        arns = {heard: f"arn:aws:sqs:eu-west-1:123456789012:{name}-{heard}" for heard in queues}
        topic = sns.create_topic(Name=name)["TopicArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arns["mail"])
        events.create_event_bus(Name=name)
        events.put_rule(Name=name, EventBusName=name, EventPattern='{"source": ["assay"]}')
        # The suite's own people, with the topic that start_evaluation makes for them.
        own = sns.create_topic(Name=f"{name}-suite-sums")["TopicArn"]
        queues["suite"] = sqs.create_queue(QueueName=f"{name}-suite")["QueueUrl"]
        sns.subscribe(TopicArn=own, Protocol="sqs", Endpoint=f"arn:aws:sqs:eu-west-1:123456789012:{name}-suite")
        events.put_targets(Rule=name, EventBusName=name, Targets=[{"Id": "queue", "Arn": arns["bus"]}])
        return cls(machines, name, topic, queues["bus"], queues["mail"], queues["suite"])

    @property
    def suite_topics(self) -> str:
        """What the ARN of a suite's own topic begins with."""
        return f"{self.topic}-suite-"

    def begin(self, status: str) -> None:
        """Nothing is in the table but one evaluation, as start_evaluation writes it, and nothing was heard."""
        table = self.machines.client("dynamodb")
        for item in table.scan(TableName=self.name)["Items"]:
            table.delete_item(TableName=self.name, Key={key: item[key] for key in ("pk", "sk")})
        item = {"pk": f"EVALUATION#{ID}", "sk": "STATE", "suite": "sums", "bucket": "drops", "status": status}
        table.put_item(TableName=self.name, Item={key: {"S": value} for key, value in item.items()})
        for queue in (self.bus_queue, self.mail_queue, self.suite_queue):
            self._received(queue)

    def create(self, machine: dict[str, Any]) -> str:
        """Make the state machine, and return its ARN."""
        made = self.machines.sfn.create_state_machine(name=self.name, definition=json.dumps(machine), roleArn=ROLE)
        return str(made["stateMachineArn"])

    def events(self, schemas: Mapping[str, str]) -> list[dict[str, Any]]:
        """What was put on the bus, each valid against the published schema that its kind has in `schemas`."""
        events = self._received(self.bus_queue)
        for event in events:
            schema = json.loads((PROJECT / f"events/{schemas[event['detail-type']]}.v1.schema.json").read_text())
            Draft202012Validator(schema["properties"]["detail"]).validate(event["detail"])
        return events

    def mails(self) -> list[dict[str, Any]]:
        return self._received(self.mail_queue)

    def suite_mails(self) -> list[dict[str, Any]]:
        """What the suite's own people were told."""
        return self._received(self.suite_queue)

    def name_people(self, *occasions: str, suite: str = "sums") -> None:
        """The config of the suite has `notify` on these occasions."""
        item = {"pk": {"S": f"SUITE#{suite}"}, "sk": {"S": "CONFIG"}, "notify_on": {"SS": list(occasions)}}
        self.machines.client("dynamodb").put_item(TableName=self.name, Item=item)

    def lose_people(self) -> None:
        """The config goes at this moment, and the suite's own topic is gone already."""
        self.name_people("completed", "approval", "failed", suite="without-topic")
        self.machines.client("dynamodb").update_item(
            TableName=self.name,
            Key={"pk": {"S": f"EVALUATION#{ID}"}, "sk": {"S": "STATE"}},
            UpdateExpression="SET suite = :other",
            ExpressionAttributeValues={":other": {"S": "without-topic"}},
        )

    def items(self) -> list[dict[str, Any]]:
        """All that is in the table."""
        found = self.machines.client("dynamodb").scan(TableName=self.name)["Items"]
        return [{key: next(iter(value.values())) for key, value in item.items()} for item in found]

    def _received(self, queue: str) -> list[dict[str, Any]]:
        sqs = self.machines.client("sqs")
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in messages]


def read_machine(name: str, substitutions: Mapping[str, str]) -> dict[str, Any]:
    """The real state machine with its substitutions filled in."""
    text = (PROJECT / f"statemachine/{name}.asl.yaml").read_text()
    for key, value in substitutions.items():
        text = text.replace(f"${{{key}}}", value)
    assert "${" not in text
    machine: dict[str, Any] = YAML(typ="safe").load(text)
    return machine


def ask_function(state: dict[str, Any], action: str, function: str) -> None:
    """Put a call that moto lacks to a function; the state's assignments read its payload."""
    assert state["Resource"] == f"arn:aws:states:::aws-sdk:sagemaker:{action}"
    state["Resource"] = FUNCTION
    state["Arguments"] = {"FunctionName": function, "Payload": state["Arguments"]}
    state["Assign"] = {
        key: value.replace("$states.result.", "$states.result.Payload.") for key, value in state["Assign"].items()
    }
