"""OpenAI's chat completions, as serving containers and APIs speak them: the request read, the reply written."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import Any

from local.models.payload import Completion, PayloadError, Prompt, read_chat, read_payload

DEFAULT_NEW_TOKENS = 256
# What is understood, and what may stand in a request because it asks for nothing else than what is done anyway.
_KEYS = frozenset(
    {"model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "stop", "seed", "user"}
)
_NEUTRAL: dict[str, Any] = {
    "stream": False,
    "n": 1,
    "logprobs": False,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "store": False,
}


@dataclass(frozen=True)
class ChatRequest:
    """One conversation, and the name of the model that the caller asked for."""

    model: str
    prompt: Prompt


def read_request(document: dict[str, Any]) -> ChatRequest:
    """Return a request's conversation and how to go on with it.

    Without `temperature` tokens are drawn at temperature 1, as OpenAI does.

    Raises:
        PayloadError: it asks for something that is not carried out, or is not of OpenAI's form.
    """
    for key, value in document.items():
        if key not in _KEYS and (key not in _NEUTRAL or value not in (None, _NEUTRAL[key])):
            raise PayloadError(f"Unsupported parameter or value: '{key}'")
    messages = document.get("messages")
    if not isinstance(messages, list):
        raise PayloadError("'messages' must be a list")
    temperature = document.get("temperature")
    parameters: dict[str, Any] = {
        "max_new_tokens": document.get("max_completion_tokens") or document.get("max_tokens") or DEFAULT_NEW_TOKENS,
        "stop": _stops(document.get("stop")),
        "do_sample": temperature != 0,
        "temperature": temperature or 1.0,
        "top_p": document.get("top_p"),
        "seed": document.get("seed"),
    }
    conversation = read_chat([_plain(message) for message in messages])
    [prompt] = read_payload({"inputs": conversation, "parameters": parameters})
    return ChatRequest(str(document.get("model") or ""), prompt)


def reply(request: ChatRequest, completion: Completion) -> dict[str, Any]:
    """Return a `chat.completion`."""
    read, made = len(completion.input_tokens), completion.output_tokens
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex[:29]}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request.model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": completion.text, "refusal": None},
                "logprobs": None,
                "finish_reason": "length" if completion.finish_reason == "length" else "stop",
            }
        ],
        "usage": {"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made},
    }


def _stops(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


def _plain(message: Any) -> Any:
    """Content may be a list of parts; of text only, here."""
    if not isinstance(message, dict) or not isinstance(message.get("content"), list):
        return message
    parts = message["content"]
    if not all(isinstance(part, dict) and set(part) == {"type", "text"} and part["type"] == "text" for part in parts):
        raise PayloadError("a message's content must be text")
    return {**message, "content": "".join(str(part["text"]) for part in parts)}
