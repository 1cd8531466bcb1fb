"""Training data are checked as a whole, line by line, before a training job costs anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from assay.contracts.config import SuiteConfig
from assay.contracts.training_data import MAX_FAULTS, Checked, check_channel, check_training_data

TEMPLATE = json.dumps({"prompt": "Question: {question}\n", "completion": "{answer}"})
CHAT = {"dialog": [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Hi."}]}


class Files:
    """A folder in memory; content arrives in small pieces, as it may from S3."""

    def __init__(self, **files: str | bytes) -> None:
        self._files = {
            name.replace("__", "."): body.encode() if isinstance(body, str) else body for name, body in files.items()
        }

    def names(self) -> list[str]:
        return sorted(self._files)

    def chunks(self, name: str) -> Iterator[bytes]:
        body = self._files[name]
        for start in range(0, len(body), 7):
            yield body[start : start + 7]


def lines(*rows: Any) -> str:
    return "".join(f"{row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def check(kind: str | None, files: Files, **options: Any) -> Checked:
    return check_channel(kind, "train", files, "key", **options)


def test_chats_and_instructions_are_counted() -> None:
    assert check("chat", Files(train__jsonl=lines(CHAT, "", CHAT))).examples == 2
    rows = lines({"question": "Où?", "answer": 3}, {"question": "b", "answer": "c", "more": []})
    found = check("instruction", Files(train__jsonl=rows, template__json=TEMPLATE))
    assert (found.examples, found.faults) == (2, [])


def test_without_a_template_the_fields_of_jumpstarts_own_are_wanted() -> None:
    row = {"instruction": "a", "context": "b", "response": "c"}
    assert check("instruction", Files(train__jsonl=lines(row))).examples == 1
    [fault] = check("instruction", Files(train__jsonl=lines({"question": "a"}))).faults
    assert "the template names 'instruction', and the line has question" in fault.message


def test_a_validation_channel_without_a_template_is_held_against_the_training_channels() -> None:
    files = Files(train__jsonl=lines({"question": "a", "answer": "b"}))
    assert check("instruction", files, template_of=Files(template__json=TEMPLATE)).examples == 1
    assert check("instruction", files).total == 1


@pytest.mark.parametrize(
    ("kind", "row", "words"),
    [
        ("chat", "{", "line 2: not JSON"),
        ("chat", "[" * 100_000, "line 2: not JSON"),
        ("chat", [1], "line 2: must be a JSON object, found list"),
        ("chat", {"messages": []}, "line 2: must have `dialog`"),
        ("chat", {"dialog": []}, "line 2: must have `dialog`"),
        ("chat", {"dialog": [{"role": "user"}]}, "message 1 of the dialog must have `role` and `content`"),
        ("chat", {"dialog": [{"role": "robot", "content": ""}]}, "must have a `role` among system, user, assistant"),
        ("chat", {"dialog": CHAT["dialog"][:1]}, "take turns, the assistant last"),
        ("chat", {"dialog": [{"role": "system", "content": "Be brief."}]}, "take turns, the assistant last"),
        ("instruction", {"question": "a"}, "the template names 'answer', and the line has question"),
        ("instruction", {"question": "a", "answer": ["b"]}, "'answer' must be text"),
        ("instruction", {"question": "a", "answer": True}, "'answer' must be text"),
    ],
)
def test_a_faulty_line_is_told_by_file_and_number(kind: str, row: Any, words: str) -> None:
    good = CHAT if kind == "chat" else {"question": "a", "answer": "b"}
    found = check(kind, Files(train__jsonl=lines(good, row, good), template__json=TEMPLATE))
    [fault] = found.faults
    assert fault.message.startswith("train.jsonl, line 2: ")
    assert words in fault.message
    assert (fault.key, found.examples) == ("key", 2)


@pytest.mark.parametrize("template", ["{", "[]", "{}", '{"prompt": "{", "completion": ""}', '{"prompt": 1}'])
def test_a_template_that_is_none_is_told(template: str) -> None:
    found = check("instruction", Files(train__jsonl=lines({"a": "b"}), template__json=template))
    assert "template.json must be a JSON object with the texts `prompt` and `completion`" in found.faults[0].message


@pytest.mark.parametrize(
    ("kind", "files", "words"),
    [
        ("chat", Files(), "no training data at train"),
        (None, Files(), "no training data at train"),
        ("chat", Files(train__csv="a"), "holds no .jsonl file, which chat data are; it holds train.csv"),
        ("text", Files(train__jsonl=lines(CHAT)), "holds no text"),
        ("chat", Files(train__jsonl="\n\n"), "holds no example"),
        ("chat", Files(train__jsonl=b"\xff\xfe{}\n"), "not JSON"),
        (None, Files(train__jsonl="7\n"), "must be a JSON object, found int"),
    ],
)
def test_a_channel_that_cannot_be_trained_on_is_told(kind: str | None, files: Files, words: str) -> None:
    assert words in check(kind, files).faults[0].message


def test_text_is_not_looked_into_and_what_the_model_decides_is_left_to_it() -> None:
    assert check("text", Files(train__txt="anything")) == Checked()
    assert check(None, Files(train__parquet=b"\x00")) == Checked()


def test_the_first_faults_are_told_and_all_are_counted() -> None:
    found = check("chat", Files(train__jsonl=lines(*["x"] * (MAX_FAULTS + 5))))
    assert (len(found.faults), found.total) == (MAX_FAULTS, MAX_FAULTS + 5)


def test_a_bounded_look_ends_before_the_line_that_it_cuts() -> None:
    files = Files(train__jsonl=lines(CHAT, CHAT, "x"))
    assert check("chat", files, most_bytes=len(lines(CHAT)) + 10) == Checked(examples=1)
    assert check("chat", files).total == 1


def test_every_model_that_is_fine_tuned_is_checked_and_named() -> None:
    config = SuiteConfig.model_validate(
        {
            "pipeline": {"name": "suite"},
            "dataset": {"input_data_location": "x.jsonl"},
            "models": [
                {"name": "live", "provider": "endpoint", "endpoint_name": "live"},
                {
                    "name": "tuned",
                    "model_id": "m",
                    "deployment_config": {"instance_type": "ml.m5.xlarge"},
                    "finetuning": {
                        "train_data_path": "train",
                        "validation_data_path": "validation",
                        "parameters": {"instance_type": "ml.g5.xlarge", "chat_dataset": True},
                    },
                },
            ],
            "algorithms": ["FactualKnowledge"],
        }
    )
    folders = {"train": Files(train__jsonl=lines(CHAT)), "validation": Files(v__jsonl=lines(*["x"] * 30))}
    counts, faults = check_training_data(config, folders.get)
    assert counts == {"tuned": {"training": 1, "validation": 0}}
    assert {fault.key for fault in faults} == {"models[1].finetuning_config.validation_data_path"}
    assert faults[-1].message == "validation: 10 more faults"
    assert check_training_data(config, lambda _path: None) == ({}, [])
