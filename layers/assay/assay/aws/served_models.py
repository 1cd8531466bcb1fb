"""What serves behind an endpoint, as SageMaker tells it."""

from __future__ import annotations

import re
from typing import Any

import boto3

from assay.aws.faults import transient_faults
from assay.contracts.served_model import ServedModel

# `HF_TOKEN`, and not `MAX_TOTAL_TOKENS`.
_SECRET = re.compile(r"(^|_)(TOKEN|SECRET|PASSWORD|CREDENTIALS?|API_KEY|ACCESS_KEY)$", re.IGNORECASE)


@transient_faults()
def served_model(endpoint_name: str, training_job: str | None = None, client: Any = None) -> ServedModel | None:
    """Image and artefact behind an endpoint; None where it is not one container of one model.

    Args:
        training_job: the job that tuned it.
        client: a boto3 SageMaker client; one of its own by default.
    """
    sagemaker = client if client is not None else boto3.client("sagemaker")
    endpoint = sagemaker.describe_endpoint(EndpointName=endpoint_name)
    config = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    variants = config["ProductionVariants"]
    if len(variants) != 1 or "ModelName" not in variants[0]:
        return None
    model = sagemaker.describe_model(ModelName=variants[0]["ModelName"])
    containers = model.get("Containers") or [model.get("PrimaryContainer") or {}]
    if len(containers) != 1 or "Image" not in containers[0]:
        return None
    container = containers[0]
    environment = container.get("Environment", {})
    return ServedModel(
        image=container["Image"],
        model_data_url=container.get("ModelDataUrl"),
        model_data_source=container.get("ModelDataSource"),
        # It is written to S3 and to the registry, where more people read than may see a secret.
        environment={name: value for name, value in environment.items() if not _SECRET.search(name)},
        withheld=sorted(name for name in environment if _SECRET.search(name)),
        instance_type=variants[0].get("InstanceType"),
        training_job=training_job,
    )
