"""Pipelines that the SDK built, run as processes: order, parallelism, isolation, failure, timeout and stop."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.events import bus
from tests.local.conftest import Running, eventually
from tests.local.sagemaker_support import BUCKET, Pipelines, as_step, processes_of

TOKEN = "evaluation-" + "0" * 32


@pytest.fixture(scope="module")
def pipelines(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipelines]:
    with pytest.MonkeyPatch.context() as patch:
        yield Pipelines(running, tmp_path_factory.mktemp("sdk"), patch)


@pytest.fixture(scope="module")
def diamond(pipelines: Pipelines) -> str:
    """One execution of a pipeline of four steps: first, then left and right, then last; others only look at it."""
    from sagemaker.workflow.parameters import ParameterInteger, ParameterString

    def first(number: int, word: str) -> dict[str, Any]:
        return {"number": number + 1, "word": word}

    def meet(mine: str, other: str) -> bool:
        """Say that one step runs, and wait until the other one says so too."""
        import time

        import boto3

        s3, deadline = boto3.client("s3"), time.monotonic() + 60
        s3.put_object(Bucket=BUCKET, Key=f"met/{mine}")
        while time.monotonic() < deadline:
            if s3.list_objects_v2(Bucket=BUCKET, Prefix=f"met/{other}")["KeyCount"]:
                return True
            time.sleep(0.05)
        return False

    def left(value: dict[str, Any]) -> dict[str, Any]:
        import importlib
        import os
        import pathlib
        import subprocess
        import sys

        found = []
        for name in ("local", "assay", "cli", "moto"):
            try:
                importlib.import_module(name)
            except ModuleNotFoundError:
                continue
            found.append(name)
        installed = subprocess.run(
            [sys.executable, "-m", "pip", "install", "a-package-that-is-not-in-the-image"],
            capture_output=True,
            check=False,
        )
        return {
            "met": meet("left", "right"),
            "value": value,
            "found": found,
            "environment": dict(os.environ),
            "path": sys.path,
            "directory": str(pathlib.Path.cwd()),
            "pip": installed.returncode,
            "prefix": sys.prefix,
        }

    def right(number: int) -> dict[str, Any]:
        return {"number": number, "met": meet("right", "left")}

    def last(one: dict[str, Any], other: dict[str, Any]) -> int:
        return int(one["value"]["number"] + other["number"])

    number, word = ParameterInteger("Number", default_value=1), ParameterString("Word")
    begun = as_step(first, "first")(number, word)
    outputs = as_step(left, "left", environment_variables={"GIVEN": "by the definition"})(begun)
    joined = as_step(last, "last")(outputs, as_step(right, "right")(begun["number"]))
    pipelines.create("diamond", [joined], [number, word])
    arn = pipelines.start("diamond", TOKEN, Word="hello")
    assert pipelines.finish(arn) == "Succeeded", pipelines.steps(arn)
    return arn


def test_steps_run_in_the_order_of_their_dependencies_and_hand_values_on(pipelines: Pipelines, diamond: str) -> None:
    steps = pipelines.steps(diamond)
    assert set(steps) == {"first", "left", "right", "last"}
    assert steps["first"]["EndTime"] <= min(steps["left"]["StartTime"], steps["right"]["StartTime"])
    assert max(steps["left"]["EndTime"], steps["right"]["EndTime"]) <= steps["last"]["StartTime"]
    assert pipelines.result(diamond, "diamond", "last") == 4
    assert {step["StepStatus"] for step in steps.values()} == {"Succeeded"}
    assert steps["last"]["AttemptCount"] == 1
    assert ":training-job/pipelines-" in steps["last"]["Metadata"]["TrainingJob"]["Arn"]


def test_steps_that_do_not_wait_for_each_other_run_at_the_same_time(pipelines: Pipelines, diamond: str) -> None:
    assert pipelines.result(diamond, "diamond", "left")["met"]
    assert pipelines.result(diamond, "diamond", "right")["met"]


def test_a_step_sees_the_image_and_what_the_definition_ships_and_nothing_of_the_project(
    pipelines: Pipelines, diamond: str
) -> None:
    seen = pipelines.result(diamond, "diamond", "left")
    settings = pipelines.running.settings
    assert seen["found"] == []
    project = str(settings.project)
    assert [path for path in seen["path"] if path.startswith(project)] == [
        str(next(settings.step_python.parent.parent.glob("lib/python3.*/site-packages")))
    ]
    assert seen["directory"].startswith(str(settings.home))
    assert seen["prefix"].startswith(str(settings.home))


def test_a_step_has_exactly_the_environment_of_a_training_container(pipelines: Pipelines, diamond: str) -> None:
    environment = pipelines.result(diamond, "diamond", "left")["environment"]
    expected = {
        *pipelines.running.settings.client_environment(),
        *("GIVEN", "TRAINING_JOB_NAME", "TRAINING_JOB_ARN", "HOME", "TMPDIR", "PATH", "LANG", "LOGNAME"),
        # What the shell and the SDK's own scripts set.
        *("PWD", "OLDPWD", "SHLVL", "_", "PIP_CACHE_DIR", "CONDA_PKGS_DIRS"),
    }
    assert {key for key in environment if not key.startswith("SM_")} <= expected
    assert environment["GIVEN"] == "by the definition"
    assert environment["TRAINING_JOB_NAME"] in environment["TRAINING_JOB_ARN"]


def test_a_step_cannot_install_what_the_image_does_not_hold(pipelines: Pipelines, diamond: str) -> None:
    assert pipelines.result(diamond, "diamond", "left")["pip"] != 0


def test_the_same_token_is_the_same_execution(pipelines: Pipelines, diamond: str) -> None:
    assert pipelines.start("diamond", TOKEN, Word="hello") == diamond
    listed = pipelines.sagemaker.list_pipeline_executions(PipelineName="diamond")["PipelineExecutionSummaries"]
    assert [item["PipelineExecutionArn"] for item in listed] == [diamond]
    assert listed[0]["PipelineExecutionDisplayName"] == "display-diamond"


def test_unknown_and_missing_parameters_start_nothing(pipelines: Pipelines, diamond: str) -> None:
    with pytest.raises(ClientError, match=r"ValidationException.*Unknown parameters: \[Wrod\]"):
        pipelines.start("diamond", Word="hello", Wrod="hello")
    with pytest.raises(ClientError, match=r"ValidationException.*\[Word\] do not have default values"):
        pipelines.start("diamond")
    with pytest.raises(ClientError, match="'many' is not of type Integer"):
        pipelines.start("diamond", Word="hello", Number="many")


def test_an_execution_keeps_the_definition_it_was_started_with(pipelines: Pipelines, diamond: str) -> None:
    before = pipelines.sagemaker.describe_pipeline(PipelineName="diamond")["PipelineDefinition"]
    changed = json.loads(before)
    changed["Parameters"][0]["DefaultValue"] = 99
    s3 = pipelines.running.aws("s3")
    s3.put_object(Bucket=BUCKET, Key="definition.json", Body=json.dumps(changed).encode())
    pipelines.sagemaker.update_pipeline(
        PipelineName="diamond", PipelineDefinitionS3Location={"Bucket": BUCKET, "ObjectKey": "definition.json"}
    )
    after = pipelines.sagemaker.describe_pipeline(PipelineName="diamond")["PipelineDefinition"]
    assert json.loads(after) == changed
    kept = pipelines.sagemaker.describe_pipeline_definition_for_execution(PipelineExecutionArn=diamond)
    assert kept["PipelineDefinition"] == before


def test_every_change_of_status_is_told_on_the_default_bus(pipelines: Pipelines, diamond: str) -> None:
    events = [event for event in bus.seen() if event["detail"].get("pipelineExecutionArn") == diamond]
    of_execution = [event for event in events if event["detail-type"].endswith("Pipeline Execution Status Change")]
    told = [
        (event["detail"]["previousPipelineExecutionStatus"], event["detail"]["currentPipelineExecutionStatus"])
        for event in of_execution
    ]
    assert told == [(None, "Executing"), ("Executing", "Succeeded")]
    assert of_execution[-1]["detail"]["pipelineExecutionDisplayName"] == "display-diamond"
    assert of_execution[-1]["detail"]["pipelineArn"].endswith(":pipeline/diamond")
    assert "executionEndTime" in of_execution[-1]["detail"]
    of_last = [event["detail"]["currentStepStatus"] for event in events if event["detail"].get("stepName") == "last"]
    assert of_last == ["Starting", "Executing", "Succeeded"]


def test_nothing_of_a_step_is_left_but_its_log(pipelines: Pipelines, diamond: str) -> None:
    assert "Invoking the function" in pipelines.log(diamond, "first")
    steps = pipelines.running.settings.home / "steps"
    eventually(lambda: not any(path.is_file() for path in steps.rglob("*")))


def test_a_failing_step_stops_what_waits_for_it_and_not_its_neighbours(pipelines: Pipelines) -> None:
    def broken() -> int:
        raise ValueError("no such catalog")

    def after(value: int) -> int:
        return value

    def slow() -> None:
        import time

        time.sleep(600)

    def neighbour() -> str:
        return "done"

    outputs = [
        as_step(after, "after")(as_step(broken, "broken")()),
        as_step(slow, "slow", max_runtime_in_seconds=2)(),
        as_step(neighbour, "neighbour")(),
    ]
    pipelines.create("failing", outputs)
    arn = pipelines.start("failing")
    assert pipelines.finish(arn) == "Failed"
    steps = pipelines.steps(arn)
    assert set(steps) == {"broken", "slow", "neighbour"}
    assert steps["broken"]["FailureReason"] == (
        "ClientError: AlgorithmError: ValueError('no such catalog'), exit code: 1"
    )
    assert steps["slow"]["StepStatus"] == "Failed"
    assert "MaxRuntimeExceeded" in steps["slow"]["FailureReason"]
    assert steps["neighbour"]["StepStatus"] == "Succeeded"
    assert pipelines.describe(arn)["FailureReason"] == "Step failure: One or multiple steps failed."


def test_stopping_ends_the_processes_of_running_steps(pipelines: Pipelines) -> None:
    def endless() -> None:
        import time

        time.sleep(600)

    def after(value: None) -> None:
        return value

    pipelines.create("endless", [as_step(after, "after")(as_step(endless, "endless")())])
    arn = pipelines.start("endless")
    eventually(lambda: len(processes_of(pipelines.running, arn)) > 1, timeout=60)
    pipelines.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
    began = time.monotonic()
    assert pipelines.finish(arn) == "Stopped"
    assert time.monotonic() - began < 8
    assert pipelines.steps(arn)["endless"]["StepStatus"] == "Stopped"
    assert processes_of(pipelines.running, arn) == []
    told = [
        event["detail"]["currentPipelineExecutionStatus"]
        for event in bus.seen()
        if event["detail"].get("pipelineExecutionArn") == arn and "currentPipelineExecutionStatus" in event["detail"]
    ]
    assert told == ["Executing", "Stopping", "Stopped"]
    with pytest.raises(ClientError, match="ConflictException"):
        pipelines.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)


def test_a_pipeline_or_execution_that_is_not_there_is_aws_own_error(pipelines: Pipelines) -> None:
    with pytest.raises(ClientError, match=r"ResourceNotFound.*does not exist"):
        pipelines.start("nowhere")
    with pytest.raises(ClientError, match="ResourceNotFound"):
        pipelines.describe("arn:aws:sagemaker:eu-west-1:123456789012:pipeline/nowhere/execution/abcdefghijkl")


def test_what_cannot_be_carried_out_is_refused_when_the_pipeline_is_created(pipelines: Pipelines, diamond: str) -> None:
    definition = json.loads(pipelines.sagemaker.describe_pipeline(PipelineName="diamond")["PipelineDefinition"])
    definition["Steps"][0]["Type"] = "Processing"
    with pytest.raises(ClientError, match=r"ValidationException.*does not carry out steps of type 'Processing'"):
        pipelines.sagemaker.create_pipeline(
            PipelineName="other",
            RoleArn="arn:aws:iam::123456789012:role/steps",
            PipelineDefinition=json.dumps(definition),
        )
