"""What the template allows: nothing without a reason, and each thing that is done."""

from __future__ import annotations

import json
import re

from tests.unit.template_support import (
    FUNCTIONS,
    PROJECT,
    RESOURCES,
    TEMPLATE,
    attribute,
    calls,
    granted,
    listed,
    statements,
)


def test_no_statement_allows_a_whole_service() -> None:
    for name, statement in statements():
        if statement["Effect"] == "Allow":
            for action in listed(statement["Action"]):
                assert "*" not in action, f"{name}: {action}"


def test_every_star_in_a_resource_carries_its_reason() -> None:
    text = (PROJECT / "template.yaml").read_text()
    starred = 0
    for block in re.split(r"\n(?= +(?:- )?Effect: )", text)[1:]:
        found = re.search(r"^ +(?:Resource|Principal):.*(?:\n +- .*)*", block, re.MULTILINE)
        assert found is not None
        if "*" in re.sub(r" #.*", "", found[0]):
            starred += 1
            assert re.search(r"^ +# \w", block[: found.start()], re.MULTILINE), block
    assert starred > 10


def test_a_role_is_lent_to_the_one_service_that_it_is_for() -> None:
    lent = [found for _, found in statements() if "iam:PassRole" in listed(found["Action"])]
    assert len(lent) == 4
    services = {
        "PipelineRole": "sagemaker.amazonaws.com",
        "ScheduleRole": "scheduler.amazonaws.com",
        "BatchRole": "bedrock.amazonaws.com",
    }
    for statement in lent:
        service = services[attribute(statement["Resource"])]
        assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": service}}
        role = RESOURCES[attribute(statement["Resource"])]["Properties"]
        assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": service}


def test_the_registry_may_do_each_thing_that_it_does() -> None:
    wanted = calls("registry", "sagemaker")
    allowed = granted("RegisterModelFunction")
    assert len(wanted) == 5
    assert wanted <= allowed


def test_the_gate_may_look_at_the_champion_and_decide_nothing_about_it() -> None:
    wanted = calls("champions", "sagemaker")
    allowed = granted("CheckGateFunction")
    assert wanted == {action for action in allowed if action.startswith("sagemaker:")}


def test_nothing_of_the_stack_may_approve_but_the_page_that_somebody_turned_on() -> None:
    allowed = [name for name, found in statements() if "sagemaker:UpdateModelPackage" in listed(found["Action"])]
    assert allowed == ["DecideApprovalFunction"]
    assert RESOURCES["DecideApprovalFunction"]["Condition"] == "HasApprovalLinks"
    assert TEMPLATE["Conditions"]["HasApprovalLinks"] == {"Fn::Equals": [{"Ref": "ApprovalLinks"}, "on"]}
    assert TEMPLATE["Parameters"]["ApprovalLinks"]["Default"] == "off"


def test_the_steps_may_read_the_tags_of_a_training_job_as_the_sdk_does_when_it_deploys_a_tuned_model() -> None:
    [steps] = [found for name, found in statements() if name == "PipelineRole" and found.get("Sid") == "RunSteps"]
    assert steps["Resource"]["Fn::Sub"].endswith(":training-job/pipelines-*")
    assert {"sagemaker:DescribeTrainingJob", "sagemaker:ListTags"} <= set(steps["Action"])


def test_the_steps_may_ask_an_endpoint_at_once_and_through_its_queue() -> None:
    [look] = [found for name, found in statements() if name == "PipelineRole" and found.get("Sid") == "LookAtEndpoints"]
    assert {"sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointAsync"} <= set(look["Action"])


def test_the_bucket_and_scheduler_may_be_asked_what_starting_asks_them() -> None:
    allowed = granted("StartEvaluationFunction")
    source = (PROJECT / "layers/assay/assay/aws/schedules.py").read_text()
    calls = {f"scheduler:{call.title().replace('_', '')}" for call in re.findall(r"self\.client\.([a-z_]+)\(", source)}
    assert len(calls) == 3
    assert calls | {"s3:ListBucketVersions"} <= allowed


def test_the_registry_may_look_at_what_a_package_is_deployed_from() -> None:
    policies = FUNCTIONS["RegisterModelFunction"]["Policies"]
    found = {item["Sid"]: item for policy in policies for item in policy["Statement"]}
    assert found["ResolveImages"]["Action"] == ["ecr:BatchGetImage", "ecr:DescribeImages"]
    artefacts = json.dumps(found["CheckArtefacts"]["Resource"])
    assert all(part in artefacts for part in ("/models/*", "/pipelines/*", "jumpstart-cache-prod-"))


def test_what_is_created_needs_the_owners_tag_and_what_it_refers_to_no_tag_that_iam_may_not_know_yet() -> None:
    untagged = {
        (action, resource["Fn::Sub"].rpartition(":")[2])
        for name, found in statements()
        if name == "PipelineRole" and "Condition" not in found
        for action in listed(found["Action"])
        if action.startswith("sagemaker:Create") and action != "sagemaker:CreateTrainingJob"
        for resource in listed(found["Resource"])
    }
    assert untagged == {
        ("sagemaker:CreateEndpoint", "endpoint-config/*"),
        ("sagemaker:CreateEndpointConfig", "model/*"),
    }


def test_links_are_kept_only_where_they_are_turned_on() -> None:
    [policy] = FUNCTIONS["RenderReportFunction"]["Policies"]
    [(condition, kept, otherwise)] = [item["Fn::If"] for item in policy["Statement"] if "Fn::If" in item]
    assert (condition, kept["Action"], otherwise) == ("HasApprovalLinks", "dynamodb:PutItem", {"Ref": "AWS::NoValue"})


def test_nobody_may_delete_an_endpoint_that_assay_did_not_create() -> None:
    deleting = [
        statement
        for _, statement in statements()
        if any(action.startswith("sagemaker:Delete") for action in listed(statement["Action"]))
    ]
    assert deleting
    for statement in deleting:
        tags = statement["Condition"]["StringEquals"]
        assert tags == {"aws:ResourceTag/assay:owner": {"Ref": "AWS::StackName"}}


def test_the_owner_that_the_policies_trust_is_the_owner_that_the_functions_write() -> None:
    for function in ("StartEvaluationFunction", "RegisterModelFunction", "ReleaseEndpointsFunction"):
        assert FUNCTIONS[function]["Environment"]["Variables"]["OWNER"] == {"Ref": "AWS::StackName"}


def test_an_approval_may_be_written_where_the_page_says_and_nowhere_else() -> None:
    keys = {
        tuple(found["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"])
        for name, found in statements()
        if name == "DecideApprovalFunction" and "dynamodb" in str(found["Action"])
    }
    assert keys == {("LINK#*",), ("LOCK#approval/*",)}
