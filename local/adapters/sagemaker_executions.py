"""Pipeline executions: started once per token, run for real, stopped, retried and told about."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from moto.sagemaker import models

from local.adapters import sagemaker_events
from local.adapters.sagemaker_actions import (
    ConflictError,
    Request,
    ResourceNotFoundError,
    answer,
    backend,
    invalid,
    refuse,
)
from local.adapters.sagemaker_pipelines import find_pipeline
from local.cloud import Cloud, UnsupportedError
from local.pipeline.definition import DefinitionError, Step, bind_parameters, read_definition
from local.pipeline.execution import Execution, StepRun, new_execution_id
from local.pipeline.job import Job
from local.pipeline.warm import WarmPython

CONCURRENT_STEPS = 4
LONGEST_JOB_NAME = 63


def install(cloud: Cloud) -> None:
    if any(character.isspace() for character in str(cloud.settings.home)):
        raise UnsupportedError(f"{cloud.settings.home}: the SDK's step scripts cannot run in a path with spaces")
    actions = ExecutionActions(cloud, StepRunner(cloud))
    answer("start_pipeline_execution", actions.start)
    answer("describe_pipeline_execution", actions.describe)
    answer("list_pipeline_executions", actions.list_executions)
    answer("describe_pipeline_definition_for_execution", actions.definition)
    answer("list_pipeline_parameters_for_execution", actions.parameters)
    answer("list_pipeline_execution_steps", actions.steps, missing_in_moto=True)
    answer("stop_pipeline_execution", actions.stop, missing_in_moto=True)
    answer("retry_pipeline_execution", actions.retry, missing_in_moto=True)


class StepRunner:
    """Runs steps as processes on this machine, no more than `limit` at once over all executions."""

    def __init__(self, cloud: Cloud, limit: int = CONCURRENT_STEPS) -> None:
        self._cloud = cloud
        self._warm = WarmPython(cloud) if cloud.settings.warm_steps else None
        self._threads = ThreadPoolExecutor(limit, thread_name_prefix="step")

    def job(self, execution: Execution, step: Step, arguments: Mapping[str, Any], attempt: int) -> Job:
        settings = self._cloud.settings
        suffix = uuid.uuid4().hex[:10]
        head = f"pipelines-{execution.id}-{step.name}"[: LONGEST_JOB_NAME - len(suffix) - 1].rstrip("-")
        name = f"{head}-{suffix}"
        return Job(
            name=name,
            arn=f"{execution.arn.partition(':pipeline/')[0]}:training-job/{name}",
            arguments=arguments,
            directory=settings.home / "steps" / execution.id / f"{step.name}-{attempt}-{suffix}",
            log=settings.home / "logs/steps" / execution.id / f"{step.name}.log",
            cloud=self._cloud,
            step=step.name,
            execution=f"{execution.display_name} {execution.arn}",
            warm=self._warm,
        )

    def work(self, work: Callable[[], None]) -> None:
        if not self._cloud.stopping.is_set():
            self._threads.submit(work)

    def wait(self, seconds: float) -> None:
        self._cloud.stopping.wait(seconds * self._cloud.settings.time_scale)

    def execution_changed(self, execution: Execution, previous: str | None) -> None:
        if not self._cloud.stopping.is_set():
            sagemaker_events.execution_changed(self._cloud, execution, previous)

    def step_changed(self, execution: Execution, step: StepRun, previous: str | None) -> None:
        if not self._cloud.stopping.is_set():
            sagemaker_events.step_changed(self._cloud, execution, step, previous)


class ExecutionActions:
    """The API's actions on executions; an execution lives with its pipeline in moto's state."""

    def __init__(self, cloud: Cloud, runner: StepRunner) -> None:
        self._cloud = cloud
        self._runner = runner
        self._lock = threading.Lock()

    def start(self, request: Request) -> dict[str, Any]:
        pipeline = find_pipeline(self._cloud, request["PipelineName"])
        refuse(request, "SelectiveExecutionConfig", "PipelineVersionId")
        token = request.get("ClientRequestToken")
        try:
            definition = read_definition(pipeline.pipeline_definition)
            parameters = bind_parameters(definition, request.get("PipelineParameters", []))
        except DefinitionError as error:
            raise invalid(str(error)) from error
        parallelism = request.get("ParallelismConfiguration") or pipeline.parallelism_configuration or {}
        with self._lock:
            for started in pipeline.pipeline_executions.values():
                if token and started.token == token:
                    return {"PipelineExecutionArn": started.arn}
            execution = Execution(
                arn=f"{pipeline.arn}/execution/{new_execution_id()}",
                pipeline_name=pipeline.pipeline_name,
                pipeline_arn=pipeline.arn,
                definition_text=pipeline.pipeline_definition,
                definition=definition,
                parameters=parameters,
                backend=self._runner,
                display_name=request.get("PipelineExecutionDisplayName"),
                description=request.get("PipelineExecutionDescription"),
                parallel_steps=parallelism.get("MaxParallelExecutionSteps"),
                token=token,
            )
            pipeline.pipeline_executions[execution.arn] = execution
            pipeline.last_execution_time = models.utcnow()
        execution.start()
        return {"PipelineExecutionArn": execution.arn}

    def describe(self, request: Request) -> dict[str, Any]:
        execution = self._find(request)
        pipeline = find_pipeline(self._cloud, execution.pipeline_name)
        described = {
            "PipelineArn": execution.pipeline_arn,
            "PipelineExecutionArn": execution.arn,
            "PipelineExecutionDisplayName": execution.display_name,
            "PipelineExecutionStatus": execution.status,
            "PipelineExecutionDescription": execution.description,
            "FailureReason": execution.reason,
            "CreationTime": execution.started,
            "LastModifiedTime": execution.modified,
            "CreatedBy": pipeline.created_by,
            "LastModifiedBy": pipeline.last_modified_by,
        }
        if execution.parallel_steps:
            described["ParallelismConfiguration"] = {"MaxParallelExecutionSteps": execution.parallel_steps}
        return {key: value for key, value in described.items() if value is not None}

    def list_executions(self, request: Request) -> dict[str, Any]:
        pipeline = find_pipeline(self._cloud, request["PipelineName"])
        after, before = request.get("CreatedAfter"), request.get("CreatedBefore")
        chosen = [
            execution
            for execution in list(pipeline.pipeline_executions.values())
            if (after is None or execution.started > after) and (before is None or execution.started < before)
        ]
        chosen.sort(key=lambda execution: execution.started, reverse=request.get("SortOrder") != "Ascending")
        page, more = request.page(chosen)
        return {"PipelineExecutionSummaries": [_summary(execution) for execution in page], **more}

    def definition(self, request: Request) -> dict[str, Any]:
        execution = self._find(request)
        return {"PipelineDefinition": execution.definition_text, "CreationTime": execution.started}

    def parameters(self, request: Request) -> dict[str, Any]:
        page, more = request.page(self._find(request).given_parameters)
        return {"PipelineParameters": page, **more}

    def steps(self, request: Request) -> dict[str, Any]:
        """Only steps that have started are listed, the newest first, as AWS does."""
        runs = [run for run in self._find(request).runs.values() if run.started]
        runs.sort(key=lambda run: run.started or 0, reverse=request.get("SortOrder") != "Ascending")
        page, more = request.page(runs)
        return {"PipelineExecutionSteps": [_step(run) for run in page], **more}

    def stop(self, request: Request) -> dict[str, Any]:
        execution = self._find(request)
        if not execution.stop():
            raise ConflictError(f"Only an executing pipeline can be stopped; {execution.arn} is {execution.status}")
        return {"PipelineExecutionArn": execution.arn}

    def retry(self, request: Request) -> dict[str, Any]:
        execution = self._find(request)
        if not execution.retry():
            raise ConflictError(
                f"Only what failed or was stopped can be retried; {execution.arn} is {execution.status}"
            )
        return {"PipelineExecutionArn": execution.arn}

    def _find(self, request: Request) -> Execution:
        arn = request["PipelineExecutionArn"]
        name = str(arn).partition(":pipeline/")[2].partition("/")[0]
        pipeline = backend(self._cloud).pipelines.get(name)
        execution: Execution | None = pipeline.pipeline_executions.get(arn) if pipeline else None
        if execution is None:
            raise ResourceNotFoundError(f"Pipeline execution with ARN {arn} does not exist.")
        return execution


def _summary(execution: Execution) -> dict[str, Any]:
    summary = {
        "PipelineExecutionArn": execution.arn,
        "StartTime": execution.started,
        "PipelineExecutionStatus": execution.status,
        "PipelineExecutionDescription": execution.description,
        "PipelineExecutionDisplayName": execution.display_name,
        "PipelineExecutionFailureReason": execution.reason,
    }
    return {key: value for key, value in summary.items() if value is not None}


def _step(run: StepRun) -> dict[str, Any]:
    step = {
        "StepName": run.step.name,
        "StepDisplayName": run.step.display_name,
        "StepDescription": run.step.description,
        "StartTime": run.started,
        "EndTime": run.ended,
        "StepStatus": run.status,
        "FailureReason": run.reason,
        "Metadata": {"TrainingJob": {"Arn": run.job.arn}} if run.job else {},
        "AttemptCount": run.attempts,
    }
    return {key: value for key, value in step.items() if value is not None}
