"""What the reconciler sees of AWS, and what it does there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from assay.aws.endpoints import Endpoints
from assay.aws.evaluations import Evaluations
from assay.aws.executions import PipelineExecutions
from assay.aws.machines import ApprovalAnnouncements, Conclusions
from assay.aws.model_packages import ModelPackages
from assay.aws.owned import OwnedResources
from assay.contracts.errors import TransientError
from assay.contracts.reconciliation import DeadExecution, Owned, PackageStatus, PipelineState
from tests.unit.test_endpoints import create

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ID, OTHER = "0" * 32, "1" * 32
MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:conclude"


def refused(code: str, operation: str = "Operation") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, operation)


class Pages:
    """A client whose list operations have pages, and whose other answers are given or raised."""

    def __init__(self, pages: dict[str, list[dict[str, Any]]], **answers: Any) -> None:
        self.pages, self.answers = pages, answers
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def get_paginator(self, operation: str) -> Any:
        outer = self

        class Paginator:
            def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
                outer.asked.append((operation, request))
                yield from outer.pages.get(str(request.get("statusFilter", operation)), [])

        return Paginator()

    def __getattr__(self, operation: str) -> Any:
        def answer(**request: Any) -> Any:
            self.asked.append((operation, request))
            given = self.answers[operation]
            if isinstance(given, Exception):
                raise given
            return given[request["executionArn"]] if isinstance(given, dict) and "executionArn" in request else given

        return answer


# ---- pipelines


def test_an_execution_is_found_by_the_evaluation_that_it_is_named_after() -> None:
    summaries = [{"PipelineExecutionDisplayName": name, "PipelineExecutionArn": f"arn:{name}"} for name in (OTHER, ID)]
    client = Pages({"list_pipeline_executions": [{"PipelineExecutionSummaries": [item]} for item in summaries]})
    assert PipelineExecutions("assay", client).find("sums", ID) == f"arn:{ID}"
    assert client.asked == [("list_pipeline_executions", {"PipelineName": "assay-sums"})]
    assert PipelineExecutions("assay", client).find("sums", "f" * 32) is None


def test_an_execution_stands_where_sagemaker_says_or_is_gone() -> None:
    described = {"PipelineExecutionStatus": "Failed", "CreationTime": NOW, "LastModifiedTime": NOW}
    client = Pages({}, describe_pipeline_execution=described)
    assert PipelineExecutions("assay", client).state("arn") == PipelineState("Failed", NOW, NOW)
    client = Pages({}, describe_pipeline_execution=refused("ResourceNotFound"))
    assert PipelineExecutions("assay", client).state("arn") is None
    client = Pages({}, describe_pipeline_execution=refused("ThrottlingException"))
    with pytest.raises(TransientError):
        PipelineExecutions("assay", client).state("arn")


def test_stopping_what_has_just_ended_is_no_fault() -> None:
    PipelineExecutions("assay", Pages({}, stop_pipeline_execution={})).stop("arn")
    PipelineExecutions("assay", Pages({}, stop_pipeline_execution=refused("ConflictException"))).stop("arn")
    with pytest.raises(ClientError, match="AccessDenied"):
        PipelineExecutions("assay", Pages({}, stop_pipeline_execution=refused("AccessDenied"))).stop("arn")


# ---- conclusions


def listed(arn: str, **more: Any) -> dict[str, Any]:
    return {"executionArn": arn, "stopDate": NOW - timedelta(hours=1), "redriveCount": 0, **more}


def described(error: str | None) -> dict[str, Any]:
    details = {} if error is None else {"error": error}
    return {"input": json.dumps({"detail": {"pipelineExecutionDisplayName": ID}}), **details}


def test_only_conclusions_that_died_and_can_go_on_are_found() -> None:
    pages = {
        "FAILED": [
            {"executions": [listed("died"), listed("announced")]},
            {"executions": [listed("by-hand"), listed("old", stopDate=NOW - timedelta(days=15))]},
            {"executions": [listed("hopeless", redriveCount=20)]},
        ],
        "TIMED_OUT": [{"executions": [listed("late")]}],
        "ABORTED": [{"executions": [listed("aborted")]}],
    }
    errors = {
        "died": "EventBridge.FailedEntry",
        "announced": "NotConcluded",
        "by-hand": "UnknownEvaluation",
        "late": None,
        "aborted": None,
    }
    client = Pages(pages, describe_execution={arn: described(error) for arn, error in errors.items()})
    found = list(Conclusions(MACHINE, client, now=lambda: NOW).dead())
    assert found == [DeadExecution(arn, ID) for arn in ("died", "late", "aborted")]


def test_what_conclusions_that_go_on_are_about_is_found() -> None:
    inputs = {"on": described(None), "by-hand": {"input": "[]"}}
    client = Pages({"RUNNING": [{"executions": [listed(arn) for arn in inputs]}]}, describe_execution=inputs)
    assert list(Conclusions(MACHINE, client, now=lambda: NOW).going_on()) == [ID]


@pytest.mark.parametrize("given", ["{}", "[]", '{"detail": "x"}', '{"detail": {"pipelineExecutionDisplayName": null}}'])
def test_an_execution_that_somebody_started_with_something_else_than_an_event_is_passed_over(given: str) -> None:
    inputs = {"by-hand": {"input": given}, "died": described(None)}
    client = Pages({"FAILED": [{"executions": [listed(arn) for arn in inputs]}]}, describe_execution=inputs)
    assert list(Conclusions(MACHINE, client, now=lambda: NOW).dead()) == [DeadExecution("died", ID)]


def test_a_lost_event_is_made_up_for_once_in_the_words_of_the_event() -> None:
    client = Pages({}, start_execution={})
    assert Conclusions(MACHINE, client).start(ID, "arn:execution", "Failed")
    [(_, request)] = client.asked
    assert request["name"] == ID
    assert json.loads(request["input"])["detail"] == {
        "pipelineExecutionDisplayName": ID,
        "currentPipelineExecutionStatus": "Failed",
        "pipelineExecutionArn": "arn:execution",
    }
    client = Pages({}, start_execution=refused("ExecutionAlreadyExists"))
    assert not Conclusions(MACHINE, client).start(ID, "arn:execution", "Failed")


def test_redriving_what_another_one_redrove_is_no_fault() -> None:
    Conclusions(MACHINE, Pages({}, redrive_execution=refused("ExecutionNotRedrivable"))).redrive("arn")
    with pytest.raises(TransientError):
        Conclusions(MACHINE, Pages({}, redrive_execution=refused("ThrottlingException"))).redrive("arn")


# ---- registered packages, and what was told of them


def test_packages_are_looked_at_a_hundred_at_a_time_and_one_that_is_gone_is_left_out() -> None:
    class Registry:
        def __init__(self) -> None:
            self.asked: list[list[str]] = []

        def batch_describe_model_package(self, *, ModelPackageArnList: list[str]) -> dict[str, Any]:  # noqa: N803
            self.asked.append(ModelPackageArnList)
            known = [arn for arn in ModelPackageArnList if arn != "arn:3"]
            return {
                "ModelPackageSummaries": {arn: {"ModelApprovalStatus": "Approved"} for arn in known},
                "BatchDescribeModelPackageErrorMap": {"arn:3": {"ErrorCode": "ValidationException"}},
            }

    client = Registry()
    found = dict(ModelPackages(client).statuses([f"arn:{number}" for number in range(150)]))
    assert [len(batch) for batch in client.asked] == [100, 50]
    assert set(found) == {f"arn:{number}" for number in range(150) if number != 3}
    assert list(ModelPackages(client).statuses([])) == []


def test_a_package_stands_as_it_was_changed_last_or_as_it_was_created() -> None:
    created = {"CreationTime": NOW - timedelta(days=1), "ModelApprovalStatus": "PendingManualApproval"}
    packages = ModelPackages(Pages({}, describe_model_package=created))
    assert packages.status("arn") == PackageStatus("PendingManualApproval", NOW - timedelta(days=1))
    changed = {**created, "ModelApprovalStatus": "Rejected", "LastModifiedTime": NOW}
    packages = ModelPackages(Pages({}, describe_model_package=changed))
    assert packages.status("arn") == PackageStatus("Rejected", NOW)
    gone = ClientError({"Error": {"Code": "ValidationException", "Message": "arn does not exist."}}, "Describe")
    assert ModelPackages(Pages({}, describe_model_package=gone)).status("arn") is None
    with pytest.raises(ClientError, match="AccessDenied"):
        ModelPackages(Pages({}, describe_model_package=refused("AccessDenied"))).status("arn")


def test_a_lost_decision_is_handed_over_once_in_the_words_of_its_event() -> None:
    client = Pages({}, start_execution={})
    longest = PackageStatus("PendingManualApproval", NOW)
    assert ApprovalAnnouncements(MACHINE, client).tell(ID, "arn:package", longest)
    [(_, request)] = client.asked
    assert request["name"] == f"{ID}-PendingManualApproval-{int(NOW.timestamp())}000"
    assert len(request["name"]) <= 80
    assert json.loads(request["input"]) == {"detail": {"ModelPackageArn": "arn:package"}}
    client = Pages({}, start_execution=refused("ExecutionAlreadyExists"))
    assert not ApprovalAnnouncements(MACHINE, client).tell(ID, "arn:package", longest)


def test_announcements_that_came_too_late_are_not_taken_for_dead() -> None:
    errors = {"late": "DynamoDB.ConditionalCheckFailedException", "unknown": "UnknownEvaluation", "died": "SNS.Fault"}
    event = json.dumps({"detail": {"ModelPackageArn": "arn:package"}})
    client = Pages(
        {"FAILED": [{"executions": [listed(arn) for arn in errors]}]},
        describe_execution={arn: {"input": event, "error": error} for arn, error in errors.items()},
    )
    found = list(ApprovalAnnouncements(MACHINE, client, now=lambda: NOW).dead())
    assert found == [DeadExecution("died", "arn:package")]


# ---- what was created


def test_what_has_the_tag_is_found_with_its_kind_and_evaluation() -> None:
    tags = [{"Key": "assay:owner", "Value": "assay"}, {"Key": "assay:evaluation", "Value": ID}]
    prefix = "arn:aws:sagemaker:eu-west-1:123456789012:"
    pages = [
        {"ResourceTagMappingList": [{"ResourceARN": f"{prefix}endpoint-config/e", "Tags": tags}]},
        {"ResourceTagMappingList": [{"ResourceARN": f"{prefix}model/m", "Tags": tags[:1]}]},
    ]
    client = Pages({"get_resources": pages})
    assert list(OwnedResources("assay", sagemaker=Pages({}), tagging=client).owned()) == [
        Owned("endpoint-config", "e", f"{prefix}endpoint-config/e", ID),
        Owned("model", "m", f"{prefix}model/m", ""),
    ]
    [(_, request)] = client.asked
    assert request["TagFilters"] == [{"Key": "assay:owner", "Values": ["assay"]}]


def test_what_is_deleted_has_the_name_of_its_tag_since_an_arn_has_it_in_lower_case() -> None:
    tags = Endpoints("assay", Pages({})).tags(ID, "suite", "some-model:1.0.0", "Support-Bot")
    arns = [f"arn:aws:sagemaker:eu-west-1:123456789012:endpoint/{name}" for name in ("support-bot", "another")]
    pages = [{"ResourceTagMappingList": [{"ResourceARN": arn, "Tags": tags} for arn in arns]}]
    resources = OwnedResources("assay", sagemaker=Pages({}), tagging=Pages({"get_resources": pages}))
    assert [item.name for item in resources.owned()] == ["Support-Bot", "another"]


@pytest.mark.parametrize("kind", ["endpoint", "endpoint-config", "model"])
def test_it_is_deleted_only_while_it_has_the_tags_that_it_was_found_by(aws: None, kind: str) -> None:
    sagemaker = boto3.client("sagemaker")
    resources = OwnedResources("assay", sagemaker=sagemaker, tagging=Pages({}))
    owned = [{"Key": "assay:owner", "Value": "assay"}, {"Key": "assay:evaluation", "Value": ID}]
    create(sagemaker, "e", owned)
    arns = {
        "endpoint": sagemaker.describe_endpoint(EndpointName="e")["EndpointArn"],
        "endpoint-config": sagemaker.describe_endpoint_config(EndpointConfigName="e")["EndpointConfigArn"],
        "model": sagemaker.describe_model(ModelName="e")["ModelArn"],
    }
    assert resources.created_at(Owned(kind, "e", arns[kind], ID)) is not None
    assert not resources.delete(Owned(kind, "e", arns[kind], OTHER))
    assert not OwnedResources("another", sagemaker, Pages({})).delete(Owned(kind, "e", arns[kind], ID))
    assert resources.delete(Owned(kind, "e", arns[kind], ID))
    assert not resources.delete(Owned(kind, "e", arns[kind], ID))
    assert resources.created_at(Owned(kind, "e", arns[kind], ID)) is None


# ---- the table


def test_evaluations_that_have_not_ended_or_registered_a_model_are_found_by_their_status(aws: None) -> None:
    names = ("pk", "sk", "status", "requested_at")
    boto3.client("dynamodb").create_table(
        TableName="evaluations",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "evaluations-by-status",
                "KeySchema": [
                    {"AttributeName": "status", "KeyType": "HASH"},
                    {"AttributeName": "requested_at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    for identifier, values in {
        "a": {"status": "started", "execution_arn": "arn"},
        "b": {"status": "requested"},
        "c": {
            "status": "completed",
            "concluded_at": "2026-11-24T11:00:00.000Z",
            "winner": "good",
            "model_package_arn": "arn:package",
            "approval_status": "Approved",
            "approval_told_by": "arn:announce",
        },
        "d": {"status": "failed", "concluded_at": "2026-11-24T11:00:00.000Z", "model_package_arn": "arn:package/2"},
        "e": {"status": "failed", "concluded_at": "2026-11-24T11:00:00.000Z"},
        "f": {"status": "completed", "model_package_arn": "arn:package/1", "requested_at": "2024-11-24T11:00:00+00:00"},
    }.items():
        item = {"pk": f"EVALUATION#{identifier}", "sk": "STATE", "suite": "sums", "bucket": "drops"}
        item |= {"requested_at": NOW.isoformat(), **values}
        boto3.client("dynamodb").put_item(
            TableName="evaluations", Item={name: {"S": value} for name, value in item.items()}
        )
    table = Evaluations("evaluations")
    assert [(state.evaluation_id, state.execution_arn) for state in table.unfinished()] == [("b", None), ("a", "arn")]
    # As the state machine writes it where nothing was registered.
    without: dict[str, Any] = {name: {"S": "x"} for name in ("pk", "sk", "suite", "bucket")}
    without |= {
        "status": {"S": "completed"},
        "requested_at": {"S": NOW.isoformat()},
        "model_package_arn": {"NULL": True},
    }
    boto3.client("dynamodb").put_item(TableName="evaluations", Item=without)
    registered, unreported = table.registered(NOW - timedelta(days=1))
    assert (unreported.evaluation_id, unreported.model_package_arn) == ("d", "arn:package/2")
    assert unreported.approval_told is None
    assert (registered.evaluation_id, registered.model_package_arn) == ("c", "arn:package")
    assert (registered.approval_told, registered.approval_told_by) == ("Approved", "arn:announce")
    completed = table.get("c")
    assert completed is not None
    assert (completed.concluded, completed.winner) == (True, "good")
    assert completed.concluded_at == datetime(2026, 11, 24, 11, 0, tzinfo=UTC)
