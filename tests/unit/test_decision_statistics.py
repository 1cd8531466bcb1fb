from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from assay.decision.statistics import ClusterError, cluster_error, mean_with_interval, wilson_interval

scores = st.floats(0, 1, allow_subnormal=False).map(lambda value: round(value, 6))
confidences = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99])


@given(n=st.integers(1, 500), confidence=confidences, data=st.data())
def test_the_interval_of_a_share_is_that_of_wilson(n: int, confidence: float, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    expected = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    found = wilson_interval(successes / n, n, float(stats.norm.ppf((1 + confidence) / 2)))
    assert found == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= found[0] <= successes / n <= found[1] <= 1


@given(values=st.lists(scores, min_size=2, max_size=60), confidence=confidences)
def test_the_interval_of_a_mean_is_that_of_student(values: list[float], confidence: float) -> None:
    array = np.array(values)
    assume(np.ptp(array) > 1e-6)
    expected = stats.ttest_1samp(array, 0).confidence_interval(confidence)
    found = mean_with_interval(array, failed=0, confidence=confidence, binary=False)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-9)


@given(seed=st.integers(0, 500), groups=st.integers(2, 12))
def test_the_interval_of_a_mean_in_clusters_is_that_of_a_regression_with_clustered_errors(
    seed: int, groups: int
) -> None:
    rng = np.random.default_rng(seed)
    values, codes = rng.uniform(0, 1, 10 * groups), rng.permutation(np.arange(10 * groups) % groups)
    fitted = sm.OLS(values, np.ones(10 * groups)).fit(cov_type="cluster", cov_kwds={"groups": codes}, use_t=True)
    found = mean_with_interval(values, failed=0, confidence=0.9, binary=False, clusters=codes)
    assert (found.low, found.high) == pytest.approx(tuple(fitted.conf_int(0.1)[0]))


def test_records_of_one_cluster_have_a_mean_and_no_interval() -> None:
    found = mean_with_interval(
        np.array([0.0, 1.0, 1.0]), failed=0, confidence=0.95, binary=True, clusters=np.zeros(3, dtype=np.intp)
    )
    assert found.value == pytest.approx(2 / 3)
    assert (found.low, found.high) == (None, None)
    assert cluster_error(np.ones(3), np.zeros(3, dtype=np.intp)) == ClusterError(1, None, None)


def test_a_share_in_clusters_is_worth_the_records_that_its_error_says() -> None:
    right = np.tile([1.0, 1.0, 0.0, 1.0, 0.0], 8)
    tenfold, codes = np.repeat(right, 10), np.repeat(np.arange(40), 10)
    clustered = mean_with_interval(tenfold, failed=0, confidence=0.95, binary=True, clusters=codes)
    alone = mean_with_interval(right, failed=0, confidence=0.95, binary=True)
    naive = mean_with_interval(tenfold, failed=0, confidence=0.95, binary=True)
    assert clustered.low == pytest.approx(alone.low, abs=0.01)
    assert naive.low is not None
    assert alone.low is not None
    assert naive.low > alone.low + 0.05


def test_a_share_that_is_the_same_in_every_cluster_still_has_an_interval() -> None:
    found = mean_with_interval(
        np.ones(100), failed=0, confidence=0.95, binary=True, clusters=np.repeat(np.arange(10), 10)
    )
    assert found.high == 1
    assert found.low == pytest.approx(1 - wilson_interval(0.0, 10, float(stats.t.ppf(0.975, 9)))[1])


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
