"""The fine-tuning examples are fair: what is asked was not trained on, and the data are what their config says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.contracts.config import load_config
from assay.contracts.training_data import check_training_data
from tools import make_geography

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CONFIGS = sorted((EXAMPLES / "configs").glob("scenario-*.yaml"))


class Disk:
    """A folder of the examples as a channel."""

    def __init__(self, path: str) -> None:
        self._folder = EXAMPLES / path

    def names(self) -> list[str]:
        return sorted(file.name for file in self._folder.iterdir())

    def chunks(self, name: str) -> Iterator[bytes]:
        yield (self._folder / name).read_bytes()


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def questions(path: Path) -> set[str]:
    return {row["dialog"][0]["content"] if "dialog" in row else row["question"] for row in rows(path)}


@pytest.mark.parametrize("path", list(make_geography.documents()), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_files_are_those_that_the_table_gives(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == make_geography.documents()[path], "run tools/make_geography.py"


def test_no_country_is_in_two_of_training_validation_and_catalog() -> None:
    trained = questions(make_geography.TRAINING / "continents-chats/train.jsonl")
    validating = questions(make_geography.TRAINING / "continents-chats-validation/validation.jsonl")
    asked = questions(make_geography.CATALOG)
    assert not trained & validating
    assert not (trained | validating) & asked
    assert trained == questions(make_geography.TRAINING / "continents-instructions/train.jsonl")


def test_each_country_of_the_catalog_is_asked_for_both_and_neither_is_given_away() -> None:
    catalog = rows(make_geography.CATALOG)
    assert Counter(row["category"] for row in catalog) == dict.fromkeys(
        ("continents", "capitals"), make_geography.ASKED
    )
    assert len({row["id"] for row in catalog}) == len(catalog)
    assert [row for row in catalog if row["answer"].lower() in row["question"].lower()] == []


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_training_data_of_each_scenario_are_what_its_config_says(path: Path) -> None:
    config = load_config(path.read_bytes(), path.name)
    counts, faults = check_training_data(config, Disk)
    assert faults == []
    tuned = [model.name for model in config.models if model.finetuning_config]
    whole = {"training": make_geography.TRAINED_ON, "validation": make_geography.VALIDATING}
    assert counts == dict.fromkeys(tuned, whole)


def test_an_instruction_is_asked_in_the_words_that_it_was_trained_in() -> None:
    config = load_config((EXAMPLES / "configs/scenario-2-finetuned.yaml").read_bytes(), "scenario-2")
    template = json.loads((make_geography.TRAINING / "continents-instructions/template.json").read_text())
    asked = config.model("smollm2-tuned-on-instructions").evaluation_config.prompt_template
    assert asked == template["prompt"].replace("{question}", "$model_input")
