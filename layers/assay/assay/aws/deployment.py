"""What serves an endpoint, in the SDK's words."""

from __future__ import annotations

from typing import Any

from assay.contracts.deployment_section import DeploymentSection

# The service's and its failure reasons' words for: not this instance type, not now.
_NO_ROOM = (
    "ResourceLimitExceeded",
    "InsufficientInstanceCapacity",
    "Unable to provision requested ML compute capacity",
)


def served_by(deployment: DeploymentSection, asynchronous_uri: str) -> dict[str, Any]:
    """Arguments of the SDK's `deploy`: instances, with or without a queue, or serverless inference.

    Args:
        asynchronous_uri: below which an asynchronous endpoint lays its answers and failures.
    """
    from sagemaker.async_inference import AsyncInferenceConfig
    from sagemaker.serverless import ServerlessInferenceConfig

    if (serverless := deployment.serverless) is not None:
        config = ServerlessInferenceConfig(
            memory_size_in_mb=serverless.memory_mb, max_concurrency=serverless.max_concurrency
        )
        return {"serverless_inference_config": config}
    instances: dict[str, Any] = {
        "instance_type": deployment.preferred_instance_type,
        "initial_instance_count": deployment.num_instances,
    }
    if (asynchronous := deployment.asynchronous) is not None:
        # Without both paths the SDK takes the account's default bucket, and creates it.
        instances["async_inference_config"] = AsyncInferenceConfig(
            output_path=f"{asynchronous_uri}/answers",
            failure_path=f"{asynchronous_uri}/failures",
            max_concurrent_invocations_per_instance=asynchronous.max_concurrent_invocations,
        )
    return instances


def no_room(reason: str) -> bool:
    """Whether a reason says that AWS has no quota or no capacity for the instance type, so another one may do."""
    return any(words in reason for words in _NO_ROOM)
