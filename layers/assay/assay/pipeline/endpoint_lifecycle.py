"""The endpoint of a model, as a step finds, creates and releases it. AWS is opened here, as in the steps."""

from __future__ import annotations

import logging
import time
from typing import Any, NamedTuple

from assay.contracts.config import ModelSection
from assay.contracts.serving import Serving

logger = logging.getLogger("assay.steps")


def is_to_be_created(
    endpoints: Any, name: str, model: ModelSection, identity: str, evaluation_id: str, seconds: float
) -> bool:
    """Whether there is no endpoint to use. One that is named after its evaluation is nobody else's."""
    from assay.aws import runtime
    from assay.aws.endpoint_users import EndpointUsers
    from assay.pipeline.sharing import is_shared, must_create

    if model.deployment_config is None:
        return False
    if is_shared(model):
        users = EndpointUsers(runtime.evaluations_table())
        return must_create(endpoints, users, name, model, identity, evaluation_id, seconds)
    if endpoints.status(name) in {"InService", "Creating"}:
        return False
    endpoints.release(name, evaluation_id)
    return True


def identity_of(model: ModelSection, training_job: str | None = None) -> str:
    """Which model an endpoint serves, as a tag's value (at most 256 characters); of a tuned one also by which job."""
    tuned = "" if training_job is None else f":{training_job}"
    source = model.huggingface_config.model_data or model.model_id
    return f"{source}:{model.model_version.replace('*', 'latest')}"[: 256 - len(tuned)] + tuned


class Creation(NamedTuple):
    """What an endpoint is created with, besides the model.

    Attributes:
        asynchronous_uri: below which an endpoint with a queue lays its answers and failures.
    """

    name: str
    evaluation_id: str
    bucket: str
    tags: list[dict[str, str]]
    role_arn: str
    training_job: str | None
    asynchronous_uri: str


def bring_up(endpoints: Any, creation: Creation, model: ModelSection, seconds: float) -> str:
    """Create the endpoint and wait until it is in service, on the first instance type that AWS has room for.

    Returns:
        The model's version.

    Raises:
        EndpointFailedError: there is no room for any, or it failed for another reason, or `seconds` passed.
    """
    from assay.aws.deployment import no_room
    from assay.aws.endpoints import EndpointFailedError

    end = time.monotonic() + seconds
    types = () if model.deployment_config is None else model.deployment_config.instance_types
    refusals: list[str] = []
    for instance_type in types or (None,):
        left = end - time.monotonic()
        if refusals and (left <= 0 or not endpoints.wait_gone(creation.name, left)):
            break
        try:
            endpoints.release(creation.name, creation.evaluation_id)
            version = _create(creation, _on(model, instance_type), int(max(60, left)))
            endpoints.wait_in_service(creation.name, left)
        except EndpointFailedError as error:
            refusals.append(f"{instance_type}: {error}" if len(types) > 1 else str(error))
            if not no_room(str(error)):
                break
            logger.warning("no room for endpoint %s on %s", creation.name, instance_type)
            endpoints.release(creation.name, creation.evaluation_id)
        else:
            return version
    raise EndpointFailedError("; ".join(refusals))


def _on(model: ModelSection, instance_type: str | None) -> ModelSection:
    if model.deployment_config is None or instance_type is None:
        return model
    return model.model_copy(update={"deployment_config": model.deployment_config.on(instance_type)})


def _create(creation: Creation, model: ModelSection, seconds: int) -> str:
    from assay.aws import huggingface, jumpstart
    from assay.aws.endpoints import EndpointFailedError

    common: dict[str, Any] = {
        "endpoint_name": creation.name,
        "role_arn": creation.role_arn,
        "tags": creation.tags,
        "asynchronous_uri": creation.asynchronous_uri,
    }
    try:
        if model.provider == "huggingface":
            return huggingface.create_endpoint(model, **common, start_seconds=seconds)
        return jumpstart.create_endpoint(model, **common, bucket=creation.bucket, training_job=creation.training_job)
    except Exception as error:
        # The SDK and the service raise dozens of types here (unknown model, EULA, quota, capacity). Each means that
        # this model cannot be deployed, and none may cost the other models their evaluation.
        logger.exception("could not create endpoint %s", creation.name)
        raise EndpointFailedError(f"{type(error).__name__}: {error}") from error


def has_queue(found: Serving | None, name: str, model: ModelSection) -> bool:
    """Whether the endpoint, as it was found, is asynchronous.

    Raises:
        EndpointRefusedError: it is, and the model is one that a queue cannot reach.
    """
    from assay.pipeline.sharing import EndpointRefusedError

    if found is None or not found.asynchronous:
        return False
    if model.inference_component_name is not None:
        raise EndpointRefusedError(f"endpoint {name} is asynchronous, and its queue knows no inference components")
    return True


def release(endpoints: Any, name: str, model: ModelSection, evaluation_id: str) -> Any:
    """Delete an endpoint, or leave it to those who still use it (None)."""
    from assay.aws import runtime
    from assay.aws.endpoint_users import EndpointUsers
    from assay.pipeline.sharing import is_shared, release_shared

    if is_shared(model):
        return release_shared(endpoints, EndpointUsers(runtime.evaluations_table()), name, evaluation_id)
    return endpoints.release(name, evaluation_id)
