"""A SAM state machine in the whole local cloud: an event starts it, real functions answer and fail in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local.events import bus
from tests.local.conftest import Running, eventually

_TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Answers:
    Type: AWS::SQS::Queue
  Weigh:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.11
      Handler: app.lambda_handler
      CodeUri: weigh/
      Timeout: 20
  Conclude:
    Type: AWS::Serverless::StateMachine
    Properties:
      DefinitionUri: conclude.asl.yaml
      DefinitionSubstitutions:
        WeighArn: !GetAtt Weigh.Arn
        AnswersUrl: !Ref Answers
      Policies:
        - LambdaInvokePolicy:
            FunctionName: !Ref Weigh
      Events:
        Ended:
          Type: EventBridgeRule
          Properties:
            Pattern:
              source: [scales]
Outputs:
  AnswersUrl:
    Value: !Ref Answers
  ConcludeArn:
    Value: !Ref Conclude
"""

_DEFINITION = """
QueryLanguage: JSONata
StartAt: Weigh
States:
  Weigh:
    Type: Task
    Resource: arn:aws:states:::lambda:invoke
    Arguments:
      FunctionName: ${WeighArn}
      Payload:
        item: "{% $states.input.detail.item %}"
    Output: "{% $states.result.Payload %}"
    Catch:
      - ErrorEquals: [TooHeavyError]
        Output: "{% $parse($states.errorOutput.Cause).errorMessage %}"
        Next: Answer
    Next: Answer
  Answer:
    Type: Task
    Resource: arn:aws:states:::sqs:sendMessage
    Arguments:
      QueueUrl: ${AnswersUrl}
      MessageBody:
        answer: "{% $states.input %}"
    End: true
"""

_HANDLER = """
class TooHeavyError(Exception):
    pass


def lambda_handler(event, context):
    if event["item"] == "anvil":
        raise TooHeavyError('an "anvil" is too heavy')
    return {"weighed": event["item"]}
"""


def test_an_event_starts_a_state_machine_whose_functions_answer_and_fail_by_name(
    running: Running, tmp_path: Path, write: Callable[[str, str], Path]
) -> None:
    write("weigh/app.py", _HANDLER)
    write("conclude.asl.yaml", _DEFINITION)
    outputs = running.deploy(tmp_path, _TEMPLATE, "scales")
    for item in ("feather", "anvil"):
        bus.emit(running.cloud, source="scales", detail_type="Ended", detail={"item": item})
    answers = [json.loads(message["Body"])["answer"] for message in running.messages(outputs["AnswersUrl"], 2, 30)]
    assert {"weighed": "feather"} in answers
    assert 'an "anvil" is too heavy' in answers

    def succeeded() -> list[dict[str, Any]]:
        mine = [event["detail"] for event in running.events("aws.states")]
        found = [detail for detail in mine if detail["status"] == "SUCCEEDED"]
        return found if len(found) == 2 else []

    assert {detail["stateMachineArn"] for detail in eventually(succeeded)} == {outputs["ConcludeArn"]}
