"""What a container of SageMaker is served by here: a local JumpStart model, or a model's files by transformers."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from local.adapters.sagemaker_jumpstart import MODEL_VARIABLE, content_bucket
from local.models.host import Host

SAVED_MODEL = "saved-model"
LONGEST_REASON = 1024
# Repositories of the images that serve any language model: Text Generation Inference, and DJL's Large Model Inference.
LLM_CONTAINERS = ("huggingface-pytorch-tgi-inference", "djl-inference")


def container_of(model: Any) -> dict[str, Any]:
    """The one container of a model of moto's."""
    container: dict[str, Any] = model.primary_container or next(iter(model.containers), {})
    return container


def served_model(container: dict[str, Any], region: str) -> tuple[str | None, str | None]:
    """Return the server's name, and where its weights lie unless they are JumpStart's own, which are here."""
    served = (container.get("Environment") or {}).get(MODEL_VARIABLE)
    source = (container.get("ModelDataSource") or {}).get("S3DataSource", {}).get("S3Uri")
    data = container.get("ModelDataUrl") or source
    if data is not None and data.startswith(f"s3://{content_bucket(region)}/"):
        data = None
    if served is None and data is not None and _is_llm_container(container):
        served = SAVED_MODEL
    return served, data


def unserved(container: dict[str, Any], name: str) -> str:
    """Why there is nothing to serve a container with."""
    if _is_llm_container(container):
        wanted = (container.get("Environment") or {}).get("HF_MODEL_ID")
        return f"{wanted} would come from the Hugging Face hub, which the local cloud does not reach"
    return f"model {name!r} is not one of the local JumpStart models"


def started(start: Callable[[], Host | None], artefact: str | None) -> tuple[Host | None, str | None]:
    """Start a host, unless `start` finds that it is no longer wanted; and why it is not healthy, where it is not."""
    host = None
    try:
        host = start()
        return host, host.wait_until_healthy() if host else None
    except (ClientError, tarfile.TarError, OSError, EOFError) as error:
        return host, f"the model data {artefact} could not be fetched: {error}"


def unhealthy(variant: str, reason: str) -> str:
    """The reason as SageMaker puts it."""
    return (f"The primary container for production variant {variant} did not pass the ping health check: {reason}")[
        :LONGEST_REASON
    ]


def _is_llm_container(container: dict[str, Any]) -> bool:
    return any(f"/{name}:" in str(container.get("Image")) for name in LLM_CONTAINERS)
