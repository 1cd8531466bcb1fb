"""One execution of a pipeline: steps start when what they wait for has succeeded, in parallel, and end in one status.

When a step fails, steps that wait for it never start, and every other branch runs to its end; only then is the
execution Failed. SageMaker documents no other rule, and stops nothing by itself.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from local.pipeline.definition import Definition, RetryPolicy, Step, resolve
from local.pipeline.job import Completed, Failed, Outcome, Stopped

FINISHED = frozenset({"Succeeded", "Failed", "Stopped"})
INTERNAL = frozenset({"SageMaker.JOB_INTERNAL_ERROR"})


class Runnable(Protocol):
    """A training job, as an execution needs it."""

    name: str
    arn: str

    def run(self) -> Outcome: ...
    def stop(self) -> None: ...


class Backend(Protocol):
    """What an execution asks of the cloud around it."""

    def job(self, execution: Execution, step: Step, arguments: Mapping[str, Any], attempt: int) -> Runnable: ...
    def work(self, work: Callable[[], None]) -> None:
        """Run `work` in a thread, as soon as fewer than the allowed number of steps run."""

    def wait(self, seconds: float) -> None:
        """Wait between attempts, at the cloud's pace."""

    def execution_changed(self, execution: Execution, previous: str | None) -> None: ...
    def step_changed(self, execution: Execution, step: StepRun, previous: str | None) -> None: ...


@dataclass
class StepRun:
    """What became of a step; `status` is None until it starts."""

    step: Step
    status: str | None = None
    started: datetime | None = None
    ended: datetime | None = None
    reason: str | None = None
    attempts: int = 0
    arguments: Mapping[str, Any] = field(default_factory=dict)
    job: Runnable | None = None


@dataclass
class Execution:
    """A started pipeline; it keeps the definition it was started with."""

    arn: str
    pipeline_name: str
    pipeline_arn: str
    definition_text: str
    definition: Definition
    parameters: Mapping[str, Any]
    backend: Backend
    display_name: str | None = None
    description: str | None = None
    parallel_steps: int | None = None
    token: str | None = None
    status: str = "Executing"
    reason: str | None = None
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime | None = None
    runs: dict[str, StepRun] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.runs = {name: StepRun(step) for name, step in self.definition.steps.items()}

    @property
    def id(self) -> str:
        return self.arn.rpartition("/")[2]

    @property
    def given_parameters(self) -> list[dict[str, str]]:
        return [{"Name": name, "Value": str(value)} for name, value in self.parameters.items()]

    def start(self) -> None:
        self.backend.execution_changed(self, None)
        self._advance()

    def stop(self) -> bool:
        """Ask every running step to end; False when there is nothing to stop."""
        with self._lock:
            if self.status != "Executing":
                return self.status == "Stopping"
            self._become("Stopping")
            jobs = []
            for run in self.runs.values():
                if run.status in ("Starting", "Executing"):
                    self._step_becomes(run, "Stopping")
                    jobs.append(run.job)
        for job in jobs:
            if job:
                job.stop()
        self._advance()
        return True

    def retry(self) -> bool:
        """Run again what did not succeed; False unless the execution has failed or was stopped."""
        with self._lock:
            if self.status not in ("Failed", "Stopped"):
                return False
            for name, run in self.runs.items():
                if run.status != "Succeeded":
                    self.runs[name] = StepRun(run.step)
            self.reason = self.ended = None
            self._become("Executing")
        self._advance()
        return True

    def _advance(self) -> None:
        """Start what is ready; conclude when nothing runs and nothing can start."""
        with self._lock:
            if self.status in FINISHED:
                return
            active = [run for run in self.runs.values() if run.status and run.status not in FINISHED]
            ready = self._ready() if self.status == "Executing" else []
            if self.parallel_steps:
                ready = ready[: max(0, self.parallel_steps - len(active))]
            for run in ready:
                run.started = datetime.now(UTC)
                self._step_becomes(run, "Starting")
            if not active and not ready:
                self._conclude()
                return
        for run in ready:
            self.backend.work(lambda run=run: self._run(run))  # type: ignore[misc]

    def _ready(self) -> list[StepRun]:
        return [
            run
            for run in self.runs.values()
            if run.status is None and all(self.runs[name].status == "Succeeded" for name in run.step.after)
        ]

    def _conclude(self) -> None:
        self.ended = datetime.now(UTC)
        if self.status == "Stopping":
            self._become("Stopped")
        elif any(run.status == "Failed" for run in self.runs.values()):
            self.reason = "Step failure: One or multiple steps failed."
            self._become("Failed")
        else:
            self._become("Succeeded")

    def _run(self, run: StepRun) -> None:
        began = time.monotonic()
        while True:
            outcome = self._attempt(run)
            policy = _policy_for(run.step, outcome, run.attempts, time.monotonic() - began)
            if policy is None or self.status != "Executing":
                break
            self.backend.wait(policy.interval * policy.backoff ** (run.attempts - 1))
        with self._lock:
            run.ended = datetime.now(UTC)
            if isinstance(outcome, Stopped) or self.status == "Stopping":
                self._step_becomes(run, "Stopped")
            elif isinstance(outcome, Failed):
                run.reason = f"ClientError: {outcome.reason}" if not outcome.internal else outcome.reason
                self._step_becomes(run, "Failed")
            else:
                self._step_becomes(run, "Succeeded")
        self._advance()

    def _attempt(self, run: StepRun) -> Outcome:
        try:
            with self._lock:
                if self.status != "Executing":
                    return Stopped()
                run.attempts += 1
                run.arguments = resolve(dict(run.step.arguments), self._scope())
                job = run.job = self.backend.job(self, run.step, run.arguments, run.attempts)
                if run.status != "Executing":
                    self._step_becomes(run, "Executing")
            return job.run()
        except Exception as error:
            # A fault of ours must fail the step: nothing else would ever end the execution.
            logging.getLogger("local").exception("step could not be run", extra={"step": run.step.name})
            return Failed(f"InternalServerError: {error!r}", internal=True)

    def _scope(self) -> dict[str, Any]:
        """Every value that a `Get` may ask for."""
        scope: dict[str, Any] = {f"Parameters.{name}": value for name, value in self.parameters.items()}
        scope |= {
            "Execution.PipelineName": self.pipeline_name,
            "Execution.PipelineArn": self.pipeline_arn,
            "Execution.PipelineExecutionId": self.id,
            "Execution.PipelineExecutionArn": self.arn,
            "Execution.StartDateTime": self.started.isoformat(),
            "Execution.CurrentDateTime": datetime.now(UTC).isoformat(),
        }
        for name, run in self.runs.items():
            if run.status == "Succeeded" and run.job:
                scope[f"Steps.{name}.TrainingJobName"] = run.job.name
                scope[f"Steps.{name}.TrainingJobArn"] = run.job.arn
                output = run.arguments["OutputDataConfig"]["S3OutputPath"]
                scope[f"Steps.{name}.OutputDataConfig.S3OutputPath"] = output
        return scope

    def _become(self, status: str) -> None:
        previous, self.status = self.status, status
        self.modified = datetime.now(UTC)
        self.backend.execution_changed(self, previous)

    def _step_becomes(self, run: StepRun, status: str) -> None:
        previous, run.status = run.status, status
        self.modified = datetime.now(UTC)
        self.backend.step_changed(self, run, previous)


def _policy_for(step: Step, outcome: Outcome, attempts: int, elapsed: float) -> RetryPolicy | None:
    """Return the policy that asks for another attempt.

    Of the exceptions that a policy may name, only a fault of the service itself can happen here; code that raises is an
    AlgorithmError, which no policy of SageMaker repeats.
    """
    if isinstance(outcome, Completed | Stopped) or not outcome.internal:
        return None
    for policy in step.retry_policies:
        within = policy.attempts is None or attempts <= policy.attempts
        in_time = policy.expire_after is None or elapsed < policy.expire_after
        if policy.exceptions & INTERNAL and within and in_time:
            return policy
    return None


def new_execution_id() -> str:
    """Return twelve lower-case letters and digits, as SageMaker's are."""
    return uuid.uuid4().hex[:12]
