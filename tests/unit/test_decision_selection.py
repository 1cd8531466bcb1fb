"""What a choice is made of: costs, constraints, the front, criteria in their order, the ranges of weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.contracts.config import SuiteConfig
from assay.contracts.decision_sections import MEASURES, ConstraintSection
from assay.contracts.prices import Prices, TokenPrice
from assay.contracts.results import Criterion, Latency, Mean, ModelCost, ModelOutcome, RankedModel, Tokens
from assay.decision.economics import assumptions, model_cost, tokens_per_second
from assay.decision.selection import checked, choose, measure, pareto_front, weight_ranges

PRICES = Prices(
    "2026-11",
    "us-east-1",
    "https://prices",
    {"ml.g5.xlarge": 3.6},
    tokens={"gpt-4o": TokenPrice(2.0, 8.0)},
)
LATENCY = Latency(n=10, mean=100, p50=90, p90=180, p95=200, p99=400)


def suite(**model: Any) -> SuiteConfig:
    return SuiteConfig.model_validate(
        {
            "pipeline": {"name": "demo"},
            "dataset": {"input_data_location": "faq.jsonl"},
            "models": [{"name": "m", **model}],
            "algorithms": ["FactualKnowledge"],
        }
    )


DEPLOYED = suite(model_id="x", deployment_config={"instance_type": "ml.g5.xlarge", "num_instances": 2})


def outcome(**changes: Any) -> ModelOutcome:
    found = ModelOutcome(
        model="m", status="evaluated", records=100, answered=100, latency=LATENCY, wall_seconds=50.0, deploy_seconds=300
    )
    return found.model_copy(update=changes)


def constraint(text: str) -> ConstraintSection:
    return ConstraintSection.model_validate(text)


def test_hours_of_instances_cost_what_the_asking_took() -> None:
    found = model_cost(DEPLOYED.models[0], outcome(), PRICES)
    assert found.basis == "instance_hours"
    assert found.usd == pytest.approx(2 * 3.6 * 50 / 3600)
    assert found.per_1k_usd == pytest.approx(10 * 2 * 3.6 * 50 / 3600)
    assert found.note == "50 s of 2 x ml.g5.xlarge at $3.6 an hour"


def test_tokens_cost_what_their_service_counted() -> None:
    section = suite(provider="openai", model_id="gpt-4o").models[0]
    tokens = Tokens(n=100, input=1_000_000, output=500_000, seconds=250.0)
    found = model_cost(section, outcome(tokens=tokens), PRICES)
    assert (found.basis, found.usd, found.per_1k_usd) == ("tokens", 6.0, 60.0)
    assert found.note == "1,000,000 tokens in and 500,000 out at $2 and $8 a million"
    assert tokens_per_second(outcome(tokens=tokens)) == 2000
    billed = model_cost(section.model_copy(update={"model_id": "y"}), outcome(tokens=tokens), PRICES)
    assert billed.usd is None
    billed = model_cost(
        section.model_copy(update={"model_id": "y"}),
        outcome(tokens=tokens.model_copy(update={"usd": 0.5})),
        PRICES,
    )
    assert (billed.usd, billed.basis) == (0.5, "tokens")


def test_answers_of_a_batch_job_cost_half_and_the_page_says_so() -> None:
    config = suite(provider="bedrock", model_id="gpt-4o", bedrock_config={"batch_from_records": 100})
    batched = outcome(tokens=Tokens(n=100, input=1_000_000, output=500_000), by_batch=True, latency=None)
    found = model_cost(config.models[0], batched, PRICES)
    assert (found.usd, found.note) == (3.0, "1,000,000 tokens in and 500,000 out at $1 and $4 a million")
    assert tokens_per_second(batched) is None
    ranked = RankedModel(model="m", rank=1, ineligible=None, scores=[], outcome=batched, cost=found)
    assert "m: asked by batch inference jobs, whose tokens are taken to cost 50%" in " ".join(
        assumptions(config, PRICES, [ranked])
    )


@pytest.mark.parametrize(
    ("asynchronous", "answered", "told"), [(True, 100, True), (True, 0, False), (False, 100, False)]
)
def test_answers_are_said_to_have_come_through_a_queue_where_they_did(
    asynchronous: bool, answered: int, told: bool
) -> None:
    found = outcome(latency=None, asynchronous=asynchronous, answered=answered)
    ranked = RankedModel(model="m", rank=1, ineligible=None, scores=[], outcome=found)
    sentence = "Answers of m came through the queue of an asynchronous endpoint: no latency is known."
    assert (sentence in assumptions(DEPLOYED, PRICES, [ranked])) is told


@pytest.mark.parametrize(
    ("section", "changes", "why"),
    [
        ({"provider": "openai", "model_id": "gpt-4o"}, {}, "its tokens, or their price, are not known"),
        (
            {"provider": "openai", "model_id": "gpt-4o"},
            {"tokens": Tokens(n=99, input=1, output=1)},
            "its tokens, or their price, are not known",
        ),
        (
            {"model_id": "x", "deployment_config": {"instance_type": "ml.x9.huge"}},
            {},
            "there is no price of ml.x9.huge",
        ),
        (
            {"model_id": "x", "deployment_config": {"instance_type": "ml.g5.xlarge"}},
            {"wall_seconds": None},
            "the time in which it was asked was not measured",
        ),
        ({"provider": "responses", "response_key": "r"}, {}, "its answers were ready"),
        ({"provider": "endpoint", "endpoint_name": "e"}, {"answered": 0}, "it answered nothing"),
    ],
)
def test_what_is_not_known_is_not_taken_for_nothing(section: dict[str, Any], changes: dict[str, Any], why: str) -> None:
    found = model_cost(suite(**section).models[0], outcome(**changes), PRICES)
    assert (found.basis, found.usd, found.per_1k_usd) == (None, None, None)
    assert found.note.startswith(why)
    assert tokens_per_second(outcome()) is None


def test_assumptions_name_date_and_place_of_the_prices_and_those_of_the_config() -> None:
    priced = DEPLOYED.model_copy(update={"pricing": None})
    prices = PRICES.overridden(None)
    told = " ".join(assumptions(priced, prices, []))
    assert "us-east-1" in told
    assert "2026-11" in told


@given(
    name=st.sampled_from(["latency_p95_ms", "toxicity", "FactualKnowledge.factual_knowledge"]),
    sign=st.sampled_from(["<=", ">="]),
    bound=st.sampled_from(["2000", "1.5", ".1", "-3", "1e3"]),
    space=st.sampled_from(["", " ", "  "]),
)
def test_a_constraint_reads_as_it_is_said(name: str, sign: str, bound: str, space: str) -> None:
    found = constraint(f"{name}{space}{sign}{space}{bound}")
    assert found.metric == name
    assert (found.at_most if sign == "<=" else found.at_least) == float(bound)
    assert (found.at_least if sign == "<=" else found.at_most) is None


@pytest.mark.parametrize("text", ["latency < 3", "latency", "<= 3", "a <= b", "a == 3", "a <= 3 <= 4", "a <= inf"])
def test_a_constraint_that_cannot_be_read_says_how_one_reads(text: str) -> None:
    with pytest.raises(ValueError, match="must read like `latency_p95_ms <= 2000`"):
        constraint(text)


def test_bounds_hold_as_they_are_written_and_an_unknown_value_keeps_none() -> None:
    both = ConstraintSection(metric="x", at_least=0.25, at_most=0.5)
    assert [item.kept for item in checked(both, 0.5)] == [True, True]
    assert [item.kept for item in checked(both, 0.1 + 0.15)] == [True, True]
    assert [item.kept for item in checked(both, 0.51)] == [True, False]
    assert [(item.text, item.kept, item.value) for item in checked(both, None)] == [
        ("x >= 0.25", False, None),
        ("x <= 0.5", False, None),
    ]


def test_a_mean_that_keeps_a_bound_by_chance_is_not_called_sure() -> None:
    mean = Mean(n=100, failed=0, value=0.09, low=0.05, high=0.14)
    [near] = checked(constraint("toxicity <= 0.1"), 0.09, mean)
    [far] = checked(constraint("toxicity <= 0.2"), 0.09, mean)
    [measured] = checked(constraint("latency_ms <= 1"), 0.5)
    assert (near.kept, near.sure, far.sure, measured.sure) == (True, False, True, None)


def test_every_measure_that_a_config_may_name_can_be_taken() -> None:
    cost = ModelCost(basis="tokens", usd=0.25, per_1k_usd=2.5, note="")
    mean = Mean(n=97, failed=3, value=0.5)
    found = {name: measure(name, outcome(), cost, mean, 40.0, 100) for name in MEASURES}
    assert found == {
        "latency_ms": 100,
        "latency_p50_ms": 90,
        "latency_p90_ms": 180,
        "latency_p95_ms": 200,
        "latency_p99_ms": 400,
        "cost_usd": 0.25,
        "cost_per_1k_usd": 2.5,
        "tokens_per_second": 40,
        "deploy_seconds": 300,
        "failures": 3,
        "failed_share": 0.03,
    }


@given(st.dictionaries(st.text("abc", min_size=1), st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=8))
def test_the_front_is_what_no_other_beats(points: dict[str, tuple[int, ...]]) -> None:
    front = pareto_front({name: [float(value) for value in point] for name, point in points.items()})
    assert front
    for name, mine in points.items():
        beaten = any(
            all(a <= b for a, b in zip(other, mine, strict=True)) and other != mine for other in points.values()
        )
        assert (name in front) is not beaten


@pytest.mark.parametrize(
    ("objective", "winner", "ties"),
    [
        (["quality"], "a", ["b"]),
        (["quality", "cost"], "b", []),
        (["cost"], "c", ["d"]),
        (["cost", "latency"], "d", []),
        (["latency"], "d", []),
        (["cost", "quality"], "c", []),
    ],
)
def test_a_later_criterion_decides_among_those_that_are_equal_so_far(
    objective: list[Criterion], winner: str, ties: list[str]
) -> None:
    measures: dict[Criterion, dict[str, float | None]] = {
        "cost": {"a": 2.0, "b": 1.5, "c": 1.0, "d": 1.0, "e": None},
        "latency": {"a": 10.0, "b": 9.0, "c": 8.0, "d": 7.0, "e": 0.5 * 14 + 1},
    }
    choice = choose("abcde", objective, measures=measures, equal=lambda first, second: {first, second} == {"a", "b"})
    assert (choice.winner, choice.ties) == (winner, ties)


def test_a_criterion_that_is_known_of_none_decides_nothing() -> None:
    choice = choose("ab", ["cost"], measures={"cost": {"a": None}}, equal=lambda _first, _second: False)
    assert (choice.winner, choice.ties) == ("a", ["b"])


@given(
    utilities=st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=2, max_size=5),
    weights=st.tuples(*[st.floats(0.1, 5)] * 3),
)
def test_within_its_range_a_weight_leaves_the_winner_and_beyond_it_does_not(
    utilities: list[tuple[float, ...]], weights: tuple[float, ...]
) -> None:
    table = np.array(utilities)
    shares = np.array(weights) / sum(weights)
    winner = int(np.argmax(table @ shares))
    for index, (low, high) in enumerate(weight_ranges(table, weights, winner)):
        assert 0 <= low <= shares[index] + 1e-9
        assert shares[index] - 1e-9 <= high <= 1
        for weight, inside in ((low + 1e-6, True), (high - 1e-6, True), (low - 1e-3, False), (high + 1e-3, False)):
            if not 0 <= weight <= 1 or (inside and not low < weight < high):
                continue
            moved = shares * (1 - weight) / (1 - shares[index])
            moved[index] = weight
            lead = table[winner] @ moved - max(np.delete(table @ moved, winner))
            assert lead >= -1e-9 if inside else lead <= 1e-6


def test_a_weight_that_is_all_gives_way_to_the_others_in_equal_parts() -> None:
    table = np.array([[1.0, 0.0, 0.0], [0.5, 1.0, 0.0]])
    low, high = weight_ranges(table, [1.0, 0.0, 0.0], 0)[0]
    assert low == pytest.approx(0.5)
    assert high == 1


def test_a_tie_has_no_room() -> None:
    assert weight_ranges(np.array([[1.0, 0.0], [0.0, 1.0]]), [1.0, 1.0], 0) == [(0.5, 0.5), (0.5, 0.5)]
