"""A model behind any API that speaks OpenAI's chat format, over plain HTTPS."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from assay.contracts.config import EvaluationSection
from assay.inference.errors import (
    ContentFilteredError,
    MalformedReplyError,
    ModelAnswerError,
    ModelCallError,
    ThrottledError,
    UnavailableError,
)
from assay.inference.prompts import encoded, messages_of, whole_text
from assay.inference.runner import Answer
from assay.inference.usage import usage_of

OPENAI_URL = "https://api.openai.com/v1"
CONNECT_SECONDS = 10.0
# What is larger is no answer; it would only fill memory.
LARGEST_REPLY = 32 * 1024 * 1024
_CHUNK = 65_536
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# 429 as well, and no waiting helps.
_SPENT = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
_FILTERS = {"content_filter", "content_policy_violation"}


class OpenAIModel:
    """Asks one model. Safe to share between threads.

    Args:
        model_id: what the API calls the model.
        evaluation: how to form requests.
        base_url: where the API is, up to `/v1`.
        api_key: sent as a bearer token; None where the API wants none. It is never logged.
        headers: further headers.
        connections: how many requests may be under way at once.
    """

    def __init__(
        self,
        model_id: str,
        evaluation: EvaluationSection,
        *,
        base_url: str,
        api_key: str | None,
        headers: Mapping[str, str],
        connections: int,
    ) -> None:
        self._evaluation = evaluation
        self._model_id = model_id
        self._url = f"{base_url}/chat/completions"
        self._headers = {"Content-Type": "application/json", "Accept": "application/json", **headers}
        if api_key is not None:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._pool = urllib3.PoolManager(maxsize=connections, block=False, retries=False)

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
        """Send one request.

        Raises:
            ThrottledError, UnavailableError: may succeed when tried again; also when the deadline passes.
            ContentFilteredError: a filter kept the answer back.
            ModelAnswerError: the API refuses this request, or the reply holds no text.
        """
        body = encoded(self._body(prompt))
        started = time.perf_counter()
        try:
            status, headers, received = self._send(body, started + deadline_seconds)
        except HTTPError as error:
            raise UnavailableError(f"no answer: {type(error).__name__}") from error
        latency_ms = (time.perf_counter() - started) * 1000
        request_id = headers.get("x-request-id")
        if status != 200:
            raise _refusal(status, headers, received, request_id)
        try:
            reply = json.loads(received)
        except ValueError as error:
            raise MalformedReplyError("the reply is not JSON", request_id=request_id) from error
        usage = usage_of(reply)
        return Answer(
            text=_text(reply, request_id),
            latency_ms=latency_ms,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            finish_reason=usage.finish_reason,
            request_id=request_id,
        )

    def _body(self, prompt: str) -> dict[str, Any]:
        body = {
            **self._evaluation.inference_parameters,
            "model": self._model_id,
            "messages": messages_of(self._evaluation, prompt),
        }
        if self._evaluation.stop_sequences:
            body["stop"] = list(self._evaluation.stop_sequences)
        return body

    def _send(self, body: bytes, deadline: float) -> tuple[int, Mapping[str, str], bytes]:
        """The reply, read piece by piece: a server that drips may not go on for ever either."""
        left = deadline - time.perf_counter()
        response = self._pool.request(
            "POST",
            self._url,
            body=body,
            headers=self._headers,
            timeout=urllib3.Timeout(connect=min(CONNECT_SECONDS, left), total=left),
            # A key is sent to where the config says and nowhere else.
            redirect=False,
            preload_content=False,
        )
        try:
            received = bytearray()
            for piece in response.stream(_CHUNK):
                received += piece
                if time.perf_counter() > deadline:
                    raise UnavailableError("no whole answer before the deadline")
                if len(received) > LARGEST_REPLY:
                    raise MalformedReplyError(f"the reply is larger than {LARGEST_REPLY} bytes")
        except (HTTPError, ModelCallError):
            response.close()
            raise
        finally:
            response.release_conn()
        return response.status, response.headers, bytes(received)


def _text(reply: Any, request_id: str | None) -> str:
    """The first choice's text. A refusal in words is what the model answered; one that was cut off may be empty."""
    choices = reply.get("choices") if isinstance(reply, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise MalformedReplyError("the reply holds no choice", request_id=request_id)
    if choice.get("finish_reason") in _FILTERS:
        raise ContentFilteredError("the API's content filter kept the answer back", request_id=request_id)
    for key in ("content", "refusal"):
        if isinstance(found := message.get(key), str):
            return whole_text(found)
    if message.get("content") is None and choice.get("finish_reason") == "length":
        return ""
    raise MalformedReplyError("the reply's message holds no text", request_id=request_id)


def _refusal(status: int, headers: Mapping[str, str], received: bytes, request_id: str | None) -> ModelCallError:
    """What a status other than 200 means. The API's sentences may quote the prompt: only its code words are kept."""
    words = _words(received)
    reason = f"the API answered {status}" + (f" ({', '.join(words)})" if words else "")
    pause = _pause(headers)
    if _FILTERS & set(words):
        return ContentFilteredError(f"the API's content filter refused the prompt ({status})", request_id=request_id)
    if _SPENT & set(words):
        return ModelAnswerError(reason, request_id=request_id)
    if status in (429, 529):
        return ThrottledError(reason, request_id=request_id, retry_after_seconds=pause)
    if status >= 500 or status in (408, 409, 425):
        return UnavailableError(reason, request_id=request_id, retry_after_seconds=pause)
    return ModelAnswerError(reason, request_id=request_id)


def _words(received: bytes) -> list[str]:
    try:
        error = json.loads(received).get("error")
    except (ValueError, AttributeError):
        return []
    found = [error.get(key) for key in ("type", "code")] if isinstance(error, dict) else [error]
    return [word for word in dict.fromkeys(found) if isinstance(word, str) and _WORD.fullmatch(word)]


def _pause(headers: Mapping[str, str]) -> float | None:
    """`retry-after-ms`, or `retry-after` in seconds or as a date."""
    milliseconds, seconds = headers.get("retry-after-ms"), headers.get("retry-after")
    for text, unit in ((milliseconds, 0.001), (seconds, 1.0)):
        try:
            if text is not None and (pause := float(text) * unit) >= 0:
                return pause
        except ValueError:
            continue
    try:
        return None if seconds is None else max(0.0, parsedate_to_datetime(seconds).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
