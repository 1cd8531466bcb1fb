from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar

from assay.contracts.algorithms import Direction
from assay.decision.paired import Paired, mcnemar_mid_p, paired_difference
from assay.decision.statistics import Values
from assay.decision.verdicts import equivalence_p, non_inferiority, verdict

NAN = math.nan
scores = st.floats(0, 1, allow_subnormal=False).map(lambda value: round(value, 6))
confidences = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99])
counts = st.integers(0, 60)


def drawn(seed: int, n: int, lead: float = 0.0) -> tuple[Values, Values]:
    rng = np.random.default_rng(seed)
    hard = rng.normal(0.5, 0.2, n)
    return hard + rng.normal(lead, 0.1, n), hard + rng.normal(0, 0.1, n)


def binary(only_first: int, only_second: int, n: int) -> Paired:
    """A binary score on n records of which so many are got by one model only."""
    first, second = np.zeros(n), np.zeros(n)
    first[:only_first] = 1
    second[only_first : only_first + only_second] = 1
    return paired_difference(first, second, binary=True)


@given(seed=st.integers(0, 1000), n=st.integers(10, 60), confidence=confidences, bound=st.floats(-0.1, 0.1))
def test_interval_and_p_values_are_those_of_the_paired_t_test(
    seed: int, n: int, confidence: float, bound: float
) -> None:
    first, second = drawn(seed, n, 0.03)
    found = paired_difference(first, second)
    expected = stats.ttest_rel(first, second)
    assert found.p_value() == pytest.approx(max(expected.pvalue, 2.0 ** (1 - n)), rel=1e-9)
    assert found.interval(confidence) == pytest.approx(tuple(expected.confidence_interval(confidence)), abs=1e-12)
    assert found.degrees_of_freedom == n - 1
    above = stats.ttest_1samp(first - second, bound, alternative="greater").pvalue
    assert found.p_above(bound) == pytest.approx(above, rel=1e-9)
    below = stats.ttest_1samp(first - second, bound, alternative="less").pvalue
    assert found.p_below(bound) == pytest.approx(below, rel=1e-9)


@given(seed=st.integers(0, 1000), size=st.integers(1, 9), count=st.integers(3, 20))
def test_with_clusters_of_one_size_it_is_a_regression_on_a_constant_with_clustered_errors(
    seed: int, size: int, count: int
) -> None:
    n = size * count
    first, second = drawn(seed, n, 0.02)
    codes = np.random.default_rng(seed).permutation(np.arange(n) % count)
    fitted = sm.OLS(first - second, np.ones(n)).fit(
        cov_type="cluster", cov_kwds={"groups": codes, "use_correction": True, "df_correction": True}, use_t=True
    )
    found = paired_difference(first, second, clusters=codes)
    assert found.clusters == count
    assert found.degrees_of_freedom == pytest.approx(count - 1)
    assert found.standard_error == pytest.approx(float(fitted.bse[0]), rel=1e-9)
    assert found.p_value() == pytest.approx(max(float(fitted.pvalues[0]), 2.0 ** (1 - count)), rel=1e-9)
    assert found.interval(0.95) == pytest.approx(tuple(fitted.conf_int(0.05)[0]), abs=1e-12)


@given(seed=st.integers(0, 1000), groups=st.integers(2, 12))
def test_with_clusters_of_unlike_size_error_and_degrees_of_freedom_are_those_of_the_matrices(
    seed: int, groups: int
) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.choice(groups, 60, p=rng.dirichlet(np.ones(groups))).astype(np.intp)
    names, sizes = np.unique(codes, return_counts=True)
    assume(len(names) > 1)
    values = rng.normal(0, 0.1, len(names))[np.searchsorted(names, codes)] + rng.normal(0.02, 0.2, 60)
    sums = np.array([values[codes == name].sum() for name in names])
    residuals = sums - sizes * values.mean()
    adjusted = residuals / np.sqrt(1 - sizes / 60)

    inside = [values[codes == name] for name in names]
    between = sum(len(group) * (group.mean() - values.mean()) ** 2 for group in inside) / (len(names) - 1)
    within = sum(((group - group.mean()) ** 2).sum() for group in inside) / (60 - len(names))
    typical = (60 - float((sizes**2).sum()) / 60) / (len(names) - 1)
    alike = min(1.0, max(0.0, (between - within) / (between + (typical - 1) * within)))
    covariance = np.diag(sizes * (1 + (sizes - 1) * alike))
    annihilator = np.diag(1 / np.sqrt(1 - sizes / 60)) @ (
        np.eye(len(names)) - np.outer(sizes / 60, np.ones(len(names)))
    )
    spread = annihilator @ covariance @ annihilator.T
    freedom = np.trace(spread) ** 2 / np.trace(spread @ spread)

    found = paired_difference(values, np.zeros(60), clusters=codes)
    assert found.standard_error == pytest.approx(math.sqrt(float(adjusted @ adjusted)) / 60, rel=1e-9)
    assert found.degrees_of_freedom == pytest.approx(freedom, rel=1e-6)
    assert freedom <= len(names) - 1 + 1e-9


def test_clusters_of_one_record_each_change_nothing() -> None:
    first, second = drawn(1, 40)
    alone = paired_difference(first, second)
    clustered = paired_difference(first, second, clusters=np.arange(40)[::-1])
    assert clustered.standard_error == pytest.approx(alone.standard_error)
    assert clustered.p_value() == pytest.approx(alone.p_value())


def test_records_that_come_in_clusters_are_worth_fewer_than_their_number() -> None:
    first, second = drawn(2, 20)
    tenfold = np.repeat(first, 10), np.repeat(second, 10)
    codes = np.repeat(np.arange(20), 10)
    alone = paired_difference(first, second)
    naive = paired_difference(*tenfold)
    robust = paired_difference(*tenfold, clusters=codes)
    assert robust.standard_error == pytest.approx(alone.standard_error)
    assert naive.standard_error is not None
    assert alone.standard_error is not None
    assert naive.standard_error < alone.standard_error / 3


def test_one_cluster_leaves_the_error_undefined_and_not_zero() -> None:
    found = paired_difference(np.ones(30), np.zeros(30), clusters=np.zeros(30, dtype=np.intp))
    assert (found.difference, found.clusters) == (1.0, 1)
    assert (found.standard_error, found.p_value(), found.interval(0.95), found.p_above(0.0)) == (None,) * 4
    assert equivalence_p(found, 0.5) is None
    assert verdict(found, direction="higher", alpha=0.05, p_value=found.p_value()) == "inconclusive"
    assert not non_inferiority(found, direction="higher", margin=0.5, confidence=0.95).passed


@given(only_first=counts, only_second=counts)
def test_the_mid_p_value_is_the_exact_one_less_half_of_what_was_seen(only_first: int, only_second: int) -> None:
    assume(only_first != only_second)
    table = [[7, only_first], [only_second, 11]]
    exact = mcnemar(table, exact=True).pvalue
    seen = stats.binom.pmf(only_first, only_first + only_second, 0.5)
    assert mcnemar_mid_p(only_first, only_second) == pytest.approx(exact - seen, rel=1e-9, abs=1e-12)


def test_models_that_differ_as_often_either_way_have_a_p_value_of_one() -> None:
    assert mcnemar_mid_p(0, 0) == mcnemar_mid_p(12, 12) == 1.0


@given(only_first=st.integers(0, 30), only_second=st.integers(0, 30), bound=st.floats(-0.9, 0.9))
def test_the_test_of_a_bound_on_binary_scores_is_the_score_test(
    only_first: int, only_second: int, bound: float
) -> None:
    n = 100
    assume(abs(bound) > 1e-3)
    same = n - only_first - only_second

    def unlikely(share: float) -> float:
        shares = ((only_first, share + bound), (only_second, share), (same, 1 - 2 * share - bound))
        return -sum(count * math.log(max(value, 1e-300)) for count, value in shares if count)

    best = optimize.minimize_scalar(
        unlikely, bounds=(max(0.0, -bound), (1 - bound) / 2), method="bounded", options={"xatol": 1e-12}
    ).x
    z = (only_first - only_second - n * bound) / math.sqrt(n * (2 * best + bound - bound**2))
    assert binary(only_first, only_second, n).p_above(bound) == pytest.approx(stats.norm.sf(z), abs=1e-5)


@given(only_first=counts, only_second=counts, confidence=confidences)
def test_an_interval_of_binary_scores_ends_where_the_score_test_does(
    only_first: int, only_second: int, confidence: float
) -> None:
    found = binary(only_first, only_second, 150)
    bounds = found.interval(confidence)
    assert bounds is not None
    low, high = bounds
    assert -1 <= low <= (only_first - only_second) / 150 <= high <= 1
    assert found.p_above(low) == pytest.approx((1 - confidence) / 2, abs=1e-6)
    assert found.p_below(high) == pytest.approx((1 - confidence) / 2, abs=1e-6)


def test_models_with_the_same_binary_scores_still_have_an_interval_with_a_width() -> None:
    bounds = binary(0, 0, 100).interval(0.95)
    assert bounds == pytest.approx((-0.0370, 0.0370), abs=1e-4)


@given(pairs=st.lists(st.tuples(scores, scores), min_size=2, max_size=30), confidence=confidences)
def test_turning_a_pair_round_turns_everything_round(pairs: list[tuple[float, float]], confidence: float) -> None:
    first, second = np.array(pairs).T
    there, back = paired_difference(first, second), paired_difference(second, first)
    assert there.difference is not None
    assert back.difference == pytest.approx(-there.difference)
    assert back.p_value() == pytest.approx(there.p_value())
    low, high = there.interval(confidence) or (NAN, NAN)
    assert back.interval(confidence) == pytest.approx((-high, -low))
    assert back.p_above(0.1) == pytest.approx(there.p_below(-0.1))
    opposite = {"better": "worse", "worse": "better", "inconclusive": "inconclusive"}
    forth = verdict(there, direction="higher", alpha=0.05, p_value=there.p_value())
    assert verdict(back, direction="higher", alpha=0.05, p_value=back.p_value()) == opposite[forth]
    assert verdict(there, direction="lower", alpha=0.05, p_value=there.p_value()) == opposite[forth]


def test_only_records_that_both_models_have_are_compared_and_the_others_are_counted() -> None:
    first = np.array([1.0, NAN, 1.0, 0.0, NAN, 0.2])
    second = np.array([0.0, 1.0, NAN, 0.5, NAN, 0.2])
    found = paired_difference(first, second)
    assert (found.n, found.only_first, found.only_second, found.neither) == (3, 1, 1, 1)
    assert found.difference == pytest.approx(0.5 / 3)
    assert found.differing == 2


@pytest.mark.parametrize("both", [0, 1])
def test_too_few_common_records_have_no_interval(both: int) -> None:
    first, second = np.array([1.0, NAN]), np.array([0.0 if both else NAN, 1.0])
    found = paired_difference(first, second)
    assert (found.n, found.difference) == (both, 1.0 if both else None)
    assert found.interval(0.95) is None
    assert found.p_value() is None


@pytest.mark.parametrize(("n", "expected"), [(2, "inconclusive"), (5, "inconclusive"), (6, "better"), (40, "better")])
def test_a_few_identical_differences_are_not_taken_for_certainty(n: int, expected: str) -> None:
    found = paired_difference(np.full(n, 0.9), np.full(n, 0.2))
    assert verdict(found, direction="higher", alpha=0.05, p_value=found.p_value()) == expected
    low, high = found.interval(0.95) or (NAN, NAN)
    assert low < 0.7 < high


def test_records_that_never_differ_prove_an_equivalence_only_when_they_are_many() -> None:
    few, many = np.full(20, 0.5), np.full(200, 0.5)
    assert (equivalence_p(paired_difference(few, few), 0.02) or 0) > 0.05
    assert equivalence_p(paired_difference(many, many), 0.02) == pytest.approx(0.98**200)


def test_what_few_clusters_show_is_not_taken_for_certainty() -> None:
    first, second, codes = np.zeros(400), np.zeros(400), np.repeat(np.arange(100), 4)
    first[[0, 40, 80, 120]] = 1
    found = paired_difference(first, second, binary=True, clusters=codes)
    assert found.differing == 4
    t = abs(found.difference or 0) / (found.standard_error or NAN)
    assert 2 * stats.t.sf(t, 99) < 0.05
    assert found.p_value() == 0.125


@given(seed=st.integers(0, 200), margin=st.floats(0.01, 0.2))
def test_equivalence_is_two_one_sided_tests(seed: int, margin: float) -> None:
    first, second = drawn(seed, 50)
    found = equivalence_p(paired_difference(first, second), margin)
    differences = first - second
    expected = max(
        stats.ttest_1samp(differences, -margin, alternative="greater").pvalue,
        stats.ttest_1samp(differences, margin, alternative="less").pvalue,
    )
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize(("direction", "sign"), [("higher", 1), ("lower", -1)])
def test_non_inferiority_looks_at_the_worst_that_the_interval_allows(direction: Direction, sign: int) -> None:
    first, second = drawn(3, 200)
    paired = paired_difference(sign * first, sign * second)
    worst = (paired if sign > 0 else paired.reversed()).interval(0.95)
    assert worst is not None
    assert worst[0] < 0
    passed = non_inferiority(paired, direction=direction, margin=-worst[0] + 1e-6, confidence=0.95)
    failed = non_inferiority(paired, direction=direction, margin=-worst[0] - 1e-6, confidence=0.95)
    assert (passed.passed, failed.passed) == (True, False)
    assert passed.bound == failed.bound == pytest.approx(worst[0])
    assert passed.p_value == pytest.approx(0.025, abs=1e-4)


def test_a_small_catalog_does_not_show_that_a_model_is_no_worse() -> None:
    first, second = drawn(4, 8)
    paired = paired_difference(first, second)
    assert (paired.p_value() or 0) > 0.05
    assert not non_inferiority(paired, direction="higher", margin=0.02, confidence=0.95).passed


@pytest.mark.parametrize(
    ("p_value", "equivalence", "expected"),
    [
        (0.01, None, "better"),
        (0.01, 0.2, "better"),
        (0.01, 0.01, "equivalent"),
        (0.2, 0.01, "equivalent"),
        (0.2, 0.2, "inconclusive"),
        (0.2, None, "inconclusive"),
        (None, 0.01, "inconclusive"),
    ],
)
def test_a_difference_that_does_not_matter_is_equivalent_however_sure(
    p_value: float | None, equivalence: float | None, expected: str
) -> None:
    paired = paired_difference(*drawn(5, 100, 0.5))
    assert verdict(paired, direction="higher", alpha=0.05, p_value=p_value, equivalence=equivalence) == expected


@pytest.mark.parametrize("clusters", [None, np.array([0, 1])])
def test_scores_that_are_not_binary_are_refused_where_they_should_be(clusters: np.ndarray | None) -> None:
    with pytest.raises(ValueError, match="neither 0 nor 1"):
        paired_difference(np.array([1.0, 0.5]), np.array([0.0, 0.0]), binary=True, clusters=clusters)
