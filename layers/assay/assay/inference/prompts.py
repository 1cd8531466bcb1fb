"""From a record to a request, and from a reply to a text: the part of a model call that needs no network."""

from __future__ import annotations

import json
import math
import re
from string import Template
from typing import Any

import jmespath

from assay.contracts.catalog import Record
from assay.contracts.config import PLACEHOLDER, PROMPT_VARIABLES, EvaluationSection
from assay.contracts.evaluation_section import as_chat
from assay.inference.errors import MalformedReplyError

_HALF = re.compile("[\ud800-\udfff]")


def render_prompt(template: str, record: Record) -> str:
    """Put a record into a prompt template.

    `$model_input`, `$feature` and `$prompt` stand for the record's input, `$name` for its column `name`. The rules are
    those of `string.Template`, which fmeval's templates follow too: `${name}` is `$name`, `$$` is a `$` and keeps what
    follows it from being a name. A `$` before anything else stays as it is, and so does a name that the record does not
    have; a catalog with such a record is refused before anything is asked. Values go in as they are: a `$` inside of
    one is text.
    """
    values = record.columns | {name.removeprefix("$"): record.model_input for name in PROMPT_VARIABLES}
    return Template(template).safe_substitute(values)


def request_body(evaluation: EvaluationSection, prompt: str) -> dict[str, Any]:
    """The JSON body of an endpoint: `{"inputs": ..., "parameters": {...}}`, or `{"messages": [...], ...}`.

    A system prompt makes a chat of `inputs`. As a list of one chat, a chat stays a list of one.
    """
    parameters = dict(evaluation.inference_parameters)
    if evaluation.stop_sequences:
        parameters["stop"] = list(evaluation.stop_sequences)
    if evaluation.request_format == "chat_completions":
        return {"messages": messages_of(evaluation, prompt), **parameters}
    inputs = _fill(evaluation.content_template, prompt)
    if evaluation.system_prompt is not None:
        nested = isinstance(inputs, list) and isinstance(inputs[0], list)
        inputs = messages_of(evaluation, prompt)
        inputs = [inputs] if nested else inputs
    return {"inputs": inputs, "parameters": parameters}


def messages_of(evaluation: EvaluationSection, prompt: str) -> list[dict[str, str]]:
    """The conversation that a prompt becomes: the system prompt, then the content template's messages.

    A template that is a text is what the user says. The config's check has seen that it is one of the two.
    """
    filled = _fill(evaluation.content_template, prompt)
    chat = as_chat(filled)
    messages = [{"role": "user", "content": filled}] if chat is None else chat
    if evaluation.system_prompt is not None:
        messages = [{"role": "system", "content": evaluation.system_prompt}, *messages]
    return messages


def whole_text(text: str) -> str:
    """The text with U+FFFD for half of a surrogate pair, as a cut-off answer may end with."""
    return text if _HALF.search(text) is None else _HALF.sub("\ufffd", text)


def encoded(body: dict[str, Any]) -> bytes:
    """A request's body as JSON in UTF-8. Half of a surrogate pair, which UTF-8 cannot hold, is escaped."""
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return json.dumps(body, allow_nan=False).encode()


def answer_text(reply: Any, output_jmespath: str) -> str:
    """Find the answer in a reply. Half of a surrogate pair, as a cut-off answer may end with, becomes U+FFFD.

    Args:
        reply: the reply's JSON, parsed.
        output_jmespath: the config's `output`, such as `[0].generated_text`.

    Raises:
        MalformedReplyError: nothing is there, or what is there is not text. Empty text is an answer.
    """
    try:
        found = jmespath.search(output_jmespath, reply)
    except jmespath.exceptions.JMESPathError as error:
        raise MalformedReplyError(
            f"the output path {output_jmespath!r} does not fit the reply ({type(error).__name__})"
        ) from error
    if found is None:
        raise MalformedReplyError(f"the reply has nothing at the output path {output_jmespath!r}")
    if not isinstance(found, str):
        raise MalformedReplyError(
            f"the reply has {type(found).__name__} at the output path {output_jmespath!r}, not text"
        )
    return whole_text(found)


def log_probability(reply: Any, jmespath_of_it: str | None) -> float | None:
    """The log-probability in a reply: a number, or the sum of a list of them; the first token of a text has none.

    None where the config does not ask for it, or nothing that can be read as one is there.
    """
    if jmespath_of_it is None:
        return None
    try:
        found = jmespath.search(jmespath_of_it, reply)
    except jmespath.exceptions.JMESPathError:
        return None
    values = found if isinstance(found, list) else [found]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    others = [value for value in values[1:] if value is None]
    total = math.fsum(numbers)
    return total if numbers and not others and len(values) - len(numbers) <= 1 and math.isfinite(total) else None


def _fill(template: Any, prompt: str) -> Any:
    match template:
        case str():
            return template.replace(PLACEHOLDER, prompt)
        case dict():
            return {key: _fill(value, prompt) for key, value in template.items()}
        case list():
            return [_fill(item, prompt) for item in template]
        case _:
            return template
