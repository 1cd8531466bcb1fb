"""Means with the error that they carry. Pure functions of arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass

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
            cluster-robust one.

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
        units, error, freedom = n, None if n < 2 else float(np.std(values, ddof=1)) / math.sqrt(n), n - 1.0
    else:
        clustered = cluster_error(values, clusters)
        units, error, freedom = clustered.clusters, clustered.error, clustered.degrees_of_freedom or 0.0
    if error is None:
        return Mean(n=n, failed=failed, value=value)
    if not binary:
        reach = 0.0 if error <= ROUNDING * max(1.0, abs(value)) else student_quantile(freedom, confidence) * error
        low, high = value - reach, value + reach
    elif clusters is None:
        low, high = wilson_interval(value, n, float(special.ndtri((1 + confidence) / 2)))
    else:
        low, high = _clustered_share(value, n, units, error, student_quantile(freedom, confidence))
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


@dataclass(frozen=True)
class ClusterError:
    """The standard error of a mean over records that come in clusters.

    Attributes:
        clusters: how many there are.
        error, degrees_of_freedom: None below two clusters, where they are undefined and not 0.
    """

    clusters: int
    error: float | None
    degrees_of_freedom: float | None


def cluster_error(values: Values, clusters: Codes) -> ClusterError:
    """The cluster-robust standard error of the mean, with the degrees of freedom that it is worth.

    With clusters of one size it is the usual one (CR1: Liang and Zeger, Biometrika 73 (1986) 13-22, times G / (G - 1)),
    with G - 1 degrees of freedom: what a regression on a constant gives with clustered errors. With clusters of unlike
    size that one is too sure, since the large ones count for more than they are; so here each squared sum of residuals
    is divided by 1 - n_g / n (CR2: Bell and McCaffrey, "Bias reduction in standard errors for linear regression with
    multi-stage samples", Survey Methodology 28 (2002) 169-181), and the degrees of freedom are Satterthwaite's for
    records that are as alike within a cluster as these are (Imbens and Kolesár, "Robust standard errors in small
    samples: some practical advice", Review of Economics and Statistics 98 (2016) 701-712).
    """
    counts = np.bincount(clusters)
    sums = np.bincount(clusters, weights=values)[counts > 0].astype(np.float64, copy=False)
    sizes = counts[counts > 0].astype(np.float64)
    count, n = len(sizes), len(values)
    if count < 2:
        return ClusterError(count, None, None)
    shares = sizes / n
    mean = float(sums.sum()) / n
    residuals = sums - sizes * mean
    scale = 1 / (1 - shares)
    error = math.sqrt(float(np.dot(scale, residuals * residuals))) / n
    alike = _alikeness(float(np.dot(values, values)), sums, sizes, mean)
    return ClusterError(count, error, _satterthwaite(sizes * (1 + (sizes - 1) * alike), scale, shares))


def _alikeness(squares: float, sums: Values, sizes: Values, mean: float) -> float:
    """Intraclass correlation by analysis of variance, from 0 to 1 (Donner, International Statistical Review 54 (1986)
    67-82)."""
    count, n = len(sizes), float(sizes.sum())
    if n == count:
        return 0.0
    means = sums / sizes
    between = float(np.dot(sizes, (means - mean) ** 2)) / (count - 1)
    within = max(0.0, squares - float(np.dot(sizes, means * means))) / (n - count)
    size = (n - float(np.dot(sizes, sizes)) / n) / (count - 1)
    whole = between + (size - 1) * within
    return min(1.0, max(0.0, (between - within) / whole)) if whole > 0 else 0.0


def _satterthwaite(variances: Values, scale: Values, shares: Values) -> float:
    """Twice the squared mean of the estimated variance over its variance: trace(B) ** 2 / trace(B ** 2).

    The estimate is z'Bz of independent standard normal z, where sums of clusters are sqrt(variances) * z and residuals
    are sums - shares * their total. B is a diagonal matrix and three of rank one, so its traces need no matrix.
    """
    root = np.sqrt(variances)
    weighted = root * scale * shares
    total = float(np.dot(scale, shares * shares))
    diagonal = scale * variances
    aa, ab, bb = float(root @ root), float(root @ weighted), float(weighted @ weighted)
    trace = float(diagonal.sum()) - 2 * ab + total * aa
    squared = (
        float(diagonal @ diagonal)
        + 2 * float(diagonal @ (total * root * root - 2 * root * weighted))
        + 2 * aa * bb
        + 2 * ab * ab
        - 4 * total * aa * ab
        + total * total * aa * aa
    )
    return trace * trace / squared


def _clustered_share(share: float, n: int, clusters: int, error: float, quantile: float) -> tuple[float, float]:
    """Wilson's interval at the number of independent records that the clusters are worth.

    Franco, Little, Louis, Slud, "Comparative study of confidence intervals for proportions in complex sample surveys",
    Journal of Survey Statistics and Methodology 7 (2019) 334-364. A share of 0 or 1 shows no spread between clusters;
    each then counts as one record.
    """
    worth = float(clusters) if error <= ROUNDING else min(float(n), share * (1 - share) / (error * error))
    return wilson_interval(share, worth, quantile)
