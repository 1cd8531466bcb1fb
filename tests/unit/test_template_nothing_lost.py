"""What cannot be delivered is kept and raises an alarm, and what holds data outlives the stack."""

from __future__ import annotations

import pytest

from tests.unit.template_support import FUNCTIONS, RESOURCES, RULES, attribute, listed, of_type

STATEFUL = {"AWS::S3::Bucket", "AWS::SQS::Queue"}


@pytest.mark.parametrize("rule", RULES)
def test_behind_every_rule_is_a_queue_that_takes_what_cannot_be_delivered_from_it(rule: str) -> None:
    assert RULES[rule]["RetryPolicy"].keys() == {"MaximumEventAgeInSeconds", "MaximumRetryAttempts"}
    queue = attribute(RULES[rule]["DeadLetterConfig"]["Arn"])
    policies = [
        statement
        for policy in of_type("AWS::SQS::QueuePolicy").values()
        if policy["Queues"] == [{"Ref": queue}]
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    assert any(
        statement["Principal"] == {"Service": "events.amazonaws.com"}
        and rule in map(attribute, listed(statement["Condition"]["ArnEquals"]["aws:SourceArn"]))
        for statement in policies
    )


def test_what_a_function_fails_on_when_nobody_waits_for_it_is_kept() -> None:
    for properties in FUNCTIONS.values():
        if properties.get("Events"):
            on_failure = properties["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]
            assert on_failure["Type"] == "SQS"
            queue = attribute(on_failure["Destination"])
            allowed = [found for policy in properties["Policies"] for found in policy["Statement"]]
            assert any(
                listed(found["Action"]) == ["sqs:SendMessage"] and attribute(found["Resource"]) == queue
                for found in allowed
            )


def test_a_mail_that_cannot_be_delivered_is_kept() -> None:
    for subscription in of_type("AWS::SNS::Subscription").values():
        assert attribute(subscription["RedrivePolicy"]["deadLetterTargetArn"]) == "NotificationDeadLetters"


def test_every_dead_letter_raises_an_alarm_that_is_mailed() -> None:
    alarms = of_type("AWS::CloudWatch::Alarm")
    watched = {
        attribute(dimension["Value"])
        for alarm in alarms.values()
        for dimension in alarm["Dimensions"]
        if dimension["Name"] == "QueueName"
    }
    assert watched == set(of_type("AWS::SQS::Queue"))
    assert all(alarm["AlarmActions"] == [{"Ref": "NotificationTopic"}] for alarm in alarms.values())


def test_a_failed_or_late_conclusion_raises_an_alarm() -> None:
    metrics = {
        alarm["MetricName"]
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        if alarm["Namespace"] == "AWS/States"
    }
    assert metrics == {"ExecutionsFailed", "ExecutionsTimedOut"}


def test_what_holds_data_outlives_the_stack() -> None:
    kept = {name for name, item in RESOURCES.items() if item["Type"] in STATEFUL} | {"EvaluationsTable"}
    for name in kept:
        assert RESOURCES[name]["DeletionPolicy"] == RESOURCES[name]["UpdateReplacePolicy"] == "Retain"


def test_objects_keep_their_versions_and_nobody_outside_sees_them() -> None:
    bucket = RESOURCES["Bucket"]["Properties"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    assert bucket["NotificationConfiguration"]["EventBridgeConfiguration"]["EventBridgeEnabled"] is True
