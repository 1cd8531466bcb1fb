"""Custom resources: a function of the stack is asked by CloudFormation's protocol, and may refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import urllib3

from local.cloud import LocalCloudError
from tests.local.conftest import RUNTIME, Running, eventually

HANDLER = """
import json, os, urllib3, boto3

def handler(event, context):
    stack = boto3.client("cloudformation").describe_stacks(StackName=event["StackId"])["Stacks"][0]
    told = event | {"StackStatus": stack["StackStatus"]}
    boto3.client("sqs").send_message(QueueUrl=os.environ["QUEUE"], MessageBody=json.dumps(told))
    refuses = event["ResourceProperties"].get("Refuses") == event["RequestType"]
    answer = {
        "Status": "FAILED" if refuses else "SUCCESS",
        "Reason": "not today",
        "PhysicalResourceId": "mine",
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "Data": {"Colour": "blue"},
    }
    put = urllib3.request("PUT", event["ResponseURL"], body=json.dumps(answer).encode(), headers={"Content-Type": ""})
    assert put.status == 200
"""
TEMPLATE = """
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters:
  Refuses: {{Type: String, Default: nothing}}
  Size: {{Type: String, Default: small}}
Resources:
  Queue:
    Type: AWS::SQS::Queue
    DeletionPolicy: Retain
    Properties: {{QueueName: asked-{name}}}
  Bus:
    Type: AWS::Events::EventBus
    Properties: {{Name: "{name}"}}
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: worker-{name}
      Runtime: {runtime}
      Handler: app.handler
      CodeUri: code/
      Timeout: 30
      Environment: {{Variables: {{QUEUE: !Ref Queue}}}}
  Mine:
    Type: Custom::Anything
    DependsOn: Bus
    Properties:
      ServiceToken: !GetAtt Worker.Arn
      ServiceTimeout: 60
      Size: !Ref Size
      Refuses: !Ref Refuses
  Later:
    Type: AWS::SNS::Topic
    Properties: {{DisplayName: !GetAtt Mine.Colour}}
Outputs:
  QueueUrl: {{Value: !Ref Queue}}
  Id: {{Value: !Ref Mine}}
"""


def deploy(running: Running, folder: Path, name: str, **parameters: str) -> dict[str, str]:
    (folder / "code").mkdir(exist_ok=True)
    (folder / "code/app.py").write_text(HANDLER)
    return running.deploy(folder, TEMPLATE.format(name=name, runtime=RUNTIME), name, parameters)


def asked(running: Running, outputs: dict[str, str]) -> dict[str, Any]:
    [message] = running.messages(outputs["QueueUrl"])
    running.aws("sqs").delete_message(QueueUrl=outputs["QueueUrl"], ReceiptHandle=message["ReceiptHandle"])
    found: dict[str, Any] = json.loads(message["Body"])
    return found


def status(running: Running, stack: str) -> str:
    [found] = running.aws("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return str(found["StackStatus"])


def test_a_function_makes_changes_and_deletes_it_and_is_there_until_then(running: Running, tmp_path: Path) -> None:
    outputs = deploy(running, tmp_path, "custom")
    assert outputs["Id"] == "mine"
    made = asked(running, outputs)
    assert (made["RequestType"], made["LogicalResourceId"], made["ResourceType"]) == (
        "Create",
        "Mine",
        "Custom::Anything",
    )
    assert made["ResourceProperties"]["Size"] == "small"
    deploy(running, tmp_path, "custom", Size="large")
    changed = asked(running, outputs)
    assert (changed["RequestType"], changed["PhysicalResourceId"]) == ("Update", "mine")
    assert (changed["OldResourceProperties"]["Size"], changed["ResourceProperties"]["Size"]) == ("small", "large")
    running.aws("cloudformation").delete_stack(StackName="custom")
    deleted = asked(running, outputs)
    assert (deleted["RequestType"], deleted["PhysicalResourceId"]) == ("Delete", "mine")
    assert deleted["StackStatus"] == "DELETE_IN_PROGRESS"
    eventually(lambda: status(running, made["StackId"]) == "DELETE_COMPLETE")
    names = {function["FunctionName"] for function in running.aws("lambda").list_functions()["Functions"]}
    assert "worker-custom" not in names
    buses = {bus["Name"] for bus in running.aws("events").list_event_buses()["EventBuses"]}
    assert "custom" not in buses


def test_a_resource_that_cannot_be_deleted_keeps_what_it_refers_to_and_is_asked_again(
    running: Running, tmp_path: Path
) -> None:
    outputs = deploy(running, tmp_path, "stubborn", Refuses="Delete")
    identifier = asked(running, outputs)["StackId"]
    for _ in range(2):
        running.aws("cloudformation").delete_stack(StackName="stubborn")
        assert asked(running, outputs)["RequestType"] == "Delete"
        eventually(lambda: status(running, "stubborn") == "DELETE_FAILED")
    events = running.aws("cloudformation").describe_stack_events(StackName=identifier)["StackEvents"]
    assert any("not today" in event.get("ResourceStatusReason", "") for event in events)
    buses = {bus["Name"] for bus in running.aws("events").list_event_buses()["EventBuses"]}
    assert "stubborn" in buses


def test_a_stack_whose_function_refuses_is_not_made(running: Running, tmp_path: Path) -> None:
    with pytest.raises(LocalCloudError, match="its function answered FAILED: not today"):
        deploy(running, tmp_path, "refused", Refuses="Create")
    buses = {bus["Name"] for bus in running.aws("events").list_event_buses()["EventBuses"]}
    assert "refused" not in buses


def test_an_answer_that_nobody_waits_for_is_refused(running: Running) -> None:
    url = f"{running.settings.endpoint_url}/_local/cloudformation/none"
    assert urllib3.request("PUT", url, body=b"{}").status == 403
