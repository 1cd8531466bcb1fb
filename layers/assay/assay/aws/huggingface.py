"""Models of Hugging Face, served by TGI or by AWS's Large Model Inference container, through the SDK."""

from __future__ import annotations

from typing import Any

from assay.aws.deployment import served_by
from assay.contracts.config import ModelSection

ARTEFACT = "/opt/ml/model"
LONGEST_START_SECONDS = 3600
# How each container is told which revision of the hub's model to load.
_REVISION = {"tgi": "REVISION", "lmi": "OPTION_REVISION"}


def create_endpoint(
    model: ModelSection,
    *,
    endpoint_name: str,
    role_arn: str,
    tags: list[dict[str, str]],
    asynchronous_uri: str,
    start_seconds: int = LONGEST_START_SECONDS,
    session: Any = None,
) -> str:
    """Start creating model, endpoint configuration and endpoint, all under the endpoint's name. Does not wait.

    Args:
        asynchronous_uri: below which an asynchronous endpoint lays its answers and failures.
        start_seconds: how long weights may take to arrive, and the container to load them.

    Returns:
        The revision as the config gives it; `*` is whatever the hub has now. For an artefact it has no meaning.

    Raises:
        Exception: whatever the SDK and the service raise, such as for a quota.
    """
    from sagemaker.model import Model
    from sagemaker.session import Session

    if model.deployment_config is None:
        raise ValueError(f"model {model.name!r} has no `deployment_config`")
    session = session or Session()
    patience = min(start_seconds, LONGEST_START_SECONDS)
    # Not HuggingFaceModel: for code that there is none of it asks for, and creates, the account's default bucket.
    deployed = Model(
        name=endpoint_name,
        role=role_arn,
        image_uri=image_uri(model, session),
        env=environment(model),
        model_data=_model_data(model.huggingface_config.model_data),
        sagemaker_session=session,
    )
    deployed.deploy(
        endpoint_name=endpoint_name,
        container_startup_health_check_timeout=patience,
        model_data_download_timeout=patience,
        tags=tags,
        wait=False,
        **served_by(model.deployment_config, asynchronous_uri),
    )
    return model.model_version


def image_uri(model: ModelSection, session: Any) -> str:
    """The container's image in the session's region."""
    from sagemaker import image_uris
    from sagemaker.huggingface import get_huggingface_llm_image_uri

    version = model.huggingface_config.container_version
    if model.huggingface_config.container == "tgi":
        return str(get_huggingface_llm_image_uri("huggingface", session=session, version=version))
    # The SDK's helper knows only DJL's long superseded DeepSpeed image.
    return str(image_uris.retrieve("djl-lmi", region=session.boto_region_name, version=version or "latest"))


def environment(model: ModelSection) -> dict[str, str]:
    """The container's variables; those of the config come last."""
    config = model.huggingface_config
    variables = {"HF_MODEL_ID": ARTEFACT if config.model_data is not None else str(model.model_id)}
    if config.model_data is None and model.model_version != "*":
        variables[_REVISION[config.container]] = model.model_version
    if config.container == "tgi" and model.evaluation_config.request_format == "chat_completions":
        variables["MESSAGES_API_ENABLED"] = "true"
    return variables | {key: _plain(value) for key, value in config.environment.items()}


def _model_data(uri: str | None) -> Any:
    """An archive is unpacked by SageMaker; a folder is mounted as it is."""
    if uri is None or not uri.endswith("/"):
        return uri
    return {"S3DataSource": {"S3Uri": uri, "S3DataType": "S3Prefix", "CompressionType": "None"}}


def _plain(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
