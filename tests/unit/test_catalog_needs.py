"""A prompt template that names a column, and a model whose responses lie in the catalog, find what they name there."""

from __future__ import annotations

import json

import pytest

from assay.contracts.catalog_needs import Needs, needs_of
from assay.contracts.config import load_config
from assay.contracts.contenders import contenders
from tests.unit.catalog_support import KEY, dataset, line, only_fault, read, refusal

SUBJECT = "configs/suite.yaml"
CONFIG = """\
pipeline: {name: suite}
dataset: {input_data_location: x.jsonl, model_input_key: question, target_output_key: answer}
models:
  - {name: plain, provider: endpoint, endpoint_name: e}
  - name: careful
    provider: endpoint
    endpoint_name: e
    evaluation_config:
      prompt_template: "$context\\n$model_input costs $$five $5"
  - {name: ours, provider: responses, response_key: answers.ours}
algorithms: [FactualKnowledge, {algorithm: QAAccuracy, target_output_delimiter: "|"}]
"""


def needs(text: str = CONFIG) -> Needs:
    return needs_of(load_config(text.encode(), SUBJECT), text.encode(), SUBJECT)


def full(**values: object) -> bytes:
    return line(context="Once.", answers={"ours": "Hence"}, **values) + b"\n"


def test_a_config_needs_the_columns_responses_and_delimiters_that_it_names() -> None:
    found = needs()
    assert [(need.name, need.model, need.key, need.line) for need in found.columns] == [
        ("context", "careful", "models[1].evaluation_config.prompt_template", 9)
    ]
    assert [(need.name, need.model, need.key, need.line) for need in found.responses] == [
        ("answers.ours", "ours", "models[2].response_key", 10)
    ]
    assert found.delimiters == ("<OR>", "|")


def test_a_record_that_has_what_is_needed_is_read_with_it() -> None:
    [record] = read(full(), dataset(), needs())
    assert record.columns["context"] == "Once."
    assert record.responses == {"ours": "Hence"}


def test_a_variable_that_no_record_has_is_a_fault_of_the_config_with_its_model_and_line() -> None:
    text = CONFIG.replace("$context", "$contxt")
    error = refusal(full() + full(question="Who?"), dataset(), needs(text))
    [fault] = error.faults
    assert error.subject == SUBJECT
    assert (fault.line, fault.key) == (9, "models[1].evaluation_config.prompt_template")
    assert "model 'careful' names $contxt, and no record of catalogs/x.jsonl has it" in fault.message
    assert "did you mean `context`?" in fault.message
    assert "write $$ for a dollar sign" in fault.message


def test_a_variable_that_a_csv_has_no_column_for_is_a_fault_of_the_config() -> None:
    body = b"question,answer,passage,mine\na,b,c,d\n"
    text = CONFIG.replace("answers.ours", "mine")
    error = refusal(body, dataset(), needs(text), "catalogs/x.csv")
    assert error.subject == SUBJECT
    message = "names $context, and no record of catalogs/x.csv has it; there are `passage`, `question`"
    assert message in error.faults[0].message


def test_a_column_that_single_records_lack_is_a_fault_of_each() -> None:
    body = full() + line(question="Who?", answers={"ours": "x"}) + b"\n" + full(question="Where?")
    fault = only_fault(body, dataset(), needs())
    assert (fault.line, fault.key) == (2, "context")
    assert "a prompt template names it" in fault.message


def test_lacking_columns_are_counted_beyond_those_shown_and_stand_in_order() -> None:
    lacking = [line(question=f"{number}?", answers={"ours": "x"}) for number in range(150)]
    error = refusal(b"\n".join([full().strip(), *lacking, b"{"]), dataset(), needs())
    assert error.total == 151
    assert [fault.line for fault in error.faults] == list(range(2, 102))


def test_a_column_that_is_no_text_is_a_fault_of_its_line() -> None:
    fault = only_fault(full() + full(question="Who?").replace(b'"Once."', b"7"), dataset(), needs())
    assert (fault.line, fault.key) == (2, "context")
    assert "must be text, found a number" in fault.message


def test_a_template_may_name_the_category() -> None:
    text = CONFIG.replace("$context", "$kind").replace("target_output_key", "category_key: kind, target_output_key")
    [record] = read(full(), dataset(category_key="kind"), needs(text))
    assert (record.category, record.columns["kind"]) == ("causes", "causes")


@pytest.mark.parametrize("name", ["answer", "mine"])
def test_no_template_shows_a_model_an_answer(name: str) -> None:
    text = CONFIG.replace("$context", f"${name}").replace("answers.ours", "mine")
    fault = only_fault(full(mine="Hence"), dataset(), needs(text))
    assert f"names ${name}, which no model may see" in fault.message


def test_contenders_are_traced_to_the_template_that_they_were_made_of() -> None:
    text = CONFIG.replace("key: answer}", "key: answer, prompt_templates: {short: $prompt, long: $prompt of $nobody}}")
    text = text.replace(
        '    evaluation_config:\n      prompt_template: "$context\\n$model_input costs $$five $5"\n', ""
    )
    config = load_config(text.encode(), SUBJECT)
    for one in (config, contenders(config)):
        [need] = needs_of(one, text.encode(), SUBJECT).columns
        assert (need.name, need.model, need.key, need.line) == (
            "nobody",
            "plain--long",
            "dataset.prompt_templates.long",
            2,
        )


def test_needs_without_the_config_at_hand_name_the_key_only() -> None:
    [need] = needs_of(load_config(CONFIG.encode(), SUBJECT)).columns
    assert (need.key, need.line) == ("models[1].evaluation_config.prompt_template", None)


# ---- responses


def test_a_response_may_be_empty_and_may_be_missing() -> None:
    body = full() + full(question="b").replace(b"Hence", b"") + line(question="c", context="x") + b"\n"
    body += full(question="d").replace(b'"Hence"', b"null")
    assert [record.responses for record in read(body, dataset(), needs())] == [{"ours": "Hence"}, {"ours": ""}, {}, {}]


def test_a_response_that_is_no_text_is_a_fault_of_its_line() -> None:
    fault = only_fault(full() + full(question="b").replace(b'"Hence"', b"[]"), dataset(), needs())
    assert (fault.line, fault.key, fault.message) == (2, "answers.ours", "must be text, found a list")


def test_half_a_character_in_a_response_is_a_fault_of_its_line() -> None:
    fault = only_fault(full().replace(b"Hence", rb"\ud83d"), dataset(), needs())
    assert (fault.line, fault.key) == (1, "answers")


def test_responses_that_no_record_has_are_a_fault_of_the_config() -> None:
    text = CONFIG.replace("answers.ours", "answrs")
    error = refusal(full(), dataset(), needs(text))
    assert (error.subject, error.faults[0].line, error.faults[0].key) == (SUBJECT, 10, "models[2].response_key")
    assert "no record of catalogs/x.jsonl has a response of model 'ours' at 'answrs'" in error.faults[0].message
    assert "did you mean `answers`?" in error.faults[0].message


@pytest.mark.parametrize("column", ["gpt-4", "GPT 4 (mini)", "réponse", "a.b"])
def test_a_column_of_responses_may_have_any_name(column: str) -> None:
    text = CONFIG.replace("answers.ours", json.dumps(column, ensure_ascii=False)).replace("$context", "")
    body = f'question,answer,"{column}"\na,b,c\n'.encode()
    assert read(body, dataset(), needs(text), "catalogs/x.csv")[0].responses == {"ours": "c"}
    assert read(line(**{column: "c"}), dataset(), needs(text), KEY)[0].responses == {"ours": "c"}


def test_a_ready_response_is_no_column() -> None:
    text = CONFIG.replace("answers.ours", "mine")
    assert "mine" not in read(full(mine="x"), dataset(), needs(text))[0].columns


# ---- alternatives


def test_an_empty_alternative_is_one_between_the_delimiters_of_the_algorithms() -> None:
    fault = only_fault(full(answer="a||b"), dataset(), needs())
    assert (fault.line, fault.key) == (1, "answer")
    assert "nothing stands beside one '|'" in fault.message
    assert read(full(answer="a||b"), dataset(), needs(CONFIG.replace(', target_output_delimiter: "|"', "")))
