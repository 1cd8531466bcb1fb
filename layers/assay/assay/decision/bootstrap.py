"""What the means would be on other catalogs of the same kind: records (or clusters) drawn again, with replacement.

Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7 (1979) 1-26. Whole clusters are drawn
where there are some (Davison and Hinkley, "Bootstrap methods and their application", 1997, section 3.8). Every model
and score is seen on the same draws, so that differences between them are paired.
"""

from __future__ import annotations

import numpy as np

from assay.decision.statistics import Codes, Values

DRAWS = 10_000
SEED = 0

_MOST_UNITS = 100_000
_BLOCK_BYTES = 64 * 1024 * 1024
_TIE = 1e-12


def bootstrap_means(values: Values, *, clusters: Codes | None = None, draws: int = DRAWS, seed: int = SEED) -> Values:
    """Means of each row of `values` on `draws` resamples, as an array of draws by rows.

    A draw is a count for each record (cluster), and the sums of all rows on many draws are one product of matrices;
    draws are taken in blocks, so that memory does not grow with their number. More than 100,000 records (clusters) are
    first put together by chance into 100,000 groups, which are drawn in their place: the error of a mean is that of
    random groups as well (Wolter, "Introduction to variance estimation", 2007, chapter 2), here to half a percent.

    Args:
        values: rows by records, NaN where a score is missing; a mean is over the records that have it.
        clusters: a whole number from 0 for each record.

    Returns:
        NaN where no drawn record has the score.
    """
    missing = np.isnan(values)
    patterns, pattern_of = np.unique(np.packbits(missing, axis=1), axis=0, return_index=True, return_inverse=True)[1:]
    generator = np.random.default_rng(seed)
    units, codes = _units(values.shape[1], clusters, generator)
    rows = len(values)
    sums = np.empty((units, rows + len(patterns)))
    for index, row in enumerate(values):
        sums[:, index] = _sums(np.where(missing[index], 0.0, row), codes, units)
    for index, pattern in enumerate(patterns, start=rows):
        sums[:, index] = _sums((~missing[pattern]).astype(np.float64), codes, units)
    found = np.empty((draws, rows))
    block = max(1, _BLOCK_BYTES // (8 * units))
    counts = np.empty((min(block, draws), units))
    for start in range(0, draws, block):
        size = min(block, draws - start)
        for draw in range(size):
            counts[draw] = np.bincount(generator.integers(0, units, units, dtype=np.uint32), minlength=units)
        totals = counts[:size] @ sums
        with np.errstate(invalid="ignore"):
            found[start : start + size] = totals[:, :rows] / totals[:, rows:][:, pattern_of.ravel()]
    return found


def probability_best(gains: Values) -> Values:
    """Share of the draws in which each model is the best; draws in which several are share it out.

    Args:
        gains: draws by models, more is better; NaN loses.
    """
    gains = np.where(np.isnan(gains), -np.inf, gains)
    best = gains >= gains.max(axis=1, keepdims=True) - _TIE
    shares: Values = (best / best.sum(axis=1, keepdims=True)).mean(axis=0)
    return shares


def percentile_interval(differences: Values, confidence: float) -> tuple[float, float] | None:
    """The middle `confidence` of the draws (Efron, "The jackknife, the bootstrap and other resampling plans", 1982)."""
    there = differences[~np.isnan(differences)]
    if not len(there):
        return None
    low, high = np.quantile(there, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _units(records: int, clusters: Codes | None, generator: np.random.Generator) -> tuple[int, Codes | None]:
    """How many units are drawn, and which of them each record is in; None where a record is a unit by itself."""
    if clusters is None:
        count, codes = records, None
    else:
        used, codes = np.unique(clusters, return_inverse=True)
        count = len(used)
    if count <= _MOST_UNITS:
        return count, codes
    groups = generator.permutation(count) % _MOST_UNITS
    return _MOST_UNITS, groups if codes is None else groups[codes]


def _sums(row: Values, codes: Codes | None, units: int) -> Values:
    return row if codes is None else np.bincount(codes, weights=row, minlength=units).astype(np.float64, copy=False)
