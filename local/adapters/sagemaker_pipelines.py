"""Pipelines: created and updated only with a definition that the local cloud can carry out."""

from __future__ import annotations

import threading
from typing import Any

from moto.s3 import models as s3_models
from moto.sagemaker import models

from local.adapters.sagemaker_actions import ConflictError, Request, ResourceNotFoundError, answer, backend, invalid
from local.cloud import ACCOUNT_ID, Cloud, require
from local.pipeline.definition import DefinitionError, read_definition
from local.pipeline.execution import FINISHED

FakePipeline = require(models, "FakePipeline")
S3_BACKENDS = require(s3_models, "s3_backends")


def install(cloud: Cloud) -> None:
    actions = PipelineActions(cloud)
    answer("create_pipeline", actions.create)
    answer("update_pipeline", actions.update)
    answer("delete_pipeline", actions.delete)
    answer("describe_pipeline", actions.describe)


def find_pipeline(cloud: Cloud, name_or_arn: str) -> Any:
    """Return moto's pipeline of a name or ARN, or answer as AWS does when there is none."""
    name = name_or_arn.rpartition("/")[2]
    pipeline = backend(cloud).pipelines.get(name)
    if pipeline is None:
        raise ResourceNotFoundError(f"Pipeline '{name_or_arn}' does not exist.")
    return pipeline


class PipelineActions:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._tokens: dict[str, str] = {}
        self._lock = threading.Lock()

    def create(self, request: Request) -> dict[str, Any]:
        name, token = request["PipelineName"], request.get("ClientRequestToken")
        definition = self._definition(request)
        state = backend(self._cloud)
        with self._lock:
            if name in state.pipelines:
                if token and self._tokens.get(token) == name:
                    return {"PipelineArn": state.pipelines[name].arn}
                raise invalid(
                    "Pipeline names must be unique within an AWS account and region. "
                    f"Pipeline with name ({name}) already exists."
                )
            if definition is None:
                raise invalid("Either PipelineDefinition or PipelineDefinitionS3Location must be given")
            pipeline = FakePipeline(
                name,
                request.get("PipelineDisplayName"),
                definition,
                request.get("PipelineDescription"),
                request["RoleArn"],
                request.get("Tags", []),
                ACCOUNT_ID,
                self._cloud.settings.region,
                request.get("ParallelismConfiguration"),
            )
            state.pipelines[name] = pipeline
            if token:
                self._tokens[token] = name
        return {"PipelineArn": pipeline.arn}

    def update(self, request: Request) -> dict[str, Any]:
        pipeline = find_pipeline(self._cloud, request["PipelineName"])
        changes = {
            "pipeline_definition": self._definition(request),
            "pipeline_display_name": request.get("PipelineDisplayName"),
            "pipeline_description": request.get("PipelineDescription"),
            "role_arn": request.get("RoleArn"),
            "parallelism_configuration": request.get("ParallelismConfiguration"),
        }
        with self._lock:
            for attribute, value in changes.items():
                if value is not None:
                    setattr(pipeline, attribute, value)
            pipeline.last_modified_time = models.utcnow()
        return {"PipelineArn": pipeline.arn}

    def delete(self, request: Request) -> dict[str, Any]:
        pipeline = find_pipeline(self._cloud, request["PipelineName"])
        with self._lock:
            executions = list(pipeline.pipeline_executions.values())
            running = [item.arn for item in executions if item.status not in FINISHED]
            if running:
                raise ConflictError(f"Pipeline {pipeline.pipeline_name} has running executions: {', '.join(running)}")
            del backend(self._cloud).pipelines[pipeline.pipeline_name]
        return {"PipelineArn": pipeline.arn}

    def describe(self, request: Request) -> dict[str, Any]:
        pipeline = find_pipeline(self._cloud, request["PipelineName"])
        described = {
            "PipelineArn": pipeline.arn,
            "PipelineName": pipeline.pipeline_name,
            "PipelineDisplayName": pipeline.pipeline_display_name,
            "PipelineDefinition": pipeline.pipeline_definition,
            "PipelineDescription": pipeline.pipeline_description,
            "RoleArn": pipeline.role_arn,
            "PipelineStatus": pipeline.pipeline_status,
            "CreationTime": pipeline.creation_time,
            "LastModifiedTime": pipeline.last_modified_time,
            "LastRunTime": pipeline.last_execution_time,
            "CreatedBy": pipeline.created_by,
            "LastModifiedBy": pipeline.last_modified_by,
            "ParallelismConfiguration": pipeline.parallelism_configuration,
        }
        return {key: value for key, value in described.items() if value is not None}

    def _definition(self, request: Request) -> str | None:
        """Return the checked definition that a request carries or points at."""
        text, location = request.get("PipelineDefinition"), request.get("PipelineDefinitionS3Location")
        if text and location:
            raise invalid("PipelineDefinition and PipelineDefinitionS3Location must not both be given")
        if location:
            text = self._fetch(location)
        if not text:
            return None
        try:
            read_definition(text)
        except DefinitionError as error:
            raise invalid(str(error)) from error
        return str(text)

    def _fetch(self, location: dict[str, str]) -> str:
        found = S3_BACKENDS[ACCOUNT_ID]["aws"].get_object(
            location["Bucket"], location["ObjectKey"], version_id=location.get("VersionId")
        )
        if found is None:
            raise invalid(f"No pipeline definition at s3://{location['Bucket']}/{location['ObjectKey']}")
        body: bytes = found.value
        return body.decode()
