"""Bedrock's Converse on the wire: a request read, a model server asked, a reply or an error written as Bedrock does.

Models are called `local.<name>-v1:0`, are reached through inference profiles too (`eu.local.<name>-v1:0`), and as the
ARNs of provisioned or imported models whose last part is `<name>`.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from werkzeug.wrappers import Request, Response

from local.faults import Faults
from local.hosted.answerer import MODELS, Answerer

SERVICE = "bedrock"
PATH = re.compile(r"/model/(.+)/converse")
DEFAULT_TOKENS = 256
HANG_SECONDS = 30.0
_PROFILE = re.compile(r"^(?:(?:eu|us|apac|global)\.)?local\.(?P<name>.+)-v1:0$")
_ARN = re.compile(
    r"^arn:aws:bedrock:[a-z0-9-]*:\d*:"
    r"(?:(?:foundation-model|inference-profile)/(?P<id>.+)"
    r"|(?:application-inference-profile|provisioned-model|imported-model|custom-model-deployment)/(?P<name>.+))$"
)
_REQUEST_KEYS = {"messages", "system", "inferenceConfig", "additionalModelRequestFields", "requestMetadata"}
_STOP_REASONS = {"eos_token": "end_turn", "length": "max_tokens", "stop_sequence": "stop_sequence"}
# Status, message and further fields of each error, as the service sends them.
ERRORS: dict[str, tuple[int, str, dict[str, Any]]] = {
    "AccessDeniedException": (403, "You don't have access to the model with the specified model ID.", {}),
    "InternalServerException": (500, "The system encountered an unexpected error during processing.", {}),
    "ModelErrorException": (
        424,
        "The system encountered an unexpected error during processing. Try your request again.",
        {"originalStatusCode": 500, "resourceName": "local"},
    ),
    "ModelNotReadyException": (429, "Model is not ready for inference. Wait and try your request again.", {}),
    "ModelTimeoutException": (408, "Model has timed out in processing the request. Try your request again.", {}),
    "ResourceNotFoundException": (
        404,
        "Could not resolve the foundation model from the provided model identifier.",
        {},
    ),
    "ServiceUnavailableException": (503, "Bedrock is unable to process your request.", {}),
    "ThrottlingException": (429, "Too many requests, please wait before trying again.", {}),
    "ValidationException": (400, "The provided request is not valid", {}),
}
# Replies that are not errors, and no answers either.
_KEPT_BACK = ("guardrail_intervened", "content_filtered", "malformed_model_output")
FAULTS = (*ERRORS, *_KEPT_BACK, "malformed_body", "hang")


class InvalidError(Exception):
    """The request is refused; the message is the service's."""


class Bedrock:
    """Answers Converse.

    Args:
        answerer: the model servers.
        faults: what is to go wrong.
        sleep: waits, for the fault `hang`.
    """

    def __init__(self, answerer: Answerer, faults: Faults, sleep: Callable[[float], Any] = time.sleep) -> None:
        self._answerer = answerer
        self._faults = faults
        self._sleep = sleep

    def converse(self, request: Request) -> Response:
        """Answer one request."""
        found = PATH.fullmatch(request.path)
        return self.carry_out(found[1] if found else "", request.get_data())

    def carry_out(self, identifier: str, body: bytes) -> Response:
        """Answer a request to a model, as it comes by itself or in a batch job."""
        started = time.monotonic()
        fault = self._faults.answer(SERVICE, FAULTS)
        if fault == "hang":
            self._sleep(HANG_SECONDS)
            fault = "ModelTimeoutException"
        if fault in ERRORS:
            return error(fault)
        if fault == "malformed_body":
            return _response(200, b'{"output": {"message": ')
        return self._answered(identifier, body, fault, started)

    def _answered(self, identifier: str, raw: bytes, fault: str | None, started: float) -> Response:
        try:
            model = served(identifier)
            body = invocation(json.loads(raw))
        except (InvalidError, ValueError) as refused:
            return error("ValidationException", str(refused))
        if fault is not None:
            return _reply(_message("I can't help with that."), fault, 0, 0, started)
        status, answered = self._answerer.post(model, json.dumps(body).encode())
        if status == 400:
            return error("ValidationException", str(json.loads(answered).get("error")))
        if status != 200:
            return error("ServiceUnavailableException" if status == 503 else "ModelErrorException")
        [answer] = json.loads(answered)
        details = answer["details"]
        stop = _STOP_REASONS[details["finish_reason"]]
        return _reply(
            _message(answer["generated_text"]), stop, len(details["prefill"]), details["generated_tokens"], started
        )


def served(identifier: str) -> str:
    """Return the local model that a Bedrock id or ARN names.

    Raises:
        InvalidError: there is none.
    """
    arn = _ARN.match(identifier)
    name = arn["name"] if arn else None
    if name is None:
        profile = _PROFILE.match(arn["id"] if arn else identifier)
        name = profile["name"] if profile else None
    if name not in MODELS:
        raise InvalidError("The provided model identifier is invalid.")
    return name


def invocation(request: Any) -> dict[str, Any]:
    """Return a Converse request as a model server's: the system's words first, then the messages.

    Raises:
        InvalidError: it is not of Converse's form, or asks for what is not carried out.
    """
    if not isinstance(request, dict) or (unknown := sorted(set(request) - _REQUEST_KEYS)):
        raise InvalidError(
            f"not carried out by the local cloud: {unknown if isinstance(request, dict) else 'no object'}"
        )
    messages = request.get("messages") or []
    if not messages or messages[0].get("role") != "user":
        raise InvalidError(
            "A conversation must start with a user message. Try again with a conversation that starts so."
        )
    roles = [message.get("role") for message in messages]
    if any(role not in ("user", "assistant") for role in roles) or any(one == other for one, other in pairwise(roles)):
        raise InvalidError("A conversation must alternate between user and assistant roles.")
    chat = [{"role": message["role"], "content": _text(message.get("content"))} for message in messages]
    if system := request.get("system"):
        chat.insert(0, {"role": "system", "content": _text(system)})
    inference = dict(request.get("inferenceConfig") or {})
    temperature = inference.pop("temperature", 1.0)
    parameters = {
        "max_new_tokens": inference.pop("maxTokens", DEFAULT_TOKENS),
        "do_sample": temperature != 0,
        "temperature": temperature or 1.0,
        "top_p": inference.pop("topP", None),
        "stop": inference.pop("stopSequences", []),
        **(request.get("additionalModelRequestFields") or {}),
        "details": True,
        "decoder_input_details": True,
    }
    if inference:
        raise InvalidError(f"unknown keys of inferenceConfig: {', '.join(sorted(inference))}")
    return {"inputs": chat, "parameters": parameters}


def error(name: str, message: str | None = None) -> Response:
    """Return an error as the service sends it."""
    status, usual, extra = ERRORS[name]
    body = {"message": message or usual, **extra}
    kind = f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"
    return _response(status, json.dumps(body).encode(), {"x-amzn-ErrorType": kind})


def _text(blocks: Any) -> str:
    if not isinstance(blocks, list) or not all(isinstance(block, dict) and set(block) == {"text"} for block in blocks):
        raise InvalidError("The local cloud takes content blocks of text only.")
    return "".join(str(block["text"]) for block in blocks)


def _message(text: str) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": [{"text": text}]}}


def _reply(output: dict[str, Any], stop: str, read: int, made: int, started: float) -> Response:
    document = {
        "metrics": {"latencyMs": round((time.monotonic() - started) * 1000)},
        "output": output,
        "stopReason": stop,
        "usage": {"inputTokens": read, "outputTokens": made, "totalTokens": read + made},
    }
    return _response(200, json.dumps(document).encode())


def _response(status: int, body: bytes, headers: dict[str, str] | None = None) -> Response:
    identity = {"x-amzn-RequestId": str(uuid.uuid4())}
    return Response(body, status, identity | (headers or {}), content_type="application/json")
