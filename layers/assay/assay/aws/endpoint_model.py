"""A model behind a SageMaker endpoint, asked in JumpStart's text-generation format or in OpenAI's chat format."""

from __future__ import annotations

import json
import time
from typing import Any

from assay.aws.service_model import Clients, errors_in_our_words, milliseconds_since, request_id_of
from assay.contracts.config import EvaluationSection
from assay.inference.errors import MalformedReplyError
from assay.inference.prompts import answer_text, encoded, log_probability, request_body
from assay.inference.runner import Answer
from assay.inference.usage import usage_of

# SageMaker answers within 60 s or fails.
_SILENCE_SECONDS = 65.0


class EndpointModel:
    """Asks one endpoint. Safe to share between threads.

    Args:
        endpoint_name: an endpoint in service.
        evaluation: how to form requests and read replies.
        connections: how many requests may be under way at once.
        client: a boto3 sagemaker-runtime client that retries nothing; one of its own by default.
        inference_component: which of the endpoint's components is asked; None where it has none.
        request_seconds: how long an answer may take.
    """

    def __init__(
        self,
        endpoint_name: str,
        evaluation: EvaluationSection,
        connections: int,
        client: Any = None,
        *,
        inference_component: str | None = None,
        request_seconds: float = _SILENCE_SECONDS,
    ) -> None:
        self._evaluation = evaluation
        self._request = request_to(endpoint_name, evaluation)
        if inference_component is not None:
            self._request["InferenceComponentName"] = inference_component
        self._clients = Clients(
            "sagemaker-runtime",
            connections=connections,
            request_seconds=min(request_seconds, _SILENCE_SECONDS),
            client=client,
        )

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
        """Send one request.

        Raises:
            ThrottledError, UnavailableError: may succeed when tried again.
            ModelAnswerError: the model refuses this request, or its reply holds no text.
        """
        body = encoded(request_body(self._evaluation, prompt))
        client = self._clients.within(deadline_seconds)
        started = time.perf_counter()
        with errors_in_our_words():
            response = client.invoke_endpoint(**self._request, Body=body)
            received = response["Body"].read()
        latency_ms = milliseconds_since(started)
        return answer_of(received, self._evaluation, latency_ms=latency_ms, request_id=request_id_of(response))


def request_to(endpoint_name: str, evaluation: EvaluationSection) -> dict[str, Any]:
    """What every request to an endpoint says, but for its body."""
    request = {"EndpointName": endpoint_name, "ContentType": "application/json", "Accept": "application/json"}
    if evaluation.custom_attributes:
        attributes = (f"{key}={_plain(value)}" for key, value in evaluation.custom_attributes.items())
        request["CustomAttributes"] = ";".join(attributes)
    return request


def answer_of(
    received: bytes, evaluation: EvaluationSection, *, latency_ms: float | None, request_id: str | None
) -> Answer:
    """The answer that a reply holds.

    Raises:
        MalformedReplyError: it holds none where the config says.
    """
    try:
        reply = json.loads(received)
        text = answer_text(reply, evaluation.answer_path)
    except MalformedReplyError as error:
        error.request_id = request_id
        raise
    except ValueError as error:
        raise MalformedReplyError("the reply is not JSON", request_id=request_id) from error
    usage = usage_of(reply)
    return Answer(
        text=text,
        latency_ms=latency_ms,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        finish_reason=usage.finish_reason,
        request_id=request_id,
        log_probability=log_probability(reply, evaluation.log_probability),
    )


def _plain(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
