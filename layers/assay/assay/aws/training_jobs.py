"""The training jobs of an evaluation that failed or was stopped: none goes on, and costs, for nobody."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.exceptions import ClientError

from assay.aws.faults import transient_faults
from assay.aws.jumpstart import training_job_name
from assay.contracts.config import SuiteConfig

_NOT_THERE = ("ValidationException", "ResourceNotFound")


@transient_faults()
def stop_training_jobs(config: SuiteConfig, evaluation_id: str, client: Any = None) -> list[str]:
    """Stop each training job of the evaluation that still runs, and name those that were stopped.

    Their names are the evaluation's own, so that nobody else's can be meant. What has ended is left as it is.

    Raises:
        TransientError: SageMaker did not answer; calling again may.
    """
    sagemaker = client if client is not None else boto3.client("sagemaker")
    stopped = []
    for group in dict.fromkeys(model.endpoint_group for model in config.models if model.finetuning_config):
        name = training_job_name(group, evaluation_id)
        try:
            if sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "InProgress":
                sagemaker.stop_training_job(TrainingJobName=name)
                stopped.append(name)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _NOT_THERE:
                raise
    return stopped
