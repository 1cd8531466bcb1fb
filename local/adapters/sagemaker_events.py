"""What SageMaker says on EventBridge, in its own words.

Source: "Events for Amazon SageMaker AI" in the EventBridge reference. AWS sends these at best effort; here they come.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from local.cloud import Cloud
from local.events import bus
from local.pipeline.execution import Execution, StepRun

ENDPOINT_STATUSES = {"Creating": "CREATING", "InService": "IN_SERVICE", "Failed": "FAILED", "Deleting": "DELETING"}


def emit(cloud: Cloud, detail_type: str, detail: dict[str, Any], resources: list[str]) -> None:
    bus.emit(cloud, source="aws.sagemaker", detail_type=detail_type, detail=detail, resources=resources)


def timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def execution_changed(cloud: Cloud, execution: Execution, previous: str | None) -> None:
    detail: dict[str, Any] = {
        "pipelineExecutionDisplayName": execution.display_name,
        "currentPipelineExecutionStatus": execution.status,
        "previousPipelineExecutionStatus": previous,
        "executionStartTime": timestamp(execution.started),
        "pipelineExecutionDescription": execution.description,
        "pipelineArn": execution.pipeline_arn,
        "pipelineExecutionArn": execution.arn,
    }
    if execution.ended:
        detail["executionEndTime"] = timestamp(execution.ended)
    emit(
        cloud,
        "SageMaker Model Building Pipeline Execution Status Change",
        detail,
        [execution.pipeline_arn, execution.arn],
    )


def step_changed(cloud: Cloud, execution: Execution, run: StepRun, previous: str | None) -> None:
    detail: dict[str, Any] = {
        "metadata": {"trainingJob": {"arn": run.job.arn}} if run.job else {},
        "stepName": run.step.name,
        "stepType": "Training",
        "stepStartTime": timestamp(run.started or datetime.now(UTC)),
        "previousStepStatus": previous,
        "currentStepStatus": run.status,
        "pipelineArn": execution.pipeline_arn,
        "pipelineExecutionArn": execution.arn,
    }
    if run.ended:
        detail["stepEndTime"] = timestamp(run.ended)
    if run.reason:
        detail["failureReason"] = run.reason
    emit(
        cloud,
        "SageMaker Model Building Pipeline Execution Step Status Change",
        detail,
        [execution.pipeline_arn, execution.arn],
    )


def training_job_changed(cloud: Cloud, description: dict[str, Any], tags: list[dict[str, str]]) -> None:
    """Tell of a training job in the words of DescribeTrainingJob, times in milliseconds since 1970."""
    detail = {**_in_milliseconds(description), "Tags": {tag["Key"]: tag["Value"] for tag in tags}}
    emit(cloud, "SageMaker Training Job State Change", detail, [description["TrainingJobArn"]])


def _in_milliseconds(value: Any) -> Any:
    if isinstance(value, datetime):
        return int(value.timestamp() * 1000)
    if isinstance(value, dict):
        return {key: _in_milliseconds(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_in_milliseconds(item) for item in value]
    return value


def endpoint_changed(cloud: Cloud, endpoint: Any, status: str) -> None:
    emit(
        cloud,
        "SageMaker Endpoint State Change",
        {
            "EndpointName": endpoint.endpoint_name,
            "EndpointArn": endpoint.arn,
            "EndpointConfigName": endpoint.endpoint_config_name,
            "ProductionVariants": endpoint.production_variants,
            "EndpointStatus": ENDPOINT_STATUSES[status],
            "CreationTime": endpoint.creation_time.timestamp() * 1000,
            "LastModifiedTime": endpoint.last_modified_time.timestamp() * 1000,
            "Tags": {tag["Key"]: tag["Value"] for tag in endpoint.tags},
        },
        [endpoint.arn],
    )


def model_package_changed(cloud: Cloud, package: Any, updated: list[str]) -> None:
    """Tell of a created package (`updated` is empty) or of one whose named fields were changed."""
    detail: dict[str, Any] = {
        "ModelPackageGroupName": package.model_package_group_name,
        "ModelPackageName": package.arn.partition("/")[2],
        "ModelPackageVersion": package.model_package_version,
        "ModelPackageArn": package.arn,
        "ModelPackageDescription": package.model_package_description,
        "CreationTime": timestamp(package.creation_time),
        "ModelPackageStatus": package.model_package_status,
        "ModelPackageStatusDetails": package.model_package_status_details,
        "InferenceSpecification": package.inference_specification,
        "ModelApprovalStatus": package.model_approval_status,
        "ApprovalDescription": package.approval_description,
        "ModelMetrics": package.model_metrics,
        "CustomerMetadataProperties": package.customer_metadata_properties,
        "CreatedBy": package.created_by,
    }
    if updated:
        detail["UpdatedModelPackageFields"] = updated
        detail["LastModifiedTime"] = timestamp(package.last_modified_time)
        detail["LastModifiedBy"] = package.last_modified_by
    emit(
        cloud,
        "SageMaker Model Package State Change",
        {key: value for key, value in detail.items() if value is not None},
        [package.arn],
    )
