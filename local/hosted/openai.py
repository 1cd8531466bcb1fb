"""OpenAI's chat completions on the wire: keys are asked for, models are named, errors come as OpenAI sends them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Request, Response

from local.faults import Faults
from local.hosted.answerer import MODELS, Answerer

SERVICE = "openai"
PATH = "/_local/openai/v1/chat/completions"
HANG_SECONDS = 30.0
_NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
    "(i.e. Authorization: Bearer YOUR_KEY)."
)
# Status, type, code, message and headers of each error, as the API sends them.
ERRORS: dict[str, tuple[int, str, str | None, str, dict[str, str]]] = {
    "rate_limit_exceeded": (
        429,
        "requests",
        "rate_limit_exceeded",
        "Rate limit reached for requests. Please try again in 20ms.",
        {"retry-after": "1", "retry-after-ms": "20", "x-ratelimit-remaining-requests": "0"},
    ),
    "insufficient_quota": (
        429,
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
        {},
    ),
    "server_error": (500, "server_error", None, "The server had an error while processing your request. Sorry!", {}),
    "overloaded": (503, "service_unavailable_error", "overloaded", "That model is currently overloaded.", {}),
    "invalid_api_key": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided.", {}),
    "model_not_found": (404, "invalid_request_error", "model_not_found", "The model does not exist.", {}),
    "context_length_exceeded": (
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "This model's maximum context length is 4096 tokens.",
        {},
    ),
    # Azure's form of the API refuses a prompt so.
    "content_filter": (400, "invalid_request_error", "content_filter", "The response was filtered.", {}),
    "invalid_request": (400, "invalid_request_error", None, "Invalid request.", {}),
}
FAULTS = (*ERRORS, "filtered_answer", "bad_gateway", "malformed_body", "no_choice", "hang")


class OpenAI:
    """Answers `POST /chat/completions`.

    Args:
        answerer: the model servers.
        faults: what is to go wrong.
        sleep: waits, for the fault `hang`.
    """

    def __init__(self, answerer: Answerer, faults: Faults, sleep: Callable[[float], Any] = time.sleep) -> None:
        self._answerer = answerer
        self._faults = faults
        self._sleep = sleep

    def complete(self, request: Request) -> Response:
        """Answer one request."""
        fault = self._faults.answer(SERVICE, FAULTS)
        if fault == "hang":
            self._sleep(HANG_SECONDS)
            fault = "server_error"
        if fault in ERRORS:
            return error(fault)
        if fault == "bad_gateway":
            return Response("<html><h1>502 Bad Gateway</h1></html>", 502, content_type="text/html")
        if fault == "malformed_body":
            return _response(200, b'{"id": "chatcmpl-')
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not key.strip():
            return error("invalid_api_key", _NO_KEY)
        return self._answered(request, fault)

    def _answered(self, request: Request, fault: str | None) -> Response:
        try:
            document = json.loads(request.get_data())
            model = str(document["model"])
        except (ValueError, KeyError, TypeError):
            return error("invalid_request", "We could not parse the JSON body of your request.")
        if model not in MODELS:
            return error("model_not_found", f"The model `{model}` does not exist or you do not have access to it.")
        status, answered = self._answerer.post(model, json.dumps(document).encode())
        if status == 400:
            return error("invalid_request", str(json.loads(answered).get("error")))
        if status != 200:
            return error("overloaded" if status == 503 else "server_error")
        reply = json.loads(answered)
        if fault == "filtered_answer":
            reply["choices"][0].update(message={"role": "assistant", "content": None}, finish_reason="content_filter")
        if fault == "no_choice":
            reply["choices"] = []
        return _response(200, json.dumps(reply).encode())


def error(name: str, message: str | None = None) -> Response:
    """Return an error as the API sends it."""
    status, kind, code, usual, headers = ERRORS[name]
    body = {"error": {"message": message or usual, "type": kind, "param": None, "code": code}}
    return _response(status, json.dumps(body).encode(), headers)


def _response(status: int, body: bytes, headers: dict[str, str] | None = None) -> Response:
    identity = {"x-request-id": f"req_{uuid.uuid4().hex}"}
    return Response(body, status, identity | (headers or {}), content_type="application/json")
