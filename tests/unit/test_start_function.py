"""start_evaluation from the event that AWS sends to what lies in S3, DynamoDB, Scheduler and SageMaker."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from moto import mock_aws
from pydantic import ValidationError

from assay.aws import runtime
from tests.unit.start_world import CATALOG, CONFIG

PROJECT = Path(__file__).resolve().parents[2]
FUNCTION_ARN = "arn:aws:lambda:eu-west-1:123456789012:function:start_evaluation"
SCHEDULED = CONFIG + b'schedule: {expression: "cron(0 6 ? * MON *)"}\n'
TABLE = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")]


class Stack:
    """The function, and the services it uses."""

    def __init__(self) -> None:
        self.s3, self.sagemaker = boto3.client("s3"), boto3.client("sagemaker")
        self.scheduler = boto3.client("scheduler")
        location = {"LocationConstraint": "eu-west-1"}
        self.s3.create_bucket(Bucket="drops", CreateBucketConfiguration=location)
        self.s3.put_bucket_versioning(Bucket="drops", VersioningConfiguration={"Status": "Enabled"})
        self.scheduler.create_schedule_group(Name="schedules")
        dynamodb = boto3.client("dynamodb")
        keys = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
        dynamodb.create_table(
            TableName="evaluations", BillingMode="PAY_PER_REQUEST", AttributeDefinitions=TABLE, KeySchema=keys
        )
        dynamodb.create_table(
            TableName="idempotency",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
        boto3.client("events").create_event_bus(Name="bus")
        boto3.client("sns").create_topic(Name="topic")
        self._module = self._load()

    def invoke(self, event: dict[str, Any]) -> list[tuple[str, str | None]]:
        context = LambdaContext()
        context._function_name = "start_evaluation"
        context._memory_limit_in_mb = 512
        context._invoked_function_arn = FUNCTION_ARN
        context._aws_request_id = "request"
        results = self._module.lambda_handler(event, context)["results"]
        return [(item["outcome"], item["suite"]) for item in results]

    def drop(self, key: str, body: bytes) -> dict[str, Any]:
        """The event of an object that was put."""
        version = self.s3.put_object(Bucket="drops", Key=key, Body=body)["VersionId"]
        return self._event("s3_object_created", key, version)

    def delete(self, key: str) -> dict[str, Any]:
        """The event of a delete marker that was put."""
        version = self.s3.delete_object(Bucket="drops", Key=key)["VersionId"]
        return self._event("s3_object_deleted", key, version)

    def bring_back(self, key: str, marker: dict[str, Any]) -> dict[str, Any]:
        """The event of that marker taken away: S3 names the same version."""
        version = marker["detail"]["object"]["version-id"]
        self.s3.delete_object(Bucket="drops", Key=key, VersionId=version)
        event = self._event("s3_object_deleted", key, version)
        event["detail"]["deletion-type"] = "Permanently Deleted"
        return event

    def executions(self) -> int:
        return len(self.sagemaker.list_pipeline_executions(PipelineName="assay-sums")["PipelineExecutionSummaries"])

    def sample(self, name: str) -> dict[str, Any]:
        event: dict[str, Any] = json.loads((PROJECT / f"events/{name}.json").read_text())
        return event

    def _event(self, name: str, key: str, version: str) -> dict[str, Any]:
        event = self.sample(name)
        event["detail"]["bucket"]["name"] = "drops"
        event["detail"]["object"] |= {"key": key, "version-id": version}
        return event

    def _load(self) -> ModuleType:
        file = PROJECT / "functions/start_evaluation/app.py"
        spec = importlib.util.spec_from_file_location("start_evaluation_app", file)
        assert spec is not None
        assert spec.loader is not None
        module = ModuleType(spec.name)
        spec.loader.exec_module(module)
        return module


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stack]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "POWERTOOLS_SERVICE_NAME": "assay",
        "POWERTOOLS_METRICS_NAMESPACE": "Assay",
        "OWNER": "assay-stack",
        "BUCKET_NAME": "drops",
        "EVENT_BUS_NAME": "bus",
        "TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:topic",
        "SUITE_TOPIC_ARN_PREFIX": "arn:aws:sns:eu-west-1:123456789012:topic-suite-",
        "MAIL_DEAD_LETTERS_ARN": "arn:aws:sqs:eu-west-1:123456789012:mail-dead",
        "EVALUATIONS_TABLE": "evaluations",
        "BATCH_ROLE_ARN": "arn:aws:iam::123456789012:role/batch",
        "IDEMPOTENCY_TABLE": "idempotency",
        "PIPELINE_PREFIX": "assay",
        "PIPELINE_ROLE_ARN": "arn:aws:iam::123456789012:role/pipeline",
        "STEP_IMAGE_URI": "image",
        "STEP_INSTANCE_TYPE": "ml.m5.large",
        "STEP_KEEP_ALIVE_SECONDS": "0",
        "SCHEDULE_GROUP": "schedules",
        "SCHEDULE_ROLE_ARN": "arn:aws:iam::123456789012:role/schedule",
        "SCHEDULE_DEAD_LETTERS_ARN": "arn:aws:sqs:eu-west-1:123456789012:dead",
        "HOME": str(tmp_path),
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
    }.items():
        monkeypatch.setenv(name, value)
    runtime.setting.cache_clear()
    with mock_aws():
        yield Stack()
    runtime.setting.cache_clear()


def test_a_drop_a_deletion_and_the_same_events_again(stack: Stack) -> None:
    catalog, config = stack.drop("catalogs/sums.jsonl", CATALOG), stack.drop("configs/sums.yaml", SCHEDULED)
    assert stack.invoke(catalog) == []
    for _ in range(2):
        assert stack.invoke(config) == [("started", "sums")]
    assert stack.executions() == 1
    [schedule] = stack.scheduler.list_schedules(GroupName="schedules")["Schedules"]
    assert schedule["Target"]["Arn"] == FUNCTION_ARN
    assert stack.invoke(stack.delete("configs/sums.yaml")) == [("forgotten", "sums")]
    assert stack.scheduler.list_schedules(GroupName="schedules")["Schedules"] == []


def test_a_config_that_is_deleted_and_brought_back_is_told_by_two_events_of_one_version(stack: Stack) -> None:
    stack.invoke(stack.drop("configs/sums.yaml", CONFIG))
    marker = stack.delete("configs/sums.yaml")
    assert stack.invoke(marker) == [("forgotten", "sums")]
    stack.invoke(stack.drop("catalogs/sums.jsonl", CATALOG))
    # S3 tells whole seconds: within one, config and catalog had met already.
    [(outcome, _)] = stack.invoke(stack.bring_back("configs/sums.yaml", marker))
    assert outcome in ("started", "repeated")
    assert stack.executions() == 1


def test_a_request_and_a_time_that_is_due(stack: Stack) -> None:
    for event in (stack.drop("catalogs/sums.jsonl", CATALOG), stack.drop("configs/sums.yaml", SCHEDULED)):
        stack.invoke(event)
    request = stack.sample("evaluation_requested.v1")
    request["detail"] = {"schema_version": "1", "suite": "sums", "request_id": "r", "correlation_id": "build 17"}
    due = stack.sample("evaluation_due.v1")
    due["detail"] |= {"suite": "sums"}
    for event in (request, due):
        assert stack.invoke(event) == [("started", "sums")]
    # Another event that tells of the same request is found in the table, not in the memory of events.
    assert stack.invoke({**request, "id": "another"}) == [("repeated", "sums")]
    assert stack.executions() == 3


@pytest.mark.filterwarnings("ignore:No application metrics to publish")  # Powertools', of what was refused
@pytest.mark.parametrize("event", [{}, {"detail-type": "EvaluationRequested", "detail": {}}, {"detail-type": "Other"}])
def test_an_event_that_is_none_of_these_is_refused(stack: Stack, event: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        stack.invoke(event)


def test_no_log_line_holds_what_a_request_carries(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    request = stack.sample("evaluation_requested.v1")
    request["detail"] = {"schema_version": "1", "config": "secret prompt"}
    assert stack.invoke(request) == [("rejected", None)]
    [record] = [item for item in caplog.records if item.getMessage() == "event handled"]
    assert "secret prompt" not in str(vars(record))
