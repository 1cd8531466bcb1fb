"""The payloads that the servers of the local cloud take: JumpStart's text generation and OpenAI's chat completions.

`{"inputs": str | chat | [chat, ...], "parameters": {...}}` gives `[{"generated_text": str}, ...]`, one for each input;
a chat is a list of `{"role", "content"}`. A string is given to the model as it is, as the text-generation containers
behind JumpStart do: only a chat goes through the model's chat template. What stands in `stop` ends an answer and is not
part of it. With `details: true` each answer says how many tokens were generated and why it ended, and with
`decoder_input_details: true` which tokens were read, as Text Generation Inference does.

`{"messages": [...], ...}` is OpenAI's chat format (`local/models/chat.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Chat = list[dict[str, str]]
MOST_NEW_TOKENS = 2048
DEFAULT_NEW_TOKENS = 30
_PARAMETERS = frozenset(
    {
        "max_new_tokens",
        "temperature",
        "top_k",
        "top_p",
        "do_sample",
        "stop",
        "return_full_text",
        "seed",
        "details",
        "decoder_input_details",
    }
)


class PayloadError(ValueError):
    """The request cannot be answered as it is; the message says why."""


@dataclass(frozen=True)
class Parameters:
    """How to generate. Without `do_sample` the most probable token is taken each time, whatever the temperature."""

    max_new_tokens: int = DEFAULT_NEW_TOKENS
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    do_sample: bool = False
    stop: tuple[str, ...] = ()
    return_full_text: bool = False
    seed: int | None = None
    details: bool = False
    decoder_input_details: bool = False


@dataclass(frozen=True)
class Completion:
    """What a model made of a prompt.

    Attributes:
        input_tokens: ids of the tokens that were read.
        output_tokens: how many were generated; what ended the answer is not counted.
        finish_reason: in the words of Text Generation Inference.
    """

    text: str
    input_tokens: tuple[int, ...]
    output_tokens: int
    finish_reason: Literal["length", "eos_token", "stop_sequence"]


@dataclass(frozen=True)
class Prompt:
    """One input: a text as it is, or a chat."""

    content: str | Chat
    parameters: Parameters

    @property
    def question(self) -> str:
        """What a person asked: the text, or the last message of the chat."""
        return self.content if isinstance(self.content, str) else self.content[-1]["content"]


def parsed(body: bytes) -> Any:
    """Return a request's body as JSON's values.

    Raises:
        PayloadError: it is not JSON.
    """
    try:
        return json.loads(body)
    except ValueError as error:
        raise PayloadError(f"the body is not JSON: {error}") from error


def read_payload(document: Any) -> list[Prompt]:
    """Return the prompts of a request.

    Raises:
        PayloadError: it is not of the form above.
    """
    if not isinstance(document, dict) or "inputs" not in document:
        raise PayloadError("the body must be an object with the key 'inputs'")
    unknown = sorted(set(document) - {"inputs", "parameters"})
    if unknown:
        raise PayloadError(f"unknown keys: {', '.join(unknown)}")
    parameters = _read_parameters(document.get("parameters") or {})
    return [Prompt(content, parameters) for content in _read_inputs(document["inputs"])]


def written(prompt: Prompt, completion: Completion) -> dict[str, Any]:
    """An answer as it stands in the reply."""
    if not prompt.parameters.details:
        return {"generated_text": completion.text}
    prefill: list[dict[str, Any]] = []
    if prompt.parameters.decoder_input_details:
        prefill = [{"id": token, "text": "", "logprob": None} for token in completion.input_tokens]
    details = {
        "finish_reason": completion.finish_reason,
        "generated_tokens": completion.output_tokens,
        "seed": prompt.parameters.seed,
        "prefill": prefill,
        "tokens": [],
    }
    return {"generated_text": completion.text, "details": details}


def cut_at_stop(text: str, stop: Sequence[str]) -> str:
    """Return `text` up to the first place where one of `stop` begins."""
    places = [place for place in (text.find(mark) for mark in stop) if place >= 0]
    return text[: min(places)] if places else text


def _read_inputs(inputs: Any) -> list[str | Chat]:
    if isinstance(inputs, str):
        return [inputs]
    if isinstance(inputs, list) and inputs:
        if all(isinstance(item, dict) for item in inputs):
            return [read_chat(inputs)]
        if all(isinstance(item, list) for item in inputs):
            return [read_chat(item) for item in inputs]
    raise PayloadError("'inputs' must be a string, a list of messages, or a list of such lists")


def read_chat(messages: Sequence[Any]) -> Chat:
    chat = []
    for message in messages:
        if not isinstance(message, dict) or set(message) != {"role", "content"}:
            raise PayloadError("a message must have exactly the keys 'role' and 'content'")
        if message["role"] not in ("system", "user", "assistant") or not isinstance(message["content"], str):
            raise PayloadError("a message's role must be system, user or assistant, and its content a string")
        chat.append({"role": message["role"], "content": message["content"]})
    if not chat:
        raise PayloadError("a chat must have a message")
    return chat


def _read_parameters(given: Any) -> Parameters:
    if not isinstance(given, Mapping):
        raise PayloadError("'parameters' must be an object")
    unknown = sorted(set(given) - _PARAMETERS)
    if unknown:
        raise PayloadError(f"unknown parameters: {', '.join(unknown)}")
    stop = given.get("stop") or []
    if not isinstance(stop, list) or not all(isinstance(mark, str) and mark for mark in stop):
        raise PayloadError("'stop' must be a list of strings that are not empty")
    parameters = Parameters(
        max_new_tokens=_number(given, "max_new_tokens", DEFAULT_NEW_TOKENS, 1, MOST_NEW_TOKENS, int),
        temperature=_number(given, "temperature", 1.0, 0.0, 100.0, float),
        top_k=None if given.get("top_k") is None else _number(given, "top_k", 1, 1, 100_000, int),
        top_p=_number(given, "top_p", 1.0, 0.0, 1.0, float),
        do_sample=_flag(given, "do_sample"),
        stop=tuple(stop),
        return_full_text=_flag(given, "return_full_text"),
        seed=None if given.get("seed") is None else _number(given, "seed", 0, 0, 2**63 - 1, int),
        details=_flag(given, "details"),
        decoder_input_details=_flag(given, "decoder_input_details"),
    )
    if parameters.decoder_input_details and not parameters.details:
        raise PayloadError("'decoder_input_details' needs 'details' to be true")
    if parameters.do_sample and (parameters.temperature <= 0 or parameters.top_p <= 0):
        raise PayloadError("'temperature' and 'top_p' must be above 0 when 'do_sample' is true")
    return parameters


def _number(given: Mapping[str, Any], name: str, default: Any, least: float, most: float, kind: type) -> Any:
    value = given.get(name)
    if value is None:
        return default
    fits = isinstance(value, int) or (kind is float and isinstance(value, float))
    if isinstance(value, bool) or not fits or not least <= value <= most:
        raise PayloadError(f"{name!r} must be {'an integer' if kind is int else 'a number'} from {least} to {most}")
    return kind(value)


def _flag(given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name)
    if not isinstance(value, bool | None):
        raise PayloadError(f"{name!r} must be true or false")
    return bool(value)
