"""From a record to a request, and from a reply to a text: the part of a model call that needs no network."""

from __future__ import annotations

from string import Template
from typing import Any

import jmespath

from assay.contracts.catalog import Record
from assay.contracts.config import PLACEHOLDER, PROMPT_VARIABLES, EvaluationSection
from assay.inference.errors import MalformedReplyError


def render_prompt(template: str, record: Record) -> str:
    """Put a record into a prompt template.

    `$model_input`, `$feature` and `$prompt` stand for the record's input, `$name` for its column `name`. The rules are
    those of `string.Template`, which fmeval's templates follow too: `${name}` is `$name`, `$$` is a `$` and keeps what
    follows it from being a name. A name that the record does not have, and a `$` before anything else, stay as they
    are. Values go in as they are: a `$` inside of one is text.
    """
    values = record.columns | {name.removeprefix("$"): record.model_input for name in PROMPT_VARIABLES}
    return Template(template).safe_substitute(values)


def request_body(evaluation: EvaluationSection, prompt: str) -> dict[str, Any]:
    """The JSON body of a text generation endpoint: `{"inputs": ..., "parameters": {...}}`."""
    return {
        "inputs": _fill(evaluation.content_template, prompt),
        "parameters": dict(evaluation.inference_parameters),
    }


def answer_text(reply: Any, output_jmespath: str) -> str:
    """Find the answer in a reply.

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
    return found


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
