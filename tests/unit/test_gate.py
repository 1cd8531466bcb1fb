"""What a winner must show before it is registered, and what the gate says when it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from assay.contracts.gate import GateBaseline, GateResult
from assay.decision.gate import Baseline, UnusableBaseline, check_gate
from tests.unit.gate_support import Scores, catalog, champion, compared, config, ids, right_but

N = 200


def gated(
    mine: Any,
    baseline: Baseline | UnusableBaseline | None,
    *,
    gate: str = "",
    number: int = N,
    algorithms: str = "FactualKnowledge",
    **more: Any,
) -> GateResult:
    """The gate's result for a winner with these scores."""
    return check_gate(
        compared(records=number),
        config=config(gate, algorithms),
        catalog=catalog(number, **more),
        scores=mine if isinstance(mine, Scores) else Scores(factual_knowledge=mine),
        baseline=baseline,
        responses="s3://b/now/",
    )


def failed(result: GateResult) -> list[str]:
    return [check.kind for check in result.checks if not check.passed]


# ---- the first run


def test_without_champion_and_threshold_there_is_nothing_to_hold_the_first_winner_against() -> None:
    result = gated(right_but(N, 20), None)
    assert (result.outcome, result.checks, result.verdict) == ("not_applicable", [], None)
    assert result.may_register
    assert "registered as the first" in result.explanation


@pytest.mark.parametrize(
    ("bound", "outcome"),
    [("at_least: 0.9", "passed"), ("at_least: 0.91", "failed"), ("at_most: 0.9", "passed"), ("at_most: 0.8", "failed")],
)
def test_absolute_thresholds_hold_on_the_first_run(bound: str, outcome: str) -> None:
    result = gated(right_but(N, 20), None, gate=f"thresholds: [{{metric: factual_knowledge, {bound}}}]")
    assert result.outcome == outcome
    assert [check.kind for check in result.checks] == ["threshold"]
    assert result.may_register is (outcome == "passed")


def test_a_failed_threshold_is_told_with_what_was_found_and_asked_for() -> None:
    result = gated(right_but(N, 20), None, gate="thresholds: [{metric: factual_knowledge, at_least: 0.95}]")
    assert result.explanation == (
        "The gate is not passed. FactualKnowledge.factual_knowledge is 90.0 points; at least 95.0 was asked for."
    )


def test_a_threshold_holds_beside_a_champion_too() -> None:
    gate = "thresholds: [{metric: factual_knowledge, at_most: 0.5}]"
    result = gated(right_but(N, 0), champion(right_but(N, 20)), gate=gate)
    assert failed(result) == ["threshold"]
    assert result.verdict == "better"


def test_a_comparison_without_winner_has_no_gate() -> None:
    with pytest.raises(ValueError, match="no winner"):
        check_gate(compared(None), config=config(), catalog=catalog(1), scores=Scores(), baseline=None)


# ---- the champion


def test_a_better_winner_passes() -> None:
    result = gated(right_but(N, 0), champion(right_but(N, 40)))
    assert (result.outcome, result.verdict, result.regressed_total) == ("passed", "better", 0)
    assert "new is better than the champion house (version 3)" in result.explanation
    assert result.responses == {"winner": "s3://b/now/", "baseline": "s3://b/before/"}


def test_a_worse_winner_is_stopped_with_the_records_that_got_worse() -> None:
    result = gated(right_but(N, 30, start=100), champion(right_but(N, 0)))
    assert (result.outcome, result.verdict) == ("failed", "worse")
    assert not result.may_register
    assert result.regressed_total == 30
    assert [item.record_id for item in result.regressed] == ids(N)[100:130]
    assert {(item.before, item.after) for item in result.regressed} == {(1.0, 0.0)}
    [check] = [item for item in result.checks if item.kind == "non_inferiority"]
    assert check.difference == pytest.approx(-0.15)
    assert check.limit == 0.05
    assert check.low is not None
    assert check.low < -0.05
    assert "a loss of 5.0 points or more is not ruled out" in result.explanation


def test_an_equivalent_winner_passes_and_is_told_equivalent() -> None:
    result = gated(right_but(N, 10), champion(right_but(N, 10)))
    assert (result.outcome, result.verdict) == ("passed", "equivalent")
    assert "new is as good as the champion house (version 3)" in result.explanation


def test_too_few_records_to_show_it_are_no_pass_though_nothing_is_significant() -> None:
    # Forty records, one lost: nobody would call that a difference, and nobody can rule out five points.
    result = gated(right_but(40, 1), champion(right_but(40, 0)), number=40)
    assert (result.outcome, result.verdict) == ("failed", "inconclusive")
    assert failed(result) == ["non_inferiority"]
    assert "If that is the true change, about" in result.explanation


def test_a_wider_margin_lets_the_same_winner_pass() -> None:
    assert gated(right_but(40, 1), champion(right_but(40, 0)), number=40, gate="margin: 0.2").outcome == "passed"


def test_lower_is_better_where_the_score_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.contracts.algorithms import ALGORITHMS

    monkeypatch.setitem(ALGORITHMS["FactualKnowledge"].scores, "factual_knowledge", "lower")
    better = gated(right_but(N, 40), champion(right_but(N, 0)))
    worse = gated(right_but(N, 0), champion(right_but(N, 40)))
    assert (better.outcome, better.verdict, better.regressed_total) == ("passed", "better", 0)
    assert (worse.outcome, worse.verdict, worse.regressed_total) == ("failed", "worse", 40)


def test_what_the_winner_left_unanswered_counts_as_the_worst() -> None:
    mine = right_but(N, 0) | dict.fromkeys(ids(N)[:20])
    del mine[ids(N)[20]]
    result = gated(mine, champion(right_but(N, 0)))
    assert result.outcome == "failed"
    assert result.regressed_total == 21
    assert {item.after for item in result.regressed} == {None}


def test_what_the_champion_left_unanswered_is_left_out() -> None:
    before = right_but(N, 0) | dict.fromkeys(ids(N)[:20])
    result = gated(right_but(N, 20), champion(before))
    assert (result.outcome, result.common, result.regressed_total) == ("passed", 180, 0)


@pytest.mark.parametrize(("margin", "stopped"), [(0.1, ["QAAccuracy.f1_score"]), (0.5, [])])
def test_further_scores_have_margins_of_their_own(margin: float, stopped: list[str]) -> None:
    mine = Scores(factual_knowledge=right_but(N, 0), f1_score=right_but(N, 60))
    before = Scores(factual_knowledge=right_but(N, 0), f1_score=right_but(N, 0))
    both = "FactualKnowledge, QAAccuracy"
    baseline = champion(before, settings=config(algorithms=both))
    result = gated(mine, baseline, gate=f"margins: {{f1_score: {margin}}}", algorithms=both)
    assert [check.metric for check in result.checks if not check.passed] == stopped


def test_clusters_widen_what_is_not_known() -> None:
    # Eight records got worse and eight better, each kind in one cluster.
    mine, before = right_but(N, 8), champion(right_but(N, 8, start=104))
    clusters = {name: f"c{index // 8}" for index, name in enumerate(ids(N))}
    results = gated(mine, before), gated(mine, before, clusters=clusters)
    [alone, clustered] = [check for result in results for check in result.checks]
    assert alone.low is not None
    assert clustered.low is not None
    assert clustered.low < alone.low


# ---- categories


def test_a_category_that_got_worse_stops_a_winner_that_is_as_good_as_a_whole() -> None:
    # Twenty sums are lost, twenty products are won.
    categories = {name: "sums" if index < 60 else "products" for index, name in enumerate(ids(N))}
    result = gated(right_but(N, 20), champion(right_but(N, 20, start=100)), gate="margin: 0.2", categories=categories)
    assert result.outcome == "failed"
    [lost] = [check for check in result.checks if not check.passed]
    assert (lost.kind, lost.category, lost.n) == ("category", "sums", 60)
    assert lost.difference == pytest.approx(-1 / 3)
    assert "In the category sums, FactualKnowledge.factual_knowledge is worse" in result.explanation
    assert {item.category for item in result.regressed} == {"sums"}


def test_with_many_categories_chance_alone_stops_few_winners() -> None:
    # Forty categories of equal models: without a correction about one in twenty categories would look worse.
    rng = np.random.default_rng(7)
    categories = {name: f"c{index % 40}" for index, name in enumerate(ids(2000))}
    stopped = 0
    for _ in range(20):
        mine, before = (dict(zip(ids(2000), map(float, rng.random(2000) < 0.7), strict=True)) for _ in range(2))
        result = gated(mine, champion(before), number=2000, gate="margin: 0.2", categories=categories)
        stopped += "category" in failed(result)
    assert stopped <= 3


# ---- catalogs that differ


def test_only_common_records_count_when_the_catalog_changed_and_that_is_said() -> None:
    before = {f"old{index}": 1.0 for index in range(50)} | right_but(150, 0)
    result = gated(right_but(N, 0), champion(before, changed=True, unlike=frozenset(ids(10))))
    assert (result.outcome, result.common) == ("passed", 140)
    assert "answered another version of the catalog, so only 140 records count" in result.explanation
    assert "10 with a changed input or answer do not" in result.explanation


def test_too_few_common_records_do_not_pass_and_that_is_said() -> None:
    before = champion(right_but(20, 0), changed=True)
    result = gated(right_but(N, 0), before, gate="margin: 0.9")
    assert failed(result) == ["records"]
    assert "at least 30 are needed" in result.explanation
    assert gated(right_but(N, 0), before, gate="margin: 0.9, min_records: 20").outcome == "passed"


def test_no_common_record_is_no_pass() -> None:
    result = gated(right_but(N, 0), champion({"other": 1.0}, changed=True), gate="min_records: 1")
    assert result.outcome == "failed"
    assert "say nothing about a difference" in result.explanation


def test_a_score_under_other_settings_is_another_score() -> None:
    settings = config(algorithms="{algorithm: FactualKnowledge, target_output_delimiter: '|'}")
    result = gated(right_but(N, 0), champion(right_but(N, 50), settings=settings))
    assert failed(result) == ["baseline"]
    assert "under other settings" in result.explanation


def test_a_champion_without_the_score_cannot_be_passed() -> None:
    result = gated(right_but(N, 0), champion(Scores(), settings=config(algorithms="QAAccuracy")))
    assert failed(result) == ["baseline"]
    assert "was not scored with FactualKnowledge" in result.explanation


def test_a_champion_that_cannot_be_compared_with_is_no_pass() -> None:
    result = gated(right_but(N, 0), UnusableBaseline("the champion", "its scores are gone; reject it."))
    assert (result.outcome, result.verdict, result.baseline) == ("failed", None, None)
    assert "It cannot be held against the champion: its scores are gone; reject it." in result.explanation


# ---- a model in the champion's place


def model(name: str, scores: Any) -> Baseline:
    described = GateBaseline(
        kind="model",
        model=name,
        evaluation_id="e" * 32,
        model_package_arn=None,
        model_package_version=None,
        catalog="same",
        records=N,
    )
    return Baseline(described=described, scores=Scores(factual_knowledge=scores), config=config("baseline: house"))


def test_the_model_that_the_config_names_takes_the_champions_place() -> None:
    result = gated(right_but(N, 60), model("house", right_but(N, 0)), gate="baseline: house")
    assert (result.outcome, result.verdict) == ("failed", "worse")
    assert "new is worse than the baseline house" in result.explanation


def test_the_baseline_itself_passes_its_own_gate() -> None:
    result = gated(right_but(N, 60), model("new", right_but(N, 60)), gate="baseline: new, approve_at_confidence: 0.99")
    assert (result.outcome, result.approved_at) == ("passed", None)
    assert "new is the baseline itself." in result.explanation


# ---- nobody is asked


def test_a_winner_that_passes_surely_enough_is_approved_by_itself_where_the_config_says_so() -> None:
    mine, before = right_but(N, 0), champion(right_but(N, 40))
    assert gated(mine, before).approved_at is None
    result = gated(mine, before, gate="approve_at_confidence: 0.999")
    assert result.approved_at == 0.999
    assert "99.9 % confidence too, which approves it by itself" in result.explanation


def test_a_winner_that_passes_only_just_waits_for_somebody() -> None:
    # Nothing differs on 80 records: five points are ruled out at 95 %, and not at 99.9 %.
    result = gated(right_but(80, 0), champion(right_but(80, 0)), number=80, gate="approve_at_confidence: 0.999")
    assert (result.outcome, result.approved_at) == ("passed", None)


def test_a_first_winner_always_waits_for_somebody() -> None:
    gate = "approve_at_confidence: 0.9, thresholds: [{metric: factual_knowledge, at_least: 0.1}]"
    result = gated(right_but(N, 0), None, gate=gate)
    assert (result.outcome, result.approved_at) == ("passed", None)


def test_a_winner_with_the_champions_name_may_be_approved_by_itself() -> None:
    described = champion(right_but(N, 40)).described.model_copy(update={"model": "new"})
    before = Baseline(described=described, scores=Scores(factual_knowledge=right_but(N, 40)), config=config())
    assert gated(right_but(N, 0), before, gate="approve_at_confidence: 0.99").approved_at == 0.99
