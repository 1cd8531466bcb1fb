"""What happens between services: an object reaches a handler, a state machine and a mailbox; claims are exclusive."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from local.cloud import LocalCloudError
from tests.local.conftest import RUNTIME, eventually

Write = Callable[[str, str], Path]

FUNCTION = """
    Transform: AWS::Serverless-2016-10-31
    Resources:
      Table:
        Type: AWS::DynamoDB::Table
        Properties:
          BillingMode: PAY_PER_REQUEST
          AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
          KeySchema: [{AttributeName: id, KeyType: HASH}]
      Bucket:
        Type: AWS::S3::Bucket
        Properties:
          BucketName: dropped
          NotificationConfiguration: {EventBridgeConfiguration: {EventBridgeEnabled: true}}
      Function:
        Type: AWS::Serverless::Function
        Properties:
          CodeUri: function
          Handler: app.lambda_handler
          Runtime: %(runtime)s
          Timeout: 20
          Environment: {Variables: {TABLE: !Ref Table}}
          Events:
            Dropped:
              Type: EventBridgeRule
              Properties:
                Pattern:
                  source: [aws.s3]
                  detail-type: [Object Created]
                  detail: {bucket: {name: [dropped]}, object: {key: [{prefix: configs/}]}}
    Outputs:
      Table: {Value: !Ref Table}
"""


def test_an_object_that_is_dropped_reaches_a_real_handler(running: Any, tmp_path: Path, write: Write) -> None:
    write(
        "function/app.py",
        """
        import os
        import boto3

        def lambda_handler(event, context):
            key = event["detail"]["object"]["key"]
            body = boto3.client("s3").get_object(Bucket="dropped", Key=key)["Body"].read().decode()
            item = {"id": {"S": key}, "body": {"S": body}}
            boto3.client("dynamodb").put_item(TableName=os.environ["TABLE"], Item=item)
        """,
    )
    table = running.deploy(tmp_path, FUNCTION % {"runtime": RUNTIME}, "dropped")["Table"]
    running.aws("s3").put_object(Bucket="dropped", Key="outputs/x", Body=b"no")
    running.aws("s3").put_object(Bucket="dropped", Key="configs/x", Body=b"yes")
    items = eventually(lambda: running.aws("dynamodb").scan(TableName=table)["Items"])
    assert items == [{"id": {"S": "configs/x"}, "body": {"S": "yes"}}]


CHAIN = """
    Transform: AWS::Serverless-2016-10-31
    Resources:
      Bucket:
        Type: AWS::S3::Bucket
        Properties:
          BucketName: chained
          NotificationConfiguration: {EventBridgeConfiguration: {EventBridgeEnabled: true}}
      Topic: {Type: AWS::SNS::Topic}
      Logs: {Type: AWS::Logs::LogGroup}
      Compare:
        Type: AWS::Serverless::Function
        Properties: {CodeUri: function, Handler: app.lambda_handler, Runtime: %(runtime)s, Timeout: 20}
      Machine:
        Type: AWS::Serverless::StateMachine
        Properties:
          DefinitionUri: machine.asl.yaml
          DefinitionSubstitutions: {CompareFunctionArn: !GetAtt Compare.Arn, TopicArn: !Ref Topic, Seconds: 30}
          Logging:
            Level: ERROR
            IncludeExecutionData: false
            Destinations: [{CloudWatchLogsLogGroup: {LogGroupArn: !GetAtt Logs.Arn}}]
          Tracing: {Enabled: true}
          Policies:
            - {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "lambda:InvokeFunction", Resource: "*"}]}
          Events:
            Dropped:
              Type: EventBridgeRule
              Properties:
                Pattern: {source: [aws.s3], detail: {bucket: {name: [chained]}}}
                DeadLetterConfig: {Type: SQS, QueueLogicalId: Letters}
    Outputs:
      Topic: {Value: !Ref Topic}
      Machine: {Value: !Ref Machine}
"""
MACHINE = """
    QueryLanguage: JSONata
    StartAt: Compare
    States:
      Compare:
        Type: Task
        Resource: arn:aws:states:::lambda:invoke
        Arguments:
          FunctionName: ${CompareFunctionArn}
          Payload: {key: "{% $states.input.detail.object.key %}"}
        Output: "{% $states.result.Payload %}"
        TimeoutSeconds: ${Seconds}
        Next: Announce
      Announce:
        Type: Task
        Resource: arn:aws:states:::sns:publish
        Arguments: {TopicArn: "${TopicArn}", Subject: Done, Message: "{% 'winner: ' & $states.input.winner %}"}
        End: true
"""


def test_an_object_becomes_an_execution_an_invocation_and_a_mail(running: Any, tmp_path: Path, write: Write) -> None:
    write("function/app.py", "def lambda_handler(event, context):\n    return {'winner': event['key'].upper()}\n")
    write("machine.asl.yaml", MACHINE)
    outputs = running.deploy(tmp_path, CHAIN % {"runtime": RUNTIME}, "chained")
    running.aws("s3").put_object(Bucket="chained", Key="smollm2", Body=b"")

    def mails() -> list[dict[str, Any]]:
        found = requests.get(f"{running.settings.endpoint_url}/_local/mails", timeout=5).json()
        return [mail for mail in found if mail["topic"] == outputs["Topic"]]

    assert eventually(mails)[0]["text"] == "winner: SMOLLM2"
    (execution,) = running.aws("stepfunctions").list_executions(stateMachineArn=outputs["Machine"])["executions"]
    assert len(execution["name"]) <= 80


def test_a_definition_without_a_value_for_a_placeholder_does_not_deploy(
    running: Any, tmp_path: Path, write: Write
) -> None:
    write("function/app.py", "")
    write("machine.asl.yaml", MACHINE.replace("${Seconds}", "${Secnods}"))
    with pytest.raises(LocalCloudError, match="no value for Secnods"):
        running.deploy(tmp_path, CHAIN.replace("chained", "misspelt") % {"runtime": RUNTIME}, "misspelt")


def test_only_one_of_many_conditional_writes_wins(running: Any) -> None:
    dynamodb = running.aws("dynamodb")
    dynamodb.create_table(
        TableName="claims",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )

    def claim(number: int) -> bool:
        item = {"id": {"S": "evaluation"}, "by": {"N": str(number)}}
        try:
            dynamodb.put_item(TableName="claims", Item=item, ConditionExpression="attribute_not_exists(id)")
        except dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(claim, range(64))) == 1
