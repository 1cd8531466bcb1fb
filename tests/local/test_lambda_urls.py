"""A function's URL hands a browser's request to the handler, and its answer back."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import requests

from local.cloud import LocalCloudError
from tests.local.conftest import RUNTIME, Running, eventually

TEMPLATE = """\
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  Page:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code/
      Handler: app.lambda_handler
      Runtime: {runtime}
      FunctionUrlConfig:
        AuthType: {auth}
Outputs:
  Address:
    Value: !GetAtt PageUrl.FunctionUrl
"""
SOURCE = """\
import json
def lambda_handler(event, context):
    if event["rawPath"] == "/fails":
        raise ValueError("no")
    if event["rawPath"] == "/plain":
        return {"seen": True}
    return {"statusCode": 418, "headers": {"Content-Type": "text/html", "X-Mine": "1"}, "body": json.dumps(event)}
"""


def deploy(running: Running, folder: Path, stack: str, auth: str = "NONE") -> dict[str, str]:
    (folder / "code").mkdir(exist_ok=True)
    (folder / "code/app.py").write_text(SOURCE)
    return running.deploy(folder, TEMPLATE.format(runtime=RUNTIME, auth=auth), stack)


@pytest.fixture(scope="module")
def address(running: Running, tmp_path_factory: pytest.TempPathFactory) -> str:
    return deploy(running, tmp_path_factory.mktemp("page"), "page")["Address"]


def test_the_handler_gets_method_query_headers_and_body(address: str) -> None:
    answer = requests.post(f"{address}a/b?x=1&y=2&y=3", data={"name": "Ada"}, headers={"X-Own": "yes"}, timeout=60)
    assert (answer.status_code, answer.headers["X-Mine"]) == (418, "1")
    event: dict[str, Any] = answer.json()
    assert (event["version"], event["rawPath"], event["rawQueryString"]) == ("2.0", "/a/b", "x=1&y=2&y=3")
    assert event["queryStringParameters"] == {"x": "1", "y": "2,3"}
    assert (event["headers"]["x-own"], event["requestContext"]["http"]["method"]) == ("yes", "POST")
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == b"name=Ada"


def test_a_request_without_query_and_body_has_neither(address: str) -> None:
    event = requests.get(address, timeout=60).json()
    assert "queryStringParameters" not in event
    assert "body" not in event


def test_a_value_that_is_no_response_becomes_one(address: str) -> None:
    answer = requests.get(f"{address}plain", timeout=60)
    assert (answer.status_code, answer.json()) == (200, {"seen": True})


def test_a_handler_that_fails_tells_the_browser_nothing_of_it(address: str) -> None:
    answer = requests.get(f"{address}fails", timeout=60)
    assert (answer.status_code, answer.json()) == (502, {"Message": "Internal Server Error"})


def test_a_function_without_a_url_is_not_reached(address: str) -> None:
    elsewhere = address.rstrip("/").rpartition("/")[0] + "/another/"
    assert requests.get(elsewhere, timeout=60).status_code == 403


def test_a_url_that_wants_signed_requests_is_refused(running: Running, tmp_path: Path) -> None:
    with pytest.raises(LocalCloudError, match="AuthType NONE"):
        deploy(running, tmp_path, "signed", auth="AWS_IAM")


def test_a_url_is_gone_with_its_stack(running: Running, tmp_path: Path) -> None:
    address = deploy(running, tmp_path, "short-lived")["Address"]
    assert requests.get(address, timeout=60).status_code == 418
    running.aws("cloudformation").delete_stack(StackName="short-lived")
    eventually(lambda: requests.get(address, timeout=60).status_code == 403)
    assert json.loads(requests.get(address, timeout=60).text) == {"Message": "Forbidden"}
