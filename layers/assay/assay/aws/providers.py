"""Providers: from a config's model to something that can be asked. To add one is to add a line, or an entry point."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points

from assay.contracts.config import ModelSection
from assay.inference.errors import NotConnectedError
from assay.inference.runner import Model

GROUP = "assay.providers"


@dataclass(frozen=True)
class Connection:
    """What a provider is told besides the config of the model.

    Attributes:
        connections: requests that are under way at once, at most.
        request_seconds: how long an answer may take.
        endpoint_name: the endpoint in service; None for a model that has none.
        asynchronous_uri: below which requests to an asynchronous endpoint are laid; None for one that answers at once.
    """

    connections: int
    request_seconds: float
    endpoint_name: str | None = None
    asynchronous_uri: str | None = None


Provider = Callable[[ModelSection, Connection], Model]
"""Connects to a model, and raises NotConnectedError with the reason where it cannot be asked at all."""


def connect(section: ModelSection, connection: Connection) -> Model:
    """A model of the config, ready to be asked from many threads.

    Raises:
        NotConnectedError: it cannot be asked at all.
    """
    return PROVIDERS[section.provider](section, connection)


def _endpoint(section: ModelSection, connection: Connection) -> Model:
    from assay.aws.endpoint_model import EndpointModel

    if connection.endpoint_name is None:
        raise NotConnectedError(f"no endpoint serves the model {section.name!r}")
    if connection.asynchronous_uri is not None:
        from assay.aws.asynchronous_model import AsynchronousModel

        return AsynchronousModel(
            connection.endpoint_name,
            section.evaluation_config,
            connection.connections,
            f"{connection.asynchronous_uri}/requests",
            request_seconds=connection.request_seconds,
        )
    return EndpointModel(
        connection.endpoint_name,
        section.evaluation_config,
        connection.connections,
        inference_component=section.inference_component_name,
        request_seconds=connection.request_seconds,
    )


def _bedrock(section: ModelSection, connection: Connection) -> Model:
    from assay.aws.bedrock_model import BedrockModel

    return BedrockModel(
        str(section.model_id),
        section.evaluation_config,
        section.bedrock_config,
        connections=connection.connections,
        request_seconds=connection.request_seconds,
    )


def _openai(section: ModelSection, connection: Connection) -> Model:
    from assay.aws.secrets import api_key
    from assay.inference.openai_model import OPENAI_URL, OpenAIModel

    api = section.api_config
    base_url = (api.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL).rstrip("/")
    return OpenAIModel(
        str(section.model_id),
        section.evaluation_config,
        base_url=base_url,
        api_key=None if api.api_key_secret is None else api_key(api.api_key_secret, base_url),
        headers=api.headers,
        connections=connection.connections,
    )


def _plugin(section: ModelSection, connection: Connection) -> Model:
    name = section.plugin_config.name if section.plugin_config is not None else ""
    found = list(entry_points(group=GROUP, name=name))
    if not found:
        known = ", ".join(sorted(point.name for point in entry_points(group=GROUP))) or "there is none"
        raise NotConnectedError(
            f"the evaluation image has no package with the entry point {name!r} in the group {GROUP} ({known})"
        )
    try:
        provider: Provider = found[0].load()
        return provider(section, connection)
    except NotConnectedError:
        raise
    except Exception as error:
        # Code of others: whatever it raises concerns this model only.
        raise NotConnectedError(f"the plug-in {name!r} raised {type(error).__name__}: {error}") from error


PROVIDERS: dict[str, Provider] = {
    "jumpstart": _endpoint,
    "huggingface": _endpoint,
    "endpoint": _endpoint,
    "bedrock": _bedrock,
    "openai": _openai,
    "plugin": _plugin,
}
