"""Means with the error that they carry. Pure functions of arrays."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special  # scipy.stats does not fit into Lambda beside pyarrow

from assay.contracts.results import Mean

Values = NDArray[np.float64]
Codes = NDArray[np.intp]

# Scores that should be the same differ by rounding, which must not pass for a spread.
ROUNDING = 1e-12


def mean_with_interval(
    values: Values, *, failed: int, confidence: float, binary: bool, clusters: Codes | None = None
) -> Mean:
    """Mean of one score with a two-sided confidence interval.

    Args:
        values: the scores there are, none of them NaN.
        failed: records that should have the score and do not; carried along, never counted as 0.
        confidence: such as 0.95.
        binary: every value is 0 or 1; the interval is then Wilson's, otherwise Student's.
        clusters: a whole number from 0 for each value, the same for those that share a cluster. The error is then the
            cluster-robust one, with a degree of freedom less than there are clusters.

    Returns:
        With no value when there are no scores, and with no interval when there is one record (one cluster). Student's
        interval of values that are all the same has no width: the formula gives it, and it says only that this sample
        shows no spread.

    Raises:
        ValueError: a value is NaN, or `binary` does not hold.
    """
    n = len(values)
    if np.isnan(values).any():
        raise ValueError("a mean of NaN")
    if binary and not np.isin(values, (0.0, 1.0)).all():
        raise ValueError("a binary score is neither 0 nor 1")
    if n == 0:
        return Mean(n=0, failed=failed, value=None)
    value = float(np.mean(values))
    if clusters is None:
        units, error = n, None if n < 2 else float(np.std(values, ddof=1)) / math.sqrt(n)
    else:
        units, error = cluster_error(values, clusters)
    if error is None:
        return Mean(n=n, failed=failed, value=value)
    if not binary:
        reach = 0.0 if error <= ROUNDING * max(1.0, abs(value)) else student_quantile(units - 1, confidence) * error
        low, high = value - reach, value + reach
    elif clusters is None:
        low, high = wilson_interval(value, n, float(special.ndtri((1 + confidence) / 2)))
    else:
        low, high = _clustered_share(value, n, units, error, confidence)
    return Mean(n=n, failed=failed, value=value, low=low, high=high)


def wilson_interval(share: float, n: float, quantile: float) -> tuple[float, float]:
    """Score interval of a proportion; it never leaves 0 to 1 and has a width at 0 and at 1.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927) 209-212.

    Args:
        n: how many records, or how many they are worth.
        quantile: of the normal distribution (or of t), such as 1.96 at 95 %.
    """
    spread = quantile * math.sqrt(share * (1 - share) / n + quantile * quantile / (4 * n * n))
    scale = 1 + quantile * quantile / n
    centre = share + quantile * quantile / (2 * n)
    low = 0.0 if share == 0 else (centre - spread) / scale
    high = 1.0 if share == 1 else (centre + spread) / scale
    return low, high


def student_quantile(degrees_of_freedom: float, confidence: float) -> float:
    """How many standard errors a two-sided interval reaches (Student, Biometrika 6 (1908) 1-25)."""
    return float(special.stdtrit(degrees_of_freedom, (1 + confidence) / 2))


def cluster_error(values: Values, clusters: Codes) -> tuple[int, float | None]:
    """How many clusters there are, and the cluster-robust standard error of the mean; None below two clusters.

    CR1: Liang and Zeger, "Longitudinal data analysis using generalized linear models", Biometrika 73 (1986) 13-22,
    times G / (G - 1); to be used with G - 1 degrees of freedom (Cameron and Miller, "A practitioner's guide to
    cluster-robust inference", Journal of Human Resources 50 (2015) 317-372). It is what a regression on a constant
    gives with clustered errors.
    """
    sizes = np.bincount(clusters)
    sums = np.bincount(clusters, weights=values)[sizes > 0]
    sizes = sizes[sizes > 0]
    count, n = len(sizes), len(values)
    if count < 2:
        return count, None
    residuals = sums - sizes * (float(sums.sum()) / n)
    return count, math.sqrt(float(np.dot(residuals, residuals)) * count / (count - 1)) / n


def _clustered_share(share: float, n: int, clusters: int, error: float, confidence: float) -> tuple[float, float]:
    """Wilson's interval at the number of independent records that the clusters are worth.

    Franco, Little, Louis, Slud, "Comparative study of confidence intervals for proportions in complex sample surveys",
    Journal of Survey Statistics and Methodology 7 (2019) 334-364. A share of 0 or 1 shows no spread between clusters;
    each then counts as one record.
    """
    worth = float(clusters) if error <= ROUNDING else min(float(n), share * (1 - share) / (error * error))
    return wilson_interval(share, worth, student_quantile(clusters - 1, confidence))
