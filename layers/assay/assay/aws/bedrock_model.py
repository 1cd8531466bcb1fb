"""A model that Bedrock serves, asked through Converse: one form of request for every vendor's models."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from assay.aws.service_model import Clients, errors_in_our_words, milliseconds_since, request_id_of
from assay.contracts.config import EvaluationSection
from assay.contracts.provider_sections import BedrockSection
from assay.inference.errors import ContentFilteredError, MalformedReplyError, UnavailableError
from assay.inference.prompts import messages_of, whole_text
from assay.inference.runner import Answer

_INFERENCE_KEYS = ("maxTokens", "temperature", "topP", "stopSequences")
_FILTERED = {"guardrail_intervened", "content_filtered"}
# The model made something that Bedrock could not read; the next attempt may be better.
_BROKEN = {"malformed_model_output", "malformed_tool_use"}


class BedrockModel:
    """Asks one model of Bedrock. Safe to share between threads.

    Args:
        model_id: of a foundation model or an inference profile, or the ARN of one, of provisioned throughput, of an
            imported or custom model's deployment, or of a prompt router.
        evaluation: how to form requests.
        bedrock: region and guardrail.
        connections: how many requests may be under way at once.
        request_seconds: how long an answer may take.
        client: a boto3 bedrock-runtime client that retries nothing; one of its own by default.
    """

    def __init__(
        self,
        model_id: str,
        evaluation: EvaluationSection,
        bedrock: BedrockSection,
        *,
        connections: int,
        request_seconds: float,
        client: Any = None,
    ) -> None:
        self._evaluation = evaluation
        self._request: dict[str, Any] = {"modelId": model_id}
        if bedrock.guardrail_identifier is not None:
            self._request["guardrailConfig"] = {
                "guardrailIdentifier": bedrock.guardrail_identifier,
                "guardrailVersion": bedrock.guardrail_version,
            }
        self._clients = Clients(
            "bedrock-runtime",
            connections=connections,
            request_seconds=request_seconds,
            region=bedrock.region,
            client=client,
        )

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
        """Send one request.

        Raises:
            ThrottledError, UnavailableError: may succeed when tried again.
            ContentFilteredError: a guardrail or the model's own filter kept the answer back.
            ModelAnswerError: Bedrock refuses this request, or the reply holds no text.
        """
        body = request_body(self._evaluation, prompt)
        client = self._clients.within(deadline_seconds)
        started = time.perf_counter()
        with errors_in_our_words():
            try:
                reply = client.converse(**self._request, **body)
            except (ValueError, KeyError, TypeError) as error:
                # botocore parses the body itself, and lets its parser's errors through.
                raise MalformedReplyError(f"the reply cannot be read ({type(error).__name__})") from error
        latency_ms = milliseconds_since(started)
        return replace(reading(reply, request_id_of(reply)), latency_ms=latency_ms)


def request_body(evaluation: EvaluationSection, prompt: str) -> dict[str, Any]:
    """A prompt as Converse takes it, without the model and the guardrail."""
    return {**_parameters(evaluation), **_conversation(messages_of(evaluation, prompt))}


def reading(reply: Any, request_id: str | None) -> Answer:
    """Read a reply of Converse; how long it took is for the caller to say.

    Raises:
        UnavailableError: may succeed when tried again.
        ContentFilteredError: a guardrail or the model's own filter kept the answer back.
        MalformedReplyError: it holds no text.
    """
    stop = reply.get("stopReason")
    if stop in _FILTERED:
        raise ContentFilteredError(f"Bedrock kept the answer back: {stop}", request_id=request_id)
    if stop in _BROKEN:
        raise UnavailableError(f"Bedrock could not read what the model made: {stop}", request_id=request_id)
    usage = reply.get("usage") or {}
    return Answer(
        text=_text(reply, request_id),
        latency_ms=None,
        input_tokens=_input_tokens(usage),
        output_tokens=usage.get("outputTokens"),
        finish_reason=stop,
        request_id=request_id,
    )


def _parameters(evaluation: EvaluationSection) -> dict[str, Any]:
    """`inferenceConfig` holds what Converse knows of; the rest is the model's own affair."""
    parameters = dict(evaluation.inference_parameters)
    inference = {key: parameters.pop(key) for key in _INFERENCE_KEYS if key in parameters}
    if evaluation.stop_sequences:
        inference["stopSequences"] = list(evaluation.stop_sequences)
    request: dict[str, Any] = {}
    if inference:
        request["inferenceConfig"] = inference
    if parameters:
        request["additionalModelRequestFields"] = parameters
    return request


def _conversation(messages: list[dict[str, str]]) -> dict[str, Any]:
    """In Converse the system does not speak: what it says stands beside the messages."""
    system = [{"text": message["content"]} for message in messages if message["role"] == "system"]
    spoken = [
        {"role": message["role"], "content": [{"text": message["content"]}]}
        for message in messages
        if message["role"] != "system"
    ]
    return {"messages": spoken, **({"system": system} if system else {})}


def _text(reply: Any, request_id: str | None) -> str:
    """All text of the answer. Reasoning is not part of it; an answer that never came further is empty."""
    content = ((reply.get("output") or {}).get("message") or {}).get("content")
    if not isinstance(content, list):
        raise MalformedReplyError("the reply holds no message", request_id=request_id)
    texts = [block["text"] for block in content if isinstance(block.get("text"), str)]
    if not texts and any("reasoningContent" not in block for block in content):
        raise MalformedReplyError("the reply holds something other than text", request_id=request_id)
    return whole_text("".join(texts))


def _input_tokens(usage: dict[str, Any]) -> int | None:
    """Tokens read from or written to the prompt cache are input too; Bedrock counts them apart."""
    counts = [usage.get(key) for key in ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")]
    return None if counts[0] is None else sum(count or 0 for count in counts)
