"""The API around executions: starting, stopping, listing, histories, logs and status events."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.events import bus
from tests.local.step_functions_support import ROLE, FunctionError, Machines, invoke, machine, running

_LINGER = {"Linger": {"Type": "Wait", "Seconds": 3000, "End": True}}
_QUICK = {
    "First": {"Type": "Pass", "Next": "Second"},
    "Second": {"Type": "Pass", "Output": {"done": True}, "End": True},
}


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with running(tmp_path_factory.mktemp("cloud")) as started:
        yield started


def test_the_same_name_and_input_is_the_same_execution_while_it_runs(machines: Machines) -> None:
    arn = machines.create(_LINGER)
    first = machines.start(arn, {"n": 1}, name="once")
    assert machines.start(arn, {"n": 1}, name="once") == first
    assert len(machines.sfn.list_executions(stateMachineArn=arn)["executions"]) == 1
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        machines.start(arn, {"n": 2}, name="once")
    machines.sfn.stop_execution(executionArn=first)
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        machines.start(arn, {"n": 1}, name="once")


def test_an_execution_without_a_name_gets_one_of_its_own(machines: Machines) -> None:
    arn = machines.create(_QUICK)
    names = {machines.end(machines.start(arn))["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(len(name) == 36 for name in names)


@pytest.mark.parametrize("name", ["with space", "a" * 81, "a:b", "a/b"])
def test_a_name_that_aws_refuses_is_refused(machines: Machines, name: str) -> None:
    arn = machines.create(_QUICK)
    with pytest.raises(ClientError, match=r"InvalidName|ValidationException"):
        machines.start(arn, name=name)


def test_an_input_that_is_not_json_or_too_long_is_refused(machines: Machines) -> None:
    arn = machines.create(_QUICK)
    with pytest.raises(ClientError, match="InvalidExecutionInput"):
        machines.sfn.start_execution(stateMachineArn=arn, input="{")
    with pytest.raises(ClientError, match="ValidationException"):
        machines.start(arn, "x" * 262_144)


def test_a_stopped_execution_is_aborted_with_the_given_reason(machines: Machines) -> None:
    arn = machines.start(machines.create(_LINGER))
    machines.sfn.stop_execution(executionArn=arn, error="ByHand", cause="enough")
    description = machines.end(arn)
    assert (description["status"], description["error"], description["cause"]) == ("ABORTED", "ByHand", "enough")
    assert machines.history(arn)[-1]["type"] == "ExecutionAborted"
    time.sleep(0.05)
    assert "WaitStateExited" not in [event["type"] for event in machines.history(arn)]


def test_an_execution_is_described_with_its_input_and_output(machines: Machines) -> None:
    arn = machines.start(machines.create(_QUICK), {"n": 1})
    description = machines.end(arn)
    assert description["input"] == '{"n": 1}'
    assert description["output"] == {"done": True}
    assert description["stopDate"] >= description["startDate"]


def test_a_history_holds_what_happened_in_the_shape_of_aws(machines: Machines) -> None:
    arn = machines.start(machines.create(_QUICK), {"n": 1})
    machines.end(arn)
    events = machines.history(arn)
    assert [event["type"] for event in events] == [
        "ExecutionStarted",
        "PassStateEntered",
        "PassStateExited",
        "PassStateEntered",
        "PassStateExited",
        "ExecutionSucceeded",
    ]
    assert [(event["id"], event["previousEventId"]) for event in events] == [(n, n - 1) for n in range(1, 7)]
    assert events[0]["executionStartedEventDetails"]["roleArn"] == ROLE
    assert events[1]["stateEnteredEventDetails"]["name"] == "First"
    assert json.loads(events[4]["stateExitedEventDetails"]["output"]) == {"done": True}
    assert events[5]["executionSucceededEventDetails"]["output"] == '{"done":true}'


def test_a_history_comes_in_pages_and_backwards(machines: Machines) -> None:
    arn = machines.start(machines.create(_QUICK))
    machines.end(arn)
    last = machines.sfn.get_execution_history(executionArn=arn, reverseOrder=True, maxResults=1)
    assert [event["type"] for event in last["events"]] == ["ExecutionSucceeded"]
    pages = machines.sfn.get_paginator("get_execution_history").paginate(
        executionArn=arn, PaginationConfig={"PageSize": 4}
    )
    assert [event["id"] for page in pages for event in page["events"]] == [1, 2, 3, 4, 5, 6]


def test_executions_are_listed_by_status(machines: Machines) -> None:
    arn = machines.create(_LINGER)
    first, second = machines.start(arn), machines.start(arn)
    machines.sfn.stop_execution(executionArn=first)
    listed = machines.sfn.list_executions(stateMachineArn=arn, statusFilter="RUNNING")["executions"]
    assert [execution["executionArn"] for execution in listed] == [second]
    machines.sfn.stop_execution(executionArn=second)


def test_the_log_of_an_execution_has_a_line_for_each_event(machines: Machines) -> None:
    arn = machines.create(
        {"Check": {"Type": "Pass", "Next": "Stop"}, "Stop": {"Type": "Fail", "Error": "E", "Cause": "c"}}
    )
    machines.end(machines.start(arn, name="logged"))
    log = machines.cloud.settings.home / "logs" / "state_machines" / arn.rsplit(":", 1)[-1] / "logged.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["event"], line.get("state")) for line in lines] == [
        ("ExecutionStarted", None),
        ("PassStateEntered", "Check"),
        ("PassStateExited", "Check"),
        ("FailStateEntered", "Stop"),
        ("ExecutionFailed", None),
    ]
    assert lines[-1]["error"] == "E"
    assert 0 <= lines[0]["elapsed"] <= lines[-1]["elapsed"] < 5


def test_each_change_of_status_is_an_event(machines: Machines) -> None:
    arn = machines.start(machines.create(_QUICK), {"n": 1})
    machines.end(arn)
    events = _status_events(arn, 2)
    assert [event["detail"]["status"] for event in events] == ["RUNNING", "SUCCEEDED"]
    running_event, succeeded = (event["detail"] for event in events)
    assert (running_event["stopDate"], running_event["output"]) == (None, None)
    assert succeeded["output"] == '{"done":true}'
    assert succeeded["input"] == '{"n": 1}'
    assert isinstance(succeeded["stopDate"], int)
    assert events[0]["resources"] == [arn]


def _status_events(arn: str, count: int) -> list[dict[str, Any]]:
    limit = time.monotonic() + 5
    while time.monotonic() < limit:
        found = [event for event in bus.seen() if event["detail"].get("executionArn") == arn]
        if len(found) == count:
            return found
        time.sleep(0.01)
    raise AssertionError("the events did not come")


def test_an_update_does_not_touch_an_execution_that_runs(machines: Machines) -> None:
    states = {
        "Linger": {"Type": "Wait", "Seconds": 20, "Next": "Show"},
        "Show": {"Type": "Pass", "Output": "old", "End": True},
    }
    arn = machines.create(states)
    execution = machines.start(arn)
    states["Show"]["Output"] = "new"
    machines.sfn.update_state_machine(stateMachineArn=arn, definition=json.dumps(machine(states)))
    assert machines.end(execution)["output"] == "old"
    assert machines.end(machines.start(arn))["output"] == "new"


def test_a_name_of_a_state_machine_stands_for_one_definition(machines: Machines) -> None:
    made = {"name": "unique", "roleArn": ROLE}
    first = machines.sfn.create_state_machine(definition=json.dumps(machine(_QUICK)), **made)
    again = machines.sfn.create_state_machine(definition=json.dumps(machine(_QUICK)), **made)
    assert first["stateMachineArn"] == again["stateMachineArn"]
    with pytest.raises(ClientError, match="StateMachineAlreadyExists"):
        machines.sfn.create_state_machine(definition=json.dumps(machine(_LINGER)), **made)


def test_an_execution_that_failed_goes_on_where_it_failed_with_its_variables(machines: Machines) -> None:
    calls: list[str] = []

    def function(event: Any) -> Any:
        calls.append(event["state"])
        if len(calls) == 2:
            raise FunctionError("Passing")
        return event["said"]

    machines.functions["redriven"] = function
    states = {
        "First": invoke(
            "redriven",
            {"state": "First", "said": "hello"},
            Assign={"word": "{% $states.result.Payload %}"},
            Next="Second",
        ),
        "Second": invoke("redriven", {"state": "Second", "said": "{% $word %}"}),
    }
    arn = machines.start(machines.create(states))
    assert machines.end(arn)["status"] == "FAILED"
    machines.sfn.redrive_execution(executionArn=arn)
    description = machines.end(arn)
    assert (description["status"], description["output"], description["redriveCount"]) == ("SUCCEEDED", "hello", 1)
    assert calls == ["First", "Second", "Second"]
    with pytest.raises(ClientError, match="ExecutionNotRedrivable"):
        machines.sfn.redrive_execution(executionArn=arn)
