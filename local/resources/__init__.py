"""The CloudFormation resource types that the local cloud carries out, by service."""

from __future__ import annotations

from local.resources import compute, custom, events, messaging, operations, storage
from local.resources.resource import Resource

RESOURCES: dict[str, type[Resource]] = {
    kind.type_name: kind
    for module in (compute, custom, events, messaging, operations, storage)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Resource) and kind.type_name
}
