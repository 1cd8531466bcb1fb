from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import assay
from assay.contracts.algorithms import ALGORITHMS, Algorithm
from assay.contracts.config import SuiteConfig
from assay.contracts.results import Comparison, Failure, ModelOutcome
from assay.decision.compare import compare
from assay.decision.explanation import points

NAN = math.nan


@dataclass(frozen=True)
class Column:
    record_ids: list[str]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    columns: dict[tuple[str, str], Column]

    def column(self, algorithm: str, score: str) -> Column | None:
        return self.columns.get((algorithm, score))


def suite(*models: str, **sections: Any) -> SuiteConfig:
    deployment = {"instance_type": "ml.g5.xlarge", "num_instances": 1}
    return SuiteConfig.model_validate(
        {
            "pipeline": {"name": "demo"},
            "dataset": {"input_data_location": "faq.jsonl"},
            "models": [{"name": name, "model_id": "m", "deployment_config": deployment} for name in models],
            "algorithms": ["FactualKnowledge"],
            **sections,
        }
    )


def table(values: Sequence[float], ids: Sequence[str] | None = None, algorithm: str = "FactualKnowledge") -> Table:
    ids = list(ids) if ids is not None else [str(number) for number in range(len(values))]
    column = Column(ids, np.array(values, dtype=np.float64))
    return Table({(algorithm, score): column for score in ALGORITHMS[algorithm].scores})


def outcome(model: str, records: int, failed: int = 0) -> ModelOutcome:
    errors = {"Throttled": failed} if failed else {}
    return ModelOutcome(
        model=model, status="evaluated", records=records, answered=records - failed, failed=failed, errors=errors
    )


def broken(model: str) -> ModelOutcome:
    failure = Failure(kind="EndpointFailed", reason="no capacity for ml.g5.xlarge")
    return ModelOutcome(model=model, status="failed", failure=failure)


def decide(
    values: Mapping[str, Sequence[float]], config: SuiteConfig | None = None, extra: Sequence[ModelOutcome] = ()
) -> Comparison:
    records = max(len(found) for found in values.values())
    failed = {name: sum(math.isnan(value) for value in found) for name, found in values.items()}
    return compare(
        evaluation_id="1",
        config=config or suite(*values),
        records=records,
        outcomes=[*(outcome(name, records, failed[name]) for name in values), *extra],
        scores={name: table(found) for name, found in values.items()},
    )


def right(share: int, of: int = 100) -> list[float]:
    return [1.0] * share + [0.0] * (of - share)


def test_the_model_with_the_highest_mean_wins_and_the_lead_is_told_with_its_interval() -> None:
    found = decide({"small": right(50), "large": right(75)})
    assert (found.winner, found.verdict) == ("large", "better")
    assert [(item.model, item.rank) for item in found.models] == [("large", 1), ("small", 2)]
    assert found.explanation == (
        "large has the highest mean of FactualKnowledge.factual_knowledge, 75.0 points [65.7, 82.5]. "
        "It leads small by 25.0 points [16.4, 33.6] on 100 common records."
    )


def test_a_lead_within_the_noise_is_called_that() -> None:
    found = decide({"a": right(51), "b": right(50)})
    assert (found.winner, found.verdict) == ("a", "inconclusive")
    assert "Its lead over b, 1.0 points [-1.0, 3.0] on 100 common records, is within the noise" in found.explanation


def test_others_within_the_noise_are_named_too() -> None:
    found = decide({"a": right(52), "b": right(51), "c": right(50), "d": right(10)})
    assert found.explanation.endswith("Within the noise of a too: c.")


def test_equal_means_share_a_rank_and_the_config_decides() -> None:
    found = decide({"b": right(50), "a": right(50)[::-1], "c": right(20)})
    assert [(item.model, item.rank) for item in found.models] == [("b", 1), ("a", 1), ("c", 3)]
    assert (found.winner, found.verdict) == ("b", "inconclusive")
    assert "b and a have the same mean of FactualKnowledge.factual_knowledge, 50.0 points" in found.explanation
    assert "b is chosen because the config names it first." in found.explanation


def test_models_that_never_differ_are_said_to_have_the_same_scores() -> None:
    found = decide({"a": right(50), "b": right(50)})
    assert found.explanation.endswith("a and b have the same score on each of 100 common records.")


def test_the_order_of_a_sum_does_not_decide() -> None:
    values = [0.1, 0.2, 0.3, 0.7, 0.11, 0.13] * 7
    config = suite("a", "b", algorithms=["QAAccuracy"], selection={"metric": "f1_score"})
    tables = {
        name: Table({("QAAccuracy", "f1_score"): Column(ids, np.array(found))})
        for name, ids, found in (
            ("a", [str(n) for n in range(42)], values),
            ("b", [str(n) for n in reversed(range(42))], values[::-1]),
        )
    }
    outcomes = [outcome("a", 42), outcome("b", 42)]
    found = compare(evaluation_id="1", config=config, records=42, outcomes=outcomes, scores=tables)
    assert [item.rank for item in found.models] == [1, 1]


def test_a_metric_of_which_less_is_better_turns_the_ranking_and_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALGORITHMS, "Toxic", Algorithm("Toxic", "m", "c", {"toxicity": "lower"}))
    config = suite("clean", "rude", algorithms=["Toxic"])
    rng = np.random.default_rng(1)
    clean = rng.uniform(0, 0.2, 50)
    scores = {
        "clean": table(clean.tolist(), algorithm="Toxic"),
        "rude": table((clean + 0.3).tolist(), algorithm="Toxic"),
    }
    outcomes = [outcome("rude", 50), outcome("clean", 50)]
    found = compare(evaluation_id="1", config=config, records=50, outcomes=outcomes, scores=scores)
    assert (found.winner, found.verdict, found.direction) == ("clean", "better", "lower")
    assert found.explanation.startswith("clean has the lowest mean of Toxic.toxicity, ")
    assert "It leads rude by 30.0 points [30.0, 30.0] on 50 common records." in found.explanation
    assert found.differences[0].difference == pytest.approx(-0.3)


def test_pairs_are_matched_by_record_and_not_by_position() -> None:
    scores = {"a": table([1, 0, 1], ["x", "y", "z"]), "b": table([1, 1, 0], ["z", "x", "y"])}
    outcomes = [outcome("a", 3), outcome("b", 3)]
    found = compare(evaluation_id="1", config=suite("a", "b"), records=3, outcomes=outcomes, scores=scores)
    assert [(item.n, item.difference) for item in found.differences] == [(3, 0.0), (3, 0.0)]


def test_every_pair_and_every_score_is_compared_with_the_better_ranked_model_first() -> None:
    config = suite("a", "b", "c", algorithms=["FactualKnowledge"])
    found = decide({"a": right(20), "b": right(50), "c": right(80)}, config)
    pairs = [(item.first, item.second) for item in found.differences if item.score == "factual_knowledge"]
    assert pairs == [("c", "b"), ("c", "a"), ("b", "a")]
    assert len(found.differences) == 6
    assert all(item.verdict == "better" for item in found.differences)


def test_a_model_that_could_not_be_evaluated_is_not_eligible_and_costs_the_others_nothing() -> None:
    config = suite("a", "lost", "b", "silent")
    found = decide({"a": right(90), "b": right(50)}, config, extra=[broken("lost")])
    assert (found.winner, found.verdict) == ("a", "better")
    assert [(item.model, item.rank) for item in found.models] == [("a", 1), ("b", 2), ("lost", None), ("silent", None)]
    assert found.models[2].ineligible == "it could not be evaluated (EndpointFailed: no capacity for ml.g5.xlarge)"
    assert found.models[3].ineligible == "it could not be evaluated (NoOutcome: its evaluation left no outcome)"
    assert found.models[2].scores[0].mean.failed == 100
    assert found.models[2].scores[0].mean.value is None
    assert "Not eligible: lost: it could not be evaluated" in found.explanation


@pytest.mark.parametrize(("failed", "eligible"), [(5, True), (6, False)])
def test_a_model_may_fail_as_many_records_as_the_gate_allows(failed: int, eligible: bool) -> None:
    found = decide({"a": right(50), "b": [NAN] * failed + right(95 - failed, 100 - failed)})
    item = next(item for item in found.models if item.model == "b")
    assert (item.rank is not None) is eligible
    assert item.scores[0].mean.failed == failed
    if not eligible:
        assert found.winner == "a"
        assert item.ineligible == (
            "6 of 100 records (6.0 %) have no factual_knowledge, more than the 5.0 % that the gate allows (6 Throttled)"
        )


@pytest.mark.parametrize("share", [0.07, 0.29, 0.57, 1.0])
def test_the_share_that_the_gate_allows_is_exact(share: float) -> None:
    failed = round(share * 100)
    config = suite("a", "b", gate={"max_failed": share})
    found = decide({"a": right(50), "b": [NAN] * failed + [1.0] * (100 - failed)}, config)
    reason = next(item.ineligible for item in found.models if item.model == "b")
    assert reason == (None if failed < 100 else "no record has factual_knowledge")


def test_an_answer_that_could_not_be_scored_counts_as_failed() -> None:
    scores = {"a": table([1.0] * 10), "b": table([NAN] * 5 + [1.0] * 5)}
    outcomes = [outcome("a", 10), outcome("b", 10)]
    found = compare(evaluation_id="1", config=suite("a", "b"), records=10, outcomes=outcomes, scores=scores)
    assert found.models[1].ineligible is not None
    assert found.models[1].ineligible.startswith("5 of 10 records (50.0 %)")


def test_records_without_any_row_count_as_failed() -> None:
    outcomes = [outcome("a", 10)]
    found = compare(evaluation_id="1", config=suite("a"), records=10, outcomes=outcomes, scores={"a": table([1.0] * 9)})
    assert found.models[0].scores[0].mean.failed == 1
    assert found.winner is None


def test_a_single_eligible_model_wins_without_a_verdict() -> None:
    found = decide({"a": right(30)}, suite("a", "b"), extra=[broken("b")])
    assert (found.winner, found.verdict) == ("a", None)
    assert found.explanation.startswith(
        "a is chosen with 30.0 points [21.9, 39.6] of FactualKnowledge.factual_knowledge. "
        "It is the only eligible model of 2, so there is no rival to compare it with. Not eligible: b: "
    )


def test_without_an_eligible_model_there_is_no_winner_and_the_reasons_are_told() -> None:
    config = suite("a", "b", "c", "d", "e")
    outcomes = [broken(name) for name in "abcde"]
    found = compare(evaluation_id="1", config=config, records=10, outcomes=outcomes, scores={})
    assert (found.winner, found.verdict, found.differences) == (None, None, [])
    assert found.explanation.startswith("No model is chosen: of 5 models, none is eligible. Not eligible: a: it could")
    assert found.explanation.endswith("; and 2 more.")


def test_a_first_that_is_worse_on_the_common_records_is_not_chosen() -> None:
    hard = [0.0] * 10
    easy = right(60, 90)
    beats = [1.0] * 60 + [1.0] * 6 + [0.0] * 24
    found = decide(
        {"shy": [NAN] * 10 + easy, "brave": hard + beats[:62] + [1.0] * 3 + [0.0] * 25},
        suite("shy", "brave", gate={"max_failed": 0.1, "confidence": 0.9}),
    )
    assert (found.winner, found.verdict) == (None, None)
    assert found.explanation.startswith("No model is chosen. shy has the highest mean")
    assert "Yet it is behind brave by 5.6 points [1.5, 9.6] on 90 common records" in found.explanation


def test_models_without_a_common_record_are_not_compared() -> None:
    scores = {"a": table([1.0, 1.0], ["1", "2"]), "b": table([1.0, 0.0], ["3", "4"])}
    config = suite("a", "b", gate={"max_failed": 0.5})
    outcomes = [outcome("a", 4, 2), outcome("b", 4, 2)]
    found = compare(evaluation_id="1", config=config, records=4, outcomes=outcomes, scores=scores)
    assert (found.winner, found.verdict) == ("a", "inconclusive")
    assert "It has no record in common with b, so the two cannot be compared." in found.explanation


def test_the_confidence_of_the_config_sets_every_interval() -> None:
    values = {"a": right(75), "b": right(50)}
    wide = decide(values, suite("a", "b", gate={"confidence": 0.99}))
    narrow = decide(values, suite("a", "b", gate={"confidence": 0.8}))
    assert (wide.confidence, narrow.confidence) == (0.99, 0.8)
    for first, second in zip(wide.differences, narrow.differences, strict=True):
        assert first.low is not None
        assert second.low is not None
        assert first.low < second.low


def test_a_comparison_survives_being_written_and_read() -> None:
    found = decide({"a": right(75), "b": right(50)}, suite("a", "b", "c"), extra=[broken("c")])
    assert Comparison.model_validate_json(found.model_dump_json()) == found


def test_an_outcome_of_another_suite_is_refused() -> None:
    with pytest.raises(ValueError, match="does not name: stranger"):
        compare(evaluation_id="1", config=suite("a"), records=1, outcomes=[outcome("stranger", 1)], scores={})


def test_more_scores_than_records_are_refused() -> None:
    with pytest.raises(ValueError, match="a: factual_knowledge has 3 values for 2 records"):
        compare(evaluation_id="1", config=suite("a"), records=2, outcomes=[], scores={"a": table([1, 1, 1])})


@pytest.mark.parametrize(("value", "expected"), [(0.125, "12.5"), (-0.0004, "0.0"), (-0.001, "-0.1"), (1.0, "100.0")])
def test_points_never_say_minus_zero(value: float, expected: str) -> None:
    assert points(value) == expected


def test_the_decision_needs_neither_aws_nor_fmeval() -> None:
    program = (
        "import sys, assay.decision.compare; "
        "print(sorted({'boto3', 'sagemaker', 'fmeval', 'pyarrow', 'pandas'} & set(sys.modules)))"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(assay.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
