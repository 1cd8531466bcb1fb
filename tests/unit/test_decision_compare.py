"""How models are compared in pairs and ranked, which are eligible, and what is said of it."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import assay
from assay.contracts.algorithms import ALGORITHMS, Algorithm
from assay.contracts.results import Comparison, Failure, ModelOutcome
from assay.decision.compare import compare
from assay.decision.explanation import points
from assay.decision.records import RecordIndex
from tests.unit.decision_support import Column, Table, decide, index, outcome, right, suite, table

NAN = math.nan


def broken(model: str) -> ModelOutcome:
    failure = Failure(kind="EndpointFailed", reason="no capacity for ml.g5.xlarge")
    return ModelOutcome(model=model, status="failed", failure=failure)


def test_the_model_with_the_highest_mean_wins_and_the_lead_is_told_with_its_interval() -> None:
    found = decide({"small": right(50), "large": right(75)})
    assert (found.winner, found.verdict) == ("large", "better")
    assert [(item.model, item.rank) for item in found.models] == [("large", 1), ("small", 2)]
    assert found.explanation == (
        "large has the highest mean of FactualKnowledge.factual_knowledge, 75.0 points [65.7, 82.5]. "
        "It leads small by 25.0 points [17.5, 34.3] on 100 common records."
    )


def test_a_lead_within_the_noise_is_called_that() -> None:
    found = decide({"a": right(51), "b": right(50)})
    assert (found.winner, found.verdict) == ("a", "inconclusive")
    assert found.explanation.endswith(
        "Its lead over b, 1.0 points [-2.7, 5.4] on 100 common records, is within the noise: this catalog does not "
        "tell the two apart. It can tell differences of 7.7 points. A lead as small as this takes about 680 more "
        "records."
    )


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
    found = compare(
        evaluation_id="1", config=config, records=index(range(42)), outcomes=outcomes, scores=list(tables.items())
    )
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
    found = compare(
        evaluation_id="1", config=config, records=index(range(50)), outcomes=outcomes, scores=list(scores.items())
    )
    assert (found.winner, found.verdict, found.direction) == ("clean", "better", "lower")
    assert found.explanation.startswith("clean has the lowest mean of Toxic.toxicity, ")
    assert "It leads rude by 30.0 points [22.9, 37.1] on 50 common records." in found.explanation
    assert found.differences[0].difference == pytest.approx(-0.3)


def test_pairs_are_matched_by_record_and_not_by_position() -> None:
    scores = {"a": table([1, 0, 1], ["x", "y", "z"]), "b": table([1, 1, 0], ["z", "x", "y"])}
    outcomes = [outcome("a", 3), outcome("b", 3)]
    found = compare(
        evaluation_id="1", config=suite("a", "b"), records=index("zxy"), outcomes=outcomes, scores=list(scores.items())
    )
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
    found = compare(
        evaluation_id="1",
        config=suite("a", "b"),
        records=index(range(10)),
        outcomes=outcomes,
        scores=list(scores.items()),
    )
    assert found.models[1].ineligible is not None
    assert found.models[1].ineligible.startswith("5 of 10 records (50.0 %)")


def test_records_without_any_row_count_as_failed() -> None:
    outcomes = [outcome("a", 10)]
    found = compare(
        evaluation_id="1",
        config=suite("a"),
        records=index(range(10)),
        outcomes=outcomes,
        scores={"a": table([1.0] * 9)}.items(),
    )
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
    found = compare(evaluation_id="1", config=config, records=index(range(10)), outcomes=outcomes, scores=[])
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
    assert "Yet it is behind brave by 5.6 points [2.5, 11.0] on 90 common records" in found.explanation


def test_models_without_a_common_record_are_not_compared() -> None:
    scores = {"a": table([1.0, 1.0], ["1", "2"]), "b": table([1.0, 0.0], ["3", "4"])}
    config = suite("a", "b", gate={"max_failed": 0.5})
    outcomes = [outcome("a", 4, 2), outcome("b", 4, 2)]
    found = compare(
        evaluation_id="1", config=config, records=index("1234"), outcomes=outcomes, scores=list(scores.items())
    )
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


def test_a_comparison_that_was_written_before_this_version_is_still_read() -> None:
    found = Comparison.model_validate_json((Path(__file__).parent / "data/comparison_of_old.json").read_text())
    assert (found.winner, found.verdict) == ("a", "better")
    assert found.differences[0].p_adjusted is None
    assert found.models[0].probability_best is None
    assert (found.selection, found.family, found.slices) == (None, "", [])


def test_of_ten_equal_models_none_is_called_better_though_the_best_leads_the_worst() -> None:
    rng = np.random.default_rng(17)
    models = {f"m{number}": (rng.random(200) < 0.5).astype(float).tolist() for number in range(10)}
    found = decide(models)
    metric = [item for item in found.differences if item.score == "factual_knowledge"]
    assert len(metric) == 45
    assert min(item.p_value or 1 for item in metric) < 0.05
    assert {item.verdict for item in metric} == {"inconclusive"}
    assert all((item.p_adjusted or 0) >= (item.p_value or 1) for item in metric)
    assert "over all pairs of models" in found.family


def test_records_in_clusters_are_not_taken_for_independent() -> None:
    values = {"a": right(75), "b": right(50)}
    clusters = np.repeat(np.arange(4), 25)
    records = RecordIndex({str(name): name for name in range(100)}, clusters=clusters)
    found = decide(values, records=records)
    assert (found.verdict, found.clusters) == ("inconclusive", 4)
    pair = found.differences[0]
    assert (pair.method, pair.clusters) == ("cluster_t", 4)
    one = decide(values, records=RecordIndex(records.places, clusters=np.zeros(100, dtype=np.intp)))
    assert (one.differences[0].low, one.differences[0].p_value, one.verdict) == (None, None, "inconclusive")
    assert one.models[0].scores[0].mean.low is None
    assert one.explanation.endswith(
        "All records in common with b are in one cluster, so nothing can be said of the two."
    )


def test_models_that_are_surely_within_the_margin_are_equivalent() -> None:
    config = suite("a", "b", gate={"margin": 0.05})
    found = decide({"a": right(501, 1000), "b": right(500, 1000)}, config)
    assert (found.winner, found.verdict, found.margin) == ("a", "equivalent", 0.05)
    assert found.differences[0].equivalence_p is not None
    assert "a and b are equivalent: they differ by less than the margin of 5.0 points (0.1 points" in found.explanation
    wide = decide({"a": right(501, 1000), "b": right(500, 1000)}, suite("a", "b", gate={"margin": 0.003}))
    assert wide.verdict == "inconclusive"


def test_what_failures_would_do_as_the_worst_score_is_told_beside_what_was_scored() -> None:
    config = suite("a", "b", gate={"max_failed": 0.2})
    found = decide({"a": [NAN] * 15 + right(75, 85), "b": right(70)}, config)
    pair = found.differences[0]
    assert (found.winner, pair.n, pair.only_first, pair.only_second) == ("a", 85, 0, 15)
    assert pair.errors_as_worst is not None
    assert pair.errors_as_worst.n == 100
    assert pair.errors_as_worst.difference == pytest.approx(0.05)
    worst = found.models[0].scores[0].errors_as_worst
    assert worst is not None
    assert (worst.n, worst.value) == (100, 0.75)
    assert found.models[1].scores[0].errors_as_worst is None
    assert (found.verdict, pair.errors_as_worst.verdict) == ("better", "inconclusive")
    assert found.explanation.endswith("Were every failure the worst score, the verdict would be inconclusive.")


def test_the_worst_score_is_the_largest_where_less_is_better(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALGORITHMS, "Toxic", Algorithm("Toxic", "m", "c", {"toxicity": "lower"}))
    config = suite("a", "b", algorithms=["Toxic"], gate={"max_failed": 0.5})
    scores = [
        ("a", table([NAN] * 20 + [0.1] * 80, algorithm="Toxic")),
        ("b", table([0.2] * 100, algorithm="Toxic")),
    ]
    outcomes = [outcome("a", 100, 20), outcome("b", 100)]
    found = compare(
        evaluation_id="1", config=config, records=index(range(100)), outcomes=outcomes, scores=scores, draws=10
    )
    [pair] = found.differences
    assert pair.first == "a"
    assert pair.difference == pytest.approx(-0.1)
    assert pair.errors_as_worst is not None
    assert pair.errors_as_worst.difference == pytest.approx(0.2 * (1 - 0.2) + 0.8 * -0.1)


def test_an_outcome_of_another_suite_is_refused() -> None:
    with pytest.raises(ValueError, match="does not name: stranger"):
        compare(evaluation_id="1", config=suite("a"), records=index("1"), outcomes=[outcome("stranger", 1)], scores=[])


def test_a_score_of_a_record_that_the_catalog_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="a: factual_knowledge has a value for '2', which is no record of the catalog"):
        compare(
            evaluation_id="1",
            config=suite("a"),
            records=index(range(2)),
            outcomes=[],
            scores={"a": table([1, 1, 1])}.items(),
        )


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
