"""The algorithms beside fmeval's: assertions, overlap by sacrebleu and rouge-score."""

from __future__ import annotations

from typing import Any

import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from assay.contracts.algorithms_of_ours import OURS
from assay.contracts.catalog import Record
from assay.contracts.config import AlgorithmSection
from assay.contracts.results import Response
from assay.scoring.assets import Folders
from assay.scoring.scorer import Sample, Scored, Unscored, make_scorer
from assay.scoring.scoring import Scoring

PERSON = {"type": "object", "required": ["name"], "properties": {"age": {"type": "integer"}}}


def result(algorithm: str, target: str, text: str, **parameters: Any) -> Scored | Unscored:
    section = AlgorithmSection(algorithm=algorithm, parameters=parameters)
    [found] = make_scorer(section, Folders()).score(
        [Sample(Record(id="1", model_input="q", target_output=target), text)]
    )
    return found


def value(algorithm: str, target: str, text: str, **parameters: Any) -> float:
    found = result(algorithm, target, text, **parameters)
    assert isinstance(found, Scored)
    return next(iter(found.values.values()))


@pytest.mark.parametrize(
    ("algorithm", "target", "text", "parameters", "expected"),
    [
        ("ExactMatch", "Paris", " Paris\n", {}, 1),
        ("ExactMatch", "Paris", "paris", {}, 0),
        ("ExactMatch", "Straße", "STRASSE", {"ignore_case": True}, 1),
        ("ExactMatch", "Paris", " Paris", {"trim": False}, 0),
        ("ExactMatch", "UK <OR> England", "England", {}, 1),
        ("Contains", "Paris", "It is Paris.", {}, 1),
        ("Contains", "Paris", "It is paris.", {}, 0),
        ("Contains", "UK<OR>England", "In England", {}, 1),
        ("Contains", "UK<OR>England", "In England", {"every": True}, 0),
        ("Contains", "never used", "I cannot help", {"texts": ["cannot", "sorry"]}, 1),
        ("Contains", "never used", "I CANNOT", {"texts": ["cannot", "i"], "every": True, "ignore_case": True}, 1),
        ("Regex", "never used", "call 555-1234", {"pattern": r"\d{3}-\d{4}"}, 1),
        ("Regex", "never used", "call 555-1234", {"pattern": r"\d{3}-\d{4}", "whole": True}, 0),
        ("Regex", r"^par.s$", "PARIS", {"ignore_case": True}, 1),
        ("NumericTolerance", "42", "about 41, no: 42.", {}, 1),
        ("NumericTolerance", "42", "42, not 41", {}, 0),
        ("NumericTolerance", "42", "42, not 41", {"which": "first"}, 1),
        ("NumericTolerance", "42", "41 or 42 or 43", {"which": "any"}, 1),
        ("NumericTolerance", "1,234.5", "1234.5", {}, 1),
        ("NumericTolerance", "100", "101", {"relative": 0.01}, 1),
        ("NumericTolerance", "100", "101.1", {"relative": 0.01}, 0),
        ("NumericTolerance", "0.3", "0.1", {"absolute": 0.2}, 1),
        ("NumericTolerance", "-5", "\u22125 degrees", {}, 1),
        ("NumericTolerance", "3e8", "300,000,000 m/s", {}, 1),
        ("NumericTolerance", "1<OR>2", "2", {}, 1),
        ("NumericTolerance", "1", "none", {}, 0),
    ],
)
def test_an_assertion_is_met_or_not(
    algorithm: str, target: str, text: str, parameters: dict[str, Any], expected: int
) -> None:
    assert value(algorithm, target, text, **parameters) == expected


@pytest.mark.parametrize(
    ("text", "valid", "matches"),
    [
        ('{"name": "Ada", "age": 36}', 1, 1),
        ('{"name": "Ada", "age": "36"}', 1, 0),
        ("```json\n[1]\n```", 1, 0),
        ('Here you are:\n{"name": "Ada"}', 0, 0),
        ('{"name": NaN}', 0, 0),
        ("", 0, 0),
        ("[" * 100_000, 0, 0),
    ],
)
def test_json_that_breaks_the_schema_is_told_from_what_is_no_json(text: str, valid: int, matches: int) -> None:
    found = result("JsonSchema", "x", text, schema=PERSON)
    assert isinstance(found, Scored)
    assert dict(found.values) == {"json_valid": valid, "json_matches": matches}


def test_a_schema_never_looks_anything_up() -> None:
    found = result("JsonSchema", "x", "1", schema={"$ref": "http://127.0.0.1:9/schema.json"})
    assert isinstance(found, Unscored)


def test_a_match_that_takes_too_long_and_a_pattern_that_is_none_are_failures() -> None:
    slow = result("Regex", "x", "a" * 40 + "!", pattern=r"(a|aa|a?a)+$", seconds=0.05)
    assert slow == Unscored("the match took longer than 0.05 s")
    assert result("Regex", "(", "x") == Unscored("the expected answer is no regular expression")


def test_an_expected_answer_without_a_number_is_a_failure() -> None:
    assert result("NumericTolerance", "many", "5") == Unscored("the expected answer holds no number")


TEXTS = [
    ("the cat sat on the mat<OR>a cat was on the mat", "the cat is on the mat."),
    ("he reads the book because he is interested in world history", "he read the book because of world history"),
    ("Zürich is the largest city of Switzerland", "Zürich, the largest Swiss city"),
    ("nothing in common here", "completely different words"),
    ("one two three four five", ""),
]


@pytest.mark.parametrize(("algorithm", "name"), [("Bleu", "bleu"), ("ChrF", "chrf")])
def test_scores_of_sentences_and_of_the_catalog_are_those_of_sacrebleu(algorithm: str, name: str) -> None:
    records = [Record(id=str(n), model_input="q", target_output=target) for n, (target, _) in enumerate(TEXTS)]
    responses = [
        Response(record_id=str(n), text=text, latency_ms=1, attempts=1, prompt="p") for n, (_, text) in enumerate(TEXTS)
    ]
    references = [target.split("<OR>") for target, _ in TEXTS]
    texts = [text for _, text in TEXTS]
    padded = [[item[0] for item in references], [item[1] if len(item) > 1 else None for item in references]]
    if name == "bleu":
        each = [sacrebleu.sentence_bleu(text, targets).score for text, targets in zip(texts, references, strict=True)]
        whole = sacrebleu.corpus_bleu(texts, padded).score
    else:
        each = [sacrebleu.sentence_chrf(text, targets).score for text, targets in zip(texts, references, strict=True)]
        whole = sacrebleu.corpus_chrf(texts, padded).score
    with Scoring([AlgorithmSection(algorithm=algorithm)]) as scoring:
        tables = [scoring.score(list(zip(records, responses, strict=True))[part]) for part in (slice(2), slice(2, 9))]
        [corpus] = scoring.dataset_scores()
    assert [score for table in tables for score in table["value"].to_pylist()] == pytest.approx(
        [score / 100 for score in each], abs=1e-12
    )
    assert (corpus.score, corpus.n) == (f"corpus_{name}", len(TEXTS))
    assert corpus.value == pytest.approx(whole / 100, abs=1e-12)


def test_rouge_takes_the_best_alternative_for_each_score() -> None:
    targets, text = TEXTS[0]
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    found = result("Rouge", targets, text)
    assert isinstance(found, Scored)
    for name, score in found.values.items():
        assert score == max(scorer.score(target, text)[name].fmeasure for target in targets.split("<OR>"))


def test_every_score_that_is_called_binary_is_one_of_the_algorithm() -> None:
    for algorithm in OURS:
        assert algorithm.binary <= set(algorithm.scores)
        assert set(algorithm.optional) <= set(algorithm.scores)
