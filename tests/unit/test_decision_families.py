from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from assay.decision.multiplicity import benjamini_hochberg, holm
from assay.decision.paired import paired_difference
from assay.decision.power import detectable_difference, power_of_t, records_needed
from assay.decision.slices import by_category, regressions

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@settings(max_examples=20)
@given(p_values)
def test_holm_and_benjamini_hochberg_are_those_of_statsmodels(found: list[float]) -> None:
    assert holm(found) == pytest.approx(multipletests(found, method="holm")[1])
    assert benjamini_hochberg(found) == pytest.approx(multipletests(found, method="fdr_bh")[1])


def test_a_test_that_could_not_be_made_is_no_member_of_its_family() -> None:
    assert holm([0.01, None, 0.04]) == [0.02, None, 0.04]
    assert benjamini_hochberg([None, 0.03]) == [None, 0.03]
    assert holm([]) == benjamini_hochberg([]) == []


@given(n=st.integers(3, 5000), alpha=st.sampled_from([0.05, 0.01, 0.05 / 45]), effect=st.floats(0.05, 1.5))
def test_the_power_of_t_is_that_of_statsmodels(n: int, alpha: float, effect: float) -> None:
    expected = TTestPower().power(effect, n, alpha)
    assume(not math.isnan(expected))
    assert power_of_t(effect, 1 / math.sqrt(n), n - 1, alpha) == pytest.approx(expected, abs=1e-5)


@given(n=st.integers(5, 3000), alpha=st.sampled_from([0.05, 0.01]), seed=st.integers(0, 50))
def test_the_detectable_difference_is_that_of_statsmodels(n: int, alpha: float, seed: int) -> None:
    differences = np.random.default_rng(seed).normal(0.001, 0.02, n)
    paired = paired_difference(differences, np.zeros(n))
    found = detectable_difference(paired, alpha)
    assert found is not None
    effect = found / float(np.std(differences, ddof=1))
    assert TTestPower().power(effect, n, alpha / 2, alternative="larger") == pytest.approx(0.8, abs=1e-4)


def test_the_records_needed_are_those_of_statsmodels() -> None:
    differences = np.random.default_rng(1).normal(0.02, 0.2, 100)
    paired = paired_difference(differences, np.zeros(100))
    effect = abs(float(np.mean(differences))) / float(np.std(differences, ddof=1))
    found = records_needed(paired, 0.05)
    assert found is not None
    power = [TTestPower().power(effect, n, 0.025, alternative="larger") for n in (found - 1, found)]
    assert power[0] < 0.8 <= power[1]


def test_two_thousand_records_with_a_discordance_of_a_tenth_show_two_points() -> None:
    first, second = np.zeros(2000), np.zeros(2000)
    first[:105], second[105:200] = 1, 1
    paired = paired_difference(first, second, binary=True)
    assert detectable_difference(paired, 0.05) == pytest.approx(0.0198, abs=1e-4)
    needed = records_needed(paired, 0.05)
    assert needed is not None
    assert needed == pytest.approx(2000 * (0.0198 / 0.005) ** 2, rel=0.01)


def test_records_needed_count_in_clusters_of_the_same_size() -> None:
    rng = np.random.default_rng(2)
    shared = np.repeat(rng.normal(0.05, 0.2, 30), 8)
    paired = paired_difference(shared, np.zeros(240), clusters=np.repeat(np.arange(30), 8))
    alone = paired_difference(shared[::8], np.zeros(30))
    assert records_needed(paired, 0.05) == pytest.approx(8 * (records_needed(alone, 0.05) or 0), abs=8)


def test_what_shows_no_spread_tells_nothing_about_what_would_be_found() -> None:
    same = np.full(50, 0.5)
    for paired in (paired_difference(same, same), paired_difference(same[:1], same[:1])):
        assert detectable_difference(paired, 0.05) is None
        assert records_needed(paired, 0.05) is None


def test_a_difference_larger_than_any_is_not_called_detectable() -> None:
    paired = paired_difference(np.array([1.0, 0.0, 0.4]), np.array([0.0, 1.0, 0.2]))
    assert detectable_difference(paired, 0.05) is None


def test_categories_are_compared_one_by_one_and_none_is_mixed_up() -> None:
    categories = np.array([1, 0, -1] * 200)
    first = np.ones(600)
    second = np.where(categories == 1, 0.0, 1.0)
    found = by_category(
        first, second, categories, ["same", "lost", "empty"], direction="lower", confidence=0.95, binary=True
    )
    assert [(item.category, item.paired.n, item.verdict) for item in found] == [
        ("same", 200, "inconclusive"),
        ("lost", 200, "worse"),
        ("empty", 0, "inconclusive"),
    ]
    assert found[1].paired.difference == 1.0
    assert found[2].adjusted is None


def test_among_many_categories_a_small_chance_is_not_a_regression() -> None:
    names = [str(number) for number in range(20)]
    categories = np.repeat(np.arange(20), 50)
    first, second = np.zeros(1000), np.zeros(1000)
    second[:6] = 1
    alone = by_category(first[:50], second[:50], categories[:50], ["0"], direction="higher", confidence=0.95)
    among = by_category(first, second, categories, names, direction="higher", confidence=0.95)
    assert (alone[0].verdict, among[0].verdict) == ("worse", "inconclusive")
    assert among[0].p_value == alone[0].p_value
    assert among[0].adjusted == pytest.approx(20 * (alone[0].p_value or 0))


def test_clusters_count_within_categories() -> None:
    first, second = np.ones(40), np.zeros(40)
    [found] = by_category(
        first,
        second,
        np.zeros(40, dtype=np.intp),
        ["all"],
        direction="higher",
        confidence=0.95,
        clusters=np.repeat([3, 8], 20),
    )
    assert (found.paired.clusters, found.verdict) == (2, "inconclusive")


def test_regressions_are_the_records_that_got_worse_the_most_first() -> None:
    first = np.array([0.1, 0.5, math.nan, 0.9, 0.2, 0.2])
    second = np.array([0.4, 0.5, 1.0, 0.1, 1.0, 0.5])
    assert regressions(first, second, "higher").tolist() == [4, 0, 5]
    assert regressions(first, second, "lower").tolist() == [3]
