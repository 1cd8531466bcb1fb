"""How state machines run: choices, retries, catches, branches, items, waiting and timeouts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.local.step_functions_support import FunctionError, Machines, invoke, running


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with running(tmp_path_factory.mktemp("cloud")) as started:
        yield started


class Failing:
    """A function that fails `times` times with `error`, then returns how often it was called."""

    def __init__(self, times: int, error: str = "TransientError") -> None:
        self.times, self.error = times, error
        self.calls: list[float] = []

    def __call__(self, _: Any) -> Any:
        self.calls.append(time.monotonic())
        if len(self.calls) <= self.times:
            raise FunctionError(self.error)
        return len(self.calls)


def _done(machines: Machines, states: dict[str, Any], data: Any = None) -> tuple[str, str | None]:
    description = machines.run(states, data)
    return description["status"], description.get("error")


def test_a_choice_takes_the_first_rule_that_matches_with_its_own_output_and_variables(machines: Machines) -> None:
    rules = [
        {"Condition": "{% $states.input.n > 10 %}", "Next": "Show", "Output": "big", "Assign": {"seen": 1}},
        {"Condition": "{% $states.input.n > 5 %}", "Next": "Show", "Output": "medium", "Assign": {"seen": 2}},
    ]
    states = {
        "Pick": {"Type": "Choice", "Choices": rules, "Default": "Show", "Output": "small"},
        "Show": {"Type": "Pass", "Output": "{% [$states.input, $exists($seen) ? $seen : 3] %}", "End": True},
    }
    arn = machines.create(states)
    ends = [machines.end(machines.start(arn, {"n": n})) for n in (11, 6, 0)]
    assert [end["output"] for end in ends] == [["big", 1], ["medium", 2], ["small", 3]]


def test_a_choice_without_default_fails_when_nothing_matches(machines: Machines) -> None:
    states = {
        "Pick": {"Type": "Choice", "Choices": [{"Condition": False, "Next": "End"}]},
        "End": {"Type": "Succeed"},
    }
    assert _done(machines, states) == ("FAILED", "States.NoChoiceMatched")


def test_a_fail_state_evaluates_its_error_and_cause(machines: Machines) -> None:
    states = {"Stop": {"Type": "Fail", "Error": "{% $states.input.kind %}", "Cause": "{% 'because ' & 'of it' %}"}}
    description = machines.run(states, {"kind": "Rejected"})
    assert (description["status"], description["error"], description["cause"]) == (
        "FAILED",
        "Rejected",
        "because of it",
    )


def test_a_task_is_retried_after_growing_delays_until_it_succeeds(machines: Machines) -> None:
    function = machines.functions["grows"] = Failing(3)
    retry = [{"ErrorEquals": ["TransientError"], "IntervalSeconds": 5, "BackoffRate": 2, "MaxAttempts": 3}]
    assert machines.output({"Call": invoke("grows", Retry=retry)}) == 4
    delays = [after - before for before, after in zip(function.calls, function.calls[1:], strict=False)]
    for delay, scaled in zip(delays, (0.1, 0.2, 0.4), strict=True):
        assert scaled <= delay < scaled + 3


def test_retries_wait_no_longer_than_their_limit(machines: Machines) -> None:
    function = machines.functions["limited"] = Failing(3)
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 5, "BackoffRate": 10, "MaxDelaySeconds": 6}]
    assert machines.output({"Call": invoke("limited", Retry=retry)}) == 4
    assert function.calls[-1] - function.calls[0] < 5


def test_full_jitter_draws_each_delay_between_nothing_and_the_whole(machines: Machines) -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 5, "BackoffRate": 1, "JitterStrategy": "FULL"}]
    delays: list[float] = []
    for run in range(4):
        function = machines.functions[f"jitter{run}"] = Failing(3)
        assert machines.output({"Call": invoke(f"jitter{run}", Retry=retry)}) == 4
        delays += [after - before for before, after in zip(function.calls, function.calls[1:], strict=False)]
    assert min(delays) < 0.09


def test_a_task_fails_with_its_own_error_when_the_attempts_are_used_up(machines: Machines) -> None:
    function = machines.functions["always"] = Failing(99)
    retry = [{"ErrorEquals": ["TransientError"], "MaxAttempts": 2}]
    assert _done(machines, {"Call": invoke("always", Retry=retry)}) == ("FAILED", "TransientError")
    assert len(function.calls) == 3


def test_each_retrier_counts_its_own_attempts_and_others_are_not_retried(machines: Machines) -> None:
    function = machines.functions["other"] = Failing(99, "RejectedError")
    retry = [{"ErrorEquals": ["TransientError"], "MaxAttempts": 5}]
    assert _done(machines, {"Call": invoke("other", Retry=retry)}) == ("FAILED", "RejectedError")
    assert len(function.calls) == 1


def test_a_catch_sees_the_error_and_sets_output_and_variables(machines: Machines) -> None:
    machines.functions["caught"] = Failing(99, "RejectedError")
    catch = [
        {"ErrorEquals": ["SomethingElse"], "Next": "Show"},
        {
            "ErrorEquals": ["States.ALL"],
            "Next": "Show",
            "Output": {"why": "{% $states.errorOutput.Error %}", "given": "{% $states.input.id %}"},
            "Assign": {"cause": "{% $parse($states.errorOutput.Cause).errorMessage %}"},
        },
    ]
    states = {
        "Call": invoke("caught", Catch=catch, Assign={"cause": "never"}, Next="Show"),
        "Show": {"Type": "Pass", "Output": "{% [$states.input, $cause] %}", "End": True},
    }
    assert machines.output(states, {"id": 7}) == [
        {"why": "RejectedError", "given": 7},
        "RejectedError was raised",
    ]


def test_a_catch_without_output_passes_the_error_on(machines: Machines) -> None:
    machines.functions["plain"] = Failing(99)
    catch = [{"ErrorEquals": ["States.TaskFailed"], "Next": "Show"}]
    states = {"Call": invoke("plain", Catch=catch, Next="Show"), "Show": {"Type": "Succeed"}}
    output = machines.output(states)
    assert output["Error"] == "TransientError"
    assert '"errorType": "TransientError"' in output["Cause"]


def test_an_expression_that_fails_after_the_call_can_be_caught(machines: Machines) -> None:
    machines.functions["fine"] = lambda _: {}
    catch = [{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "Show", "Output": "caught"}]
    call = invoke("fine", Catch=catch, Next="Show", Output="{% $states.result.Payload.absent %}")
    assert machines.output({"Call": call, "Show": {"Type": "Succeed"}}) == "caught"


def test_too_much_data_is_not_caught_by_all_but_by_name(machines: Machines) -> None:
    machines.functions["huge"] = lambda _: "x" * 300_000
    states: dict[str, Any] = {
        "Call": invoke("huge", Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Show"}], Next="Show"),
        "Show": {"Type": "Succeed"},
    }
    assert _done(machines, states) == ("FAILED", "States.DataLimitExceeded")
    states["Call"]["Catch"][0]["ErrorEquals"] = ["States.DataLimitExceeded"]
    assert _done(machines, states) == ("SUCCEEDED", None)


def _branch(name: str, state: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": name, "States": {name: state}}


def test_branches_run_at_the_same_time_and_their_outputs_keep_their_order(machines: Machines) -> None:
    meeting = threading.Barrier(2, timeout=5)

    def meet(event: Any) -> Any:
        meeting.wait()
        return event

    machines.functions["meet"] = meet
    branches = [_branch("A", invoke("meet", 1)), _branch("B", invoke("meet", 2))]
    states = {"Both": {"Type": "Parallel", "Branches": branches, "Output": "{% $states.result %}", "End": True}}
    assert machines.output(states) == [1, 2]


def test_a_branch_that_fails_ends_the_others_and_can_be_caught(machines: Machines) -> None:
    machines.functions["broken"] = Failing(99, "BranchError")
    later = Failing(0)
    machines.functions["later"] = later
    slow = {
        "StartAt": "Linger",
        "States": {"Linger": {"Type": "Wait", "Seconds": 50, "Next": "Later"}, "Later": invoke("later")},
    }
    catch = [{"ErrorEquals": ["BranchError"], "Next": "Show", "Output": "{% $states.errorOutput.Error %}"}]
    states = {
        "Both": {
            "Type": "Parallel",
            "Branches": [slow, _branch("Broken", invoke("broken"))],
            "Catch": catch,
            "Next": "Show",
        },
        "Show": {"Type": "Succeed"},
    }
    arn = machines.start(machines.create(states))
    assert machines.end(arn)["output"] == "BranchError"
    time.sleep(1.2)
    assert later.calls == []
    kinds = [event["type"] for event in machines.history(arn)]
    assert "ParallelStateFailed" in kinds
    assert "WaitStateExited" not in kinds


def test_a_parallel_is_retried_as_a_whole(machines: Machines) -> None:
    function = machines.functions["again"] = Failing(1)
    states = {
        "Both": {
            "Type": "Parallel",
            "Branches": [_branch("A", invoke("again")), _branch("B", {"Type": "Succeed"})],
            "Retry": [{"ErrorEquals": ["States.ALL"]}],
            "End": True,
        }
    }
    assert machines.output(states, {}) == [2, {}]
    assert len(function.calls) == 2


def test_a_map_keeps_the_order_of_its_items_and_no_more_at_once_than_it_may(machines: Machines) -> None:
    running_now, most, lock = [0], [0], threading.Lock()

    def work(event: Any) -> Any:
        with lock:
            running_now[0] += 1
            most[0] = max(most[0], running_now[0])
        time.sleep(0.02 * (5 - event["item"]))
        with lock:
            running_now[0] -= 1
        return [event["index"], event["item"], event["all"]]

    machines.functions["work"] = work
    states = {
        "Each": {
            "Type": "Map",
            "Items": "{% $states.input.numbers %}",
            "ItemSelector": {
                "item": "{% $states.context.Map.Item.Value %}",
                "index": "{% $states.context.Map.Item.Index %}",
                "all": "{% $count($states.input.numbers) %}",
            },
            "MaxConcurrency": "{% 1 + 1 %}",
            "ItemProcessor": _branch("Work", invoke("work", "{% $states.input %}")),
            "Output": "{% $states.result %}",
            "End": True,
        }
    }
    assert machines.output(states, {"numbers": [1, 2, 3, 4, 5]}) == [[n - 1, n, 5] for n in (1, 2, 3, 4, 5)]
    assert most == [2]


def test_a_map_without_items_has_no_results(machines: Machines) -> None:
    states = {"Each": {"Type": "Map", "Items": [], "ItemProcessor": _branch("One", {"Type": "Succeed"}), "End": True}}
    assert machines.output(states) == []


def test_an_item_that_fails_fails_the_map(machines: Machines) -> None:
    machines.functions["picky"] = Failing(99, "ItemError")
    states = {"Each": {"Type": "Map", "ItemProcessor": _branch("One", invoke("picky")), "End": True}}
    assert _done(machines, states, [1, 2]) == ("FAILED", "ItemError")


def test_a_map_wants_an_array(machines: Machines) -> None:
    states = {"Each": {"Type": "Map", "ItemProcessor": _branch("One", {"Type": "Succeed"}), "End": True}}
    assert _done(machines, states, {"no": "array"}) == ("FAILED", "States.QueryEvaluationError")


def test_a_wait_takes_seconds_or_a_moment_from_an_expression(machines: Machines) -> None:
    states = {
        "Scaled": {"Type": "Wait", "Seconds": "{% $states.input.seconds %}", "Next": "Past"},
        "Past": {"Type": "Wait", "Timestamp": "2024-03-14T01:59:00Z", "End": True},
    }
    began = time.monotonic()
    assert machines.output(states, {"seconds": 10}) == {"seconds": 10}
    assert 0.2 <= time.monotonic() - began < 5


def test_a_wait_wants_whole_seconds(machines: Machines) -> None:
    states = {"Scaled": {"Type": "Wait", "Seconds": "{% $states.input.seconds %}", "End": True}}
    for seconds in (1.5, -1, "1"):
        assert _done(machines, states, {"seconds": seconds}) == ("FAILED", "States.QueryEvaluationError")


def test_a_task_that_takes_too_long_times_out_and_can_be_caught(machines: Machines) -> None:
    release = threading.Event()
    machines.functions["slow"] = lambda _: release.wait(5)
    catch = [{"ErrorEquals": ["States.Timeout"], "Next": "Show", "Output": "{% $states.errorOutput.Error %}"}]
    states = {
        "Call": invoke("slow", TimeoutSeconds="{% $states.input.limit %}", Catch=catch, Next="Show"),
        "Show": {"Type": "Succeed"},
    }
    arn = machines.start(machines.create(states), {"limit": 1})
    assert machines.end(arn)["output"] == "States.Timeout"
    release.set()
    assert "TaskTimedOut" in [event["type"] for event in machines.history(arn)]


def test_a_state_machine_that_takes_too_long_times_out(machines: Machines) -> None:
    arn = machines.start(machines.create({"Linger": {"Type": "Wait", "Seconds": 3000, "End": True}}, TimeoutSeconds=1))
    description = machines.end(arn)
    assert description["status"] == "TIMED_OUT"
    assert "stopDate" in description
    assert machines.history(arn)[-1]["type"] == "ExecutionTimedOut"
