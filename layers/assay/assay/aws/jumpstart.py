"""JumpStart models, deployed through the SDK, which knows their images, artefacts and environments."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from assay.aws.deployment import served_by
from assay.contracts.config import ModelSection
from assay.contracts.results import Training


class TrainingFailedError(Exception):
    """A training job made no model; the message is SageMaker's reason."""


def training_job_name(model_name: str, evaluation_id: str) -> str:
    """A name that only this model of this evaluation has; its prefix is the one that the steps' role may create."""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", model_name)[:26].strip("-")
    return f"pipelines-{evaluation_id[:12]}-{stem}-{hashlib.sha256(model_name.encode()).hexdigest()[:8]}"


def train(
    model: ModelSection,
    channels: Mapping[str, str],
    *,
    job_name: str,
    role_arn: str,
    bucket: str,
    tags: list[dict[str, str]],
    session: Any = None,
) -> tuple[str, Training]:
    """Fine-tune a JumpStart model as its config says, and wait until the training job has ended.

    A job of that name that is there already is waited for instead: a step that is started again pays for no second one.

    Args:
        channels: S3 URI of the data by channel, `training` and perhaps `validation`.
        bucket: where the job's output goes, and its checkpoints unless they have a URI.

    Returns:
        The model version that JumpStart resolved, such as `1.0.0`, and the job. Its examples are not known here.

    Raises:
        TrainingFailedError: the job failed, or was stopped before its end.
        Exception: whatever the SDK raises for a model that cannot be tuned, wrong parameters or a quota.
    """
    from sagemaker.session import Session

    tuning = model.finetuning_config
    if model.model_id is None or tuning is None:
        raise ValueError(f"model {model.name!r} names nothing to fine-tune")
    session = session or Session()
    version = _resolved_version(model, session)
    if not _exists(session.sagemaker_client, job_name):
        _estimator(model, version, role_arn, bucket, tags, session).fit(dict(channels), job_name=job_name, wait=False)
    return version, _ended(session, job_name)


def _estimator(
    model: ModelSection,
    version: str,
    role_arn: str,
    bucket: str,
    tags: list[dict[str, str]],
    session: Any,
) -> Any:
    from sagemaker.jumpstart.estimator import JumpStartEstimator

    assert model.finetuning_config is not None
    parameters = model.finetuning_config.parameters
    checkpoint = parameters.checkpoint_s3_uri
    return JumpStartEstimator(
        model_id=model.model_id,
        model_version=version,
        instance_type=parameters.instance_type,
        instance_count=parameters.num_instances,
        hyperparameters=parameters.hyperparameters(),
        role=role_arn,
        output_path=f"s3://{bucket}/pipelines",
        environment={"accept_eula": "true"} if _eula_accepted(model) else None,
        max_run=parameters.seconds,
        use_spot_instances=parameters.use_spot,
        max_wait=(parameters.max_wait or parameters.seconds) if parameters.use_spot else None,
        checkpoint_s3_uri=None if checkpoint is None else s3_uri(checkpoint, bucket),
        tags=tags,
        sagemaker_session=session,
    )


def _specification(model: ModelSection, scope: str, session: Any) -> Any:
    from sagemaker.jumpstart.enums import JumpStartScriptScope
    from sagemaker.jumpstart.utils import verify_model_region_and_return_specs

    return verify_model_region_and_return_specs(
        model_id=model.model_id,
        version=model.model_version,
        scope=JumpStartScriptScope(scope),
        region=session.boto_region_name,
        sagemaker_session=session,
    )


def _resolved_version(model: ModelSection, session: Any) -> str:
    resolved = _specification(model, "training", session)
    if not resolved.training_supported:
        raise ValueError(f"JumpStart's model {model.model_id} {resolved.version} does not support training")
    return str(resolved.version)


def _exists(client: Any, job_name: str) -> bool:
    try:
        client.describe_training_job(TrainingJobName=job_name)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ValidationException", "ResourceNotFound"):
            return False
        raise
    return True


def _ended(session: Any, job_name: str) -> Training:
    """Wait for a job's end. The SDK raises for a job that failed, and only warns of one that was stopped."""
    from sagemaker.exceptions import UnexpectedStatusException

    try:
        session.wait_for_job(job_name)
    except UnexpectedStatusException as error:
        job = session.sagemaker_client.describe_training_job(TrainingJobName=job_name)
        raise TrainingFailedError(f"training job {job_name}: {job.get('FailureReason') or error}") from error
    job = session.sagemaker_client.describe_training_job(TrainingJobName=job_name)
    if job["TrainingJobStatus"] != "Completed":
        raise TrainingFailedError(f"training job {job_name} was stopped before its end: {job['SecondaryStatus']}")
    return Training(
        job=job_name,
        artefact_uri=job["ModelArtifacts"]["S3ModelArtifacts"],
        instance_type=job["ResourceConfig"]["InstanceType"],
        metrics={item["MetricName"]: float(item["Value"]) for item in job.get("FinalMetricDataList", [])},
        billable_seconds=job.get("BillableTimeInSeconds"),
    )


def create_endpoint(
    model: ModelSection,
    *,
    endpoint_name: str,
    role_arn: str,
    bucket: str,
    tags: list[dict[str, str]],
    asynchronous_uri: str,
    training_job: str | None = None,
    session: Any = None,
) -> str:
    """Start creating model, endpoint configuration and endpoint, all under the endpoint's name. Does not wait.

    Args:
        bucket: where the SDK lays a model's code, below `pipelines/`, for a model that has no prepacked artefact.
        asynchronous_uri: below which an asynchronous endpoint lays its answers and failures.
        training_job: the job that tuned the model; what it made is deployed. `model_version` is then the one that
            `train` gave.

    Returns:
        The model version that JumpStart resolved, such as `1.0.0`.

    Raises:
        Exception: whatever the SDK raises for an unknown model, a refused EULA or a quota.
    """
    from sagemaker.jumpstart.model import JumpStartModel
    from sagemaker.session import Session

    # Without a bucket the SDK takes the account's default one, and creates it.
    session = session or Session(default_bucket=bucket, default_bucket_prefix="pipelines")
    if model.model_id is None or model.deployment_config is None:
        raise ValueError(f"model {model.name!r} names no JumpStart model")
    served = served_by(model.deployment_config, asynchronous_uri)
    if training_job is not None:
        return _deploy_tuned(model, training_job, endpoint_name, role_arn, tags, session, served)
    jumpstart = JumpStartModel(
        model_id=model.model_id,
        model_version=model.model_version,
        # Its image and environment depend on the type; a serverless endpoint takes those of the model's default.
        instance_type=next(iter(model.deployment_config.instance_types), None),
        role=role_arn,
        name=endpoint_name,
        sagemaker_session=session,
    )
    jumpstart.deploy(
        endpoint_name=endpoint_name,
        accept_eula=_eula_accepted(model),
        tags=tags,
        wait=False,
        **served,
    )
    # The SDK's model says `*` again where its cache answered: in the second attempt of a process.
    return str(_specification(model, "inference", jumpstart.sagemaker_session).version)


def _deploy_tuned(
    model: ModelSection,
    training_job: str,
    endpoint_name: str,
    role_arn: str,
    tags: list[dict[str, str]],
    session: Any,
    served: dict[str, Any],
) -> str:
    from sagemaker.jumpstart.estimator import JumpStartEstimator

    estimator = JumpStartEstimator.attach(
        training_job,
        model_id=model.model_id,
        model_version=model.model_version,
        sagemaker_session=session,
    )
    estimator.deploy(
        endpoint_name=endpoint_name,
        model_name=endpoint_name,
        role=role_arn,
        tags=tags,
        wait=False,
        **served,
    )
    return str(estimator.model_version)


def _eula_accepted(model: ModelSection) -> bool:
    return bool(model.evaluation_config.custom_attributes.get("accept_eula", False))


def s3_uri(path: str, bucket: str) -> str:
    """A path of a config as an S3 URI; a key is one of the stack's bucket."""
    return path if path.startswith("s3://") else f"s3://{bucket}/{path}"
