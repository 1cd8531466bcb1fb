"""Acme's models: an in-house server that takes `{"inputs", "parameters"}` over plain HTTP, with no key."""

from __future__ import annotations

import json
import time
from typing import Any

import urllib3

from assay.aws.providers import Connection
from assay.contracts.config import ModelSection
from assay.inference.errors import (
    MalformedReplyError,
    ModelAnswerError,
    NotConnectedError,
    ThrottledError,
    UnavailableError,
)
from assay.inference.prompts import answer_text, encoded, messages_of
from assay.inference.runner import Answer, Model
from assay.inference.usage import usage_of


def connect(section: ModelSection, connection: Connection) -> Model:
    """What the entry point names: from the config's model to something that can be asked."""
    parameters = {} if section.plugin_config is None else section.plugin_config.parameters
    if not isinstance(url := parameters.get("url"), str):
        raise NotConnectedError("the plug-in `acme` needs the parameter `url`")
    return AcmeModel(section, url, connection)


class AcmeModel:
    """Asks one server. Safe to share between threads."""

    def __init__(self, section: ModelSection, url: str, connection: Connection) -> None:
        self._evaluation = section.evaluation_config
        self._url = url
        self._pool = urllib3.PoolManager(maxsize=connection.connections, retries=False)

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
        """Send one request; the runner tries again where that may help."""
        body: dict[str, Any] = {
            "inputs": messages_of(self._evaluation, prompt),
            "parameters": {
                **self._evaluation.inference_parameters,
                "stop": list(self._evaluation.stop_sequences),
                "details": True,
                "decoder_input_details": True,
            },
        }
        started = time.perf_counter()
        try:
            response = self._pool.request("POST", self._url, body=encoded(body), timeout=deadline_seconds)
        except urllib3.exceptions.HTTPError as error:
            raise UnavailableError(f"no answer: {type(error).__name__}") from error
        latency_ms = (time.perf_counter() - started) * 1000
        if response.status == 429:
            raise ThrottledError("the server answered 429")
        if response.status >= 500:
            raise UnavailableError(f"the server answered {response.status}")
        if response.status != 200:
            raise ModelAnswerError(f"the server answered {response.status}")
        try:
            reply = json.loads(response.data)
        except ValueError as error:
            raise MalformedReplyError("the reply is not JSON") from error
        usage = usage_of(reply)
        return Answer(
            text=answer_text(reply, "[0].generated_text"),
            latency_ms=latency_ms,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            finish_reason=usage.finish_reason,
        )
