"""The example catalog is fair: well formed, answerable, and unknown to the answerer that competes on it."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CATALOG = ROOT / "examples" / "catalogs" / "general-knowledge.jsonl"
FACTS = ROOT / "local" / "models" / "facts.jsonl"

ANSWER_DELIMITER = "<OR>"
SAME_QUESTION_SIMILARITY = 0.8
CATEGORIES = {
    "animals",
    "astronomy",
    "capitals",
    "chemistry",
    "continents",
    "culture",
    "geography",
    "history",
    "literature",
    "measures",
    "science",
    "words",
}

Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def alternatives(answer: str) -> list[str]:
    return [alternative.strip().lower() for alternative in answer.split(ANSWER_DELIMITER)]


def tokens(question: str) -> tuple[str, ...]:
    """The words of a question, without case and punctuation: the same words make the same question."""
    return tuple(re.findall(r"\w+", question.casefold()))


def similarity(left: tuple[str, ...], right: tuple[str, ...]) -> float:
    """Jaccard similarity of the sets of words, from 0 (nothing shared) to 1 (the same words)."""
    one, other = set(left), set(right)
    return len(one & other) / len(one | other)


@pytest.fixture(scope="module")
def catalog() -> list[Row]:
    return read_rows(CATALOG)


@pytest.fixture(scope="module")
def facts() -> list[Row]:
    return read_rows(FACTS)


def test_the_catalog_has_at_least_two_hundred_records(catalog: list[Row]) -> None:
    assert len(catalog) >= 200


def test_every_record_has_the_documented_fields_as_trimmed_text(catalog: list[Row]) -> None:
    for record in catalog:
        assert list(record) == ["id", "question", "answer", "category"], record
        assert all(isinstance(value, str) and value and value == value.strip() for value in record.values()), record


def test_every_fact_has_a_question_and_one_answer(facts: list[Row]) -> None:
    for fact in facts:
        assert list(fact) == ["question", "answer"], fact
        assert all(isinstance(value, str) and value and value == value.strip() for value in fact.values()), fact
        assert ANSWER_DELIMITER not in fact["answer"], fact


def test_record_ids_are_unique_and_follow_the_order_of_the_file(catalog: list[Row]) -> None:
    assert [record["id"] for record in catalog] == [f"gk-{number:03}" for number in range(1, len(catalog) + 1)]


@pytest.mark.parametrize("path", [CATALOG, FACTS], ids=lambda path: path.stem)
def test_no_question_is_asked_twice_in_a_file(path: Path) -> None:
    counts = Counter(tokens(row["question"]) for row in read_rows(path))
    assert [question for question, count in counts.items() if count > 1] == []


def test_every_record_belongs_to_a_known_category_and_categories_are_equally_large(catalog: list[Row]) -> None:
    counts = Counter(record["category"] for record in catalog)
    assert set(counts) == CATEGORIES
    assert len(set(counts.values())) == 1


def test_the_first_records_of_the_catalog_cover_every_category(catalog: list[Row]) -> None:
    assert {record["category"] for record in catalog[: len(CATEGORIES)]} == CATEGORIES


def test_no_alternative_answer_is_empty_or_given_twice(catalog: list[Row]) -> None:
    for record in catalog:
        accepted = alternatives(record["answer"])
        assert all(accepted), record
        assert len(set(accepted)) == len(accepted), record


def test_a_one_character_alternative_is_a_digit_since_a_single_letter_occurs_in_any_response(
    catalog: list[Row],
) -> None:
    for record in catalog:
        assert all(len(text) > 1 or text.isdigit() for text in alternatives(record["answer"])), record


def test_a_response_that_repeats_the_question_is_never_right(catalog: list[Row]) -> None:
    given_away = [
        (record["id"], text)
        for record in catalog
        for text in alternatives(record["answer"])
        if text in record["question"].lower()
    ]
    assert given_away == []


def test_no_question_of_the_catalog_is_among_the_facts(catalog: list[Row], facts: list[Row]) -> None:
    asked = {tokens(record["question"]) for record in catalog}
    assert [fact["question"] for fact in facts if tokens(fact["question"]) in asked] == []


def test_no_fact_answers_a_question_of_the_catalog_in_nearly_the_same_words(
    catalog: list[Row], facts: list[Row]
) -> None:
    known = [(tokens(fact["question"]), fact) for fact in facts]
    repeated = [
        (record["question"], fact["question"])
        for record in catalog
        for words, fact in known
        if fact["answer"].lower() in alternatives(record["answer"])
        and similarity(tokens(record["question"]), words) >= SAME_QUESTION_SIMILARITY
    ]
    assert repeated == []
