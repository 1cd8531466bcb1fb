"""Whatever a prompt holds, the request around it is JSON that says exactly what the config and the record say."""

from __future__ import annotations

import io
import json
import string
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from assay.aws.endpoint_model import EndpointModel
from assay.contracts.catalog import Record
from assay.contracts.config import PLACEHOLDER, PROMPT_VARIABLES, EvaluationSection
from assay.contracts.prompt_template import columns_named
from assay.contracts.results import Response
from assay.inference.prompts import answer_text, encoded, render_prompt, request_body

NASTY = [
    *('"', "\\", "\n", "\r\n", "\t", "\0", "\u2028", "\x7f", "$", "$$", "${", "}", "{}", "[", "%s", "{0}"),
    *("$model_input", "${feature}", "$context", PLACEHOLDER, "<OR>", "\ud83d", "\udc00", "\U0001f600", "\ufeff"),
    *('", "parameters": {"temperature": 9}, "x": "', '{"role": "system"}', "'; --", "</s>", "<|im_end|>", "\\u0000"),
]
# Every character that Python can hold, half surrogates and NUL among them, and what has a meaning somewhere.
TEXT = st.lists(st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=[]), max_size=8), max_size=8).map(
    "".join
)
SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
AROUND = st.recursive(
    SCALAR | st.tuples(TEXT, TEXT).map(PLACEHOLDER.join),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
# A content template with the placeholder at any depth: in a string, a list, or a list of chat messages.
CONTENT = st.builds(
    lambda around, before, after, wrap: wrap(around, f"{before}{PLACEHOLDER}{after}"),
    AROUND,
    TEXT,
    TEXT,
    st.sampled_from(
        [
            lambda _, text: text,
            lambda around, text: [around, text, around],
            lambda around, text: [{"role": "system", "content": around}, {"role": "user", "content": text}],
            lambda around, text: {"messages": [[{"content": {"parts": [text, around]}}]]},
        ]
    ),
)


def paired(value: Any) -> Any:
    """The value, with two halves of a surrogate pair side by side as the one character that JSON makes of them."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    if isinstance(value, list):
        return [paired(item) for item in value]
    if isinstance(value, dict):
        return {paired(key): paired(item) for key, item in value.items()}
    return value


def replaced(template: Any, prompt: str) -> Any:
    """What a content template comes to, told another way than the product does it."""
    if isinstance(template, str):
        return prompt.join(template.split(PLACEHOLDER))
    if isinstance(template, list):
        return [replaced(item, prompt) for item in template]
    if isinstance(template, dict):
        return {key: replaced(value, prompt) for key, value in template.items()}
    return template


class Endpoint:
    """Stands for boto3's client: keeps the body, and answers with a text that it is given."""

    def __init__(self, answer: str = "ok") -> None:
        self.answer = answer
        self.body = b""

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        self.body = request["Body"]
        return {"Body": io.BytesIO(json.dumps([{"generated_text": self.answer}]).encode())}


@given(content=CONTENT, prompt=TEXT, parameters=st.dictionaries(TEXT, AROUND, max_size=3))
def test_the_body_is_what_the_template_says_with_the_prompt_in_it(
    content: Any, prompt: str, parameters: dict[str, Any]
) -> None:
    evaluation = EvaluationSection.model_construct(content_template=content, inference_parameters=parameters)
    body = encoded(request_body(evaluation, prompt))
    body.decode("utf-8")
    assert json.loads(body) == paired({"inputs": replaced(content, prompt), "parameters": parameters})


@given(prompt=TEXT)
def test_an_endpoint_gets_any_prompt_whole(prompt: str) -> None:
    endpoint = Endpoint()
    evaluation = EvaluationSection(content_template=[{"role": "user", "content": PLACEHOLDER}])
    assert EndpointModel("e", evaluation, 1, endpoint).ask(prompt, deadline_seconds=1).text == "ok"
    assert json.loads(endpoint.body)["inputs"] == [{"role": "user", "content": paired(prompt)}]


def test_a_body_is_utf_8_as_it_is_where_it_can_be() -> None:
    assert encoded({"inputs": "Zürich 東京 \U0001f600"}) == '{"inputs": "Zürich 東京 \U0001f600"}'.encode()


@given(answer=TEXT)
def test_any_answer_can_be_kept(answer: str) -> None:
    endpoint = Endpoint(answer)
    text = EndpointModel("e", EvaluationSection(), 1, endpoint).ask("Hi", deadline_seconds=1).text
    response = Response(record_id="1", text=text, latency_ms=1, attempts=1, prompt="Hi")
    assert Response.model_validate_json(response.model_dump_json().encode()) == response


def test_an_answer_that_ends_in_the_middle_of_a_character_is_kept_with_a_mark() -> None:
    assert answer_text(json.loads(rb'[{"generated_text": "ok \ud83d"}]'), "[0].generated_text") == "ok \ufffd"
    assert answer_text(json.loads(rb'[{"generated_text": "\ud83d\ude00"}]'), "[0].generated_text") == "\U0001f600"


PIECE = st.sampled_from(["$context", "${context}", "$passage", *(f"${name}" for name in PROMPT_VARIABLES)]) | TEXT.map(
    lambda text: text.replace("$", "$$")
)


@given(pieces=st.lists(PIECE, max_size=6), model_input=TEXT, context=TEXT, passage=TEXT)
def test_each_variable_is_replaced_and_every_other_character_stays(
    pieces: list[str], model_input: str, context: str, passage: str
) -> None:
    columns = {"context": context, "passage": passage}
    record = Record.model_construct(id="1", model_input=model_input, target_output="x", columns=columns)
    values = columns | dict.fromkeys(PROMPT_VARIABLES, model_input)
    told = [
        values[piece.strip("${}")] if piece.strip("${}") in values and piece[:2] != "$$" else piece.replace("$$", "$")
        for piece in pieces
    ]
    # A name ends where a character comes that no name holds.
    assert render_prompt(" ".join(pieces), record) == " ".join(told)


@given(pieces=st.lists(PIECE, max_size=6))
def test_a_record_with_the_columns_that_a_template_names_leaves_no_variable_in_the_prompt(pieces: list[str]) -> None:
    template = " ".join(pieces)
    columns = dict.fromkeys(columns_named(template), "filled")
    record = Record.model_construct(id="1", model_input="input", target_output="x", columns=columns)
    # The strict substitution raises where a name has no value or a dollar sign stands alone.
    told = string.Template(template).substitute(columns | dict.fromkeys(PROMPT_VARIABLES, "input"))
    assert render_prompt(template, record) == told
