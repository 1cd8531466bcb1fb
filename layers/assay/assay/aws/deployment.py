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


def served_by(deployment: DeploymentSection) -> dict[str, Any]:
    """Arguments of the SDK's `deploy`: instances, or serverless inference."""
    from sagemaker.serverless import ServerlessInferenceConfig

    if (serverless := deployment.serverless) is not None:
        config = ServerlessInferenceConfig(
            memory_size_in_mb=serverless.memory_mb, max_concurrency=serverless.max_concurrency
        )
        return {"serverless_inference_config": config}
    return {
        "instance_type": deployment.preferred_instance_type,
        "initial_instance_count": deployment.num_instances,
    }


def no_room(reason: str) -> bool:
    """Whether a reason says that AWS has no quota or no capacity for the instance type, so another one may do."""
    return any(words in reason for words in _NO_ROOM)
