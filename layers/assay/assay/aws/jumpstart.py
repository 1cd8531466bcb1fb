"""JumpStart models, deployed through the SDK, which knows their images, artefacts and environments."""

from __future__ import annotations

from typing import Any

from assay.contracts.config import ModelSection


def create_endpoint(
    model: ModelSection, *, endpoint_name: str, role_arn: str, tags: list[dict[str, str]], session: Any = None
) -> str:
    """Start creating model, endpoint configuration and endpoint, all under the endpoint's name. Does not wait.

    Returns:
        The model version that JumpStart resolved, such as `1.0.0`.

    Raises:
        Exception: whatever the SDK raises for an unknown model, a refused EULA or a quota.
    """
    from sagemaker.jumpstart.model import JumpStartModel

    if model.model_id is None or model.deployment_config is None:
        raise ValueError(f"model {model.name!r} names no JumpStart model")
    jumpstart = JumpStartModel(
        model_id=model.model_id,
        model_version=model.model_version,
        instance_type=model.deployment_config.instance_type,
        role=role_arn,
        name=endpoint_name,
        sagemaker_session=session,
    )
    jumpstart.deploy(
        endpoint_name=endpoint_name,
        initial_instance_count=model.deployment_config.num_instances,
        instance_type=model.deployment_config.instance_type,
        accept_eula=bool(model.evaluation_config.custom_attributes.get("accept_eula", False)),
        tags=tags,
        wait=False,
    )
    return str(jumpstart.model_version)
