"""Training jobs that somebody creates by the API: each is a process that trains, with the one image there is."""

from __future__ import annotations

import re
import threading
from typing import Any

from moto.core.exceptions import ServiceException

from local.adapters import sagemaker_events
from local.adapters.sagemaker_actions import Request, answer, backend, invalid, refuse
from local.adapters.sagemaker_endpoints import instance_types
from local.adapters.sagemaker_jumpstart import training_image
from local.cloud import ACCOUNT_ID, Cloud
from local.training import PROGRAM, SUBMIT_DIRECTORY, TrainingJob

NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
# What changes nothing here, or has no effect in AWS either as long as nobody reads it.
KEPT = ("Environment", "DebugHookConfig", "ProfilerConfig", "EnableInterContainerTrafficEncryption")


class ResourceInUseError(ServiceException):  # type: ignore[misc]
    code = "ResourceInUse"


def install(cloud: Cloud) -> None:
    actions = TrainingActions(cloud)
    answer("create_training_job", actions.create)
    answer("describe_training_job", actions.describe)
    answer("list_training_jobs", actions.list_jobs)
    answer("stop_training_job", actions.stop, missing_in_moto=True)


class TrainingActions:
    """The API's actions; jobs lie where moto would keep its own, so that they can be tagged."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._lock = threading.Lock()

    def create(self, request: Request) -> dict[str, Any]:
        name = str(request["TrainingJobName"])
        if not NAME.fullmatch(name):
            raise invalid(f"Value {name!r} at 'trainingJobName' failed to satisfy constraint: 1 to 63 of [a-zA-Z0-9-]")
        self._refuse_what_is_not_carried_out(request)
        arn = f"arn:aws:sagemaker:{self._cloud.settings.region}:{ACCOUNT_ID}:training-job/{name}"
        required = ("RoleArn", "HyperParameters", "InputDataConfig", "OutputDataConfig", "ResourceConfig")
        given = {key: request[key] for key in (*required, "AlgorithmSpecification", "StoppingCondition")}
        given |= {key: request.get(key) for key in KEPT if request.get(key) is not None}
        given["EnableNetworkIsolation"] = bool(request.get("EnableNetworkIsolation", False))
        jobs = backend(self._cloud).training_jobs
        with self._lock:
            if name in jobs:
                raise ResourceInUseError(
                    "Training job names must be unique within an AWS account and region, and a training job with this "
                    f"name already exists ({arn})"
                )
            job = jobs[name] = TrainingJob(
                name=name,
                arn=arn,
                request=given,
                cloud=self._cloud,
                changed=self._changed,
                tags=list(request.get("Tags", [])),
            )
        self._cloud.submit(job.run)
        return {"TrainingJobArn": arn}

    def describe(self, request: Request) -> dict[str, Any]:
        return description(self._find(request))

    def list_jobs(self, request: Request) -> dict[str, Any]:
        refuse(request, "CreationTimeAfter", "CreationTimeBefore", "LastModifiedTimeAfter", "LastModifiedTimeBefore")
        refuse(request, "SortBy", "WarmPoolStatusEquals", "TrainingPlanArnEquals")
        part, status = request.get("NameContains", ""), request.get("StatusEquals")
        jobs: list[TrainingJob] = [
            job
            for job in list(backend(self._cloud).training_jobs.values())
            if part in job.name and status in (None, job.status)
        ]
        jobs.sort(key=lambda job: job.created, reverse=request.get("SortOrder") != "Ascending")
        page, more = request.page(jobs)
        return {"TrainingJobSummaries": [_summary(job) for job in page], **more}

    def stop(self, request: Request) -> dict[str, Any]:
        job = self._find(request)
        if not job.stop():
            raise invalid(f"The request was rejected because the training job is in status {job.status}.")
        return {}

    def _find(self, request: Request) -> TrainingJob:
        job: TrainingJob | None = backend(self._cloud).training_jobs.get(request["TrainingJobName"])
        if job is None:
            raise invalid("Requested resource not found.")
        return job

    def _changed(self, job: TrainingJob) -> None:
        if not self._cloud.stopping.is_set():
            sagemaker_events.training_job_changed(self._cloud, description(job), job.tags)

    def _refuse_what_is_not_carried_out(self, request: Request) -> None:
        refuse(request, "CheckpointConfig", "EnableManagedSpotTraining", "VpcConfig", "TensorBoardOutputConfig")
        refuse(request, "DebugRuleConfigurations", "ProfilerRuleConfigurations", "ExperimentConfig", "RetryStrategy")
        refuse(request, "RemoteDebugConfig", "InfraCheckConfig", "SessionChainingConfig")
        algorithm, resources = request["AlgorithmSpecification"], request["ResourceConfig"]
        image = training_image(self._cloud.settings.region)
        if algorithm.get("TrainingImage") != image:
            raise invalid(f"The local cloud trains with the image {image} and no other")
        if algorithm.get("TrainingInputMode", "File") != "File":
            raise invalid("The local cloud gives a training job its data as files")
        for key in ("ContainerEntrypoint", "ContainerArguments"):
            if key in algorithm:
                raise invalid(f"The local cloud does not carry out AlgorithmSpecification.{key}")
        if resources["InstanceType"] not in instance_types("TrainingInstanceType"):
            raise invalid(f"Value {resources['InstanceType']!r} at 'resourceConfig.instanceType' is no instance type")
        if resources.get("InstanceCount") != 1:
            raise invalid("The local cloud trains on exactly one instance")
        for channel in request["InputDataConfig"]:
            source = channel["DataSource"].get("S3DataSource", {})
            if source.get("S3DataType") != "S3Prefix" or channel.get("CompressionType", "None") != "None":
                raise invalid("The local cloud gives a channel what lies uncompressed below an S3Prefix")
        lacking = {SUBMIT_DIRECTORY, PROGRAM} - set(request["HyperParameters"])
        if lacking:
            raise invalid(f"The image runs a script, and these hyperparameters do not say which: {sorted(lacking)}")


def description(job: TrainingJob) -> dict[str, Any]:
    """The job as DescribeTrainingJob tells of it."""
    described: dict[str, Any] = {
        **job.request,
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn,
        "TrainingJobStatus": job.status,
        "SecondaryStatus": job.secondary_status,
        "SecondaryStatusTransitions": list(job.transitions),
        "FailureReason": job.reason,
        "CreationTime": job.created,
        "TrainingStartTime": job.started,
        "TrainingEndTime": job.ended,
        "LastModifiedTime": job.modified,
        "OutputDataConfig": {"KmsKeyId": "", **job.request["OutputDataConfig"]},
        "EnableManagedSpotTraining": False,
    }
    if job.artefact:
        described["ModelArtifacts"] = {"S3ModelArtifacts": job.artefact}
    if job.metrics:
        described["FinalMetricDataList"] = job.metrics
    if job.started and job.ended:
        seconds = round((job.ended - job.started).total_seconds())
        described |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}
    return {key: value for key, value in described.items() if value is not None}


def _summary(job: TrainingJob) -> dict[str, Any]:
    summary = {
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn,
        "CreationTime": job.created,
        "TrainingEndTime": job.ended,
        "LastModifiedTime": job.modified,
        "TrainingJobStatus": job.status,
        "SecondaryStatus": job.secondary_status,
    }
    return {key: value for key, value in summary.items() if value is not None}
