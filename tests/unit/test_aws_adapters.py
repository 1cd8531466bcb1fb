"""DynamoDB, EventBridge and SNS as the product sees them."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from assay.aws.bus import Bus
from assay.aws.evaluations import Evaluations
from assay.aws.faults import transient_faults
from assay.aws.mail import Mailer
from assay.contracts.errors import TransientError
from assay.contracts.events import Detail
from assay.contracts.reconciliation import EvaluationState

ID, OTHER = "0" * 32, "1" * 32
NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def evaluations(aws: None, clock: Clock) -> Evaluations:
    boto3.client("dynamodb").create_table(
        TableName="evaluations",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    return Evaluations("evaluations", now=clock, sleep=clock.sleep)


def state_item(evaluation_id: str = ID) -> dict[str, Any]:
    reply = boto3.client("dynamodb").get_item(
        TableName="evaluations", Key={"pk": {"S": f"EVALUATION#{evaluation_id}"}, "sk": {"S": "STATE"}}
    )
    return {name: value["S"] for name, value in reply["Item"].items()}


def refused(code: str, status: int = 400) -> ClientError:
    reply: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(reply, "Operation")


# ---- evaluations


def test_an_evaluation_begins_and_holds_what_the_state_machine_reads(evaluations: Evaluations) -> None:
    assert evaluations.begin(ID, suite="faq", bucket="bucket")
    assert state_item() == {
        "pk": f"EVALUATION#{ID}",
        "sk": "STATE",
        "suite": "faq",
        "bucket": "bucket",
        "status": "requested",
        "requested_at": NOW.isoformat(),
    }


def test_what_a_request_carried_is_there_for_the_state_machine(evaluations: Evaluations) -> None:
    evaluations.begin(ID, suite="faq", bucket="bucket", correlation_id="build 17")
    assert state_item()["correlation_id"] == "build 17"


def test_an_evaluation_whose_pipeline_runs_does_not_begin_again(evaluations: Evaluations) -> None:
    assert not evaluations.has_started(ID)
    evaluations.begin(ID, suite="faq", bucket="bucket")
    assert not evaluations.has_started(ID)
    evaluations.started(ID, "arn:execution")
    assert evaluations.has_started(ID)
    assert not evaluations.begin(ID, suite="faq", bucket="bucket")
    assert evaluations.get(ID) == EvaluationState(ID, "faq", "bucket", "started", "arn:execution", NOW)


def test_an_evaluation_whose_start_was_interrupted_begins_again(evaluations: Evaluations, clock: Clock) -> None:
    evaluations.begin(ID, suite="faq", bucket="bucket")
    clock.sleep(60)
    assert evaluations.begin(ID, suite="faq", bucket="bucket")
    assert state_item()["requested_at"] == NOW.isoformat()


def test_a_pipeline_that_ended_before_its_start_was_noted_stays_ended(evaluations: Evaluations) -> None:
    evaluations.begin(ID, suite="faq", bucket="bucket")
    boto3.client("dynamodb").update_item(
        TableName="evaluations",
        Key={"pk": {"S": f"EVALUATION#{ID}"}, "sk": {"S": "STATE"}},
        UpdateExpression="SET #status = :completed",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={":completed": {"S": "completed"}},
    )
    evaluations.started(ID, "arn:execution")
    assert (state_item()["status"], state_item()["execution_arn"]) == ("completed", "arn:execution")


def test_an_unknown_evaluation_is_none(evaluations: Evaluations) -> None:
    assert evaluations.get(ID) is None


# ---- the lock


def test_a_suite_is_locked_for_one_evaluation_at_a_time(evaluations: Evaluations) -> None:
    with (
        evaluations.lock("faq", ID),
        pytest.raises(TransientError, match="locked by another evaluation"),
        evaluations.lock("faq", OTHER, patience_seconds=2),
    ):
        pytest.fail("two held the lock")


def test_an_opened_lock_is_free(evaluations: Evaluations) -> None:
    with evaluations.lock("faq", ID):
        pass
    with evaluations.lock("faq", OTHER, patience_seconds=0):
        pass


def test_a_lock_opens_when_what_it_guarded_failed(evaluations: Evaluations) -> None:
    with pytest.raises(ZeroDivisionError), evaluations.lock("faq", ID):
        raise ZeroDivisionError
    with evaluations.lock("faq", OTHER, patience_seconds=0):
        pass


def test_whoever_waits_gets_a_lock_that_its_dead_holder_left(evaluations: Evaluations, clock: Clock) -> None:
    dead = evaluations.lock("faq", ID, seconds=30)
    dead.__enter__()
    with evaluations.lock("faq", OTHER, patience_seconds=40):
        assert clock.now - NOW == timedelta(seconds=30)


def test_a_lock_that_another_took_over_is_left_to_it(evaluations: Evaluations, clock: Clock) -> None:
    with evaluations.lock("faq", ID, seconds=30):
        clock.sleep(31)
        taken = evaluations.lock("faq", OTHER)
        taken.__enter__()
    with pytest.raises(TransientError), evaluations.lock("faq", "2" * 32, patience_seconds=0):
        pytest.fail("the first holder opened the second one's lock")


def test_locks_of_two_suites_are_two_locks(evaluations: Evaluations) -> None:
    with evaluations.lock("faq", ID), evaluations.lock("other", OTHER, patience_seconds=0):
        pass


# ---- events and mail


class Taken:
    """A bus that takes events, or says it did not."""

    def __init__(self, failed: int = 0) -> None:
        self.entries: list[dict[str, Any]] = []
        self._failed = failed

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        self.entries += Entries
        reply = {"ErrorCode": "InternalFailure", "ErrorMessage": "full"} if self._failed else {"EventId": "1"}
        return {"FailedEntryCount": self._failed, "Entries": [reply]}


DETAIL = Detail(evaluation_id=ID, suite="faq", occurred_at=NOW, data={"models": ["é"]})


def test_an_event_goes_to_assays_own_bus_from_assay() -> None:
    client = Taken()
    Bus("assay", client).emit("EvaluationStarted", DETAIL)
    [entry] = client.entries
    assert (entry["Source"], entry["DetailType"], entry["EventBusName"]) == ("assay", "EvaluationStarted", "assay")
    assert json.loads(entry["Detail"]) == {
        "schema_version": "1",
        "evaluation_id": ID,
        "suite": "faq",
        "correlation_id": None,
        "occurred_at": "2026-11-24T08:00:00Z",
        "data": {"models": ["é"]},
    }


def test_an_event_that_the_bus_did_not_take_is_tried_again() -> None:
    with pytest.raises(TransientError, match="EvaluationStarted was not taken: InternalFailure: full"):
        Bus("assay", Taken(failed=1)).emit("EvaluationStarted", DETAIL)


def test_a_mail_is_published_with_subject_and_text(aws: None) -> None:
    topic = boto3.client("sns").create_topic(Name="mails")["TopicArn"]
    queue_url = boto3.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    queue_arn = "arn:aws:sqs:eu-west-1:123456789012:q"
    boto3.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)
    Mailer(topic).send(SimpleNamespace(subject="Assay: faq", text="It is done.\n"), "rejected")
    [message] = boto3.client("sqs").receive_message(QueueUrl=queue_url)["Messages"]
    body = json.loads(message["Body"])
    assert (body["Subject"], body["Message"]) == ("Assay: faq", "It is done.\n")
    assert body["MessageAttributes"]["occasion"] == {"Type": "String.Array", "Value": '["rejected"]'}


# ---- faults


@pytest.mark.parametrize(
    "error",
    [
        refused("ThrottlingException"),
        refused("ProvisionedThroughputExceededException"),
        refused("SlowDown", 503),
        refused("Whatever", 500),
        refused("Whatever", 429),
        EndpointConnectionError(endpoint_url="https://x"),
    ],
)
def test_what_may_pass_is_a_transient_error(error: Exception) -> None:
    with pytest.raises(TransientError), transient_faults():
        raise error


@pytest.mark.parametrize("error", [refused("AccessDenied", 403), refused("ValidationException"), KeyError("x")])
def test_what_will_not_pass_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, transient_faults():
        raise error
    assert caught.value is error


def test_a_throttled_table_is_a_transient_error() -> None:
    class Throttled:
        def __getattr__(self, name: str) -> Any:
            def refuse(**_: Any) -> Any:
                raise refused("ThrottlingException")

            return refuse

    evaluations = Evaluations("evaluations", client=Throttled(), now=itertools.repeat(NOW).__next__)
    for call in (
        lambda: evaluations.begin(ID, suite="faq", bucket="bucket"),
        lambda: evaluations.started(ID, "arn"),
        lambda: evaluations.get(ID),
        lambda: evaluations.has_started(ID),
        lambda: evaluations.lock("faq", ID).__enter__(),
    ):
        with pytest.raises(TransientError):
            call()
