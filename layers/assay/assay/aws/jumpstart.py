"""JumpStart models, deployed through the SDK, which knows their images, artefacts and environments."""

from __future__ import annotations

import re
from typing import Any

from assay.contracts.config import ModelSection


def training_job_name(model_name: str, evaluation_id: str) -> str:
    """A name that only this model of this evaluation has; its prefix is the one that the steps' role may create."""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", model_name)[:30].strip("-")
    return f"pipelines-{evaluation_id[:12]}-{stem}"


def train(
    model: ModelSection,
    *,
    job_name: str,
    role_arn: str,
    bucket: str,
    tags: list[dict[str, str]],
    max_seconds: int,
    session: Any = None,
) -> str:
    """Fine-tune a JumpStart model as its config says, and wait until the training job has ended.

    Returns:
        The model version that JumpStart resolved, such as `1.0.0`.

    Raises:
        Exception: whatever the SDK raises for a model that cannot be tuned, wrong data, a quota or a failed job.
    """
    from sagemaker.jumpstart.enums import JumpStartScriptScope
    from sagemaker.jumpstart.estimator import JumpStartEstimator
    from sagemaker.jumpstart.utils import verify_model_region_and_return_specs
    from sagemaker.session import Session

    tuning = model.finetuning_config
    if model.model_id is None or tuning is None:
        raise ValueError(f"model {model.name!r} names nothing to fine-tune")
    channels = {"training": tuning.train_data_path, "validation": tuning.validation_data_path}
    estimator = JumpStartEstimator(
        model_id=model.model_id,
        model_version=model.model_version,
        instance_type=tuning.parameters.instance_type,
        instance_count=tuning.parameters.num_instances,
        hyperparameters=tuning.parameters.hyperparameters(),
        role=role_arn,
        output_path=f"s3://{bucket}/pipelines/{job_name}",
        environment={"accept_eula": "true"} if _eula_accepted(model) else None,
        max_run=max_seconds,
        tags=tags,
        sagemaker_session=session or Session(),
    )
    inputs = {name: _uri(path, bucket) for name, path in channels.items() if path is not None}
    estimator.fit(inputs, job_name=job_name, wait=True, logs=False)
    resolved = verify_model_region_and_return_specs(
        model_id=model.model_id,
        version=model.model_version,
        scope=JumpStartScriptScope.TRAINING,
        region=estimator.sagemaker_session.boto_region_name,
        sagemaker_session=estimator.sagemaker_session,
    )
    return str(resolved.version)


def create_endpoint(
    model: ModelSection,
    *,
    endpoint_name: str,
    role_arn: str,
    tags: list[dict[str, str]],
    training_job: str | None = None,
    session: Any = None,
) -> str:
    """Start creating model, endpoint configuration and endpoint, all under the endpoint's name. Does not wait.

    Args:
        training_job: the job that tuned the model; what it made is deployed. `model_version` is then the one that
            `train` gave.

    Returns:
        The model version that JumpStart resolved, such as `1.0.0`.

    Raises:
        Exception: whatever the SDK raises for an unknown model, a refused EULA or a quota.
    """
    from sagemaker.jumpstart.model import JumpStartModel
    from sagemaker.session import Session

    if model.model_id is None or model.deployment_config is None:
        raise ValueError(f"model {model.name!r} names no JumpStart model")
    if training_job is not None:
        return _deploy_tuned(model, training_job, endpoint_name, role_arn, tags, session)
    jumpstart = JumpStartModel(
        model_id=model.model_id,
        model_version=model.model_version,
        instance_type=model.deployment_config.preferred_instance_type,
        role=role_arn,
        name=endpoint_name,
        sagemaker_session=session or Session(),
    )
    jumpstart.deploy(
        endpoint_name=endpoint_name,
        initial_instance_count=model.deployment_config.num_instances,
        instance_type=model.deployment_config.preferred_instance_type,
        accept_eula=_eula_accepted(model),
        tags=tags,
        wait=False,
    )
    return str(jumpstart.model_version)


def _deploy_tuned(
    model: ModelSection, training_job: str, endpoint_name: str, role_arn: str, tags: list[dict[str, str]], session: Any
) -> str:
    from sagemaker.jumpstart.estimator import JumpStartEstimator
    from sagemaker.session import Session

    if model.deployment_config is None:
        raise ValueError(f"model {model.name!r} has no `deployment_config`")
    estimator = JumpStartEstimator.attach(
        training_job,
        model_id=model.model_id,
        model_version=model.model_version,
        sagemaker_session=session or Session(),
    )
    estimator.deploy(
        endpoint_name=endpoint_name,
        model_name=endpoint_name,
        initial_instance_count=model.deployment_config.num_instances,
        instance_type=model.deployment_config.preferred_instance_type,
        role=role_arn,
        tags=tags,
        wait=False,
    )
    return str(estimator.model_version)


def _eula_accepted(model: ModelSection) -> bool:
    return bool(model.evaluation_config.custom_attributes.get("accept_eula", False))


def _uri(path: str, bucket: str) -> str:
    return path if path.startswith("s3://") else f"s3://{bucket}/{path}"
