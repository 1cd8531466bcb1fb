"""The rules of an execution, with jobs that end as the test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.pipeline.definition import Definition, RetryPolicy, Step
from local.pipeline.execution import Execution, StepRun
from local.pipeline.job import Completed, Failed, Outcome, Stopped, bucket_and_key


@dataclass
class Job:
    """A job whose outcomes are given; without one it runs until it is stopped."""

    name: str
    outcome: Outcome | None
    arn: str = "arn"
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> Outcome:
        if self.outcome:
            return self.outcome
        self.stopped.wait(10)
        return Stopped()

    def stop(self) -> None:
        self.stopped.set()


@dataclass
class Cloud:
    """Keeps what it was told; work is done at once, in the caller's thread, unless it is held."""

    outcomes: Mapping[str, list[Outcome | None]] = field(default_factory=dict)
    told: list[tuple[str, str | None]] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    held: list[Callable[[], None]] | None = None

    def job(self, _: Execution, step: Step, arguments: Mapping[str, Any], attempt: int) -> Job:
        outcomes = self.outcomes.get(step.name, [Completed()])
        return Job(step.name, outcomes[min(attempt, len(outcomes)) - 1])

    def work(self, work: Callable[[], None]) -> None:
        if self.held is None:
            work()
        else:
            self.held.append(work)

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)

    def execution_changed(self, execution: Execution, _: str | None) -> None:
        self.told.append(("execution", execution.status))

    def step_changed(self, _: Execution, run: StepRun, __: str | None) -> None:
        self.told.append((run.step.name, run.status))


def execution(cloud: Cloud, *steps: Step, parallel_steps: int | None = None) -> Execution:
    return Execution(
        arn="arn:pipeline/p/execution/e",
        pipeline_name="p",
        pipeline_arn="arn:pipeline/p",
        definition_text="{}",
        definition=Definition({}, {step.name: step for step in steps}),
        parameters={},
        backend=cloud,
        parallel_steps=parallel_steps,
    )


def step(name: str, *after: str, policies: tuple[RetryPolicy, ...] = ()) -> Step:
    return Step(
        name, {"OutputDataConfig": {"S3OutputPath": f"s3://b/{name}"}}, frozenset(after), retry_policies=policies
    )


def statuses(run: Execution) -> dict[str, str | None]:
    return {name: item.status for name, item in run.runs.items()}


def test_a_failure_blocks_only_what_waits_for_it() -> None:
    run = execution(Cloud({"a": [Failed("no")]}), step("a"), step("b", "a"), step("c"), step("d", "c"))
    run.start()
    assert run.status == "Failed"
    assert statuses(run) == {"a": "Failed", "b": None, "c": "Succeeded", "d": "Succeeded"}


def test_a_retried_execution_runs_only_what_did_not_succeed() -> None:
    cloud = Cloud({"b": [Failed("no")]})
    run = execution(cloud, step("a"), step("b", "a"), step("c", "b"))
    run.start()
    assert not run.stop()
    cloud.told.clear()
    cloud.outcomes = {}
    assert run.retry()
    assert run.status == "Succeeded"
    assert ("a", "Starting") not in cloud.told
    assert statuses(run) == dict.fromkeys("abc", "Succeeded")
    assert not run.retry()


def test_a_service_fault_is_repeated_as_its_policy_says_and_a_fault_of_the_code_never() -> None:
    policy = RetryPolicy(frozenset({"SageMaker.JOB_INTERNAL_ERROR"}), interval=2.0, backoff=3.0, attempts=2)
    fault = Failed("InternalServerError", internal=True)
    cloud = Cloud({"a": [fault, fault, Completed()], "b": [Failed("AlgorithmError"), Completed()]})
    run = execution(cloud, step("a", policies=(policy,)), step("b", policies=(policy,)))
    run.start()
    assert statuses(run) == {"a": "Succeeded", "b": "Failed"}
    assert run.runs["a"].attempts == 3
    assert cloud.waited == [2.0, 6.0]


def test_no_more_steps_run_at_once_than_the_execution_allows() -> None:
    cloud = Cloud(held=[])
    run = execution(cloud, step("a"), step("b"), step("c"), parallel_steps=2)
    run.start()
    assert cloud.held is not None
    assert len(cloud.held) == 2
    cloud.held.pop(0)()
    assert len(cloud.held) == 2
    while cloud.held:
        cloud.held.pop(0)()
    assert run.status == "Succeeded"


def test_stopping_ends_running_steps_and_starts_no_others() -> None:
    cloud = Cloud({"a": [None]}, held=[])
    run = execution(cloud, step("a"), step("b", "a"), step("c"))
    run.start()
    assert cloud.held is not None
    thread = threading.Thread(target=cloud.held[0])
    thread.start()
    while run.runs["a"].status != "Executing":
        pass
    assert run.stop()
    assert run.status == "Stopping"
    cloud.held[1]()
    thread.join(10)
    assert run.status == "Stopped"
    assert statuses(run) == {"a": "Stopped", "b": None, "c": "Stopped"}
    assert cloud.told[-1] == ("execution", "Stopped")


def test_a_fault_of_the_local_cloud_itself_fails_the_step_instead_of_hanging() -> None:
    class Faulty(Cloud):
        def job(self, *_: Any) -> Job:
            job = Job("a", None)
            job.run = lambda: 1 / 0  # type: ignore[method-assign, return-value, assignment]
            return job

    run = execution(Faulty(), step("a"))
    run.start()
    assert run.status == "Failed"
    assert "ZeroDivisionError" in str(run.runs["a"].reason)


def test_arguments_that_cannot_be_resolved_fail_the_step_instead_of_hanging() -> None:
    broken = Step("a", {"OutputDataConfig": {"S3OutputPath": {"Get": "Parameters.NotThere"}}}, frozenset())
    run = execution(Cloud(), broken)
    run.start()
    assert run.status == "Failed"
    assert "NotThere" in str(run.runs["a"].reason)


def test_what_means_something_in_a_url_is_a_part_of_an_s3_key() -> None:
    assert bucket_and_key("s3://bucket/catalog #1/what?/") == ("bucket", "catalog #1/what?")
