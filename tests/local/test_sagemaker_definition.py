"""Reading a pipeline definition back: what is carried out, and what is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.pipeline.definition import DefinitionError, bind_parameters, read_definition, resolve


def step(name: str, **changes: Any) -> dict[str, Any]:
    arguments = {
        "RoleArn": "arn:aws:iam::123456789012:role/steps",
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "InputDataConfig": [
            {
                "ChannelName": "sagemaker_remote_function_bootstrap",
                "DataSource": {"S3DataSource": {"S3Uri": "s3://b/boot", "S3DataType": "S3Prefix"}},
            }
        ],
        "OutputDataConfig": {"S3OutputPath": f"s3://b/{name}"},
        "AlgorithmSpecification": {
            "TrainingImage": "image",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": [
                "/bin/bash",
                "/opt/ml/input/data/sagemaker_remote_function_bootstrap/job_driver.sh",
            ],
            "ContainerArguments": changes.pop("arguments", []),
        },
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30},
        **changes.pop("overrides", {}),
    }
    return {"Name": name, "Type": "Training", "Arguments": arguments, **changes}


def definition(*steps: dict[str, Any], **changes: Any) -> str:
    return json.dumps({"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": list(steps), **changes})


def test_a_step_waits_for_what_it_names_and_for_what_it_refers_to() -> None:
    read = read_definition(
        definition(
            step("a"),
            step("b"),
            step("c", DependsOn=["a"], arguments=[{"Get": "Steps.b.OutputDataConfig.S3OutputPath"}]),
        )
    )
    assert read.steps["c"].after == {"a", "b"}
    assert read.steps["a"].after == frozenset()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "not valid JSON"),
        (definition(step("a"), Version="2019-01-01"), "must be of Version 2020-12-01"),
        (definition(), "at least one step"),
        (definition(step("a"), step("a")), "found twice: a"),
        (definition(step("a", Type="Processing")), "steps of type 'Processing'"),
        (definition(step("a", CacheConfig={"Enabled": True})), "CacheConfig of step 'a'"),
        (definition(step("a", DependsOn=["b"])), "depends on b"),
        (definition(step("a", DependsOn=["b"]), step("b", DependsOn=["a"])), "in a circle"),
        (definition(step("a", arguments=[{"Std:JsonGet": {}}])), "the function Std:JsonGet"),
        (definition(step("a", arguments=[{"Get": "Parameters.X"}])), "parameter 'X'"),
        (definition(step("a", arguments=[{"Get": "Execution.Owner"}])), "Execution.Owner, which is not"),
        (definition(step("a"), step("b", arguments=[{"Get": "Steps.a.ModelArtifacts"}])), "Steps.a.ModelArtifacts"),
        (definition(step("a", overrides={"CheckpointConfig": {}})), "CheckpointConfig of step 'a'"),
        (definition(step("a", overrides={"ResourceConfig": {"InstanceCount": 2}})), "on one instance"),
        (definition(step("a", overrides={"EnableNetworkIsolation": True})), "EnableNetworkIsolation"),
        (
            definition(step("a", RetryPolicies=[{"ExceptionType": ["Mine"], "MaxAttempts": 1}])),
            "Mine of the retry policy",
        ),
    ],
)
def test_what_is_broken_or_not_carried_out_is_refused_by_name(text: str, fault: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        read_definition(text)
    assert fault in str(refused.value)


def test_references_and_joins_are_replaced_wherever_they_stand() -> None:
    scope = {"Parameters.N": 3, "Parameters.Flag": True, "Execution.PipelineExecutionId": "abc"}
    value = {
        "list": [{"Get": "Parameters.N"}],
        "path": {"Std:Join": {"On": "/", "Values": ["s3://b", {"Get": "Execution.PipelineExecutionId"}]}},
        "text": {"Std:Join": {"On": "", "Values": [{"Get": "Parameters.N"}, {"Get": "Parameters.Flag"}]}},
    }
    assert resolve(value, scope) == {"list": [3], "path": "s3://b/abc", "text": "3true"}


def test_parameters_get_their_type_their_default_and_their_limits() -> None:
    read = read_definition(
        definition(
            step("a"),
            Parameters=[
                {"Name": "Number", "Type": "Integer", "DefaultValue": 3},
                {"Name": "Size", "Type": "String", "EnumValues": ["small", "large"]},
                {"Name": "Flag", "Type": "Boolean", "DefaultValue": False},
            ],
        )
    )
    assert bind_parameters(read, [{"Name": "Size", "Value": "large"}, {"Name": "Flag", "Value": "true"}]) == {
        "Number": 3,
        "Size": "large",
        "Flag": True,
    }
    with pytest.raises(DefinitionError, match="must be one of"):
        bind_parameters(read, [{"Name": "Size", "Value": "medium"}])
