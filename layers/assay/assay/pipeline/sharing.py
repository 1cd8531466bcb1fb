"""An endpoint that a config gave a name may be there already, or be wanted by two evaluations at once.

It is reused when it serves what is wanted on what is wanted, refused with the reason when it does not, created by one
of those who want it when it is not there, and deleted by the last of them. What is not ours is never deleted.
"""

from __future__ import annotations

import fnmatch
import logging
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from assay.contracts.config import DeploymentSection, ModelSection
from assay.contracts.errors import AssayError
from assay.contracts.serving import Serving

logger = logging.getLogger("assay.sharing")
POLL_SECONDS = 5.0
Released_co = TypeVar("Released_co", covariant=True)


class EndpointRefusedError(AssayError):
    """The endpoint that is there cannot be used; the message says why."""


class Endpoints(Protocol[Released_co]):
    """The endpoints of an account."""

    def look(self, name: str, /) -> Serving | None: ...
    def release(self, name: str, evaluation_id: str, /) -> Released_co: ...


class Users(Protocol):
    """Which evaluations use a named endpoint; each question is answered to one asker at a time."""

    def join(self, name: str, evaluation_id: str, /) -> bool: ...
    def create(self, name: str, evaluation_id: str, /) -> bool: ...
    def leave(self, name: str, evaluation_id: str, /) -> bool: ...
    def forget(self, name: str, /) -> None: ...


def is_shared(model: ModelSection) -> bool:
    """Whether another evaluation could want the same endpoint: any but one that is named after its evaluation."""
    return model.deployment_config is not None and model.endpoint_name is not None


def must_create(
    endpoints: Endpoints[object],
    users: Users,
    name: str,
    model: ModelSection,
    identity: str,
    evaluation_id: str,
    seconds: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Join the users of an endpoint, and say whether this evaluation is to create it.

    Args:
        identity: `<model id>:<version>` and the training job of a tuned model, as its tag will say.
        seconds: how long to wait while another evaluation deletes or creates it.

    Raises:
        EndpointRefusedError: it serves something else, has failed, or was not free in time.
    """
    deadline = clock() + seconds
    while True:
        found = endpoints.look(name)
        if users.join(name, evaluation_id):
            if found is None:
                if users.create(name, evaluation_id):
                    return True
            elif found.status != "Deleting":
                if _is_ready(found, endpoints, name, model, identity, evaluation_id):
                    return False
                if found.evaluation_id == evaluation_id:  # its own, failed: it begins again
                    return True
        elif found is None:
            users.forget(name)  # whoever deleted it died before it could say so
        if clock() + POLL_SECONDS > deadline:
            raise EndpointRefusedError(f"endpoint {name} was not free after {seconds:.0f} s")
        sleep(POLL_SECONDS)


def release_shared(
    endpoints: Endpoints[Released_co], users: Users, name: str, evaluation_id: str
) -> Released_co | None:
    """Use an endpoint no more, and delete it as its last user; None while others use it."""
    if not users.leave(name, evaluation_id):
        return None
    found = endpoints.look(name)
    creator = evaluation_id if found is None or found.evaluation_id is None else found.evaluation_id
    released = endpoints.release(name, creator)
    users.forget(name)
    return released


def _is_ready(
    found: Serving,
    endpoints: Endpoints[object],
    name: str,
    model: ModelSection,
    identity: str,
    evaluation_id: str,
) -> bool:
    """Whether what is there can be used; False for one's own that has failed, which is released."""
    if found.evaluation_id == evaluation_id:
        if found.status in ("InService", "Creating"):
            return True
        endpoints.release(name, evaluation_id)
        return False
    if (clash := clash_of(found, model, identity)) is not None:
        whose = "is not ours" if found.evaluation_id is None else f"is evaluation {found.evaluation_id}'s"
        raise EndpointRefusedError(f"endpoint {name} {whose} and {clash}; choose another `endpoint_name`")
    logger.info("endpoint %s is there and serves what is wanted: reused", name)
    return True


def clash_of(found: Serving, model: ModelSection, identity: str) -> str | None:
    """Why an endpoint is not what a model asks for, None when it is."""
    deployment = model.deployment_config
    if deployment is None:
        raise ValueError(f"model {model.name!r} is not deployed")
    if found.status not in ("InService", "Creating", "Updating"):
        return f"is {found.status}"
    if not found.model:
        return "does not say which model it serves (`provider: endpoint` asks it as it is)"
    if found.model != identity and not _is_wanted(found.model, model, identity):
        return f"serves {found.model} and not {identity}"
    if found.asynchronous != (deployment.asynchronous is not None):
        return "is asynchronous" if found.asynchronous else "is not asynchronous"
    return _clash_of_instances(found, deployment)


def _clash_of_instances(found: Serving, deployment: DeploymentSection) -> str | None:
    if deployment.serverless is not None:
        return None if found.instance_type is None else f"runs on {found.instance_type} and is not serverless"
    if found.instance_type not in deployment.instance_types:
        wanted = " or ".join(deployment.instance_types)
        return f"runs on {found.instance_type or 'an unknown instance type'} and not on {wanted}"
    if found.instances != deployment.num_instances:
        return f"has {found.instances} instances and not {deployment.num_instances}"
    return None


def _is_wanted(served: str, model: ModelSection, identity: str) -> bool:
    """Whether a version that was resolved is one that the config's pattern takes; never so for a tuned model."""
    if identity.count(":") != 1 or served.count(":") != 1:
        return False
    model_id, _, version = served.partition(":")
    return model_id == model.model_id and fnmatch.fnmatchcase(version, model.model_version)
