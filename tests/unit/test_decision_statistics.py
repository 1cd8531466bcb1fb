from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from assay.decision.statistics import (
    Paired,
    mean_with_interval,
    paired_difference,
    student_interval,
    verdict,
    wilson_interval,
)

scores = st.floats(0, 1, allow_subnormal=False).map(lambda value: round(value, 6))
confidences = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99])


@given(pairs=st.lists(st.tuples(scores, scores), min_size=2, max_size=60), confidence=confidences)
def test_the_interval_of_a_paired_difference_is_that_of_the_paired_t_test(
    pairs: list[tuple[float, float]], confidence: float
) -> None:
    first, second = np.array(pairs).T
    assume(np.ptp(first - second) > 1e-6)
    found = paired_difference(first, second, confidence)
    expected = stats.ttest_rel(first, second).confidence_interval(confidence)
    assert found.n == len(pairs)
    assert found.difference == pytest.approx(float(np.mean(first - second)))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-9)


@given(pairs=st.lists(st.tuples(scores, scores), min_size=2, max_size=30), confidence=confidences)
def test_turning_a_pair_round_turns_the_interval_and_the_verdict_round(
    pairs: list[tuple[float, float]], confidence: float
) -> None:
    first, second = np.array(pairs).T
    there = paired_difference(first, second, confidence)
    back = paired_difference(second, first, confidence)
    assert there.difference is not None
    assert there.low is not None
    assert there.high is not None
    assert (back.difference, back.low, back.high) == pytest.approx((-there.difference, -there.high, -there.low))
    opposite = {"better": "worse", "worse": "better", "inconclusive": "inconclusive"}
    assert verdict(back, "higher", confidence) == opposite[verdict(there, "higher", confidence)]
    assert verdict(there, "lower", confidence) == verdict(back, "higher", confidence)


def test_only_records_that_both_models_have_are_compared() -> None:
    nan = math.nan
    first = np.array([1.0, nan, 1.0, 0.0, nan])
    second = np.array([0.0, 1.0, nan, 0.5, nan])
    found = paired_difference(first, second, 0.95)
    assert (found.n, found.difference) == (2, 0.25)


def test_one_common_record_gives_a_difference_without_an_interval_and_none_gives_nothing() -> None:
    nan = math.nan
    assert paired_difference(np.array([1.0, nan]), np.array([0.0, 1.0]), 0.95) == Paired(1, 1.0, None, None)
    assert paired_difference(np.array([nan, 1.0]), np.array([1.0, nan]), 0.95) == Paired(0, None, None, None)
    assert verdict(Paired(1, 1.0, None, None), "higher", 0.95) == "inconclusive"
    assert verdict(Paired(0, None, None, None), "higher", 0.95) == "inconclusive"


def test_differences_that_are_all_the_same_have_an_interval_of_no_width() -> None:
    first = np.array([0.3, 0.5, 0.9])
    found = paired_difference(first, first - 0.1, 0.95)
    assert found.low == found.high == pytest.approx(0.1)


@pytest.mark.parametrize(("n", "expected"), [(2, "inconclusive"), (5, "inconclusive"), (6, "better"), (40, "better")])
def test_a_few_identical_differences_are_not_taken_for_certainty(n: int, expected: str) -> None:
    assert verdict(paired_difference(np.ones(n), np.zeros(n), 0.95), "higher", 0.95) == expected


def test_models_that_never_differ_are_inconclusive_for_want_of_a_margin() -> None:
    values = np.array([0.0, 1.0] * 50)
    assert verdict(paired_difference(values, values, 0.95), "higher", 0.95) == "inconclusive"


@pytest.mark.parametrize(
    ("low", "high", "direction", "expected"),
    [
        (0.1, 0.3, "higher", "better"),
        (0.1, 0.3, "lower", "worse"),
        (-0.3, -0.1, "higher", "worse"),
        (-0.3, -0.1, "lower", "better"),
        (-0.1, 0.3, "higher", "inconclusive"),
        (0.0, 0.3, "higher", "inconclusive"),
    ],
)
def test_a_verdict_follows_the_direction_of_the_score(low: float, high: float, direction: str, expected: str) -> None:
    paired = Paired(n=100, difference=(low + high) / 2, low=low, high=high)
    assert verdict(paired, direction, 0.95) == expected  # type: ignore[arg-type]


@given(n=st.integers(1, 500), confidence=confidences, data=st.data())
def test_the_interval_of_a_share_is_that_of_wilson(n: int, confidence: float, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    expected = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    found = wilson_interval(successes, n, confidence)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= found[0] <= successes / n <= found[1] <= 1


@given(values=st.lists(scores, min_size=2, max_size=60), confidence=confidences)
def test_the_interval_of_a_mean_is_that_of_student(values: list[float], confidence: float) -> None:
    array = np.array(values)
    assume(np.ptp(array) > 1e-6)
    expected = stats.ttest_1samp(array, 0).confidence_interval(confidence)
    assert student_interval(array, confidence) == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-9)


def test_a_binary_score_is_uncertain_even_when_every_record_is_right() -> None:
    mean = mean_with_interval(np.ones(10), failed=0, confidence=0.95, binary=True)
    assert mean.value == mean.high == 1
    assert mean.low == pytest.approx(0.722, abs=1e-3)


def test_failed_records_are_carried_and_never_counted_as_zero() -> None:
    mean = mean_with_interval(np.array([1.0, 0.5]), failed=8, confidence=0.95, binary=False)
    assert (mean.n, mean.failed, mean.value) == (2, 8, 0.75)


@pytest.mark.parametrize(("values", "expected"), [([], None), ([0.5], 0.5)])
def test_a_mean_of_too_few_scores_has_no_interval(values: list[float], expected: float | None) -> None:
    mean = mean_with_interval(np.array(values), failed=0, confidence=0.95, binary=False)
    assert (mean.n, mean.value, mean.low, mean.high) == (len(values), expected, None, None)


@pytest.mark.parametrize(("values", "message"), [([1.0, math.nan], "NaN"), ([1.0, 0.5], "neither 0 nor 1")])
def test_values_that_are_no_binary_scores_are_refused(values: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mean_with_interval(np.array(values), failed=0, confidence=0.95, binary=True)
