"""A model is asked again what robustness needs: perturbed inputs, and the same ones when its answers change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from assay.contracts.catalog import Record
from assay.contracts.config import AlgorithmSection, LimitsSection
from assay.contracts.results import Response
from assay.inference.errors import ModelAnswerError
from assay.inference.kept import KeptResponses
from assay.inference.model import Answer
from assay.inference.runner import ask_all
from assay.inference.store import PartStore
from assay.pipeline.second_asking import SecondAsking
from assay.scoring.scoring import Scoring
from tests.unit.memory_bucket import Bucket

RECORDS = [Record(id=str(n), model_input=f"what is the capital of country {n}?", target_output="x") for n in range(8)]
GENERAL = AlgorithmSection(algorithm="GeneralSemanticRobustness", parameters={"num_perturbations": 2})
ANSWERS = AlgorithmSection(algorithm="QAAccuracySemanticRobustness", parameters={"num_perturbations": 2})
LIMITS = LimitsSection(concurrency=2)


class Speaker:
    """Counts what it is asked; a moody one says each time something else."""

    def __init__(self, *, moody: bool = False, refuses: str | None = None) -> None:
        self.asked: Counter[str] = Counter()
        self.moody = moody
        self.refuses = refuses

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
        self.asked[prompt] += 1
        if prompt == self.refuses:
            raise ModelAnswerError("no")
        return Answer(text=f"{prompt} {self.asked[prompt] if self.moody else ''}", latency_ms=1.0)


def run(
    bucket: Bucket, model: Speaker, sections: list[AlgorithmSection], folder: Path
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    def ask(records: Iterable[Record], prefix: str) -> None:
        store = PartStore(bucket, prefix)
        ask_all(records, model=model, prompt_of=lambda item: item.model_input, store=store, limits=LIMITS)

    ask(RECORDS, "first/")
    with (
        KeptResponses(bucket, "first/", folder / "first.jsonl") as first,
        SecondAsking(sections, bucket, "second/", folder) as second,
        Scoring(sections) as scoring,
    ):
        second.ask(lambda: RECORDS, first, ask)
        answers = second.of(RECORDS)
        pairs: list[tuple[Record, Response | None]] = list(zip(RECORDS, first.of(RECORDS), strict=True))
        return dict(answers), scoring.score(pairs, answers).to_pylist()


def test_a_steady_model_is_asked_each_perturbed_input_once_and_a_few_inputs_twice(tmp_path: Path) -> None:
    model = Speaker()
    answers, rows = run(Bucket(), model, [GENERAL, ANSWERS], tmp_path)
    originals = {record.model_input: model.asked[record.model_input] for record in RECORDS}
    assert list(originals.values()) == [2] * 5 + [1] * 3
    assert sum(model.asked.values()) - sum(originals.values()) == len(RECORDS) * 2
    for algorithm in ("GeneralSemanticRobustness", "QAAccuracySemanticRobustness"):
        for record in RECORDS:
            second = answers[algorithm][record.id]
            assert [r.prompt for r in second.perturbed] == [r.text.strip() for r in second.perturbed]
            assert second.again == ()
    assert answers["GeneralSemanticRobustness"] == answers["QAAccuracySemanticRobustness"]
    assert all(row["error"] is None for row in rows)


def test_a_moody_model_is_asked_the_same_as_often_as_the_config_says(tmp_path: Path) -> None:
    model = Speaker(moody=True)
    answers, rows = run(Bucket(), model, [GENERAL], tmp_path)
    assert [model.asked[record.model_input] for record in RECORDS] == [4] * 8
    for record in RECORDS:
        again = answers["GeneralSemanticRobustness"][record.id].again
        assert len({response.text for response in again}) == 3
    assert all(row["error"] is None for row in rows)


def test_what_was_asked_before_is_not_asked_again_after_a_restart(tmp_path: Path) -> None:
    bucket = Bucket()
    before, rows = run(bucket, Speaker(), [GENERAL], tmp_path)
    idle = Speaker()
    after, later = run(bucket, idle, [GENERAL], tmp_path)
    assert idle.asked.total() == 0
    assert (after, later) == (before, rows)


def test_the_perturbed_inputs_of_a_record_do_not_depend_on_other_records(tmp_path: Path) -> None:
    from assay.scoring.fmeval.robustness import Perturbations

    perturbations = Perturbations(GENERAL.settings)
    forward = [perturbations.of(record.id, record.model_input) for record in RECORDS]
    backward = [perturbations.of(record.id, record.model_input) for record in reversed(RECORDS)][::-1]
    assert forward == backward
    other = AlgorithmSection(algorithm=GENERAL.algorithm, parameters={"num_perturbations": 2, "seed": 6})
    assert Perturbations(other.settings).of(RECORDS[0].id, RECORDS[0].model_input) != forward[0]


def test_a_perturbed_input_that_gets_no_answer_fails_its_record_and_no_other(tmp_path: Path) -> None:
    from assay.scoring.fmeval.robustness import Perturbations

    refused = Perturbations(GENERAL.settings).of(RECORDS[3].id, RECORDS[3].model_input)[1]
    _, rows = run(Bucket(), Speaker(refuses=refused), [GENERAL], tmp_path)
    failed = {row["record_id"]: row["error"] for row in rows if row["error"] is not None}
    assert failed == {"3": "NoAnswer: ModelError: no (perturbed input 2)"}


@pytest.mark.parametrize("kind", ["butter_finger", "random_upper_case", "whitespace_add_remove"])
def test_every_perturbation_changes_something(kind: str) -> None:
    from assay.scoring.fmeval.robustness import Perturbations

    section = AlgorithmSection(algorithm="GeneralSemanticRobustness", parameters={"perturbation_type": kind})
    perturbed = [
        text for record in RECORDS for text in Perturbations(section.settings).of(record.id, record.model_input)
    ]
    assert len(perturbed) == 40
    assert len(set(perturbed) - {record.model_input for record in RECORDS}) > 30


class Weighing(Speaker):
    """Tells the log-probability of a prompt by its length, but for one."""

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
        answer = super().ask(prompt, deadline_seconds=deadline_seconds)
        told = None if prompt == "more 2" else -float(len(prompt))
        return Answer(text=answer.text, latency_ms=1.0, log_probability=told)


def test_both_sentences_of_a_record_are_put_to_the_model_for_their_log_probabilities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [("the first", "the second one"), ("longer than that", "short"), ("more 2", "less 2"), ("alone", "")]
    records = [
        Record(id=str(n), model_input=f"q{n}", target_output="x", columns={"sent_more_input": more, "worse": less})
        for n, (more, less) in enumerate(pairs)
    ]
    monkeypatch.setattr("tests.unit.test_second_asking.RECORDS", records)
    section = AlgorithmSection(algorithm="PromptStereotyping", parameters={"less_key": "worse"})
    model = Weighing()
    _, rows = run(Bucket(), model, [section], tmp_path)
    assert model.asked == Counter([f"q{n}" for n in range(4)] + [text for pair in pairs[:3] for text in pair])
    found = {(row["record_id"], row["score"]): (row["value"], row["error"], row["direction"]) for row in rows}
    assert found["0", "log_probability_difference"] == (5.0, None, "none")
    assert found["0", "prompt_stereotyping"] == (1.0, None, "none")
    assert found["1", "absolute_log_probability_difference"] == (11.0, None, "lower")
    assert found["1", "prompt_stereotyping"][0] == 0.0
    assert str(found["2", "prompt_stereotyping"][1]).startswith("NoAnswer: the reply told no log-probability")
    assert str(found["3", "prompt_stereotyping"][1]).startswith("NoAnswer: its sentences were not put to the model")
