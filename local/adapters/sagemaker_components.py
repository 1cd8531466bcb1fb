"""Inference components: models that share an endpoint's instances, each a process of its own, asked by its name."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from local.adapters.sagemaker_actions import Request, answer, backend, invalid, refuse
from local.adapters.sagemaker_containers import container_of, served_model, started, unhealthy, unserved
from local.cloud import ACCOUNT_ID, Cloud
from local.models.host import Host

# Of a specification; the others change which instances a component gets, or what it begins with.
_CARRIED_OUT = {"ModelName", "Container", "ComputeResourceRequirements", "StartupParameters"}


@dataclass
class Component:
    """One inference component."""

    name: str
    arn: str
    endpoint_name: str
    endpoint_arn: str
    variant: str
    specification: dict[str, Any]
    tags: list[dict[str, str]]
    status: str = "Creating"
    reason: str | None = None
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))
    host: Host | None = None

    def change(self, status: str) -> None:
        self.status, self.modified = status, datetime.now(UTC)

    def summary(self) -> dict[str, Any]:
        return {
            "InferenceComponentName": self.name,
            "InferenceComponentArn": self.arn,
            "EndpointName": self.endpoint_name,
            "EndpointArn": self.endpoint_arn,
            "VariantName": self.variant,
            "InferenceComponentStatus": self.status,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
        }

    def description(self) -> dict[str, Any]:
        described = self.summary() | {
            "Specification": {key: self.specification[key] for key in _DESCRIBED if key in self.specification},
            "RuntimeConfig": {"DesiredCopyCount": 1, "CurrentCopyCount": int(self.status == "InService")},
        }
        return described | ({} if self.reason is None else {"FailureReason": self.reason})


# In a description a container has other keys than in a request.
_DESCRIBED = _CARRIED_OUT - {"Container"}


class Components:
    """The inference components of a cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._components: dict[str, Component] = {}
        self._lock = threading.Lock()

    def install(self) -> None:
        """Answer the actions; moto has none of them."""
        for action in ("create", "describe", "delete"):
            answer(f"{action}_inference_component", getattr(self, action), missing_in_moto=True)
        answer("list_inference_components", self.list_components, missing_in_moto=True)

    def of(self, endpoint_name: str) -> list[str]:
        """Names of an endpoint's components."""
        return [item.name for item in list(self._components.values()) if item.endpoint_name == endpoint_name]

    def in_service(self, name: str, endpoint_name: str) -> tuple[Host, str] | None:
        """The process that serves a component of the endpoint, and the variant; None where nothing does."""
        found = self._components.get(name)
        if found is None or found.endpoint_name != endpoint_name or found.status != "InService" or found.host is None:
            return None
        return found.host, found.variant

    def create(self, request: Request) -> dict[str, Any]:
        name, specification = request["InferenceComponentName"], request["Specification"]
        refuse(request, "Specifications")
        if unknown := sorted(set(specification) - _CARRIED_OUT):
            raise invalid(f"The local cloud does not carry out {', '.join(unknown)} of an inference component")
        if request["RuntimeConfig"].get("CopyCount") != 1:
            raise invalid("The local cloud serves an inference component by exactly one copy")
        endpoint = backend(self._cloud).endpoints.get(request["EndpointName"])
        if endpoint is None or endpoint.endpoint_status != "InService":
            raise invalid(f'Endpoint "{request["EndpointName"]}" is not there, or not in service.')
        variant = endpoint.production_variants[0]["VariantName"]
        if request["VariantName"] != variant:
            raise invalid(f'Could not find variant "{request["VariantName"]}".')
        if not endpoint.takes_components:
            raise invalid(f'Variant "{variant}" is served by a model and takes no inference components.')
        container = self._container(specification)
        arn = f"arn:aws:sagemaker:{self._cloud.settings.region}:{ACCOUNT_ID}:inference-component/{name.lower()}"
        component = Component(
            name, arn, endpoint.endpoint_name, endpoint.arn, variant, specification, request.get("Tags", [])
        )
        with self._lock:
            if name in self._components:
                raise invalid(f'Cannot create already existing inference component "{arn}".')
            self._components[name] = component
        self._cloud.submit(self._start, component, container)
        return {"InferenceComponentArn": arn}

    def describe(self, request: Request) -> dict[str, Any]:
        return self._find(request).description()

    def list_components(self, request: Request) -> dict[str, Any]:
        part, endpoint, status = (request.get(key) for key in ("NameContains", "EndpointNameEquals", "StatusEquals"))
        found = [
            item.summary()
            for item in list(self._components.values())
            if (part or "") in item.name and endpoint in (None, item.endpoint_name) and status in (None, item.status)
        ]
        page, more = request.page(found)
        return {"InferenceComponents": page, **more}

    def delete(self, request: Request) -> dict[str, Any]:
        component = self._find(request)
        with self._lock:
            if component.status == "Deleting":
                return {}
            component.change("Deleting")
        self._cloud.submit(self._end, component)
        return {}

    def _find(self, request: Request) -> Component:
        name = request["InferenceComponentName"]
        found = self._components.get(name)
        if found is None:
            raise invalid(f'Could not find inference component "{name}".')
        return found

    def _container(self, specification: dict[str, Any]) -> dict[str, Any]:
        if "ModelName" in specification:
            model = backend(self._cloud)._models.get(specification["ModelName"])
            if model is None:
                raise invalid(f'Could not find model "{specification["ModelName"]}".')
            return container_of(model)
        container = dict(specification.get("Container") or {})
        if "ArtifactUrl" in container:
            container["ModelDataUrl"] = container.pop("ArtifactUrl")
        return container

    def _start(self, component: Component, container: dict[str, Any]) -> None:
        """Bring a component into service, or say why it cannot be; what was deleted meanwhile stays deleted."""
        model, artefact = served_model(container, self._cloud.settings.region)

        def start() -> Host | None:
            with self._lock:
                if component.status == "Creating":
                    component.host = Host(self._cloud, str(model), f"component-{component.name}", artefact)
            return component.host

        host, reason = (None, unserved(container, component.name)) if model is None else started(start, artefact)
        with self._lock:
            if component.status != "Creating" or self._cloud.stopping.is_set():
                return
            component.change("Failed" if reason else "InService")
            if reason:
                component.reason, component.host = unhealthy(component.variant, reason), None
        if host and reason:
            host.end()

    def _end(self, component: Component) -> None:
        if component.host:
            component.host.end()
        with self._lock:
            self._components.pop(component.name, None)
