"""Means and paired differences with the error that they carry. Pure functions of arrays.

Records are taken as independent draws from what the catalog stands for. Nothing here is corrected for the number of
comparisons.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special  # scipy.stats does not fit into Lambda beside pyarrow

from assay.contracts.algorithms import Direction
from assay.contracts.results import Mean, Verdict

Values = NDArray[np.float64]

# Differences of scores that should be the same differ by rounding, which must not pass for a spread.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Paired:
    """Mean of (first minus second) over the n records that have both; None where n is too small for it."""

    n: int
    difference: float | None
    low: float | None
    high: float | None


def mean_with_interval(values: Values, *, failed: int, confidence: float, binary: bool) -> Mean:
    """Mean of one score with a two-sided confidence interval.

    Args:
        values: the scores there are, none of them NaN.
        failed: records that should have the score and do not; carried along, never counted as 0.
        confidence: such as 0.95.
        binary: every value is 0 or 1; the interval is then Wilson's, otherwise Student's.

    Returns:
        With no value when there are no scores, and with no interval when there is one. Student's interval of values
        that are all the same has no width: the formula gives it, and it says only that this sample shows no spread.

    Raises:
        ValueError: a value is NaN, or `binary` does not hold.
    """
    n = len(values)
    if np.isnan(values).any():
        raise ValueError("a mean of NaN")
    if n == 0:
        return Mean(n=0, failed=failed, value=None)
    value = float(np.mean(values))
    if n == 1:
        return Mean(n=1, failed=failed, value=value)
    if not binary:
        low, high = student_interval(values, confidence)
    elif not np.isin(values, (0.0, 1.0)).all():
        raise ValueError("a binary score is neither 0 nor 1")
    else:
        low, high = wilson_interval(int(values.sum()), n, confidence)
    return Mean(n=n, failed=failed, value=value, low=low, high=high)


def wilson_interval(successes: int, n: int, confidence: float) -> tuple[float, float]:
    """Score interval of a proportion; it never leaves 0 to 1 and has a width at 0 and at 1.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927) 209-212.
    """
    z = float(special.ndtri((1 + confidence) / 2))
    share = successes / n
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    centre = share + z * z / (2 * n)
    low = 0.0 if successes == 0 else (centre - spread) / scale
    high = 1.0 if successes == n else (centre + spread) / scale
    return low, high


def student_interval(values: Values, confidence: float) -> tuple[float, float]:
    """t interval of the mean of two values or more.

    Student, "The probable error of a mean", Biometrika 6 (1908) 1-25. It may leave the range of the score.
    """
    n = len(values)
    mean = float(np.mean(values))
    if np.ptp(values) <= _ROUNDING * max(1.0, abs(mean)):
        return mean, mean
    margin = float(special.stdtrit(n - 1, (1 + confidence) / 2)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return mean - margin, mean + margin


def paired_difference(first: Values, second: Values, confidence: float) -> Paired:
    """Mean difference of two models, with the t interval of the paired differences.

    Both models answered the same records, and a record that is hard for one tends to be hard for the other. Taking the
    difference record by record removes what the records have in common, which an unpaired test counts as noise.
    (Miller, "Adding error bars to evals", arXiv:2411.00640; the interval is that of the paired t-test.)

    Args:
        first, second: the scores of the same records in the same order, NaN where there is none.

    Returns:
        No difference when no record has both, and no interval when one has. Differences that are all the same give an
        interval of no width; `verdict` does not take it for certainty.
    """
    both = ~(np.isnan(first) | np.isnan(second))
    differences = first[both] - second[both]
    n = len(differences)
    if n == 0:
        return Paired(n=0, difference=None, low=None, high=None)
    difference = float(np.mean(differences))
    if n == 1:
        return Paired(n=1, difference=difference, low=None, high=None)
    low, high = student_interval(differences, confidence)
    return Paired(n=n, difference=difference, low=low, high=high)


def verdict(paired: Paired, direction: Direction, confidence: float) -> Verdict:
    """What the difference says about the first model: better or worse when the interval leaves out 0.

    An interval of no width has no t-test behind it. The exact sign test then decides: n differences of one sign have a
    two-sided probability of 2 ** (1 - n) when neither model is better (Dixon and Mood, JASA 41 (1946) 557-566), so that
    at 95 % it takes six records. `equivalent` needs a margin within which two models are as good as each other; none is
    given here.
    """
    if paired.difference is None or paired.low is None or paired.high is None:
        return "inconclusive"
    if paired.low <= 0 <= paired.high:
        return "inconclusive"
    if paired.low == paired.high and 2.0 ** (1 - paired.n) > 1 - confidence:
        return "inconclusive"
    return "better" if (paired.difference > 0) == (direction == "higher") else "worse"
