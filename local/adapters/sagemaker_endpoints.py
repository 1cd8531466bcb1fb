"""Endpoints: creating one starts a process that serves the model, deleting it ends the process."""

from __future__ import annotations

import functools
import shutil
import socket
import tarfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from subprocess import Popen
from typing import Any

import botocore.session
import urllib3
from botocore.exceptions import ClientError
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
from local.adapters.sagemaker_jumpstart import MODEL_VARIABLE, content_bucket
from local.clients import client
from local.cloud import ACCOUNT_ID, Cloud, LocalCloudError, require
from local.faults import FAULTS
from local.models.serve import BACKLOG
from local.pipeline.job import download
from local.training import unpack

FakeEndpoint = require(models, "FakeEndpoint")
FakeEndpointConfig = require(models, "FakeEndpointConfig")
Model = require(models, "Model")
require(FakeEndpointConfig, "validate_instance_type")

START_SECONDS = 300.0
QUOTA_INSTANCES = 8
PING_SECONDS = 0.1
LONGEST_REASON = 1024
SAVED_MODEL = "saved-model"
# Repositories of the images that serve any language model: Text Generation Inference, and DJL's Large Model Inference.
LLM_CONTAINERS = ("huggingface-pytorch-tgi-inference", "djl-inference")


def install(cloud: Cloud) -> None:
    endpoints = Endpoints(cloud)
    FakeEndpointConfig.validate_instance_type = _validate_instance_type
    answer("create_model", endpoints.create_model)
    answer("list_models", endpoints.list_models)
    answer("create_endpoint_config", endpoints.create_config)
    answer("create_endpoint", endpoints.create)
    answer("delete_endpoint", endpoints.delete)
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


class Host:
    """The process behind an endpoint, and a pool of connections to it.

    Args:
        model: the server's name in local/models/serve.py.
        artefact: what a training job made of the model, or the model itself, as the S3 URI of an archive or, ending in
            a slash, of a folder; None for the model as it comes.

    Raises:
        ClientError: the artefact is not there.
        tarfile.TarError, OSError, EOFError: it is no archive, or not a whole one.
    """

    def __init__(self, cloud: Cloud, model: str, name: str, artefact: str | None = None) -> None:
        self._cloud = cloud
        settings = cloud.settings
        self.log = settings.home / "logs/endpoints" / f"{name}.log"
        self._folder = settings.home / "endpoints" / name
        given: list[str | Path] = []
        if artefact is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            _fetch(client(settings, "s3"), artefact, self._folder)
            given = ["--artefact", self._folder]
        with socket.create_server((settings.host, 0), backlog=BACKLOG) as listener:
            self.process: Popen[bytes] = cloud.spawn(
                [
                    settings.server_python,
                    *("-m", "local.models.serve", "--model", model, "--socket", str(listener.fileno())),
                    *("--cache", settings.project / ".assay/cache/models"),
                    *given,
                ],
                environment={**settings.client_environment(), "PYTHONUNBUFFERED": "1"},
                directory=settings.project,
                log=self.log,
                descriptors=[listener.fileno()],
            )
            port = listener.getsockname()[1]
        self.connections = urllib3.HTTPConnectionPool(settings.host, port, maxsize=64, retries=False)

    def wait_until_healthy(self) -> str | None:
        """Return None when the model answers, else why it does not."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and not self._cloud.stopping.is_set():
            if self.process.poll() is not None:
                return f"the container exited with code {self.process.returncode}: {self._last_line()}"
            try:
                if self.connections.request("GET", "/ping", timeout=2.0).status == 200:
                    return None
            except urllib3.exceptions.HTTPError:
                pass  # it loads, or it has just ended
            time.sleep(PING_SECONDS)
        return f"the container did not answer within {START_SECONDS:g} seconds"

    def end(self) -> None:
        self._cloud.terminate(self.process)
        self.connections.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _last_line(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")


def _fetch(s3: Any, uri: str, folder: Path) -> None:
    if not uri.endswith("/"):
        unpack(s3, uri, folder)
    elif not download(s3, uri.rstrip("/"), folder):
        raise FileNotFoundError(f"there is nothing at {uri}")


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

    def serving(self, name: str) -> tuple[Host, str] | None:
        """Return the process that serves an endpoint which is in service, and the name of its variant."""
        endpoint = backend(self._cloud).endpoints.get(name)
        host = self._hosts.get(name)
        if endpoint is None or host is None or endpoint.endpoint_status != "InService":
            return None
        return host, _variant(endpoint)

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
        refuse(request, "AsyncInferenceConfig", "DataCaptureConfig", "ExplainerConfig", "ShadowProductionVariants")
        (variant,) = request["ProductionVariants"]
        if "ModelName" not in variant:
            raise invalid("The local cloud serves a production variant by the model that it names")
        if "ServerlessConfig" in variant and ("InstanceType" in variant or "InitialInstanceCount" in variant):
            raise invalid("Serverless and instance-based settings exclude each other in a production variant")
        with self._lock:
            if name in state.endpoint_configs:
                arn = state.endpoint_configs[name].endpoint_config_arn
                raise invalid(f'Cannot create already existing endpoint configuration "{arn}".')
            config = state.create_endpoint_config(
                endpoint_config_name=name,
                production_variants=request["ProductionVariants"],
                data_capture_config=None,
                async_inference_config=None,
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
            if name in state.endpoints:
                raise invalid(f'Cannot create already existing endpoint "{state.endpoints[name].arn}".')
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
            # What an endpoint shows of its variants says neither; its configuration may be gone before it.
            (variant,) = config.production_variants
            endpoint.instance_type, endpoint.instances = _instances(variant)
            state.endpoints[name] = endpoint
        sagemaker_events.endpoint_changed(self._cloud, endpoint, "Creating")
        self._cloud.submit(self._start, endpoint, config.production_variants[0]["ModelName"])
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
            endpoint.endpoint_status = "Deleting"
            endpoint.last_modified_time = models.utcnow()
        sagemaker_events.endpoint_changed(self._cloud, endpoint, "Deleting")
        self._cloud.submit(self._end, endpoint)
        return {}

    def _start(self, endpoint: Any, model_name: str) -> None:
        """Bring an endpoint into service, or say why it cannot be; what was deleted meanwhile stays deleted."""
        name = endpoint.endpoint_name
        host, reason = None, None
        model, artefact = self._served_model(model_name)
        if (fault := FAULTS.take("endpoint", name)) is not None:
            reason = fault.reason
        elif model is None:
            reason = self._unserved(model_name)
        else:
            try:
                with self._lock:
                    if endpoint.endpoint_status == "Creating":
                        host = self._hosts[name] = Host(self._cloud, model, name, artefact)
                reason = host.wait_until_healthy() if host else None
            except (ClientError, tarfile.TarError, OSError, EOFError) as error:
                reason = f"the model data {artefact} could not be fetched: {error}"
        with self._lock:
            if endpoint.endpoint_status != "Creating" or self._cloud.stopping.is_set():
                return
            endpoint.last_modified_time = models.utcnow()
            endpoint.endpoint_status = "Failed" if reason else "InService"
            if reason:
                endpoint.failure_reason = (
                    f"The primary container for production variant {_variant(endpoint)} did not pass the ping health "
                    f"check: {reason}"
                )[:LONGEST_REASON]
                self._hosts.pop(name, None)
        if host and reason:
            host.end()
        sagemaker_events.endpoint_changed(self._cloud, endpoint, endpoint.endpoint_status)

    def _served_model(self, model_name: str) -> tuple[str | None, str | None]:
        """Return the server's name, and where its weights lie unless they are JumpStart's own, which are here."""
        model = backend(self._cloud)._models.get(model_name)
        if model is None:
            return None, None
        container: dict[str, Any] = model.primary_container or next(iter(model.containers), {})
        served = (container.get("Environment") or {}).get(MODEL_VARIABLE)
        source = (container.get("ModelDataSource") or {}).get("S3DataSource", {}).get("S3Uri")
        data = container.get("ModelDataUrl") or source
        if data is not None and data.startswith(f"s3://{content_bucket(self._cloud.settings.region)}/"):
            data = None
        if served is None and data is not None and _is_llm_container(container):
            served = SAVED_MODEL
        return served, data

    def _unserved(self, model_name: str) -> str:
        """Why there is nothing to serve a model with."""
        model = backend(self._cloud)._models.get(model_name)
        container: dict[str, Any] = (model.primary_container or next(iter(model.containers), {})) if model else {}
        if _is_llm_container(container):
            wanted = (container.get("Environment") or {}).get("HF_MODEL_ID")
            return f"{wanted} would come from the Hugging Face hub, which the local cloud does not reach"
        return f"model {model_name!r} is not one of the local JumpStart models"

    def _end(self, endpoint: Any) -> None:
        with self._lock:
            host = self._hosts.pop(endpoint.endpoint_name, None)
        if host:
            host.end()
        with self._lock:
            backend(self._cloud).endpoints.pop(endpoint.endpoint_name, None)


def _is_llm_container(container: dict[str, Any]) -> bool:
    return any(f"/{name}:" in str(container.get("Image")) for name in LLM_CONTAINERS)


def _instances(variant: dict[str, Any]) -> tuple[str | None, int]:
    """Return the type and the number of a variant's instances, none of a serverless one's."""
    return variant.get("InstanceType"), int(variant.get("InitialInstanceCount", 0))


def _variant(endpoint: Any) -> str:
    return str(endpoint.production_variants[0]["VariantName"])


_INSTALLED: dict[int, Endpoints] = {}
