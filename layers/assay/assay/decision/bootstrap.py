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

_BLOCK_BYTES = 64 * 1024 * 1024
_TIE = 1e-12


def bootstrap_means(values: Values, *, clusters: Codes | None = None, draws: int = DRAWS, seed: int = SEED) -> Values:
    """Means of each row of `values` on `draws` resamples, as an array of draws by rows.

    A draw is a count for each record (cluster), and the sums of all rows on many draws are one product of matrices;
    draws are taken in blocks, so that memory does not grow with their number.

    Args:
        values: rows by records, NaN where a score is missing; a mean is over the records that have it.
        clusters: a whole number from 0 for each record.

    Returns:
        NaN where no drawn record has the score.
    """
    missing = np.isnan(values)
    patterns, pattern_of = np.unique(np.packbits(missing, axis=1), axis=0, return_index=True, return_inverse=True)[1:]
    filled = np.where(missing, 0.0, values)
    there = (~missing[patterns]).astype(np.float64)
    sums = _by_unit(np.concatenate([filled, there]), clusters)
    units, rows = len(sums), len(values)
    generator = np.random.default_rng(seed)
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


def _by_unit(rows: Values, clusters: Codes | None) -> Values:
    """Sums of each row by record or by cluster, as units by rows."""
    if clusters is None:
        return np.ascontiguousarray(rows.T)
    used, codes = np.unique(clusters, return_inverse=True)
    return np.stack([np.bincount(codes, weights=row, minlength=len(used)) for row in rows], axis=1)
