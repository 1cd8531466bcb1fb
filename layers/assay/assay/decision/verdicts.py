"""The claims that a paired difference allows: better or worse, equivalent, not worse than a margin."""

from __future__ import annotations

from dataclasses import dataclass

from assay.contracts.algorithms import Direction
from assay.contracts.results import Verdict
from assay.decision.paired import Paired


@dataclass(frozen=True)
class NonInferiority:
    """Whether the first model is no worse than the second by `margin` or more.

    Attributes:
        passed: the worst that the interval allows is still within the margin. False where nothing can be said.
        bound: the worst that the interval allows, as gain of the first over the second: the lower bound of their
            difference where higher is better, the negated upper one where lower is. None where it is undefined.
        p_value: one-sided probability of data as good when the first is worse by the margin.
    """

    passed: bool
    margin: float
    bound: float | None
    p_value: float | None


def non_inferiority(paired: Paired, *, direction: Direction, margin: float, confidence: float) -> NonInferiority:
    """Test that the first model is not worse than the second by `margin` or more.

    The bound is that of the two-sided interval at `confidence`, thus one-sided at half of what is left (2.5 % at 95 %),
    as is the custom for such tests (ICH E9, "Statistical principles for clinical trials", 1998, section 3.3.2). "Not
    significantly worse" is no such test: a small catalog passes it with anything.
    """
    gain = paired if direction == "higher" else paired.reversed()
    bounds = gain.interval(confidence)
    bound = None if bounds is None else bounds[0]
    return NonInferiority(bound is not None and bound > -margin, margin, bound, gain.p_above(-margin))


def equivalence_p(paired: Paired, margin: float) -> float | None:
    """p value of two one-sided tests that the difference is within `margin` on both sides.

    Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15 (1987) 657-680. At a level of 5 % it asks that the
    90 % interval lies within the margin.

    Returns:
        None where the standard error is undefined.
    """
    above, below = paired.p_above(-margin), paired.p_below(margin)
    return None if above is None or below is None else max(above, below)


def verdict(
    paired: Paired, *, direction: Direction, alpha: float, p_value: float | None, equivalence: float | None = None
) -> Verdict:
    """What may be said of the first model against the second.

    `equivalent` comes before `better`: a margin says which differences do not matter, and a large catalog shows
    differences that do not.

    Args:
        alpha: such as 0.05.
        p_value: of no difference, adjusted for its family.
        equivalence: of a difference beyond the margin, likewise; None where there is no margin.
    """
    if paired.difference is None or p_value is None:
        return "inconclusive"
    if equivalence is not None and equivalence <= alpha:
        return "equivalent"
    if p_value > alpha or paired.difference == 0:
        return "inconclusive"
    return "better" if (paired.difference > 0) == (direction == "higher") else "worse"
