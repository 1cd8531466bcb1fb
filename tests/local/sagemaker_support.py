"""Pipelines built by the real SDK, for tests of what carries them out."""

from __future__ import annotations

import os
import subprocess
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.local.conftest import Running

BUCKET = "assay-test-pipelines"
ROLE = "arn:aws:iam::123456789012:role/steps"
STEP = {
    "image_uri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/evaluation:1",
    "instance_type": "ml.m5.large",
    "role": ROLE,
}
OPT_OUT = "SchemaVersion: '1.0'\nSageMaker:\n  PythonSDK:\n    Modules:\n      TelemetryOptOut: true\n"


class Pipelines:
    """The SDK's side of a pipeline, and what the cloud says of its executions."""

    def __init__(self, running: Running, folder: Path, patch: pytest.MonkeyPatch) -> None:
        (folder / "sagemaker.yaml").write_text(OPT_OUT)
        patch.setenv("SAGEMAKER_USER_CONFIG_OVERRIDE", str(folder / "sagemaker.yaml"))
        patch.setenv("SAGEMAKER_SUPPRESS_V2_WARNING", "1")
        import boto3
        from sagemaker.workflow.pipeline_context import PipelineSession

        self.running = running
        self.sagemaker = running.aws("sagemaker")
        self._session = PipelineSession(boto_session=boto3.Session(), default_bucket=BUCKET)
        location = {"LocationConstraint": running.settings.region}
        running.aws("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=location)

    def create(self, name: str, outputs: Sequence[Any], parameters: Sequence[Any] = ()) -> None:
        from sagemaker.workflow.pipeline import Pipeline

        pipeline = Pipeline(
            name=name, parameters=list(parameters), steps=list(outputs), sagemaker_session=self._session
        )
        pipeline.upsert(role_arn=ROLE)

    def start(self, name: str, token: str | None = None, **parameters: str) -> str:
        optional = {"ClientRequestToken": token} if token else {}
        answer = self.sagemaker.start_pipeline_execution(
            PipelineName=name,
            PipelineExecutionDisplayName=f"display-{name}",
            PipelineParameters=[{"Name": key, "Value": value} for key, value in parameters.items()],
            **optional,
        )
        return str(answer["PipelineExecutionArn"])

    def describe(self, arn: str) -> dict[str, Any]:
        description: dict[str, Any] = self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        return description

    def steps(self, arn: str) -> dict[str, dict[str, Any]]:
        listed = self.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        return {step["StepName"]: step for step in listed}

    def finish(self, arn: str, timeout: float = 100.0) -> str:
        """Wait until the execution has ended, and return its status."""
        deadline = time.monotonic() + timeout
        while (status := self.describe(arn)["PipelineExecutionStatus"]) in ("Executing", "Stopping"):
            assert time.monotonic() < deadline, f"still {status}"
            time.sleep(0.1)
        return str(status)

    def result(self, arn: str, name: str, step: str) -> Any:
        """Return what a step's function returned."""
        import cloudpickle  # type: ignore[import-untyped]

        execution = arn.rpartition("/")[2]
        found = self.running.aws("s3").get_object(Bucket=BUCKET, Key=f"{name}/{execution}/{step}/results/payload.pkl")
        return cloudpickle.loads(found["Body"].read())

    def log(self, arn: str, step: str) -> str:
        return (self.running.settings.home / "logs/steps" / arn.rpartition("/")[2] / f"{step}.log").read_text()


def as_step(function: Callable[..., Any], name: str, **options: Any) -> Callable[..., Any]:
    """Make `function` a pipeline step; it must not stand at a module's top level, or it would travel by reference."""
    from sagemaker.workflow.function_step import step

    wrapped: Callable[..., Any] = step(function, name=name, **{**STEP, **options})
    return wrapped


def run_sdk(running: Running, folder: Path, program: str, timeout: float) -> str:
    """Run a program of the unchanged SDK, as a user of the cloud has it, and return what it printed."""
    (folder / "sagemaker.yaml").write_text(OPT_OUT)
    done = subprocess.run(
        [running.settings.step_python, "-c", textwrap.dedent(program)],
        env={
            **running.settings.client_environment(),
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "SAGEMAKER_USER_CONFIG_OVERRIDE": str(folder / "sagemaker.yaml"),
        },
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def is_running(pid: int) -> bool:
    """A process that ended but was not waited for (its parent may be the machine's first process) runs no more."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def processes_of(running: Running, arn: str) -> list[int]:
    """Return the processes that work in a folder of an execution's steps."""
    folder = str(running.settings.home / "steps" / arn.rpartition("/")[2])
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd().startswith(folder):
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found
