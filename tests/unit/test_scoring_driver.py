"""Every record gets every score or the reason that it has none, batch by batch, in one process or in several."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from assay.contracts.catalog import Record
from assay.contracts.config import AlgorithmSection
from assay.contracts.results import Failure, Response
from assay.scoring.assets import Assets, Folders, MissingAssetError
from assay.scoring.score_files import SCHEMA, read_scores, write_score_tables
from assay.scoring.scorer import OneByOne, Sample, Scored, Scorer, Tally, UnscorableError, Unscored, make_scorer
from assay.scoring.scoring import Scoring, SecondAnswers, labels_of, needs_catalog
from tests.unit.memory_bucket import Bucket

BOTH = [AlgorithmSection(algorithm="FactualKnowledge"), AlgorithmSection(algorithm="QAAccuracy")]
LABELS = [AlgorithmSection(algorithm="ClassificationAccuracy")]


def record(identifier: str, target: str = "Paris") -> Record:
    return Record(id=identifier, model_input=f"question {identifier}", target_output=target)


def answer(identifier: str, text: str) -> Response:
    return Response(record_id=identifier, text=text, latency_ms=1.0, attempts=1, prompt="p")


def rows(table: Any) -> list[dict[str, Any]]:
    assert table.schema == SCHEMA
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def test_every_record_gets_every_score_or_the_reason_that_it_has_none() -> None:
    failure = Failure(kind="Throttled", reason="too many requests")
    failed = Response(record_id="2", text=None, latency_ms=None, attempts=4, prompt="p", failure=failure)
    records = [record("1"), record("2"), record("3")]
    with Scoring(BOTH) as scoring:
        table = scoring.score(list(zip(records, [answer("1", "Paris"), failed, None], strict=True)))
    found = rows(table)
    assert len(found) == 3 * 7
    assert {row["record_id"]: row["error"] for row in found} == {
        "1": None,
        "2": "NoAnswer: Throttled: too many requests",
        "3": "NoAnswer: the record was not asked",
    }
    assert all((row["value"] is None) == (row["error"] is not None) for row in found)
    assert all(row["value"] == 1 for row in found if row["record_id"] == "1")
    assert all(row["direction"] == "higher" for row in found)


def test_an_empty_answer_is_scored_and_not_an_error() -> None:
    with Scoring(BOTH) as scoring:
        assert [row["value"] for row in rows(scoring.score([(record("1"), answer("1", ""))]))] == [0.0] * 7


class Odd(OneByOne):
    """Scores by the text of the response."""

    def score_one(self, sample: Sample) -> Scored:
        match sample.text:
            case "raise":
                raise ZeroDivisionError("this quotes the response: raise")
            case "refuse":
                raise UnscorableError("there is nothing to see")
            case "nan":
                return Scored({"factual_knowledge": float("nan")})
            case "half":
                return Scored({"factual_knowledge": 1.0})
        return Scored({"factual_knowledge": 1.0, "factual_knowledge_quasi_exact": 0.0})


class Broken:
    """Raises for the whole batch."""

    def score(self, samples: Sequence[Sample]) -> Sequence[Scored | Unscored]:
        raise MemoryError

    def tally(self) -> None:
        return None


class Short(Broken):
    """Forgets responses."""

    def score(self, samples: Sequence[Sample]) -> Sequence[Scored | Unscored]:
        return []


def given(scorer: Scorer, texts: Sequence[str]) -> list[dict[str, Any]]:
    pairs = [(record(str(index)), answer(str(index), text)) for index, text in enumerate(texts)]
    with Scoring(BOTH[:1], make=lambda *_: scorer) as scoring:
        return rows(scoring.score(pairs))


def test_an_algorithm_that_raises_costs_only_its_record_and_its_words_are_not_kept() -> None:
    found = given(Odd(), ["raise", "refuse", "good"])
    assert [(row["value"], row["error"]) for row in found[:3]] == [
        (None, "ScoringFailed: ZeroDivisionError"),
        (None, "ScoringFailed: there is nothing to see"),
        (1.0, None),
    ]


def test_a_number_that_is_none_and_a_score_that_is_missing_are_errors() -> None:
    found = given(Odd(), ["nan", "half"])
    assert [row["error"] for row in found] == [
        "ScoringFailed: FactualKnowledge gave nan for factual_knowledge",
        None,
        "ScoringFailed: FactualKnowledge gave None for factual_knowledge_quasi_exact",
        "ScoringFailed: FactualKnowledge gave None for factual_knowledge_quasi_exact",
    ]


def test_an_algorithm_that_fails_a_batch_or_forgets_some_of_it_fails_every_record_of_it() -> None:
    assert {row["error"] for row in given(Broken(), ["a", "b"])} == {"ScoringFailed: MemoryError"}
    assert {row["error"] for row in given(Short(), ["a", "b"])} == {
        "ScoringFailed: FactualKnowledge gave 0 results for 2 responses"
    }


def test_scores_of_the_catalog_come_from_every_batch() -> None:
    with Scoring(LABELS, labels=["yes", "no"]) as scoring:
        scoring.score([(record("1", "yes"), answer("1", "yes")), (record("2", "no"), answer("2", "yes"))])
        scoring.score([(record("3", "no"), answer("3", "no")), (record("4", "no"), None)])
        found = {score.score: score for score in scoring.dataset_scores()}
    assert (found["balanced_accuracy_score"].value, found["balanced_accuracy_score"].n) == (0.75, 3)
    assert found["recall_score"].value == pytest.approx(2 / 3)


def test_scores_of_a_catalog_without_an_answer_are_errors_and_not_numbers() -> None:
    with Scoring(LABELS, labels=["yes"]) as scoring:
        scoring.score([(record("1", "yes"), None)])
        found = scoring.dataset_scores()
    assert {(score.value, score.error) for score in found} == {(None, "NoAnswer: no response was scored")}
    assert len(found) == 3


def test_a_strategy_that_does_not_fit_the_labels_is_an_error_of_the_catalogs_scores_alone() -> None:
    section = AlgorithmSection(algorithm="ClassificationAccuracy", parameters={"multiclass_average_strategy": "binary"})
    with Scoring([section], labels=["a", "b", "c"]) as scoring:
        table = scoring.score([(record(x, x), answer(x, x)) for x in "abc"])
        found = {score.score: score for score in scoring.dataset_scores()}
    assert [row["value"] for row in rows(table)] == [1.0, 1.0, 1.0]
    error = found["precision_score"].error
    assert error is not None
    assert error.startswith("ScoringFailed: ValueError")


class Slow(OneByOne):
    """Takes so long that a pool pays, and says in which process it was."""

    def score_one(self, sample: Sample) -> Scored:
        time.sleep(0.002)
        return Scored({"factual_knowledge": float(os.getpid()), "factual_knowledge_quasi_exact": 1.0}, sample.record.id)

    def tally(self) -> Tally:
        return Seen()


class Seen:
    def __init__(self) -> None:
        self.ids: set[Hashable] = set()

    def add(self, evidence: Hashable) -> None:
        self.ids.add(evidence)

    def scores(self) -> Mapping[str, float]:
        return {"factual_knowledge": float(len(self.ids))}


def slow(_section: AlgorithmSection, _assets: Assets, _labels: Iterable[str]) -> Scorer:
    return Slow()


class Here(Slow):
    """May be made in the first process alone."""

    def __init__(self) -> None:
        if multiprocessing.parent_process() is not None:
            raise RuntimeError("made in another process")

    def score_one(self, sample: Sample) -> Scored:
        return Scored({"embedding_similarity": float(os.getpid())})


def slow_or_heavy(section: AlgorithmSection, _assets: Assets, _labels: Iterable[str]) -> Scorer:
    return Here() if section.algorithm == "EmbeddingSimilarity" else Slow()


def test_many_slow_scores_are_computed_by_several_processes_and_none_is_lost() -> None:
    pairs = [(record(str(index)), answer(str(index), "x")) for index in range(600)]
    with Scoring(BOTH[:1], records=100_000, processes=2, make=slow) as scoring:
        first = rows(scoring.score(pairs[:50]))
        later = rows(scoring.score(pairs[50:]))
        [item] = scoring._algorithms
        assert item._tally is not None
        assert item._tally.scores() == {"factual_knowledge": 600.0}
    here = {row["value"] for row in first if row["score"] == "factual_knowledge"}
    there = [row for row in later if row["score"] == "factual_knowledge"]
    assert len(here) == 1
    assert here.isdisjoint({row["value"] for row in there})
    assert sorted(int(row["record_id"]) for row in there) == list(range(50, 600))


def test_a_model_from_a_folder_is_loaded_in_no_other_process(tmp_path: Path) -> None:
    heavy = AlgorithmSection(algorithm="EmbeddingSimilarity", parameters={"embedding_model": str(tmp_path)})
    pairs = [(record(str(index)), answer(str(index), "x")) for index in range(120)]
    with Scoring([heavy, *BOTH[:1]], records=1_000_000, processes=2, make=slow_or_heavy) as scoring:
        scoring.score(pairs[:20])
        found = rows(scoring.score(pairs[20:]))
        assert scoring._pool is not None
    pids = {row["algorithm"]: set[float]() for row in found}
    for row in found:
        if row["score"] != "factual_knowledge_quasi_exact":
            pids[row["algorithm"]].add(row["value"])
    assert pids["EmbeddingSimilarity"] == {float(os.getpid())}
    assert float(os.getpid()) not in pids["FactualKnowledge"]


def test_one_core_few_records_and_unknown_numbers_of_them_stay_in_one_process() -> None:
    for settings in ({"records": 100_000, "processes": 1}, {"records": 60, "processes": 2}, {"processes": 2}):
        with Scoring(BOTH[:1], make=slow, **settings) as scoring:  # type: ignore[arg-type]
            pids = set()
            for start in (0, 20):
                pairs = [(record(str(n)), answer(str(n), "x")) for n in range(start, start + 20)]
                pids |= {row["value"] for row in rows(scoring.score(pairs)) if row["score"] == "factual_knowledge"}
        assert len(pids) == 1


def test_second_answers_that_are_missing_fail_their_record() -> None:
    section = AlgorithmSection(algorithm="GeneralSemanticRobustness", parameters={"num_perturbations": 2})
    failed = Response(
        record_id="3", text=None, latency_ms=None, attempts=1, prompt="p", failure=Failure(kind="Busy", reason="later")
    )
    pairs = [(record(n), answer(n, "Paris it is")) for n in ("1", "2", "3")]
    second = {
        "GeneralSemanticRobustness": {
            "1": SecondAnswers(perturbed=(answer("1", "Paris it is"), answer("1", "Lyon it is"))),
            "3": SecondAnswers(perturbed=(answer("3", "Paris"), failed)),
        }
    }
    with Scoring([section]) as scoring:
        found = rows(scoring.score(pairs, second))
    assert [(row["value"], row["error"]) for row in found] == [
        (pytest.approx(1 / 6), None),
        (None, "NoAnswer: its perturbed inputs were not asked"),
        (None, "NoAnswer: Busy: later (perturbed input 2)"),
    ]


def test_a_folder_that_is_not_there_is_told_before_anything_is_scored() -> None:
    section = AlgorithmSection(algorithm="EmbeddingSimilarity", parameters={"embedding_model": "no/such/folder"})
    with pytest.raises(MissingAssetError, match="`embedding_model` of EmbeddingSimilarity: there is no folder no/such"):
        Scoring([section])


def test_labels_are_the_catalogs_where_an_algorithm_needs_them() -> None:
    assert needs_catalog(LABELS)
    assert not needs_catalog(BOTH)
    assert labels_of([record("1", "b"), record("2", "a"), record("3", "b")]) == ("b", "a")


def test_tables_come_back_from_parts_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.scoring.score_files.PART_ROWS", 10)
    bucket = Bucket()
    records = [record(str(index)) for index in range(9)]
    with Scoring(BOTH[:1]) as scoring:
        tables = (scoring.score([(item, answer(item.id, "Paris" if index % 2 else "Rome"))])
                  for index, item in enumerate(records))  # fmt: skip
        assert write_score_tables(bucket, "s/", tables) == 18
    assert sorted(bucket.objects) == ["s/part-00000.parquet", "s/part-00001.parquet"]
    column = read_scores(bucket, "s/").column("FactualKnowledge", "factual_knowledge")
    assert column is not None
    assert list(column.record_ids) == [str(index) for index in range(9)]
    assert list(column.values) == [0, 1, 0, 1, 0, 1, 0, 1, 0]


def test_a_maker_that_makes_no_scorer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import assay.scoring.overlap

    monkeypatch.setattr(assay.scoring.overlap, "rouge", lambda _request: "nothing")
    with pytest.raises(TypeError, match="overlap:rouge of Rouge gives no scorer, but str"):
        make_scorer(AlgorithmSection(algorithm="Rouge"), Folders())
