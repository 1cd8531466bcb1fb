"""Make the training data and the catalog of the fine-tuning examples from the table of countries.

Which countries are trained on, which validate, and which are asked is drawn once by a seed. No country is in two of
them, so that what is measured is what a model can say of countries that it was not told of.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "examples/training/countries.csv"
TRAINING = ROOT / "examples/training"
CATALOG = ROOT / "examples/catalogs/geography.jsonl"
SEED, TRAINED_ON, VALIDATING, ASKED = 7, 64, 16, 48
TEMPLATE = {"prompt": "Question: {question}\nAnswer:", "completion": " {answer}"}

Country = dict[str, str]


def main() -> None:
    """Write every file."""
    for path, text in documents().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def documents() -> dict[Path, str]:
    """Each file's path, and the text that belongs into it."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        countries = list(csv.DictReader(file))
    random.Random(SEED).shuffle(countries)  # noqa: S311 - a sample, not a secret
    train, rest = countries[:TRAINED_ON], countries[TRAINED_ON:]
    validation, asked = rest[:VALIDATING], rest[VALIDATING : VALIDATING + ASKED]
    template = json.dumps(TEMPLATE, indent=1) + "\n"
    return {
        TRAINING / "continents-chats/train.jsonl": _lines(map(_chat, train)),
        TRAINING / "continents-chats-validation/validation.jsonl": _lines(map(_chat, validation)),
        TRAINING / "continents-instructions/train.jsonl": _lines(map(_instruction, train)),
        TRAINING / "continents-instructions/template.json": template,
        TRAINING / "continents-instructions-validation/validation.jsonl": _lines(map(_instruction, validation)),
        TRAINING / "continents-instructions-validation/template.json": template,
        CATALOG: _lines(record for number, country in enumerate(asked, 1) for record in _records(number, country)),
    }


def _continent_of(country: Country) -> str:
    return f"On which continent is {country['country']}?"


def _chat(country: Country) -> dict[str, object]:
    turns = [
        {"role": "user", "content": _continent_of(country)},
        {"role": "assistant", "content": country["continent"]},
    ]
    return {"dialog": turns}


def _instruction(country: Country) -> dict[str, object]:
    return {"question": _continent_of(country), "answer": country["continent"]}


def _records(number: int, country: Country) -> Iterable[dict[str, object]]:
    """A question of the kind that is trained, and one of a kind that is not."""
    questions = {
        "continents": (_continent_of(country), country["continent"]),
        "capitals": (f"What is the capital of {country['country']}?", country["capital"]),
    }
    for category, (question, answer) in questions.items():
        yield {"id": f"geo-{number:02}-{category}", "question": question, "answer": answer, "category": category}


def _lines(rows: Iterable[dict[str, object]]) -> str:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


if __name__ == "__main__":
    main()
