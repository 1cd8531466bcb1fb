"""Tokens and the reason for stopping, out of a reply's JSON: each format as its own documentation names the fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard


class Usage(NamedTuple):
    """What a reply tells of its own making; None where it says nothing."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    finish_reason: str | None = None


def usage_of(reply: Any) -> Usage:
    """Read a text generation endpoint's reply; a list of replies by its only item.

    Understood are: Text Generation Inference and DJL-LMI (`details`, which come when the request's parameters say
    `details: true`; input tokens only with `decoder_input_details`), OpenAI's chat format, which newer JumpStart models
    speak (`usage`, `choices`), and Meta's (`prompt_token_count`, `generation_token_count`, `stop_reason`).
    """
    if _is_list(reply):
        return usage_of(reply[0]) if len(reply) == 1 else Usage()
    if not isinstance(reply, Mapping):
        return Usage()
    for reader in (_details, _chat, _meta):
        found = reader(reply)
        if found != Usage():
            return found
    return Usage()


def _details(reply: Mapping[str, Any]) -> Usage:
    details = reply.get("details")
    if not isinstance(details, Mapping):
        return Usage()
    prefill = details.get("prefill")
    return Usage(
        input_tokens=len(prefill) if _is_list(prefill) and prefill else None,
        output_tokens=_count(details.get("generated_tokens")),
        finish_reason=_word(details.get("finish_reason")),
    )


def _chat(reply: Mapping[str, Any]) -> Usage:
    usage, choices = reply.get("usage"), reply.get("choices")
    usage = usage if isinstance(usage, Mapping) else {}
    choice = choices[0] if _is_list(choices) and len(choices) == 1 else None
    return Usage(
        input_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
        finish_reason=_word(choice.get("finish_reason")) if isinstance(choice, Mapping) else None,
    )


def _meta(reply: Mapping[str, Any]) -> Usage:
    return Usage(
        input_tokens=_count(reply.get("prompt_token_count")),
        output_tokens=_count(reply.get("generation_token_count")),
        finish_reason=_word(reply.get("stop_reason")),
    )


def _is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _word(value: Any) -> str | None:
    """A reason is a word; what is longer may be part of an answer, and is left out."""
    return value if isinstance(value, str) and 0 < len(value) <= 64 else None
