"""Whether the local cloud serves what a state machine calls: otherwise a Task would fail, or be retried, as it runs."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

from moto.core.responses import BaseResponse
from moto.core.utils import camelcase_to_underscores

from local.asl.check import states_of
from local.asl.resources import parse_resource
from local.cloud import LocalCloudError

_PACKAGES = {"lambda": "awslambda", "sagemaker-runtime": "sagemakerruntime"}
"""moto's package of a service, where it is not botocore's name of it."""


def unserved_actions(definition: dict[str, Any]) -> Iterator[str]:
    """Yield a fault for each Task of a checked definition whose action neither moto nor an adapter carries out."""
    for name, state in states_of(definition):
        if state["Type"] != "Task":
            continue
        integration = parse_resource(state["Resource"])
        action = camelcase_to_underscores(integration.operation.name)
        method = getattr(_response_class(integration.service), action, None)
        if method is None or getattr(method, "is_refusal", False):
            called = f"{integration.service}:{integration.operation.name}"
            yield f"state {name!r}, Resource: {called} is not carried out by the local cloud"


@functools.cache
def _response_class(service: str) -> type[Any]:
    module = importlib.import_module(f"moto.{_PACKAGES.get(service, service)}.responses")
    found = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, BaseResponse) and member.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise LocalCloudError(f"moto has {len(found)} classes that answer for {service}: this was written for 5.2.5")
    return found[0]
