"""The reconciler may do in AWS what its adapters do, and only to what is the stack's."""

from __future__ import annotations

from typing import Any

from tests.unit.template_support import FUNCTIONS, RESOURCES, calls, listed, needed

RECONCILER: dict[str, Any] = FUNCTIONS["ReconcileEvaluationsFunction"]
STATEMENTS: list[dict[str, Any]] = [item for policy in RECONCILER["Policies"] for item in policy["Statement"]]
MACHINES = ("ConcludeEvaluationStateMachine", "AnnounceApprovalStateMachine")


def resources(action: str) -> list[Any]:
    """What the function may do one thing to."""
    found = []
    for item in STATEMENTS:
        if action in listed(item["Action"]):
            found += listed(item["Resource"])
    return found


def test_it_may_look_at_registered_packages_and_decide_nothing_about_them() -> None:
    wanted = calls("model_packages", "sagemaker")
    assert wanted == {"sagemaker:BatchDescribeModelPackage", "sagemaker:DescribeModelPackage"}
    for action in wanted:
        [resource] = resources(action)
        assert resource["Fn::Sub"].endswith(":model-package/*")
    assert resources("sagemaker:UpdateModelPackage") == []


def test_it_may_start_and_redrive_both_state_machines_and_no_other() -> None:
    wanted = calls("machines", "states")
    assert wanted == {
        f"states:{word}" for word in ("StartExecution", "ListExecutions", "DescribeExecution", "RedriveExecution")
    }
    for action in ("states:StartExecution", "states:ListExecutions"):
        assert resources(action) == [{"Ref": name} for name in MACHINES]
    for action in ("states:DescribeExecution", "states:RedriveExecution"):
        ends = [resource["Fn::Sub"].rpartition(":execution:")[2] for resource in resources(action)]
        assert ends == [f"${{{name}.Name}}:*" for name in MACHINES]
    variables = RECONCILER["Environment"]["Variables"]
    assert variables["ANNOUNCE_MACHINE_ARN"] == {"Ref": MACHINES[1]}


def test_whatever_an_evaluation_needs_to_end_and_to_be_told_of_is_deleted_after_the_end_and_its_start_before() -> None:
    assert needed("EndOfEvaluations") >= {
        *("PipelineRole", "PipelineRoleLendsItself", "BatchRole"),
        *("NotificationTopic", "NotificationSubscription", "ApproverSubscription", "AssayEventBus"),
        *(*MACHINES, "ReconcileEvaluationsFunction", "ReleaseEndpointsFunction"),
        *("EvaluationsTable", "Bucket"),
    }
    assert "StartEvaluationFunction" not in needed("EndOfEvaluations")
    assert "EndOfEvaluations" in needed("StartEvaluationFunction")


def test_the_end_may_take_as_long_as_the_function_and_cloudformation_waits_a_little_longer() -> None:
    waits = RESOURCES["EndOfEvaluations"]["Properties"]["ServiceTimeout"]
    assert RECONCILER["Timeout"] == 900 < waits <= 3600


def test_it_may_ask_how_its_own_stack_stands_and_no_other() -> None:
    assert resources("cloudformation:DescribeStacks") == [{"Ref": "AWS::StackId"}]
