"""Definitions that cannot run are refused when they are deployed, with the state and the field of each fault."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.asl.check import DefinitionError, check_definition
from local.cloud import UnsupportedError
from tests.local.step_functions_support import ROLE, Machines, machine, running

_UPDATE_ITEM = "arn:aws:states:::dynamodb:updateItem"
_INVOKE = "arn:aws:states:::lambda:invoke"


def _task(**fields: Any) -> dict[str, Any]:
    arguments = {"FunctionName": "f", "Payload": {"any": ["json"]}}
    return {"Type": "Task", "Resource": _INVOKE, "Arguments": arguments, "End": True, **fields}


def _alone(state: dict[str, Any]) -> dict[str, Any]:
    return machine({"Only": state})


def _calls(**fields: Any) -> dict[str, Any]:
    return _alone(_task(**fields))


def _output(output: Any) -> dict[str, Any]:
    return _alone({"Type": "Pass", "Output": output, "End": True})


def _choice(*rules: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return _alone({"Type": "Choice", "Choices": list(rules), **fields})


def _sdk(action: str) -> dict[str, Any]:
    return _calls(Resource=f"arn:aws:states:::{action}")


def _branch(name: str = "Inner", **fields: Any) -> dict[str, Any]:
    return {"StartAt": name, "States": {name: {"Type": "Pass", "End": True, **fields}}}


def _faults(definition: Any) -> list[str]:
    try:
        check_definition(definition)
    except DefinitionError as error:
        return error.faults
    return []


def test_a_definition_with_every_feature_that_is_carried_out_passes() -> None:
    catch = [
        {"ErrorEquals": ["TransientError"], "Next": "Stop", "Assign": {"error": "{% $states.errorOutput.Error %}"}},
        {"ErrorEquals": ["States.ALL"], "Next": "Stop", "Output": "{% $states.errorOutput %}"},
    ]
    retry = [
        {
            "ErrorEquals": ["TransientError", "Lambda.TooManyRequestsException"],
            "IntervalSeconds": 2,
            "MaxAttempts": 4,
            "BackoffRate": 2,
            "MaxDelaySeconds": 30,
            "JitterStrategy": "FULL",
        }
    ]
    states = {
        "Ask": _task(
            Retry=retry,
            Catch=catch,
            TimeoutSeconds=900,
            Output="{% $states.result.Payload %}",
            Assign={"verdict": "{% $states.result.Payload.verdict %}"},
            Comment="asks",
        ),
        "Pick": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $exists($verdict) and $verdict = 'better' %}", "Next": "Both"}],
            "Default": "Each",
        },
        "Both": {"Type": "Parallel", "Branches": [_branch("A"), _branch("B", Output="{% $verdict %}")], "Next": "Each"},
        "Each": {
            "Type": "Map",
            "Items": "{% $states.input.rows[kept = true] %}",
            "ItemSelector": {"row": "{% $states.context.Map.Item.Value %}"},
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "INLINE"},
                "StartAt": "One",
                "States": {"One": {"Type": "Pass", "Assign": {"own": 1}, "End": True}},
            },
            "MaxConcurrency": 2,
            "Next": "Linger",
        },
        "Linger": {
            "Type": "Wait",
            "Seconds": "{% ($f := function($x) { $x * 2 }; $f($count($states.input ~> $map(function($v) { $v })))) %}",
            "Next": "Claim",
        },
        "Claim": {
            "Type": "Task",
            "Resource": _UPDATE_ITEM,
            "Arguments": {"TableName": "t", "Key": {"id": {"S": "{% $states.context.Execution.Name %}"}}},
            "Next": "List",
        },
        "List": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:sagemaker:listPipelineExecutionSteps",
            "Arguments": {"PipelineExecutionArn": "{% $states.input.arn %}"},
            "Next": "Good",
        },
        "Good": {"Type": "Succeed", "Output": "{% $states.input %}"},
        "Stop": {"Type": "Fail", "Error": "{% $error %}", "Cause": "why"},
    }
    del states["Ask"]["End"]
    states["Ask"]["Next"] = "Pick"
    check_definition(machine(states, Comment="all", TimeoutSeconds=3600, Version="1.0"))


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "the query language is JSONPath": ({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}, "QueryLanguage"),
    "a state asks for JSONPath": (_alone({"Type": "Succeed", "QueryLanguage": "JSONPath"}), "'Only', QueryLanguage"),
    "a state type does not exist": (_alone({"Type": "Loop", "End": True}), "'Only', Type: unknown state type 'Loop'"),
    "a field does not exist": (
        _alone({"Type": "Pass", "End": True, "Ouput": 1}),
        "'Only', Ouput: unknown field of a Pass, did you mean Output?",
    ),
    "a field belongs to another type": (_alone({"Type": "Pass", "End": True, "Seconds": 1}), "'Only', Seconds"),
    "a field of the machine does not exist": (
        machine({"A": {"Type": "Succeed"}}, Timeout=5),
        "state machine, Timeout: unknown",
    ),
    "a field is JSONPath's": (_calls(ResultPath="$.x"), "'Only', ResultPath: is a field of JSONPath"),
    "an argument is JSONPath's": (
        _calls(Arguments={"FunctionName": "f", "Payload": {"a.$": "$.x"}}),
        "'Only', Arguments/Payload/a.$",
    ),
    "Next dangles": (
        _alone({"Type": "Pass", "Next": "Nowhere"}),
        "'Only', Next: names no state of the same level: 'Nowhere'",
    ),
    "Default dangles": (_choice({"Condition": True, "Next": "Only"}, Default="Gone"), "'Only', Default"),
    "a rule's Next dangles": (_choice({"Condition": True, "Next": "Gone"}), "'Only', Choices[0]/Next"),
    "a catcher's Next dangles": (_calls(Catch=[{"ErrorEquals": ["X"], "Next": "Gone"}]), "'Only', Catch[0]/Next"),
    "Next leaves a branch": (
        machine(
            {
                "P": {
                    "Type": "Parallel",
                    "Branches": [{"StartAt": "In", "States": {"In": {"Type": "Pass", "Next": "Out"}}}],
                    "Next": "Out",
                },
                "Out": {"Type": "Succeed"},
            }
        ),
        "'In', Next",
    ),
    "StartAt dangles": ({**_alone({"Type": "Succeed"}), "StartAt": "Gone"}, "StartAt: names no state: 'Gone'"),
    "a state is never reached": (
        machine({"A": {"Type": "Succeed"}, "B": {"Type": "Succeed"}}),
        "'B': is never reached",
    ),
    "nothing ends the machine": (
        machine({"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "Next": "A"}}),
        "no state that ends it",
    ),
    "neither Next nor End": (_alone({"Type": "Pass"}), "'Only', Next: a state has either"),
    "both Next and End": (_alone({"Type": "Pass", "Next": "Only", "End": True}), "'Only', Next: a state has either"),
    "End is false": (_alone({"Type": "Pass", "End": False}), "'Only', End"),
    "a name is used twice": (
        machine({"P": {"Type": "Parallel", "Branches": [_branch("Same"), _branch("Same")], "End": True}}),
        "'Same': the name is used twice",
    ),
    "an integration does not exist": (_sdk("batch:submitJob"), "'Only', Resource: the integration batch:submitJob"),
    "an action does not exist": (_sdk("aws-sdk:sagemaker:listSteps"), "'Only', Resource: sagemaker has no action"),
    "an action is not in camel case": (_sdk("aws-sdk:s3:GetObject"), "'Only', Resource"),
    "an AWS SDK service is not carried out": (_sdk("aws-sdk:ec2:runInstances"), "'Only', Resource"),
    "a .sync that is not carried out": (_sdk("sagemaker:createTrainingJob.sync"), "'Only', Resource"),
    "a .sync on an AWS SDK integration": (_sdk("aws-sdk:sagemaker:createEndpoint.sync"), "pattern .sync"),
    "a function's ARN as Resource": (
        _calls(Resource="arn:aws:lambda:eu-west-1:123456789012:function:f"),
        "'Only', Resource",
    ),
    "an argument does not exist": (
        _calls(Arguments={"FunctionName": "f", "Input": {}}),
        "'Only', Arguments/Input: is not a parameter",
    ),
    "an argument misses": (_calls(Arguments={"Payload": {}}), "'Only', Arguments: misses FunctionName"),
    "a nested argument does not exist": (
        _calls(Resource=_UPDATE_ITEM, Arguments={"TableName": "t", "Key": {"id": {"Str": "x"}}}),
        "'Only', Arguments/Key/id/Str",
    ),
    "an expression does not parse": (
        _output({"a": ["{% 1 + %}"]}),
        "'Only', Output/a[0]: The JSONata expression '1 +' does not parse",
    ),
    "an expression is not closed": (_output("{% 1"), "'Only', Output: begins as an expression"),
    "an expression does not begin the text": (_output(" {% 1 %}"), "'Only', Output: begins as an expression"),
    "a variable is never assigned": (
        _output("{% $verdit %}"),
        "'Only', Output: $verdit is no function and no variable",
    ),
    "a function does not exist": (_output("{% $sums([1]) %}"), "$sums is no function"),
    "$eval is called": (_output("{% $eval('1') %}"), "$eval is no function"),
    "$states has no such member": (_output("{% $states.inputs.a %}"), "$states.inputs does not exist"),
    "the result is used before it is there": (
        _calls(Arguments="{% $states.result %}"),
        "'Only', Arguments: $states.result is not there",
    ),
    "the error is used outside of a catcher": (
        _calls(Output="{% $states.errorOutput %}"),
        "$states.errorOutput is not there",
    ),
    "a name refers to a context item": (_output("{% input.a %}"), "use $states.input"),
    "$ refers to a context item": (_output("{% $.a %}"), "use $states.input"),
    "a branch assigns a variable from around it": (
        machine(
            {
                "A": {"Type": "Pass", "Assign": {"x": 1}, "Next": "P"},
                "P": {"Type": "Parallel", "Branches": [_branch(Assign={"x": 2})], "End": True},
            }
        ),
        "'Inner', Assign: $x belongs to the level around",
    ),
    "a part of a variable is assigned": (
        _alone({"Type": "Pass", "Assign": {"x.y": 1}, "End": True}),
        "'Only', Assign: 'x.y' is no variable name",
    ),
    "$states is assigned": (
        _alone({"Type": "Pass", "Assign": {"states": 1}, "End": True}),
        "'Only', Assign: $states is reserved",
    ),
    "a retrier without errors": (_calls(Retry=[{"MaxAttempts": 1}]), "'Only', Retry[0]: misses ErrorEquals"),
    "States.ALL is not the last": (
        _calls(Retry=[{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["X"]}]),
        "'Only', Retry[0]/ErrorEquals",
    ),
    "a retrier has an unknown field": (
        _calls(Retry=[{"ErrorEquals": ["X"], "Backoff": 2}]),
        "'Only', Retry[0]/Backoff",
    ),
    "a back-off shrinks": (_calls(Retry=[{"ErrorEquals": ["X"], "BackoffRate": 0.5}]), "'Only', Retry[0]/BackoffRate"),
    "a condition is text": (_choice({"Condition": "yes", "Next": "Only"}), "'Only', Choices[0]/Condition"),
    "a choice assigns for all its rules": (
        _choice({"Condition": True, "Next": "Only"}, Assign={"x": 1}),
        "'Only', Assign: is carried out in the rules",
    ),
    "a choice has no rules": (_choice(), "'Only', Choices"),
    "a timeout is text": (_calls(TimeoutSeconds="60"), "'Only', TimeoutSeconds"),
    "a heartbeat without a token": (_calls(HeartbeatSeconds=5), "'Only', HeartbeatSeconds"),
    "a wait without a time": (_alone({"Type": "Wait", "End": True}), "'Only', Seconds"),
    "a distributed map": (
        _alone(
            {
                "Type": "Map",
                "ItemProcessor": {**_branch(), "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}},
                "End": True,
            }
        ),
        "'Only', ItemProcessor/ProcessorConfig",
    ),
    "a map reads its items from S3": (
        _alone({"Type": "Map", "ItemProcessor": _branch(), "ItemReader": {}, "End": True}),
        "'Only', ItemReader",
    ),
    "credentials of another account": (_calls(Credentials={"RoleArn": "r"}), "'Only', Credentials"),
    "no states": ({"QueryLanguage": "JSONata", "StartAt": "A", "States": {}}, "States: must be"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_definition_is_refused_when(fault: str) -> None:
    definition, message = BROKEN[fault]
    with pytest.raises(UnsupportedError) as refusal:
        check_definition(definition)
    assert message in str(refusal.value)


def test_all_faults_of_a_definition_are_named_at_once() -> None:
    states = {"A": {"Type": "Pass", "Output": "{% 1 + %}", "Next": "Gone"}, "B": {"Type": "Loop"}}
    assert len(_faults(machine(states))) >= 4


@pytest.mark.parametrize("value", [None, True, -1, 1.5, "", "{% ( %}", [], [[]], [{}], {}, {"a": 1}], ids=json.dumps)
def test_a_definition_of_any_shape_is_judged_without_a_crash(value: Any) -> None:
    for definition, _ in BROKEN.values():
        for path in list(_paths(definition)):
            _faults(_replaced(definition, path, value))


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for key, member in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _paths(member, (*path, key))


def _replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copied = copy.copy(value)
    copied[path[0]] = _replaced(value[path[0]], path[1:], new)
    return copied


def test_a_fault_inside_a_branch_is_found() -> None:
    states = {"P": {"Type": "Parallel", "Branches": [_branch(Parameters={})], "End": True}}
    assert [fault for fault in _faults(machine(states)) if fault.startswith("state 'Inner', Parameters")]


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with running(tmp_path_factory.mktemp("cloud")) as started:
        yield started


def test_the_api_refuses_a_broken_definition_and_keeps_the_old_one(machines: Machines) -> None:
    arn = machines.create({"Only": {"Type": "Succeed"}})
    broken = json.dumps(_alone({"Type": "Pass", "Next": "Nowhere"}))
    with pytest.raises(ClientError, match=r"InvalidDefinition.*state 'Only', Next"):
        machines.sfn.create_state_machine(name="broken", definition=broken, roleArn=ROLE)
    with pytest.raises(ClientError, match=r"InvalidDefinition.*state 'Only', Next"):
        machines.sfn.update_state_machine(stateMachineArn=arn, definition=broken)
    with pytest.raises(ClientError, match="InvalidDefinition"):
        machines.sfn.create_state_machine(name="broken", definition="{", roleArn=ROLE)
    assert machines.end(machines.start(arn))["status"] == "SUCCEEDED"


def test_an_action_that_the_local_cloud_does_not_serve_is_refused(machines: Machines) -> None:
    definition = json.dumps(_sdk("aws-sdk:sagemaker:createHumanTaskUi"))
    message = "state 'Only', Resource: sagemaker:CreateHumanTaskUi is not carried out by the local cloud"
    definition = definition.replace('"Arguments": {"FunctionName": "f", "Payload": {"any": ["json"]}}, ', "")
    with pytest.raises(ClientError, match=message):
        machines.sfn.create_state_machine(name="unserved", definition=definition, roleArn=ROLE)


def test_express_state_machines_are_refused(machines: Machines) -> None:
    definition = json.dumps(_alone({"Type": "Succeed"}))
    with pytest.raises(ClientError, match="STANDARD"):
        machines.sfn.create_state_machine(name="fast", definition=definition, roleArn=ROLE, type="EXPRESS")
