"""Every publish is kept as a mail; subjects are held to SNS's rules; subscriptions deliver."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from local.mailbox import Mailbox
from tests.local.conftest import RUNTIME, eventually

Write = Callable[[str, str], Path]

TEMPLATE = """
    Transform: AWS::Serverless-2016-10-31
    Resources:
      Topic:
        Type: AWS::SNS::Topic
        Properties: {DisplayName: Assay}
      TopicPolicy:
        Type: AWS::SNS::TopicPolicy
        Properties:
          Topics: [!Ref Topic]
          PolicyDocument:
            Statement:
              - {Effect: Allow, Principal: {Service: events.amazonaws.com}, Action: "sns:Publish", Resource: !Ref Topic}
      Approver:
        Type: AWS::SNS::Subscription
        Properties: {TopicArn: !Ref Topic, Protocol: email, Endpoint: approver@example.com}
      Picky:
        Type: AWS::SNS::Subscription
        Properties:
          TopicArn: !Ref Topic
          Protocol: email
          Endpoint: picky@example.com
          FilterPolicy: {colour: [red]}
      Inbox: {Type: AWS::SQS::Queue}
      ToInbox:
        Type: AWS::SNS::Subscription
        Properties: {TopicArn: !Ref Topic, Protocol: sqs, Endpoint: !GetAtt Inbox.Arn, RawMessageDelivery: true}
      Echo: {Type: AWS::SQS::Queue, Properties: {QueueName: echo}}
      Function:
        Type: AWS::Serverless::Function
        Properties: {CodeUri: function, Handler: app.lambda_handler, Runtime: %(runtime)s, Timeout: 20}
      ToFunction:
        Type: AWS::SNS::Subscription
        Properties: {TopicArn: !Ref Topic, Protocol: lambda, Endpoint: !GetAtt Function.Arn}
    Outputs:
      Topic: {Value: !Ref Topic}
      Inbox: {Value: !Ref Inbox}
      Echo: {Value: !Ref Echo}
"""
HANDLER = """
import json
import boto3

def lambda_handler(event, context):
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="echo")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event))
"""


@pytest.fixture(scope="module")
def outputs(running: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("mail")
    (folder / "function").mkdir()
    (folder / "function/app.py").write_text(HANDLER)
    deployed: dict[str, str] = running.deploy(folder, TEMPLATE % {"runtime": RUNTIME}, "mail")
    return deployed


def mails(running: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = requests.get(f"{running.settings.endpoint_url}/_local/mails", timeout=5).json()
    return found


def test_a_publish_is_a_mail_a_message_and_an_invocation(running: Any, outputs: dict[str, str]) -> None:
    published = running.aws("sns").publish(
        TopicArn=outputs["Topic"],
        Subject="Evaluation completed",
        Message="SmolLM wins: 0.62\nreport: s3://b/r.html",
        MessageAttributes={"colour": {"DataType": "String", "StringValue": "blue"}},
    )
    (mail,) = [mail for mail in mails(running) if mail["message_id"] == published["MessageId"]]
    assert mail["to"] == ["approver@example.com"]
    text = Path(mail["path"]).read_text()
    headers, body = text.split("\n\n", 1)
    assert "To: approver@example.com" in headers
    assert "Subject: Evaluation completed" in headers
    assert "Date: " in headers
    assert body == "SmolLM wins: 0.62\nreport: s3://b/r.html\n"
    assert Path(mail["path"]).parent == running.settings.home / "mails"
    (message,) = running.messages(outputs["Inbox"])
    assert message["Body"].startswith("SmolLM wins")
    (echoed,) = running.messages(outputs["Echo"])
    record = json.loads(echoed["Body"])["Records"][0]
    assert record["EventSource"] == "aws:sns"
    assert record["Sns"]["MessageId"] == published["MessageId"]
    assert record["Sns"]["TopicArn"] == outputs["Topic"]
    assert record["Sns"]["MessageAttributes"] == {"colour": {"Type": "String", "Value": "blue"}}


def test_a_filter_policy_decides_who_gets_the_mail(running: Any, outputs: dict[str, str]) -> None:
    attributes = {"colour": {"DataType": "String", "StringValue": "red"}}
    running.aws("sns").publish(TopicArn=outputs["Topic"], Message="red", MessageAttributes=attributes)
    assert set(mails(running)[-1]["to"]) == {"approver@example.com", "picky@example.com"}
    assert mails(running)[-1]["subject"] == "AWS Notification Message"


def test_the_text_for_mails_is_taken_from_a_structured_message(running: Any, outputs: dict[str, str]) -> None:
    message = json.dumps({"default": "short", "email": "long and friendly"})
    running.aws("sns").publish(TopicArn=outputs["Topic"], Message=message, MessageStructure="json")
    assert eventually(lambda: mails(running))[-1]["text"] == "long and friendly"


@pytest.mark.parametrize("subject", ["x" * 100, "two\nlines", "verdict: größer", " leading", "bell\x07"])
def test_a_subject_that_sns_refuses_is_refused(running: Any, outputs: dict[str, str], subject: str) -> None:
    before = len(mails(running))
    with pytest.raises(ClientError) as caught:
        running.aws("sns").publish(TopicArn=outputs["Topic"], Subject=subject, Message="m")
    error = caught.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("InvalidParameter", "Invalid parameter: Subject")
    assert len(mails(running)) == before


def test_messages_that_are_empty_or_too_long_are_refused(running: Any, outputs: dict[str, str]) -> None:
    for message, fault in (("", "Empty message"), ("x" * 262_145, "too long")):
        with pytest.raises(ClientError, match=fault):
            running.aws("sns").publish(TopicArn=outputs["Topic"], Message=message)


def test_a_protocol_that_is_not_carried_out_is_refused(running: Any, outputs: dict[str, str]) -> None:
    with pytest.raises(ClientError, match="'https' are not carried out"):
        running.aws("sns").subscribe(TopicArn=outputs["Topic"], Protocol="https", Endpoint="https://example.com")


def test_a_new_mailbox_counts_on(tmp_path: Path) -> None:
    for _ in range(2):
        Mailbox(tmp_path).add("arn:aws:sns:eu-west-1:1:news", (), None, "text", "id")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0001-news.txt", "0002-news.txt"]
