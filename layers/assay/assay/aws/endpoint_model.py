"""A model behind a SageMaker endpoint, asked in JumpStart's text-generation format."""

from __future__ import annotations

import json
import time
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as NoConnectionError

from assay.contracts.config import EvaluationSection
from assay.inference.errors import MalformedReplyError, ModelAnswerError, ThrottledError, UnavailableError
from assay.inference.prompts import answer_text, encoded, request_body
from assay.inference.runner import Answer
from assay.inference.usage import usage_of

_THROTTLES = {"ThrottlingException", "TooManyRequestsException", "Throttling", "ServiceQuotaExceededException"}


class EndpointModel:
    """Asks one endpoint. Safe to share between threads.

    Args:
        endpoint_name: an endpoint in service.
        evaluation: how to form requests and read replies.
        connections: how many requests may be under way at once.
        client: a boto3 sagemaker-runtime client that retries nothing; one of its own by default.
    """

    def __init__(self, endpoint_name: str, evaluation: EvaluationSection, connections: int, client: Any = None) -> None:
        self._endpoint_name = endpoint_name
        self._evaluation = evaluation
        self._attributes = ";".join(f"{key}={_plain(value)}" for key, value in evaluation.custom_attributes.items())
        if client is None:
            # The runner retries, so that an attempt's latency is its own. SageMaker answers within 60 s or fails.
            settings = Config(max_pool_connections=connections, retries={"total_max_attempts": 1}, read_timeout=65)
            client = boto3.client("sagemaker-runtime", config=settings)
        self._client = client

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:  # noqa: ARG002 - SageMaker bounds a call itself
        """Send one request.

        Raises:
            ThrottledError, UnavailableError: may succeed when tried again.
            ModelAnswerError: the model refuses this request, or its reply holds no text.
        """
        request: dict[str, Any] = {
            "EndpointName": self._endpoint_name,
            "ContentType": "application/json",
            "Accept": "application/json",
            "Body": encoded(request_body(self._evaluation, prompt)),
        }
        if self._attributes:
            request["CustomAttributes"] = self._attributes
        started = time.perf_counter()
        try:
            response = self._client.invoke_endpoint(**request)
            body = response["Body"].read()
        except ClientError as error:
            raise _mapped(error) from error
        except (NoConnectionError, HTTPClientError, IncompleteReadError) as error:
            raise UnavailableError(str(error)) from error
        except BotoCoreError as error:
            raise ModelAnswerError(f"the request could not be sent: {type(error).__name__}") from error
        latency_ms = (time.perf_counter() - started) * 1000
        request_id = response.get("ResponseMetadata", {}).get("RequestId")
        try:
            reply = json.loads(body)
        except ValueError as error:
            raise MalformedReplyError("the reply is not JSON", request_id=request_id) from error
        try:
            text = answer_text(reply, self._evaluation.output)
        except MalformedReplyError as error:
            error.request_id = request_id
            raise
        usage = usage_of(reply)
        return Answer(
            text=text,
            latency_ms=latency_ms,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            finish_reason=usage.finish_reason,
            request_id=request_id,
        )


def _mapped(error: ClientError) -> Exception:
    code = error.response["Error"]["Code"]
    response: dict[str, Any] = dict(error.response)
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    original = int(response.get("OriginalStatusCode", 0))
    # What a model's container says may quote the prompt; a reason never does.
    message = f"{code}: the container answered {original}" if code == "ModelError" else f"{code} ({status})"
    request_id = response.get("ResponseMetadata", {}).get("RequestId")
    if code in _THROTTLES or status == 429 or original == 429:
        return ThrottledError(message, request_id=request_id)
    broken = original >= 500 if code == "ModelError" else status >= 500
    return (UnavailableError if broken else ModelAnswerError)(message, request_id=request_id)


def _plain(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
