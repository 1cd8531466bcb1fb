"""The model registry keeps SageMaker's limits, merges metadata and tells of every change."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.events import bus
from tests.local.conftest import Running

CONTAINERS = {
    "Containers": [{"Image": "image"}],
    "SupportedContentTypes": ["application/json"],
    "SupportedResponseMIMETypes": ["application/json"],
}


def register(running: Running, group: str, **options: Any) -> str:
    sagemaker = running.aws("sagemaker")
    names = [
        item["ModelPackageGroupName"] for item in sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"]
    ]
    if group not in names:
        sagemaker.create_model_package_group(ModelPackageGroupName=group, ModelPackageGroupDescription="ours")
    answer = sagemaker.create_model_package(
        ModelPackageGroupName=group,
        InferenceSpecification=CONTAINERS,
        ModelApprovalStatus="PendingManualApproval",
        **options,
    )
    return str(answer["ModelPackageArn"])


def told(arn: str) -> list[dict[str, Any]]:
    return [
        event["detail"]
        for event in bus.seen()
        if event["detail-type"] == "SageMaker Model Package State Change" and event["resources"] == [arn]
    ]


def test_a_package_carries_metrics_and_metadata_and_its_creation_is_told(running: Running) -> None:
    metrics = {"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://b/metrics.json"}}}
    arn = register(running, "carries", ModelMetrics=metrics, CustomerMetadataProperties={"suite": "faq"})
    description = running.aws("sagemaker").describe_model_package(ModelPackageName=arn)
    assert description["ModelPackageVersion"] == 1
    assert description["ModelMetrics"] == metrics
    assert description["CustomerMetadataProperties"] == {"suite": "faq"}
    (event,) = told(arn)
    assert event["ModelPackageGroupName"] == "carries"
    assert event["ModelApprovalStatus"] == "PendingManualApproval"
    assert event["ModelPackageArn"] == arn


def test_an_approval_is_kept_listed_and_told_with_what_changed(running: Running) -> None:
    sagemaker = running.aws("sagemaker")
    approved, other = register(running, "approves"), register(running, "approves")
    sagemaker.update_model_package(
        ModelPackageArn=approved, ModelApprovalStatus="Approved", ApprovalDescription="better by two points"
    )
    description = sagemaker.describe_model_package(ModelPackageName=approved)
    assert description["ApprovalDescription"] == "better by two points"
    listed = sagemaker.list_model_packages(ModelPackageGroupName="approves", ModelApprovalStatus="Approved")
    assert [item["ModelPackageArn"] for item in listed["ModelPackageSummaryList"]] == [approved]
    assert told(approved)[-1]["ModelApprovalStatus"] == "Approved"
    assert told(approved)[-1]["UpdatedModelPackageFields"] == ["ModelApprovalStatus", "ApprovalDescription"]
    assert len(told(other)) == 1


def test_packages_are_described_in_a_batch_and_those_that_are_not_there_apart(running: Running) -> None:
    sagemaker = running.aws("sagemaker")
    approved, waiting = register(running, "batch"), register(running, "batch")
    sagemaker.update_model_package(ModelPackageArn=approved, ModelApprovalStatus="Approved")
    answer = sagemaker.batch_describe_model_package(ModelPackageArnList=[approved, waiting, f"{waiting}0"])
    found = answer["ModelPackageSummaries"]
    assert {arn: item["ModelApprovalStatus"] for arn, item in found.items()} == {
        approved: "Approved",
        waiting: "PendingManualApproval",
    }
    assert (found[waiting]["ModelPackageVersion"], found[waiting]["InferenceSpecification"]) == (2, CONTAINERS)
    assert list(answer["BatchDescribeModelPackageErrorMap"]) == [f"{waiting}0"]
    with pytest.raises(ClientError, match="1 to 100 members, not 101"):
        sagemaker.batch_describe_model_package(ModelPackageArnList=[f"{waiting}{number}" for number in range(101)])


def test_metadata_is_merged_and_not_replaced(running: Running) -> None:
    sagemaker = running.aws("sagemaker")
    arn = register(running, "merges", CustomerMetadataProperties={"a": "1", "b": "2"})
    sagemaker.update_model_package(
        ModelPackageArn=arn, CustomerMetadataProperties={"c": "3"}, CustomerMetadataPropertiesToRemove=["a"]
    )
    description = sagemaker.describe_model_package(ModelPackageName=arn)
    assert description["CustomerMetadataProperties"] == {"b": "2", "c": "3"}
    assert description["ModelApprovalStatus"] == "PendingManualApproval"


@pytest.mark.parametrize(
    ("metadata", "fault"),
    [
        ({str(number): "x" for number in range(51)}, "50 pairs"),
        ({"key": "x" * 257}, "1 to 256 characters"),
    ],
)
def test_metadata_beyond_sagemakers_limits_is_refused(running: Running, metadata: dict[str, str], fault: str) -> None:
    with pytest.raises(ClientError, match=fault):
        register(running, "limits", CustomerMetadataProperties=metadata)


def test_a_version_is_never_given_out_twice_and_a_group_goes_when_it_is_empty(running: Running) -> None:
    sagemaker = running.aws("sagemaker")
    first = register(running, "versions")
    with pytest.raises(ClientError, match="ConflictException"):
        sagemaker.delete_model_package_group(ModelPackageGroupName="versions")
    sagemaker.delete_model_package(ModelPackageName=first)
    second = register(running, "versions")
    assert second.endswith("/2")
    with pytest.raises(ClientError, match="does not exist"):
        sagemaker.delete_model_package(ModelPackageName=first)
    sagemaker.delete_model_package(ModelPackageName=second)
    sagemaker.delete_model_package_group(ModelPackageGroupName="versions")
    with pytest.raises(ClientError, match="does not exist"):
        sagemaker.describe_model_package_group(ModelPackageGroupName="versions")


def test_the_same_token_registers_once_and_a_group_has_one_name(running: Running) -> None:
    token = "t" * 36
    assert register(running, "once", ClientToken=token) == register(running, "once", ClientToken=token)
    with pytest.raises(ClientError, match="already exists"):
        running.aws("sagemaker").create_model_package_group(ModelPackageGroupName="once")


def test_a_source_and_a_model_card_are_described_as_they_were_given(running: Running) -> None:
    card = {"ModelCardContent": '{"model_overview": {"model_creator": "us"}}', "ModelCardStatus": "PendingReview"}
    arn = register(running, "cards", SourceUri="s3://b/evaluations/faq/1", ModelCard=card)
    description = running.aws("sagemaker").describe_model_package(ModelPackageName=arn)
    assert (description["SourceUri"], description["ModelCard"]) == ("s3://b/evaluations/faq/1", card)


@pytest.mark.parametrize("content", ["not json", '{"model_overvue": {}}', '"' + "x" * 100_000 + '"'])
def test_a_card_that_sagemaker_could_not_read_is_refused(running: Running, content: str) -> None:
    card = {"ModelCardContent": content, "ModelCardStatus": "Draft"}
    with pytest.raises(ClientError, match="ModelCardContent"):
        register(running, "cards-refused", ModelCard=card)
