"""State machines that CloudFormation makes: they run, are updated, and carry their substitutions."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.conftest import Running, eventually
from tests.local.step_functions_support import ROLE, machine

_STATES = {"Show": {"Type": "Pass", "Output": "{% 'from ' & '${TableName}' %}", "End": True}}
_OPTIONS = {
    "RoleArn": ROLE,
    "DefinitionSubstitutions": {"TableName": "evaluations"},
    "LoggingConfiguration": {"Level": "ERROR", "IncludeExecutionData": False},
    "TracingConfiguration": {"Enabled": True},
    "StateMachineType": "STANDARD",
    "Tags": [{"Key": "owner", "Value": "assay"}],
}


def _template(properties: dict[str, Any]) -> str:
    resource = {"Type": "AWS::StepFunctions::StateMachine", "Properties": {**_OPTIONS, **properties}}
    outputs = {"Arn": {"Value": {"Ref": "Conclude"}}, "Name": {"Value": {"Fn::GetAtt": ["Conclude", "Name"]}}}
    return json.dumps({"Resources": {"Conclude": resource}, "Outputs": outputs})


def _deploy(running: Running, stack: str, properties: dict[str, Any]) -> dict[str, str]:
    running.aws("cloudformation").create_stack(StackName=stack, TemplateBody=_template(properties))
    return _outputs(running, stack)


def _outputs(running: Running, stack: str) -> dict[str, str]:
    outputs = running.aws("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
    return {output["OutputKey"]: output["OutputValue"] for output in outputs}


def _run(running: Running, arn: str) -> Any:
    sfn = running.aws("stepfunctions")
    execution = sfn.start_execution(stateMachineArn=arn)["executionArn"]
    output = eventually(lambda: sfn.describe_execution(executionArn=execution).get("output"))
    return json.loads(output)


def _machines(running: Running) -> set[str]:
    return {one["stateMachineArn"] for one in running.aws("stepfunctions").list_state_machines()["stateMachines"]}


@pytest.mark.parametrize("kind", ["Definition", "DefinitionString"])
def test_a_state_machine_of_a_stack_runs_with_its_substitutions(running: Running, kind: str) -> None:
    definition = machine(_STATES)
    value = definition if kind == "Definition" else json.dumps(definition)
    outputs = _deploy(running, f"stack-{kind}", {kind: value})
    assert outputs["Arn"].endswith(f":stateMachine:{outputs['Name']}")
    assert _run(running, outputs["Arn"]) == "from evaluations"


def test_a_definition_is_read_from_s3_as_yaml(running: Running) -> None:
    s3 = running.aws("s3")
    s3.create_bucket(Bucket="definitions", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    text = """
QueryLanguage: JSONata
StartAt: Show
States:
  Show:
    Type: Pass
    Output: "{% 'from ' & '${TableName}' %}"
    End: true
"""
    s3.put_object(Bucket="definitions", Key="conclude.asl.yaml", Body=text)
    location = {"DefinitionS3Location": {"Bucket": "definitions", "Key": "conclude.asl.yaml"}}
    assert _run(running, _deploy(running, "stack-s3", location)["Arn"]) == "from evaluations"


def test_an_update_of_the_stack_updates_the_state_machine(running: Running) -> None:
    arn = _deploy(running, "stack-update", {"Definition": machine(_STATES)})["Arn"]
    changed = {"Definition": machine(_STATES), "DefinitionSubstitutions": {"TableName": "others"}}
    running.aws("cloudformation").update_stack(StackName="stack-update", TemplateBody=_template(changed))
    assert _outputs(running, "stack-update")["Arn"] == arn
    assert _run(running, arn) == "from others"


def test_a_deleted_stack_takes_its_state_machine_along(running: Running) -> None:
    arn = _deploy(running, "stack-delete", {"Definition": machine(_STATES)})["Arn"]
    running.aws("cloudformation").delete_stack(StackName="stack-delete")
    eventually(lambda: arn not in _machines(running))


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"Definition": machine({"Only": {"Type": "Pass", "Next": "Nowhere"}})}, "Conclude .*state 'Only', Next"),
        ({"Definition": machine(_STATES), "DefinitionSubstitutions": {}}, "TableName"),
        ({"Definition": machine(_STATES), "Unknown": 1}, "Unknown is not carried out"),
        ({"DefinitionS3Location": {"Bucket": "none", "Key": "none"}}, "NoSuchBucket"),
        ({"Definition": machine(_STATES), "StateMachineType": "EXPRESS"}, "STANDARD"),
        ({}, "needs DefinitionString"),
    ],
)
def test_a_state_machine_that_cannot_be_carried_out_is_not_made(
    running: Running, properties: dict[str, Any], message: str
) -> None:
    before = _machines(running)
    with pytest.raises(ClientError, match=message):
        _deploy(running, f"stack-{uuid.uuid4()}", properties)
    assert _machines(running) == before


def test_a_task_that_moto_would_only_pretend_to_carry_out_is_refused_at_deploy(running: Running) -> None:
    task = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sagemaker:createTransformJob", "End": True}
    answering = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sagemakerruntime:invokeEndpoint", "End": True}
    with pytest.raises(ClientError, match="sagemaker:CreateTransformJob is not carried out"):
        _deploy(running, "pretended", {"Definition": machine({"Train": task})})
    assert _deploy(running, "answering", {"Definition": machine({"Ask": answering})})["Arn"]
