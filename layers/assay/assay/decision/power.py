"""What a catalog can tell: the smallest difference it would show, and the records that a difference would take."""

from __future__ import annotations

import math

from scipy import special

from assay.decision.paired import Paired

POWER = 0.8
_STEPS = 100


def detectable_difference(paired: Paired, alpha: float, power: float = POWER) -> float | None:
    """The smallest true difference that a two-sided test at `alpha` finds with probability `power`.

    It is found with the spread (or the discordance) that was seen, on as many records: of the next evaluation of this
    kind, not of this one.

    Student's t: the non-central t distribution (Cohen, "Statistical power analysis for the behavioral sciences", 1988,
    chapter 2). McNemar: (z_a sqrt(q) + z_b sqrt(q - d * d)) / sqrt(n) at a discordance of q (Connor, Biometrics 43
    (1987) 207-211).

    Returns:
        None where nothing differs, or the standard error is undefined: the spread is then not known.
    """
    if not paired.standard_error or paired.degrees_of_freedom is None:
        return None
    if paired.discordant is not None:
        found = _connor_difference(sum(paired.discordant) / paired.n, paired.n, alpha, power)
    else:
        found = _noncentrality(paired.degrees_of_freedom, alpha, power) * paired.standard_error
    return found if found <= paired.span else None


def records_needed(paired: Paired, alpha: float, power: float = POWER) -> int | None:
    """Records, all in all, on which a true difference as large as this one is found with probability `power`.

    With clusters: records in clusters of the sizes that they have here.

    Returns:
        None where nothing differs, the difference is 0, or the standard error is undefined.
    """
    if not paired.difference or not paired.standard_error or paired.degrees_of_freedom is None:
        return None
    size = abs(paired.difference)
    if paired.discordant is not None:
        share = sum(paired.discordant) / paired.n
        z_alpha, z_power = float(special.ndtri(1 - alpha / 2)), float(special.ndtri(power))
        root = z_alpha * math.sqrt(share) + z_power * math.sqrt(max(0.0, share - size * size))
        return math.ceil((root / size) ** 2)
    ratio = paired.standard_error * math.sqrt(paired.units) / size
    units = float(paired.units)
    freedom = paired.degrees_of_freedom / (paired.units - 1)
    for _ in range(_STEPS):
        wanted = max(2.0, (_noncentrality(max(1.0, (units - 1) * freedom), alpha, power) * ratio) ** 2)
        if abs(wanted - units) < 0.01:
            break
        units = wanted
    return math.ceil(round(units * paired.n / paired.units, 6))


def power_of_t(difference: float, standard_error: float, degrees_of_freedom: float, alpha: float) -> float:
    """Probability that a two-sided t test at `alpha` finds a true difference (Cohen, 1988, chapter 2)."""
    critical = float(special.stdtrit(degrees_of_freedom, 1 - alpha / 2))
    shift = abs(difference) / standard_error
    missed, other = (float(special.nctdtr(degrees_of_freedom, shift, bound)) for bound in (critical, -critical))
    # SciPy has no number for some of the smallest.
    return 1 - (0.0 if math.isnan(missed) else missed) + (0.0 if math.isnan(other) else other)


def _noncentrality(degrees_of_freedom: float, alpha: float, power: float) -> float:
    """How many standard errors a difference must have; by bisection, since the other tail hardly counts."""
    low, high = 0.0, 8.0
    while power_of_t(high, 1.0, degrees_of_freedom, alpha) < power and high < 1e6:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        if power_of_t(middle, 1.0, degrees_of_freedom, alpha) < power:
            low = middle
        else:
            high = middle
    return high


def _connor_difference(discordance: float, n: int, alpha: float, power: float) -> float:
    """By bisection. Models that differ by d differ on a share of d of the records at least."""
    z_alpha, z_power = float(special.ndtri(1 - alpha / 2)), float(special.ndtri(power))
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        share = max(discordance, middle)
        needs = (z_alpha * math.sqrt(share) + z_power * math.sqrt(share - middle * middle)) / math.sqrt(n)
        if middle < needs:
            low = middle
        else:
            high = middle
    return high
