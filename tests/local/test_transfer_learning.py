"""The local training script learns answers and nothing else, from the data that JumpStart's formats describe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from local.models.transfer_learning import NOT_LEARNED, DataError, arguments, encode, read_segments
from local.models.weights import smollm2_directory
from tests.local.conftest import PROJECT

DIALOG = [
    {"role": "user", "content": "Where is Orlo?"},
    {"role": "assistant", "content": "In the north."},
    {"role": "user", "content": "And Benna?"},
    {"role": "assistant", "content": "Everywhere."},
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(smollm2_directory(PROJECT / ".assay/cache/models"))


def learned(example: Any, tokenizer: Any) -> str:
    return str(tokenizer.decode([label for label in example.labels if label != NOT_LEARNED]))


def test_a_chat_is_laid_out_as_the_server_will_ask_it_and_only_answers_are_learned(
    tmp_path: Path, tokenizer: Any
) -> None:
    (tmp_path / "train.jsonl").write_text(json.dumps({"dialog": DIALOG}))
    [segments] = read_segments(tmp_path, tokenizer, chats=True)
    assert "".join(text for text, _ in segments) == tokenizer.apply_chat_template(DIALOG, tokenize=False)
    example = encode(segments, tokenizer, 1024)
    assert list(example.tokens) == tokenizer.apply_chat_template(DIALOG, tokenize=True)
    assert learned(example, tokenizer) == "In the north.<|im_end|>\nEverywhere.<|im_end|>\n"


def test_an_instruction_is_laid_out_by_its_template_and_ends(tmp_path: Path, tokenizer: Any) -> None:
    (tmp_path / "template.json").write_text(json.dumps({"prompt": "Q: {question}\nA:", "completion": " {answer}"}))
    (tmp_path / "train.jsonl").write_text(json.dumps({"question": "Where?", "answer": "There {really}.", "more": 1}))
    [segments] = read_segments(tmp_path, tokenizer, chats=False)
    assert segments == [("Q: Where?\nA:", False), (" There {really}.<|im_end|>", True)]


def test_a_channel_without_a_template_takes_that_of_the_training_channel(tmp_path: Path, tokenizer: Any) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training/template.json").write_text(json.dumps({"prompt": "{question}", "completion": "{answer}"}))
    (tmp_path / "validation.jsonl").write_text(json.dumps({"question": "Where?", "answer": "There."}))
    [segments] = read_segments(tmp_path, tokenizer, chats=False, template_of=tmp_path / "training")
    assert segments == [("Where?", False), ("There.<|im_end|>", True)]
    with pytest.raises(DataError, match=r"validation\.jsonl, line 1: KeyError: 'instruction'"):
        read_segments(tmp_path, tokenizer, chats=False)


def test_what_is_longer_than_allowed_is_cut(tmp_path: Path, tokenizer: Any) -> None:
    (tmp_path / "train.jsonl").write_text(json.dumps({"dialog": DIALOG}))
    [segments] = read_segments(tmp_path, tokenizer, chats=True)
    whole, cut = (encode(segments, tokenizer, longest) for longest in (1024, 20))
    assert (cut.tokens, cut.labels) == (whole.tokens[:20], whole.labels[:20])


def test_a_folder_without_an_example_is_told(tmp_path: Path, tokenizer: Any) -> None:
    with pytest.raises(DataError, match="no example"):
        read_segments(tmp_path, tokenizer, chats=True)


@pytest.mark.parametrize(
    "given",
    [
        ["--epoch", "0"],
        ["--learning_rate", "-1"],
        ["--chat_dataset", "yes"],
        ["--instruction_tuned", "True", "--chat_dataset", "True"],
        ["--warmth", "3"],
    ],
)
def test_a_hyperparameter_that_is_unknown_or_senseless_ends_the_job(given: list[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(given)
