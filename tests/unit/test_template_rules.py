"""Which events the template's rules hear, and which they do not."""

from __future__ import annotations

import pytest

from local.events.pattern import matches
from tests.unit.template_support import PROJECT, RULES, pattern, sample


@pytest.mark.parametrize("key", ["configs/a.yaml", "configs/team/a.yaml", "catalogs/faq.jsonl"])
def test_a_dropped_config_or_catalog_starts_an_evaluation(key: str) -> None:
    event = sample("s3_object_created.json", object={"key": key, "version-id": "v"})
    assert matches(pattern("StartEvaluationFunctionObjectDropped"), event)


@pytest.mark.parametrize("key", ["configs/a.yaml", "catalogs/faq.jsonl"])
def test_a_deleted_config_or_catalog_is_heard_of(key: str) -> None:
    event = sample("s3_object_deleted.json", object={"key": key, "version-id": "v"})
    assert matches(pattern("StartEvaluationFunctionObjectDropped"), event)


def test_a_request_on_the_stack_s_own_bus_is_heard_and_what_assay_tells_there_is_not() -> None:
    rule = "StartEvaluationFunctionEvaluationRequested"
    assert RULES[rule]["EventBusName"] == {"Ref": "AssayEventBus"}
    heard = {path.name for path in (PROJECT / "events").glob("*.v1.json") if matches(pattern(rule), sample(path.name))}
    assert heard == {"evaluation_requested.v1.json"}


@pytest.mark.parametrize(
    "key",
    [
        "evaluations/s/1/config.yaml",
        "requests/r.json",
        "rejected/configs/a.yaml.json",
        "pipelines/x",
        "a/configs/b.yaml",
        "configs",
    ],
)
def test_what_assay_writes_itself_starts_nothing(key: str) -> None:
    event = sample("s3_object_created.json", object={"key": key})
    assert not matches(pattern("StartEvaluationFunctionObjectDropped"), event)


def test_another_bucket_starts_nothing() -> None:
    event = sample("s3_object_created.json", bucket={"name": "another"})
    assert not matches(pattern("StartEvaluationFunctionObjectDropped"), event)


@pytest.mark.parametrize(
    ("status", "concluded"),
    [("Executing", False), ("Stopping", False), ("Succeeded", True), ("Failed", True), ("Stopped", True)],
)
def test_only_an_ended_pipeline_is_concluded(status: str, concluded: bool) -> None:
    event = sample("sagemaker_pipeline_execution_status_change.json", currentPipelineExecutionStatus=status)
    assert matches(pattern("ConcludeEvaluationStateMachinePipelineEnded"), event) is concluded


@pytest.mark.parametrize("name", ["assaydev-general-knowledge", "other", "my-assay-x"])
def test_a_pipeline_of_somebody_else_is_not_concluded(name: str) -> None:
    arn = f"arn:aws:sagemaker:eu-west-1:123456789012:pipeline/{name}"
    event = sample("sagemaker_pipeline_execution_status_change.json", pipelineArn=arn)
    assert not matches(pattern("ConcludeEvaluationStateMachinePipelineEnded"), event)


@pytest.mark.parametrize("status", ["PendingManualApproval", "Approved", "Rejected"])
def test_every_approval_status_of_a_package_is_heard(status: str) -> None:
    event = sample("sagemaker_model_package_state_change.json", ModelApprovalStatus=status)
    assert matches(pattern("AnnounceApprovalStateMachinePackageChanged"), event)
