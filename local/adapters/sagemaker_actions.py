"""How an adapter answers a SageMaker action itself: moto's dispatcher looks a method up by the action's name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.sagemaker import models, responses
from moto.sagemaker.exceptions import ValidationError

from local.cloud import ACCOUNT_ID, Cloud, LocalCloudError, require

SageMakerResponse = require(responses, "SageMakerResponse")
BACKENDS = require(models, "sagemaker_backends")
Answer = Callable[["Request"], dict[str, Any]]
LARGEST_PAGE = 100


class ResourceNotFoundError(ServiceException):  # type: ignore[misc]
    code = "ResourceNotFound"


class ConflictError(ServiceException):  # type: ignore[misc]
    code = "ConflictException"


class ResourceLimitExceededError(ServiceException):  # type: ignore[misc]
    code = "ResourceLimitExceeded"


class Request:
    """The parameters of one call, typed as the API's model says."""

    def __init__(self, response: Any) -> None:
        self._response = response

    def get(self, name: str, default: Any = None) -> Any:
        value = self._response._get_param(name)
        return default if value is None else value

    def __getitem__(self, name: str) -> Any:
        value = self.get(name)
        if value is None:
            raise invalid(f"Missing required parameter {name!r}")
        return value

    def page(self, items: Sequence[Any]) -> tuple[list[Any], dict[str, str]]:
        """Return the asked page of `items`, and the token of the next one as a part of the answer."""
        token = self.get("NextToken", "0")
        size = int(self.get("MaxResults", LARGEST_PAGE))
        if not str(token).isdigit() or not 1 <= size <= LARGEST_PAGE:
            raise invalid(f"Invalid pagination token {token!r} or page size {size}")
        end = int(token) + size
        return list(items[int(token) : end]), {"NextToken": str(end)} if end < len(items) else {}


def refuse(request: Request, *names: str) -> None:
    """Refuse a request with parameters that change what happens in AWS and would change nothing here."""
    given = [name for name in names if request.get(name)]
    if given:
        raise invalid(f"The local cloud does not carry out {', '.join(given)}")


def invalid(message: str) -> ServiceException:
    """Return AWS's answer to a request that it refuses."""
    return ValidationError(message=message)


def backend(cloud: Cloud) -> Any:
    """Return moto's SageMaker state of the cloud's region."""
    return BACKENDS[ACCOUNT_ID][cloud.settings.region]


def answer(action: str, handler: Answer, *, missing_in_moto: bool = False) -> None:
    """Answer `action` (in snake case) with `handler` instead of moto.

    Raises:
        LocalCloudError: moto no longer has what is replaced, or now has what is added.
    """
    present = getattr(SageMakerResponse, action, None)
    ours = getattr(present, "is_local", False)
    if missing_in_moto and present is not None and not ours:
        raise LocalCloudError(f"SageMakerResponse now has {action!r}: this adapter was written for moto 5.2.5")
    if not missing_in_moto:
        require(SageMakerResponse, action)

    def respond(self: Any) -> ActionResult:
        return ActionResult(handler(Request(self)))

    respond.is_local = True  # type: ignore[attr-defined]
    setattr(SageMakerResponse, action, respond)
