from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.contracts.catalog import Record
from assay.contracts.config import EvaluationSection
from assay.inference.errors import MalformedReplyError, ModelAnswerError
from assay.inference.prompts import answer_text, log_probability, render_prompt, request_body


def record(model_input: str = "Capital of France?", **columns: str) -> Record:
    return Record(id="1", model_input=model_input, target_output="Paris", columns=columns)


@pytest.mark.parametrize("name", ["$model_input", "$feature", "$prompt", "${feature}"])
def test_each_name_of_the_input_is_replaced(name: str) -> None:
    assert render_prompt(f"Q: {name}\nA:", record()) == "Q: Capital of France?\nA:"


def test_a_column_of_the_catalog_is_replaced_by_its_name() -> None:
    assert render_prompt("$context\n$feature", record(context="Europe.")) == "Europe.\nCapital of France?"


def test_a_column_named_like_the_input_does_not_replace_it() -> None:
    assert render_prompt("$prompt", record(prompt="another")) == "Capital of France?"


def test_a_name_that_the_record_does_not_have_stays() -> None:
    assert render_prompt("$feature $nothing ${nothing}", record("x")) == "x $nothing ${nothing}"


def test_the_expected_answer_cannot_be_named() -> None:
    assert render_prompt("$feature $target_output", record("x")) == "x $target_output"


def test_a_longer_name_is_not_a_shorter_one() -> None:
    assert render_prompt("$features $feature_2 $feature", record("x")) == "$features $feature_2 x"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("$feature costs 5 $", "x costs 5 $"),
        ("$5 and $feature", "$5 and x"),
        ("$$5 and $feature", "$5 and x"),
        ("$$feature", "$feature"),
        ("$$$feature", "$x"),
    ],
)
def test_a_dollar_sign_can_be_text(template: str, expected: str) -> None:
    assert render_prompt(template, record("x")) == expected


@given(value=st.text(), column=st.text())
def test_values_go_in_unchanged_and_are_never_expanded(value: str, column: str) -> None:
    found = render_prompt("<$model_input|$context>", record(f"{value}$context", context=f"{column}$feature$$"))
    assert found == f"<{value}$context|{column}$feature$$>"


@given(template=st.text(alphabet="$ab{}_ \n"))
def test_no_template_raises(template: str) -> None:
    assert isinstance(render_prompt(template, record()), str)


def test_a_plain_request_holds_the_prompt_and_the_parameters() -> None:
    evaluation = EvaluationSection(inference_parameters={"max_new_tokens": 16, "do_sample": False})
    assert request_body(evaluation, "Hi") == {
        "inputs": "Hi",
        "parameters": {"max_new_tokens": 16, "do_sample": False},
    }


def test_the_placeholder_is_replaced_at_any_depth_and_every_time() -> None:
    template = [[{"role": "user", "content": "PROMPT_PLACEHOLDER"}, "a PROMPT_PLACEHOLDER PROMPT_PLACEHOLDER", 7, None]]
    body = request_body(EvaluationSection(content_template=template), "Hi")
    assert body["inputs"] == [[{"role": "user", "content": "Hi"}, "a Hi Hi", 7, None]]


@given(prompt=st.text())
def test_a_prompt_stays_whole_inside_of_a_request(prompt: str) -> None:
    prompt = f"{prompt}PROMPT_PLACEHOLDER"
    evaluation = EvaluationSection(content_template={"messages": [{"content": "<PROMPT_PLACEHOLDER>"}]})
    body = json.loads(json.dumps(request_body(evaluation, prompt)))
    assert body["inputs"] == {"messages": [{"content": f"<{prompt}>"}]}


def test_a_request_can_be_changed_without_changing_the_config() -> None:
    evaluation = EvaluationSection(inference_parameters={"temperature": 0})
    request_body(evaluation, "Hi")["parameters"]["temperature"] = 1
    assert evaluation.inference_parameters == {"temperature": 0}


@pytest.mark.parametrize(
    ("reply", "path"),
    [
        ([{"generated_text": "Paris"}], "[0].generated_text"),
        ({"choices": [{"message": {"content": "Paris"}}]}, "choices[0].message.content"),
    ],
)
def test_the_answer_is_found_where_the_config_says(reply: Any, path: str) -> None:
    assert answer_text(reply, path) == "Paris"


def test_an_empty_answer_is_an_answer() -> None:
    assert answer_text([{"generated_text": ""}], "[0].generated_text") == ""


@pytest.mark.parametrize(
    ("reply", "path", "message"),
    [
        ([], "[0].generated_text", "nothing at the output path '[0].generated_text'"),
        ({"error": "secret"}, "[0].generated_text", "nothing at"),
        ([{"generated_text": None}], "[0].generated_text", "nothing at"),
        ([{"generated_text": ["Paris"]}], "[0].generated_text", "has list at"),
        ([{"generated_text": 7}], "[0].generated_text", "has int at"),
        ([{"generated_text": 7}], "length([0].generated_text)", "does not fit the reply"),
    ],
)
def test_a_reply_without_a_text_is_refused_by_where_it_was_looked_for(reply: Any, path: str, message: str) -> None:
    with pytest.raises(MalformedReplyError) as caught:
        answer_text(reply, path)
    assert message in caught.value.reason
    assert "secret" not in caught.value.reason
    assert isinstance(caught.value, ModelAnswerError)


PREFILL = "[0].details.prefill[*].logprob"


@pytest.mark.parametrize(
    ("reply", "path", "expected"),
    [
        ([{"details": {"prefill": [{"logprob": None}, {"logprob": -1.5}, {"logprob": -0.25}]}}], PREFILL, -1.75),
        ([{"details": {"prefill": [{"logprob": -2}]}}], PREFILL, -2.0),
        ({"total": -3.5}, "total", -3.5),
        ([{"details": {"prefill": [{"logprob": None}, {"logprob": None}]}}], "[0].details.prefill[].[logprob][]", None),
        ([{"details": {"prefill": []}}], PREFILL, None),
        ({"total": "-3"}, "total", None),
        ({"total": True}, "total", None),
        ({}, "total", None),
        ({"total": -3.5}, None, None),
    ],
)
def test_a_log_probability_is_a_number_or_the_sum_over_tokens(reply: object, path: str | None, expected: float) -> None:
    assert log_probability(reply, path) == expected
