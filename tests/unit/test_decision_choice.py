"""Which model is chosen where a config names constraints, objectives or weights, and what the choice rests on."""

from __future__ import annotations

import numpy as np
import pytest

from assay.contracts.results import Latency, ModelOutcome
from assay.decision.compare import compare
from assay.decision.records import RecordIndex
from tests.unit.decision_support import Column, Table, decide, index, outcome, right, suite


def economy(name: str, records: int, wall_seconds: float, p95: float) -> ModelOutcome:
    latency = Latency(n=records, mean=p95, p50=p95, p90=p95, p95=p95, p99=p95)
    return outcome(name, records).model_copy(update={"wall_seconds": wall_seconds, "latency": latency})


def test_a_model_that_breaks_a_constraint_is_not_eligible_and_the_reason_is_told() -> None:
    constraints = ["latency_p95_ms <= 2000", {"metric": "factual_knowledge", "at_least": 0.3}]
    config = suite("slow", "fast", "bad", "unknown", selection={"constraints": constraints})
    outcomes = [economy("slow", 100, 10, 2500), economy("fast", 100, 10, 500), economy("bad", 100, 10, 500)]
    found = decide(
        {"slow": right(90), "fast": right(50), "bad": right(20), "unknown": right(95)}, config, replaced=outcomes
    )
    assert (found.winner, found.verdict) == ("fast", None)
    reasons = {item.model: item.ineligible for item in found.models}
    assert reasons == {
        "fast": None,
        "slow": "latency_p95_ms <= 2000 is asked, and its value is 2,500",
        "bad": "factual_knowledge >= 0.3 is asked, and its value is 0.2",
        "unknown": "latency_p95_ms <= 2000 is asked, and its value is not known",
    }
    assert [item.kept for item in found.models[0].constraints] == [True, True]
    assert found.models[0].constraints[1].sure


def test_constraints_that_all_break_leave_no_winner() -> None:
    config = suite("a", "b", selection={"constraints": ["failed_share <= -1"]})
    found = decide({"a": right(50), "b": right(40)}, config)
    assert (found.winner, found.selection) == (None, None)
    assert "none is eligible. Not eligible: a: failed_share <= -1 is asked, and its value is 0" in found.explanation


def test_the_cheapest_is_chosen_where_cost_is_the_objective_and_its_price_in_quality_is_told() -> None:
    config = suite(
        "dear", "cheap", "worst", selection={"objective": "cost"}, pricing={"instances": {"ml.g5.xlarge": 3.6}}
    )
    outcomes = [economy("dear", 100, 100, 50), economy("cheap", 100, 10, 60), economy("worst", 100, 20, 70)]
    found = decide({"dear": right(90), "cheap": right(60), "worst": right(50)}, config, replaced=outcomes)
    assert (found.winner, found.verdict) == ("cheap", "worse")
    assert found.explanation.startswith(
        "cheap has the lowest cost of the eligible models, $0.10 for 1,000 answers. Its mean of "
        "FactualKnowledge.factual_knowledge is 60.0 points [50.2, 69.1]. It is behind dear by 30.0 points"
    )
    assert found.selection is not None
    assert (found.selection.rival, found.selection.front) == ("dear", ["quality", "cost", "latency"])
    assert {item.model: item.on_front for item in found.models} == {"dear": True, "cheap": True, "worst": False}
    assert [item.rank for item in found.models] == [1, 2, 3]
    assert any("own" in sentence for sentence in found.assumptions)


def test_among_equivalent_models_a_later_criterion_decides() -> None:
    sections = {"gate": {"margin": 0.05}, "pricing": {"instances": {"ml.g5.xlarge": 3.6}}}
    values = {"dear": right(501, 1000), "cheap": right(500, 1000), "bad": right(100, 1000)}
    outcomes = [economy("dear", 1000, 100, 50), economy("cheap", 1000, 10, 60), economy("bad", 1000, 1, 70)]
    config = suite(*values, selection={"objective": ["quality", "cost"]}, **sections)
    found = decide(values, config, replaced=outcomes)
    assert (found.winner, found.verdict) == ("cheap", "equivalent")
    assert found.explanation.startswith("cheap has the lowest cost of the models that are equal to the best in quality")
    assert decide(values, suite(*values, **sections), replaced=outcomes).winner == "dear"


def test_weights_rank_by_the_weighted_mean_of_the_scores_and_say_how_firm_they_are() -> None:
    config = suite(
        "exact", "loose", selection={"weights": {"factual_knowledge": 3, "factual_knowledge_quasi_exact": 1}}
    )
    ids = [str(number) for number in range(200)]

    def both(strict: int, loose: int) -> Table:
        columns = {"factual_knowledge": right(strict, 200), "factual_knowledge_quasi_exact": right(loose, 200)}
        return Table({("FactualKnowledge", name): Column(ids, np.array(found)) for name, found in columns.items()})

    found = compare(
        evaluation_id="1",
        config=config,
        records=index(ids),
        outcomes=[outcome("exact", 200), outcome("loose", 200)],
        scores=[("exact", both(120, 40)), ("loose", both(60, 160))],
        draws=50,
    )
    assert (found.metric, found.direction, found.winner) == ("selection.weighted", "higher", "exact")
    means = {item.model: item.scores[-1].mean.value for item in found.models}
    assert means == {"exact": pytest.approx(0.5), "loose": pytest.approx(0.425)}
    assert found.selection is not None
    strict, loose = found.selection.weights
    assert (strict.weight, loose.weight) == (0.75, 0.25)
    assert [strict.low, strict.high, loose.low, loose.high] == pytest.approx([2 / 3, 1, 0, 1 / 3])
    assert config.metric() == ("FactualKnowledge", "factual_knowledge", "higher")


def test_the_probability_of_being_best_is_shared_by_models_that_are_alike() -> None:
    found = decide({"a": right(50), "b": right(50), "c": right(10)})
    assert [item.probability_best for item in found.models] == [0.5, 0.5, 0.0]
    assert (found.draws, found.seed) == (100, 0)


def test_categories_in_which_the_winner_is_worse_are_found() -> None:
    names = ["easy", "hard"]
    categories = np.array([0] * 150 + [1] * 50)
    records = RecordIndex({str(n): n for n in range(200)}, categories=categories, category_names=names)
    values = {"a": [1.0] * 150 + [0.0] * 50, "b": [0.0] * 150 + [1.0] * 50}
    found = decide(values, records=records)
    assert found.winner == "a"
    assert [(item.category, item.records, item.n, item.verdict) for item in found.slices] == [
        ("easy", 150, 150, "better"),
        ("hard", 50, 50, "worse"),
    ]
    assert found.slices[1].means == {"a": 0.0, "b": 1.0}
    assert found.categories_left_out == 0
