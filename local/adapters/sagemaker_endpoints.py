"""Endpoints: creating one starts a process that serves the model, deleting it ends the process."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable
from typing import Any

import botocore.session
from moto.sagemaker import models

from local.adapters import sagemaker_events
from local.adapters.sagemaker_actions import (
    Request,
    ResourceLimitExceededError,
    answer,
    backend,
    invalid,
    refuse,
)
from local.adapters.sagemaker_components import Components
from local.adapters.sagemaker_containers import container_of, served_model, started, unhealthy, unserved
from local.cloud import ACCOUNT_ID, Cloud, LocalCloudError, require
from local.faults import FAULTS
from local.models.host import Host

FakeEndpoint = require(models, "FakeEndpoint")
FakeEndpointConfig = require(models, "FakeEndpointConfig")
Model = require(models, "Model")
require(FakeEndpointConfig, "validate_instance_type")

QUOTA_INSTANCES = 8


def install(cloud: Cloud) -> None:
    endpoints = Endpoints(cloud)
    FakeEndpointConfig.validate_instance_type = _validate_instance_type
    answer("create_model", endpoints.create_model)
    answer("list_models", endpoints.list_models)
    answer("create_endpoint_config", endpoints.create_config)
    answer("create_endpoint", endpoints.create)
    answer("delete_endpoint", endpoints.delete)
    endpoints.components.install()
    _INSTALLED[id(cloud)] = endpoints


def endpoints_of(cloud: Cloud) -> Endpoints:
    """Return the endpoints that were installed for `cloud`."""
    return _INSTALLED[id(cloud)]


@functools.lru_cache
def instance_types(shape_name: str = "ProductionVariantInstanceType") -> frozenset[str]:
    """Return every instance type that SageMaker hosts on, as the SDK's own model of the API lists them.

    `TrainingInstanceType` lists those that it trains on.
    """
    service = botocore.session.get_session().get_service_model("sagemaker")
    shape: Any = service.shape_for(shape_name)
    return frozenset(shape.enum)


def in_lower_case(arn: str) -> str:
    """The ARN as SageMaker writes it: MyEndpoint is `…:endpoint/myendpoint` (its sample events in the user guide)."""
    kind, _, name = arn.rpartition("/")
    return f"{kind}/{name.lower()}"


def _validate_instance_type(_: Any, instance_type: str) -> None:
    if instance_type not in instance_types():
        raise invalid(
            f"1 validation error detected: Value '{instance_type}' at 'productionVariants.1.member.instanceType' "
            "failed to satisfy constraint: Member must satisfy enum value set: an ml.* instance type"
        )


class NotServedError(Exception):
    """Nothing answers for an endpoint, or not in the way that it is asked; the message is SageMaker's."""


class Quotas:
    """Instances of each type that may serve endpoints at the same time."""

    def __init__(self) -> None:
        self._instances: dict[str, int] = {}

    def of(self, instance_type: str) -> int:
        return self._instances.get(instance_type, QUOTA_INSTANCES)

    def applied(self) -> dict[str, int]:
        """What was set; every other type has the default."""
        return dict(self._instances)

    def set(self, instance_type: str, instances: int) -> None:
        if instance_type not in instance_types():
            raise LocalCloudError(f"{instance_type} is no instance type of an endpoint")
        self._instances[instance_type] = instances

    def check(self, endpoints: Iterable[Any], variant: dict[str, Any]) -> None:
        """Refuse an endpoint as AWS does when its instances are more than the quota leaves."""
        instance_type, asked = _instances(variant)
        if instance_type is None:
            return  # a serverless endpoint has none
        used = sum(
            item.instances
            for item in endpoints
            if item.endpoint_status in ("Creating", "InService") and item.instance_type == instance_type
        )
        if used + asked > self.of(instance_type):
            raise ResourceLimitExceededError(
                f"The account-level service limit '{instance_type} for endpoint usage' is {self.of(instance_type)} "
                f"Instances, with current utilization of {used} Instances and a request delta of {asked} Instances. "
                "Please use AWS Service Quotas to request an increase for this quota."
            )


class Endpoints:
    """The endpoints of a cloud; moto keeps what describes them, this what runs."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._hosts: dict[str, Host] = {}
        self._lock = threading.Lock()
        self.quotas = Quotas()
        self.components = Components(cloud)

    def serving(self, name: str, component: str | None = None) -> tuple[Host, str]:
        """Return the process that serves an endpoint which is in service, and the name of its variant.

        Raises:
            NotServedError: nothing does, or only components do and none is named, or the other way round.
        """
        endpoint = backend(self._cloud).endpoints.get(name)
        if endpoint is None or endpoint.endpoint_status != "InService":
            raise NotServedError(f"Endpoint {name} of account {ACCOUNT_ID} not found.")
        if component is not None:
            found = self.components.in_service(component, name)
            if found is None:
                raise NotServedError(f"Inference Component {component} of endpoint {name} not found.")
            return found
        if endpoint.takes_components:
            raise NotServedError(f"Endpoint {name} is asked by an Inference Component Name, and there is none.")
        host = self._hosts.get(name)
        if host is None:
            raise NotServedError(f"Endpoint {name} of account {ACCOUNT_ID} not found.")
        return host, _variant(endpoint)

    def asynchronous(self, name: str) -> dict[str, Any] | None:
        """Return the AsyncInferenceConfig of an endpoint, and None of one that answers at once."""
        endpoint = backend(self._cloud).endpoints.get(name)
        return None if endpoint is None else endpoint.async_inference_config

    def create_model(self, request: Request) -> dict[str, Any]:
        state, name = backend(self._cloud), request["ModelName"]
        refuse(request, "InferenceExecutionConfig")
        if len(request.get("Containers", [])) > 1:
            raise invalid("The local cloud serves a model by exactly one container")
        with self._lock:
            if name in state._models:
                raise invalid(f'Cannot create already existing model "{state._models[name].arn}".')
            model = state.create_model(
                model_name=name,
                execution_role_arn=request["ExecutionRoleArn"],
                primary_container=request.get("PrimaryContainer"),
                vpc_config=request.get("VpcConfig"),
                containers=request.get("Containers"),
                tags=request.get("Tags"),
            )
            model.arn = in_lower_case(model.arn)
            model.enable_network_isolation = request.get("EnableNetworkIsolation", False)
        return {"ModelArn": model.arn}

    def list_models(self, request: Request) -> dict[str, Any]:
        part = request.get("NameContains", "")
        found = [model for model in list(backend(self._cloud)._models.values()) if part in model.model_name]
        by_name = request.get("SortBy") == "Name"
        found.sort(
            key=lambda model: model.model_name if by_name else model.creation_time,
            reverse=request.get("SortOrder") != "Ascending",
        )
        page, more = request.page(found)
        summaries = [
            {"ModelName": model.model_name, "ModelArn": model.arn, "CreationTime": model.creation_time}
            for model in page
        ]
        return {"Models": summaries, **more}

    def create_config(self, request: Request) -> dict[str, Any]:
        state, name = backend(self._cloud), request["EndpointConfigName"]
        if len(request["ProductionVariants"]) != 1:
            raise invalid("The local cloud serves an endpoint by exactly one production variant")
        refuse(request, "DataCaptureConfig", "ExplainerConfig", "ShadowProductionVariants")
        (variant,) = request["ProductionVariants"]
        if ("ModelName" in variant) == (request.get("ExecutionRoleArn") is not None):
            raise invalid(
                "A production variant is served by the model that it names, or, where its configuration has an "
                "ExecutionRoleArn, by inference components"
            )
        asynchronous = request.get("AsyncInferenceConfig")
        _check_asynchronous(asynchronous, variant)
        if "ServerlessConfig" in variant and ("InstanceType" in variant or "InitialInstanceCount" in variant):
            raise invalid("Serverless and instance-based settings exclude each other in a production variant")
        with self._lock:
            if name in state.endpoint_configs:
                arn = state.endpoint_configs[name].endpoint_config_arn
                raise invalid(f'Cannot create already existing endpoint configuration "{arn}".')
            if "ModelName" in variant:
                state.validate_production_variants([variant])
            config = state.endpoint_configs[name] = FakeEndpointConfig(
                account_id=ACCOUNT_ID,
                region_name=self._cloud.settings.region,
                endpoint_config_name=name,
                production_variants=request["ProductionVariants"],
                data_capture_config=None,
                async_inference_config=asynchronous,
                tags=request.get("Tags"),
                kms_key_id=request.get("KmsKeyId"),
            )
            # moto keeps a tuple in `arn`, which the tagging API then hands out.
            config.arn = config.endpoint_config_arn = in_lower_case(config.endpoint_config_arn)
        return {"EndpointConfigArn": config.endpoint_config_arn}

    def create(self, request: Request) -> dict[str, Any]:
        state, name = backend(self._cloud), request["EndpointName"]
        refuse(request, "DeploymentConfig")
        with self._lock:
            # Two names that differ by case only are one to CreateEndpoint.
            if taken := next((item for item in state.endpoints.values() if item.arn == _arn(self._cloud, name)), None):
                raise invalid(f'Cannot create already existing endpoint "{taken.arn}".')
            config = state.endpoint_configs.get(request["EndpointConfigName"])
            if config is None:
                raise invalid(f'Could not find endpoint configuration "{request["EndpointConfigName"]}".')
            self.quotas.check(state.endpoints.values(), config.production_variants[0])
            endpoint = FakeEndpoint(
                account_id=ACCOUNT_ID,
                region_name=self._cloud.settings.region,
                endpoint_name=name,
                endpoint_config_name=config.endpoint_config_name,
                production_variants=config.production_variants,
                data_capture_config=config.data_capture_config,
                tags=request.get("Tags"),
            )
            endpoint.arn = in_lower_case(endpoint.arn)
            endpoint.endpoint_status = "Creating"
            endpoint.async_inference_config = config.async_inference_config
            # What an endpoint shows of its variants says neither; its configuration may be gone before it.
            (variant,) = config.production_variants
            endpoint.instance_type, endpoint.instances = _instances(variant)
            endpoint.takes_components = "ModelName" not in variant
            state.endpoints[name] = endpoint
        sagemaker_events.endpoint_changed(self._cloud, endpoint, "Creating")
        self._cloud.submit(self._start, endpoint, config.production_variants[0].get("ModelName"))
        return {"EndpointArn": endpoint.arn}

    def delete(self, request: Request) -> dict[str, Any]:
        state, name = backend(self._cloud), request["EndpointName"]
        with self._lock:
            endpoint = state.endpoints.get(name)
            if endpoint is None:
                arn = FakeEndpoint.arn_formatter(name, ACCOUNT_ID, self._cloud.settings.region)
                raise invalid(f'Could not find endpoint "{arn}".')
            if endpoint.endpoint_status == "Deleting":
                return {}
            if components := self.components.of(name):
                raise invalid(f"Endpoint {name} has inference components: {', '.join(components)}. Delete them first.")
            endpoint.endpoint_status = "Deleting"
            endpoint.last_modified_time = models.utcnow()
        sagemaker_events.endpoint_changed(self._cloud, endpoint, "Deleting")
        self._cloud.submit(self._end, endpoint)
        return {}

    def _start(self, endpoint: Any, model_name: str | None) -> None:
        """Bring an endpoint into service, or say why it cannot be; what was deleted meanwhile stays deleted."""
        name = endpoint.endpoint_name
        host, reason = None, None
        if (fault := FAULTS.take("endpoint", name)) is not None:
            reason = fault.reason
        elif model_name is not None:
            host, reason = self._host(endpoint, model_name)
        with self._lock:
            if endpoint.endpoint_status != "Creating" or self._cloud.stopping.is_set():
                return
            endpoint.last_modified_time = models.utcnow()
            endpoint.endpoint_status = "Failed" if reason else "InService"
            if reason:
                endpoint.failure_reason = unhealthy(_variant(endpoint), reason)
                self._hosts.pop(name, None)
        if host and reason:
            host.end()
        sagemaker_events.endpoint_changed(self._cloud, endpoint, endpoint.endpoint_status)

    def _host(self, endpoint: Any, model_name: str) -> tuple[Host | None, str | None]:
        """The process of an endpoint that is served by a model, and why it is not healthy, where it is not."""
        model = backend(self._cloud)._models.get(model_name)
        container = {} if model is None else container_of(model)
        served, artefact = served_model(container, self._cloud.settings.region)
        if served is None:
            return None, unserved(container, model_name)

        def start() -> Host | None:
            with self._lock:
                if endpoint.endpoint_status != "Creating":
                    return None
                host = self._hosts[endpoint.endpoint_name] = Host(self._cloud, served, endpoint.endpoint_name, artefact)
                return host

        return started(start, artefact)

    def _end(self, endpoint: Any) -> None:
        with self._lock:
            host = self._hosts.pop(endpoint.endpoint_name, None)
        if host:
            host.end()
        with self._lock:
            backend(self._cloud).endpoints.pop(endpoint.endpoint_name, None)


def _check_asynchronous(config: dict[str, Any] | None, variant: dict[str, Any]) -> None:
    if config is None:
        return
    if "ServerlessConfig" in variant or "ModelName" not in variant:
        raise invalid("Asynchronous inference is for production variants of instances that are served by a model")
    if "S3OutputPath" not in config["OutputConfig"]:
        raise invalid("The local cloud needs an S3OutputPath: it has no default bucket")
    if "NotificationConfig" in config["OutputConfig"]:
        raise invalid("The local cloud does not carry out NotificationConfig")


def _arn(cloud: Cloud, name: str) -> str:
    return in_lower_case(FakeEndpoint.arn_formatter(name, ACCOUNT_ID, cloud.settings.region))


def _instances(variant: dict[str, Any]) -> tuple[str | None, int]:
    """Return the type and the number of a variant's instances, none of a serverless one's."""
    return variant.get("InstanceType"), int(variant.get("InitialInstanceCount", 0))


def _variant(endpoint: Any) -> str:
    return str(endpoint.production_variants[0]["VariantName"])


_INSTALLED: dict[int, Endpoints] = {}
