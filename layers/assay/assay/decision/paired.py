"""Two models on the same records: the difference, how far it can be trusted, and whether it leaves a bound.

Both models answered the same records, and a record that is hard for one tends to be hard for the other. Taking the
difference record by record removes what the records have in common, which an unpaired test counts as noise (Miller,
"Adding error bars to evals", arXiv:2411.00640). Every difference here is first minus second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special  # scipy.stats does not fit into Lambda beside pyarrow

from assay.contracts.results import Method
from assay.decision.statistics import ROUNDING, Codes, Values, cluster_error, student_quantile

# Below this many records (or clusters) that differ at all, a mean of them is not yet normal.
_FEW = 10


@dataclass(frozen=True)
class Paired:
    """What the records that both models have say about their difference: all that the tests below need.

    Attributes:
        n: records that have both scores.
        only_first, only_second, neither: the other records, by what is missing.
        difference: mean of first minus second; None when n is 0.
        method: `t` for records taken as independent, `cluster_t` where they come in clusters, `mcnemar` for scores that
            are 0 or 1 on independent records.
        standard_error: of the difference; None below two records (two clusters), where it is undefined and not 0.
        degrees_of_freedom: n - 1, or at most clusters - 1 (see `cluster_error`); None where the standard error is.
        clusters: how many clusters the n records are in; None when they count as independent.
        differing: records whose two scores differ, or clusters whose sums do.
        discordant: of binary scores, how many records only the first got (1 against 0), and only the second.
        span: the largest difference that one record can have.
    """

    n: int
    only_first: int
    only_second: int
    neither: int
    difference: float | None
    method: Method
    standard_error: float | None
    degrees_of_freedom: float | None
    clusters: int | None
    differing: int
    discordant: tuple[int, int] | None
    span: float

    @property
    def units(self) -> int:
        """Independent observations: clusters where there are some, else records."""
        return self.n if self.clusters is None else self.clusters

    def p_value(self) -> float | None:
        """Two-sided probability of a difference as large as this when neither model is better.

        Binary scores: McNemar's test with the mid-p value, which holds its level and is not as timid as the exact test
        (Fagerland, Lydersen, Laake, BMC Medical Research Methodology 13 (2013) 91).

        Otherwise Student's t of the paired differences. It is never below 2 ** (1 - differing), the least that the sign
        test can give (Dixon and Mood, JASA 41 (1946) 557-566): where few records differ, t is too sure.

        Returns:
            None where the standard error is undefined.
        """
        if self.difference is None or self.standard_error is None or self.degrees_of_freedom is None:
            return None
        if self.discordant is not None:
            return mcnemar_mid_p(*self.discordant)
        if self.differing == 0:
            return 1.0
        signs = math.exp2(1 - self.differing)
        if self.standard_error == 0:
            return signs
        t = abs(self.difference) / self.standard_error
        return min(1.0, max(signs, 2 * float(special.stdtr(self.degrees_of_freedom, -t))))

    def p_above(self, bound: float) -> float | None:
        """One-sided probability of a difference as large as this when the true one is `bound` or less.

        Binary scores: Tango's score test (Statistics in Medicine 17 (1998) 891-908), which knows that the scores are 0
        or 1. Otherwise Student's t. Where next to no record differs, it is never below the probability that all n miss
        a share of records that would pull the mean down to `bound`, (1 - distance) ** n: no spread seen is not no
        spread.

        Returns:
            None where the standard error is undefined.
        """
        if self.difference is None or self.standard_error is None or self.degrees_of_freedom is None:
            return None
        if self.discordant is not None:
            return float(special.ndtr(-_tango(*self.discordant, self.n, bound)))
        distance = self.difference - bound
        if self.standard_error == 0:
            p = 0.0 if distance > 0 else 1.0
        else:
            p = float(special.stdtr(self.degrees_of_freedom, -distance / self.standard_error))
        if self._is_sparse() and distance > 0:
            p = max(p, max(0.0, 1 - distance / self.span) ** self.units)
        return p

    def p_below(self, bound: float) -> float | None:
        """As `p_above`, for a true difference of `bound` or more."""
        return self.reversed().p_above(-bound)

    def interval(self, confidence: float) -> tuple[float, float] | None:
        """Two-sided confidence interval of the difference: the bounds that `p_above` and `p_below` do not exclude.

        Returns:
            None where the standard error is undefined.
        """
        if self.difference is None or self.standard_error is None or self.degrees_of_freedom is None:
            return None
        if self.discordant is not None:
            low = _tango_lower(*self.discordant, self.n, confidence)
            high = -_tango_lower(*self.discordant[::-1], self.n, confidence)
            return low, high
        reach = student_quantile(self.degrees_of_freedom, confidence) * self.standard_error
        if self._is_sparse():
            unseen = self.span * (1 - ((1 - confidence) / 2) ** (1 / self.units))
            reach = max(reach, unseen)
        return self.difference - reach, self.difference + reach

    def reversed(self) -> Paired:
        """Second minus first."""
        return Paired(
            n=self.n,
            only_first=self.only_second,
            only_second=self.only_first,
            neither=self.neither,
            difference=None if self.difference is None else 0.0 - self.difference,
            method=self.method,
            standard_error=self.standard_error,
            degrees_of_freedom=self.degrees_of_freedom,
            clusters=self.clusters,
            differing=self.differing,
            discordant=None if self.discordant is None else (self.discordant[1], self.discordant[0]),
            span=self.span,
        )

    def _is_sparse(self) -> bool:
        return self.standard_error == 0 or (self.differing < _FEW and 2 * self.differing < self.units)


def paired_difference(
    first: Values, second: Values, *, binary: bool = False, clusters: Codes | None = None, span: float = 1.0
) -> Paired:
    """Join two models on their records.

    Args:
        first, second: the scores of the same records in the same order, NaN where there is none.
        binary: every score is 0 or 1.
        clusters: a whole number from 0 for each record, the same for records that share a cluster. The standard error
            is then that of `cluster_error`, undefined with one cluster.
        span: the largest difference that one record can have; 1 for scores from 0 to 1.

    Raises:
        ValueError: `binary` does not hold.
    """
    has_first, has_second = ~np.isnan(first), ~np.isnan(second)
    both = has_first & has_second
    n = int(both.sum())
    whole = n == len(first)
    differences = first - second if whole else first[both] - second[both]
    codes = clusters if clusters is None or whole else clusters[both]
    differences[np.abs(differences) <= ROUNDING * span] = 0.0
    discordant = None
    if binary:
        up, down = int((differences == 1).sum()), int((differences == -1).sum())
        if up + down + int((differences == 0).sum()) < n:
            raise ValueError("a binary score is neither 0 nor 1")
        if codes is None:
            discordant = up, down
    difference = float(np.mean(differences)) if n else None
    error: float | None = None
    freedom: float | None = n - 1
    units, differing = n, int(np.count_nonzero(differences))
    if codes is not None:
        clustered = cluster_error(differences, codes)
        units, error, freedom = clustered.clusters, clustered.error, clustered.degrees_of_freedom
        differing = int((np.abs(np.bincount(codes, weights=differences)) > ROUNDING * span * n).sum())
    elif n > 1:
        error = float(np.std(differences, ddof=1)) / math.sqrt(n)
    if error is not None and error <= ROUNDING * span:
        error = 0.0
    return Paired(
        n=n,
        only_first=int(has_first.sum()) - n,
        only_second=int(has_second.sum()) - n,
        neither=int((~has_first & ~has_second).sum()),
        difference=difference,
        method="mcnemar" if discordant is not None else "t" if codes is None else "cluster_t",
        standard_error=error,
        degrees_of_freedom=None if error is None else freedom,
        clusters=None if codes is None else units,
        differing=differing,
        discordant=discordant,
        span=span,
    )


def mcnemar_mid_p(only_first: int, only_second: int) -> float:
    """Two-sided mid-p value of McNemar's test: half of the probability of what was seen counts.

    Args:
        only_first, only_second: records that only the first got right, and only the second.

    Source: Fagerland, Lydersen, Laake, BMC Medical Research Methodology 13 (2013) 91.
    """
    few, n = min(only_first, only_second), only_first + only_second
    if only_first == only_second:
        return 1.0
    up_to = float(special.bdtr(few, n, 0.5))
    below = float(special.bdtr(few - 1, n, 0.5)) if few else 0.0
    return min(1.0, up_to + below)


def _tango(up: int, down: int, n: int, bound: float) -> float:
    """Tango's score statistic of the paired difference of shares against `bound`.

    Tango, Statistics in Medicine 17 (1998) 891-908, equations 5 to 8: the variance is that of the most likely shares
    whose difference is `bound`.
    """
    distance = up - down - n * bound
    if abs(bound) >= 1:
        return math.copysign(math.inf, distance) if distance else 0.0
    a = 2.0 * n
    b = -up - down + (2 * n - up + down) * bound
    c = -down * bound * (1 - bound)
    share = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = n * (2 * share + bound * (1 - bound))
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def _tango_lower(up: int, down: int, n: int, confidence: float) -> float:
    """Where Tango's statistic reaches the quantile, by bisection: it falls as the bound rises."""
    z = float(special.ndtri((1 + confidence) / 2))
    low, high = -1.0, (up - down) / n
    for _ in range(60):
        middle = (low + high) / 2
        if _tango(up, down, n, middle) > z:
            low = middle
        else:
            high = middle
    return (low + high) / 2
