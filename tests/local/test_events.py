"""Events reach their targets: from S3, from PutEvents and from the clock, with retries and dead-letter queues."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError, EndpointConnectionError

from local.adapters import event_schedules
from local.adapters.event_schedules import Clock
from local.events import bus
from tests.local.conftest import eventually

Write = Callable[[str, str], Path]

BUCKET = """
    Resources:
      Bucket:
        Type: AWS::S3::Bucket
        Properties:
          BucketName: %(name)s
          VersioningConfiguration: {Status: %(versioning)s}
          NotificationConfiguration: {EventBridgeConfiguration: {EventBridgeEnabled: true}}
"""


def about(running: Any, bucket: str) -> list[dict[str, Any]]:
    return [event for event in running.events("aws.s3") if event["detail"]["bucket"]["name"] == bucket]


def test_an_object_created_event_has_the_shape_that_aws_documents(running: Any, tmp_path: Path) -> None:
    running.deploy(tmp_path, BUCKET % {"name": "shaped", "versioning": "Enabled"}, "shaped")
    s3 = running.aws("s3")
    put = s3.put_object(Bucket="shaped", Key="configs/a b+ü.yaml", Body=b"hello")
    (event,) = eventually(lambda: about(running, "shaped"))
    assert set(event) - {"bus"} == {
        "version",
        "id",
        "detail-type",
        "source",
        "account",
        "time",
        "region",
        "resources",
        "detail",
    }
    assert event["bus"] == "default"
    assert event["detail-type"] == "Object Created"
    assert event["region"] == "eu-west-1"
    assert event["resources"] == ["arn:aws:s3:::shaped"]
    datetime.strptime(event["time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    detail = event["detail"]
    assert detail["version"] == "0"
    assert detail["reason"] == "PutObject"
    assert detail["requester"] == "123456789012"
    assert {"request-id", "source-ip-address"} < set(detail)
    sequencer = detail["object"].pop("sequencer")
    assert int(sequencer, 16) > 0
    assert detail["object"] == {
        "key": "configs/a b+ü.yaml",
        "size": 5,
        "etag": put["ETag"].strip('"'),
        "version-id": put["VersionId"],
    }


def test_copies_multipart_uploads_and_deletions_are_announced(running: Any, tmp_path: Path) -> None:
    running.deploy(tmp_path, BUCKET % {"name": "changes", "versioning": "Enabled"}, "changes")
    s3 = running.aws("s3")
    version = s3.put_object(Bucket="changes", Key="one", Body=b"1")["VersionId"]
    s3.copy_object(Bucket="changes", Key="two", CopySource={"Bucket": "changes", "Key": "one"})
    upload = s3.create_multipart_upload(Bucket="changes", Key="three")["UploadId"]
    part = s3.upload_part(Bucket="changes", Key="three", UploadId=upload, PartNumber=1, Body=b"3")["ETag"]
    parts = {"Parts": [{"ETag": part, "PartNumber": 1}]}
    s3.complete_multipart_upload(Bucket="changes", Key="three", UploadId=upload, MultipartUpload=parts)
    marker = s3.delete_object(Bucket="changes", Key="two")["VersionId"]
    s3.delete_object(Bucket="changes", Key="one", VersionId=version)
    events = eventually(lambda: len(found := about(running, "changes")) == 5 and found)
    assert [(event["detail-type"], event["detail"]["object"]["key"]) for event in events] == [
        ("Object Created", "one"),
        ("Object Created", "two"),
        ("Object Created", "three"),
        ("Object Deleted", "two"),
        ("Object Deleted", "one"),
    ]
    details = [event["detail"] for event in events]
    assert [detail.get("reason") for detail in details[:3]] == ["PutObject", "CopyObject", "CompleteMultipartUpload"]
    assert details[3]["deletion-type"] == "Delete Marker Created"
    assert details[3]["object"]["version-id"] == marker
    assert details[4]["deletion-type"] == "Permanently Deleted"
    assert details[4]["object"]["version-id"] == version
    sequencers = [detail["object"]["sequencer"] for detail in details]
    assert sequencers == sorted(sequencers)
    assert len({event["id"] for event in events}) == 5


def test_an_unversioned_bucket_announces_no_versions_and_a_silent_one_nothing(running: Any, tmp_path: Path) -> None:
    running.deploy(tmp_path, BUCKET % {"name": "plain", "versioning": "Suspended"}, "plain")
    s3 = running.aws("s3")
    s3.create_bucket(Bucket="silent", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="silent", Key="x", Body=b"")
    s3.upload_fileobj(io.BytesIO(b"content"), "plain", "x")
    s3.delete_object(Bucket="plain", Key="x")
    s3.delete_object(Bucket="plain", Key="never-there")
    created, deleted = eventually(lambda: len(found := about(running, "plain")) == 2 and found)
    assert "version-id" not in created["detail"]["object"]
    assert deleted["detail"]["deletion-type"] == "Permanently Deleted"
    assert about(running, "silent") == []


def test_an_event_comes_after_the_objects_metadata(running: Any, tmp_path: Path) -> None:
    running.deploy(tmp_path, BUCKET % {"name": "metadata", "versioning": "Enabled"}, "metadata")
    found: list[dict[str, str]] = []
    original = bus.publish

    def look(cloud: Any, event: dict[str, Any], name: str) -> None:
        key = event["detail"]["object"]["key"]
        found.append(running.aws("s3").head_object(Bucket="metadata", Key=key)["Metadata"])
        original(cloud, event, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bus, "publish", look)
        running.aws("s3").put_object(Bucket="metadata", Key="k", Body=b"", Metadata={"colour": "red"})
    assert found == [{"colour": "red"}]


TARGETS = """
    Resources:
      Bus:
        Type: AWS::Events::EventBus
        Properties: {Name: targets}
      Inbox: {Type: AWS::SQS::Queue}
      Letters: {Type: AWS::SQS::Queue}
      Topic: {Type: AWS::SNS::Topic}
      ToQueue:
        Type: AWS::Events::Rule
        Properties:
          EventBusName: !Ref Bus
          EventPattern: {source: [assay], detail: {suite: [{prefix: support-}]}}
          Targets:
            - Id: queue
              Arn: !GetAtt Inbox.Arn
              InputTransformer:
                InputPathsMap: {suite: $.detail.suite}
                InputTemplate: '{"seen": "<suite>"}'
            - {Id: topic, Arn: !Ref Topic, InputPath: $.detail}
            - {Id: bus, Arn: !Sub "arn:aws:events:${AWS::Region}:${AWS::AccountId}:event-bus/default"}
      Disabled:
        Type: AWS::Events::Rule
        Properties:
          EventBusName: !Ref Bus
          State: DISABLED
          EventPattern: {source: [assay]}
          Targets: [{Id: queue, Arn: !GetAtt Inbox.Arn}]
      ToNobody:
        Type: AWS::Events::Rule
        Properties:
          EventPattern: {source: [nobody]}
          Targets:
            - Id: gone
              Arn: !Sub "arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:function:gone"
              DeadLetterConfig: {Arn: !GetAtt Letters.Arn}
      Throttled:
        Type: AWS::Events::Rule
        Properties:
          EventPattern: {source: [throttled]}
          Targets:
            - Id: gone
              Arn: !Sub "arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:function:gone"
              RetryPolicy: {MaximumRetryAttempts: 2}
              DeadLetterConfig: {Arn: !GetAtt Letters.Arn}
    Outputs:
      Inbox: {Value: !Ref Inbox}
      Letters: {Value: !Ref Letters}
      Rule: {Value: !Ref ToQueue}
      NobodyArn: {Value: !GetAtt ToNobody.Arn}
"""


@pytest.fixture(scope="module")
def targets(running: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    outputs: dict[str, str] = running.deploy(tmp_path_factory.mktemp("targets"), TARGETS, "targets")
    return outputs


def put(running: Any, source: str, detail: dict[str, Any], **fields: Any) -> dict[str, Any]:
    entry = {"Source": source, "DetailType": "Something", "Detail": json.dumps(detail), **fields}
    answer: dict[str, Any] = running.aws("events").put_events(Entries=[entry])
    return answer


def test_a_rule_of_a_custom_bus_feeds_queue_topic_and_bus_and_a_disabled_one_nothing(
    running: Any, targets: dict[str, str]
) -> None:
    assert targets["Rule"].startswith("targets|")
    put(running, "assay", {"suite": "other"}, EventBusName="targets")
    answer = put(running, "assay", {"suite": "support-bot"}, EventBusName="targets")
    assert answer["FailedEntryCount"] == 0
    (message,) = running.messages(targets["Inbox"])
    assert json.loads(message["Body"]) == {"seen": "support-bot"}
    mails = eventually(lambda: requests.get(f"{running.settings.endpoint_url}/_local/mails", timeout=5).json())
    assert json.loads(mails[-1]["text"]) == {"suite": "support-bot"}
    forwarded = eventually(lambda: [event for event in running.events("assay") if event["bus"] == "default"])
    assert [event["id"] for event in forwarded] == [answer["Entries"][0]["EventId"]]
    url = f"{running.settings.endpoint_url}/_local/events"
    assert {"targets", "default"} <= {event["bus"] for event in requests.get(url, timeout=5).json()}


def test_what_cannot_be_delivered_goes_to_the_dead_letter_queue_with_its_reason(
    running: Any, targets: dict[str, str]
) -> None:
    put(running, "nobody", {"a": 1})
    (letter,) = running.messages(targets["Letters"])
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert json.loads(letter["Body"])["detail"] == {"a": 1}
    assert attributes["ERROR_CODE"] == "ResourceNotFoundException"
    assert "gone" in attributes["ERROR_MESSAGE"]
    assert attributes["RULE_ARN"] == targets["NobodyArn"]
    assert attributes["TARGET_ARN"].endswith(":function:gone")
    assert "EXHAUSTED_RETRY_CONDITION" not in attributes


def test_a_failure_that_may_pass_is_retried_as_often_as_the_policy_says(
    running: Any, targets: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from local.events import delivery

    tries: list[int] = []

    def throttled(*_: Any) -> None:
        tries.append(1)
        raise ClientError({"Error": {"Code": "TooManyRequestsException", "Message": "Rate Exceeded."}}, "Invoke")

    monkeypatch.setitem(delivery.SENDERS, "lambda", throttled)
    put(running, "throttled", {})
    (letter,) = running.messages(targets["Letters"])
    assert len(tries) == 3
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert attributes["EXHAUSTED_RETRY_CONDITION"] == "MaximumRetryAttempts"
    assert attributes["RETRY_ATTEMPTS"] == "2"


def test_a_call_without_an_answer_is_retried_and_a_bus_that_is_gone_is_not(
    running: Any, targets: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from local.events import delivery

    def silent(*_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")

    monkeypatch.setitem(delivery.SENDERS, "lambda", silent)
    put(running, "throttled", {})
    (letter,) = running.messages(targets["Letters"])
    assert letter["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "EndpointConnectionError"
    assert letter["MessageAttributes"]["RETRY_ATTEMPTS"]["StringValue"] == "2"

    events = running.aws("events")
    events.put_rule(Name="to-a-bus", EventPattern='{"source": ["forwarded"]}')
    queue = running.aws("sqs").get_queue_attributes(QueueUrl=targets["Letters"], AttributeNames=["QueueArn"])
    gone = "arn:aws:events:eu-west-1:123456789012:event-bus/gone"
    letters = {"Arn": queue["Attributes"]["QueueArn"]}
    events.put_targets(Rule="to-a-bus", Targets=[{"Id": "bus", "Arn": gone, "DeadLetterConfig": letters}])
    put(running, "forwarded", {"kept": True})
    (letter,) = running.messages(targets["Letters"])
    assert json.loads(letter["Body"])["detail"] == {"kept": True}
    assert letter["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "ResourceNotFoundException"


def test_put_events_refuses_what_eventbridge_refuses(running: Any) -> None:
    events = running.aws("events")
    good = {"Source": "assay", "DetailType": "T", "Detail": "{}"}
    entries = [good, {**good, "Detail": "[]"}, {**good, "Source": "aws.s3"}, {**good, "DetailType": ""}]
    answer = events.put_events(Entries=entries)
    assert answer["FailedEntryCount"] == 3
    codes = [entry.get("ErrorCode") for entry in answer["Entries"]]
    assert codes == [None, "MalformedDetail", "NotAuthorizedForSourceException", "InvalidArgument"]
    with pytest.raises(ClientError, match="over the limit"):
        events.put_events(Entries=[{**good, "Detail": json.dumps({"a": "x" * 262_144})}])
    with pytest.raises(ClientError, match="does not exist"):
        events.put_events(Entries=[{**good, "EventBusName": "nowhere"}])


def test_rules_and_targets_that_cannot_be_carried_out_are_refused_when_they_are_put(running: Any) -> None:
    events = running.aws("events")
    with pytest.raises(ClientError, match="cidr"):
        events.put_rule(Name="bad", EventPattern='{"detail": {"ip": [{"cidr": "10.0.0.0/8"}]}}')
    events.put_rule(Name="fine", EventPattern='{"source": ["fine"]}')
    queue = "arn:aws:sqs:eu-west-1:123456789012:q"
    for target, fault in (
        ({"Id": "a", "Arn": "arn:aws:kinesis:eu-west-1:123456789012:stream/s"}, "kinesis"),
        ({"Id": "a", "Arn": queue, "EcsParameters": {"TaskDefinitionArn": "x"}}, "EcsParameters"),
        ({"Id": "a", "Arn": queue, "InputPath": "$..x"}, "InputPath"),
        ({"Id": "a", "Arn": "arn:aws:states:eu-west-1:123456789012:stateMachine:m"}, "RoleArn is required"),
        ({"Id": "a", "Arn": queue, "InputPath": "$.x", "Input": "{}"}, "Only one of"),
    ):
        with pytest.raises(ClientError, match=fault):
            events.put_targets(Rule="fine", Targets=[target])


CLOCKWORK = """
    Resources:
      Inbox: {Type: AWS::SQS::Queue}
      Regular:
        Type: AWS::Events::Rule
        Properties:
          ScheduleExpression: rate(15 minutes)
          Targets: [{Id: q, Arn: !GetAtt Inbox.Arn}]
      Never:
        Type: AWS::Events::Rule
        Properties:
          ScheduleExpression: rate(1 minute)
          State: DISABLED
          Targets: [{Id: q, Arn: !GetAtt Inbox.Arn}]
      Nightly:
        Type: AWS::Scheduler::Schedule
        Properties:
          ScheduleExpression: cron(0 3 * * ? *)
          ScheduleExpressionTimezone: Europe/Berlin
          FlexibleTimeWindow: {Mode: "OFF"}
          Target:
            Arn: !GetAtt Inbox.Arn
            RoleArn: !Sub "arn:aws:iam::${AWS::AccountId}:role/scheduler"
            Input: '{"at": "<aws.scheduler.scheduled-time>"}'
    Outputs:
      Inbox: {Value: !Ref Inbox}
"""


def test_schedules_fire_by_the_clock_and_by_nothing_else(running: Any, tmp_path: Path) -> None:
    inbox = running.deploy(tmp_path, CLOCKWORK, "clockwork")["Inbox"]
    put(running, "anything", {})
    clock, now = Clock(running.cloud), datetime(2026, 1, 5, 1, 0, tzinfo=UTC)
    assert clock.tick(now) == 0
    assert clock.tick(now + timedelta(minutes=14)) == 0
    assert clock.tick(now + timedelta(minutes=31)) == 2
    bodies = [json.loads(message["Body"]) for message in running.messages(inbox, 2)]
    assert sorted(body["time"] for body in bodies) == ["2026-01-05T01:15:00Z", "2026-01-05T01:30:00Z"]
    for body in bodies:
        assert body["source"] == "aws.events"
        assert body["detail-type"] == "Scheduled Event"
        assert body["detail"] == {}
        assert ":rule/clockwork-Regular-" in body["resources"][0]
    clock.tick(now + timedelta(hours=1, minutes=1))
    (scheduled,) = [body for m in running.messages(inbox, 3) if "at" in (body := json.loads(m["Body"]))]
    assert scheduled == {"at": "2026-01-05T02:00:00Z"}


def test_a_schedule_that_cannot_be_looked_at_does_not_stop_the_others(
    running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, ticks = Clock(running.cloud), threading.Event()
    tries: list[datetime] = []

    def tick(now: datetime) -> int:
        tries.append(now)
        if len(tries) == 1:
            raise ZeroDivisionError
        ticks.set()
        return 0

    monkeypatch.setattr(event_schedules, "_TICK_SECONDS", 0.01)
    monkeypatch.setattr(clock, "tick", tick)
    threading.Thread(target=clock.run, daemon=True).start()
    assert ticks.wait(5)
