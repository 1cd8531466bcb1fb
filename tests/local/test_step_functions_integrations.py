"""What tasks call: functions, optimised integrations, AWS SDK integrations, callbacks, nested state machines."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.step_functions_support import FunctionError, Machines, invoke, running

_ARN = "arn:aws:states:::"


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with running(tmp_path_factory.mktemp("cloud")) as started:
        started.client("dynamodb").create_table(
            TableName="evaluations",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield started


def _task(resource: str, arguments: Any, **fields: Any) -> dict[str, Any]:
    ending = {} if "Next" in fields else {"End": True}
    return {"Type": "Task", "Resource": _ARN + resource, "Arguments": arguments, **ending, **fields}


def _error(machines: Machines, state: dict[str, Any], data: Any = None) -> str:
    description = machines.run({"Call": state}, data)
    assert description["status"] == "FAILED"
    return str(description["error"])


def test_a_function_gets_its_payload_and_its_answer_is_wrapped(machines: Machines) -> None:
    machines.functions["echo"] = lambda event: {"got": event}
    call = invoke("echo", {"text": "{% $states.input.text %}"}, Output="{% $states.result %}")
    assert machines.output({"Call": call}, {"text": "ü\n\"'"}) == {
        "ExecutedVersion": "$LATEST",
        "StatusCode": 200,
        "Payload": {"got": {"text": "ü\n\"'"}},
    }


def test_a_function_that_raises_fails_with_the_name_of_the_exception(machines: Machines) -> None:
    def reject(_: Any) -> Any:
        raise FunctionError("RejectedError")

    machines.functions["reject"] = reject
    description = machines.run({"Call": invoke("reject")})
    assert description["error"] == "RejectedError"
    assert json.loads(description["cause"]) == {
        "errorMessage": "RejectedError was raised",
        "errorType": "RejectedError",
        "stackTrace": [],
    }


def test_an_error_of_the_lambda_service_carries_its_name(machines: Machines) -> None:
    assert _error(machines, invoke("throttled")) == "Lambda.TooManyRequestsException"


def _claim(owner: str) -> dict[str, Any]:
    arguments = {
        "TableName": "evaluations",
        "Key": {"id": {"S": "{% $states.input.id %}"}},
        "UpdateExpression": "SET concluded_by = if_not_exists(concluded_by, :execution)",
        "ExpressionAttributeValues": {":execution": {"S": owner}},
        "ReturnValues": "ALL_NEW",
    }
    return _task("dynamodb:updateItem", arguments, Output="{% $states.result.Attributes.concluded_by.S %}")


def test_only_the_first_execution_claims_an_item(machines: Machines) -> None:
    assert machines.output({"Claim": _claim("first")}, {"id": "one"}) == "first"
    assert machines.output({"Claim": _claim("second")}, {"id": "one"}) == "first"


def test_items_are_put_and_got(machines: Machines) -> None:
    item = {"id": {"S": "{% $states.input.id %}"}, "n": {"N": "3"}, "flag": {"BOOL": True}}
    states = {
        "Put": _task(
            "dynamodb:putItem", {"TableName": "evaluations", "Item": item}, Output="{% $states.input %}", Next="Get"
        ),
        "Get": _task("dynamodb:getItem", {"TableName": "evaluations", "Key": {"id": {"S": "{% $states.input.id %}"}}}),
    }
    assert machines.output(states, {"id": "put"})["Item"] == {
        "id": {"S": "put"},
        "n": {"N": "3"},
        "flag": {"BOOL": True},
    }


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("dynamodb:putItem", "DynamoDB.ConditionalCheckFailedException"),
        ("aws-sdk:dynamodb:putItem", "DynamoDb.ConditionalCheckFailedException"),
    ],
)
def test_a_failed_condition_is_an_error_by_name(machines: Machines, resource: str, expected: str) -> None:
    arguments = {
        "TableName": "evaluations",
        "Item": {"id": {"S": "x"}},
        "ConditionExpression": "attribute_exists(id)",
    }
    assert _error(machines, _task(resource, arguments)) == expected


def test_an_error_that_the_service_does_not_declare_has_its_general_name(machines: Machines) -> None:
    arguments = {"TableName": "evaluations", "Key": {"other": {"S": "x"}}}
    assert _error(machines, _task("dynamodb:getItem", arguments)) == "DynamoDB.AmazonDynamoDBException"
    assert _error(machines, _task("aws-sdk:dynamodb:getItem", arguments)) == "DynamoDb.DynamoDbException"


def test_events_are_put_with_their_detail_as_an_object(machines: Machines) -> None:
    entry = {
        "Source": "assay",
        "DetailType": "EvaluationCompleted",
        "Detail": {"evaluation_id": "{% $states.input.id %}"},
        "EventBusName": "default",
    }
    output = machines.output({"Announce": _task("events:putEvents", {"Entries": [entry]})}, {"id": "e1"})
    assert output["FailedEntryCount"] == 0
    assert len(output["Entries"]) == 1


def test_an_event_that_is_refused_fails_the_state(machines: Machines) -> None:
    entry = {"Source": "assay", "DetailType": "Broken", "Detail": "no JSON"}
    assert _error(machines, _task("events:putEvents", {"Entries": [entry]})) == "EventBridge.FailedEntry"


def test_a_message_reaches_the_queues_of_a_topic(machines: Machines) -> None:
    sqs, sns = machines.client("sqs"), machines.client("sns")
    queue = sqs.create_queue(QueueName="mails")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name="mails")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn, Attributes={"RawMessageDelivery": "true"})
    message = {"TopicArn": topic, "Subject": "Verdict", "Message": "{% 'winner: ' & $states.input.winner & '\n' %}"}
    assert "MessageId" in machines.output({"Notify": _task("sns:publish", message)}, {"winner": 'the "best"'})
    assert sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"] == 'winner: the "best"\n'


def test_a_missing_topic_is_an_error_by_name(machines: Machines) -> None:
    message = {"TopicArn": "arn:aws:sns:eu-west-1:123456789012:none", "Message": "lost"}
    assert _error(machines, _task("sns:publish", message)) == "SNS.NotFoundException"


def test_sdk_results_have_names_in_pascal_case_and_moments_as_text(machines: Machines) -> None:
    machines.client("s3").create_bucket(Bucket="results", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    where = {"Bucket": "results", "Key": "report.txt"}
    states = {
        "Put": _task("aws-sdk:s3:putObject", {**where, "Body": "ünïcode"}, Next="Get"),
        "Get": _task("aws-sdk:s3:getObject", where, Assign={"body": "{% $states.result.Body %}"}, Next="Show"),
        "Show": {"Type": "Pass", "Output": "{% [$body, $states.input.LastModified] %}", "End": True},
    }
    body, moment = machines.output(states)
    assert body == "ünïcode"
    assert moment.endswith("Z")


@pytest.mark.parametrize(
    ("resource", "arguments", "expected"),
    [
        ("aws-sdk:s3:getObject", {"Bucket": "none", "Key": "x"}, "S3.NoSuchBucketException"),
        ("aws-sdk:sagemaker:describeEndpoint", {"EndpointName": "none"}, "SageMaker.SageMakerException"),
        (
            "aws-sdk:sagemaker:describePipelineExecution",
            {"PipelineExecutionArn": "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/none/execution/abcdefghijkl"},
            "SageMaker.",
        ),
        (
            "aws-sdk:sfn:describeExecution",
            {"ExecutionArn": "arn:aws:states:eu-west-1:123456789012:execution:m:none"},
            "Sfn.ExecutionDoesNotExistException",
        ),
    ],
)
def test_sdk_errors_carry_the_names_of_the_java_sdk(
    machines: Machines, resource: str, arguments: dict[str, Any], expected: str
) -> None:
    assert _error(machines, _task(resource, arguments)).startswith(expected)


def test_an_argument_of_the_wrong_type_cannot_be_caught(machines: Machines) -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Show"}]
    states = {
        "Get": _task("aws-sdk:s3:getObject", {"Bucket": "{% 5 %}", "Key": "x"}, Catch=catch, Next="Show"),
        "Show": {"Type": "Succeed"},
    }
    assert machines.run(states)["error"] == "States.Runtime"


_CHILD: dict[str, Any] = {"Double": {"Type": "Pass", "Output": {"n": "{% $states.input.n * 2 %}"}, "End": True}}


def test_another_state_machine_is_started_without_waiting(machines: Machines) -> None:
    arguments = {"StateMachineArn": machines.create(_CHILD), "Input": {"n": "{% $states.input.n %}"}, "Name": "child"}
    output = machines.output({"Start": _task("states:startExecution", arguments)}, {"n": 2})
    assert sorted(output) == ["ExecutionArn", "StartDate"]
    assert machines.end(output["ExecutionArn"])["output"] == {"n": 4}


def test_another_state_machine_is_awaited_and_its_output_parsed(machines: Machines) -> None:
    arguments = {"StateMachineArn": machines.create(_CHILD), "Input": {"n": 4}}
    call = _task("states:startExecution.sync:2", arguments, Output="{% $states.result.Output.n %}")
    assert machines.output({"Run": call}) == 8


def test_a_nested_execution_that_fails_fails_the_task(machines: Machines) -> None:
    child = machines.create({"Stop": {"Type": "Fail", "Error": "Inner", "Cause": "deep"}})
    description = machines.run({"Run": _task("states:startExecution.sync:2", {"StateMachineArn": child})})
    assert description["error"] == "States.TaskFailed"
    assert json.loads(description["cause"])["Error"] == "Inner"


def test_a_nested_execution_ends_with_the_one_that_awaits_it(machines: Machines) -> None:
    child = machines.create({"Linger": {"Type": "Wait", "Seconds": 3000, "End": True}})
    arguments = {"StateMachineArn": child, "Name": "nested"}
    outer = machines.start(machines.create({"Run": _task("states:startExecution.sync:2", arguments)}))
    nested = child.replace(":stateMachine:", ":execution:") + ":nested"
    _until(lambda: bool(machines.sfn.list_executions(stateMachineArn=child)["executions"]))
    machines.sfn.stop_execution(executionArn=outer)
    assert machines.end(nested)["status"] == "ABORTED"


def _until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


@pytest.fixture
def callback(machines: Machines) -> tuple[dict[str, Any], Callable[[], str]]:
    """A Task that waits for its token, and a way to learn the token that it gave away."""
    tokens: list[str] = []
    arrived = threading.Event()

    def remember(event: Any) -> Any:
        tokens.append(event["token"])
        arrived.set()

    def token() -> str:
        assert arrived.wait(5)
        return tokens[-1]

    machines.functions["remember"] = remember
    call = invoke("remember", {"token": "{% $states.context.Task.Token %}"}, Output="{% $states.result %}")
    return {**call, "Resource": f"{_ARN}lambda:invoke.waitForTaskToken"}, token


def test_a_task_waits_for_its_token(machines: Machines, callback: tuple[dict[str, Any], Callable[[], str]]) -> None:
    task, token = callback
    arn = machines.start(machines.create({"Approve": task}))
    given = token()
    time.sleep(0.1)
    assert machines.sfn.describe_execution(executionArn=arn)["status"] == "RUNNING"
    machines.sfn.send_task_success(taskToken=given, output=json.dumps({"approved": None}))
    assert machines.end(arn)["output"] == {"approved": None}
    with pytest.raises(ClientError, match="TaskDoesNotExist"):
        machines.sfn.send_task_success(taskToken=given, output="1")


def test_a_token_can_bring_a_failure(machines: Machines, callback: tuple[dict[str, Any], Callable[[], str]]) -> None:
    task, token = callback
    arn = machines.start(machines.create({"Approve": task}))
    machines.sfn.send_task_failure(taskToken=token(), error="Refused", cause="no budget")
    description = machines.end(arn)
    assert (description["error"], description["cause"]) == ("Refused", "no budget")


def test_a_heartbeat_keeps_a_task_waiting_and_its_lack_ends_it(
    machines: Machines, callback: tuple[dict[str, Any], Callable[[], str]]
) -> None:
    task, token = callback
    arn = machines.start(machines.create({"Approve": {**task, "HeartbeatSeconds": 1, "TimeoutSeconds": 10}}))
    given, began = token(), time.monotonic()
    time.sleep(0.6)
    machines.sfn.send_task_heartbeat(taskToken=given)
    assert machines.end(arn)["error"] == "States.HeartbeatTimeout"
    assert 1.5 < time.monotonic() - began < 8


def test_an_unknown_token_is_refused(machines: Machines) -> None:
    with pytest.raises(ClientError, match="InvalidToken"):
        machines.sfn.send_task_success(taskToken="none", output="1")
