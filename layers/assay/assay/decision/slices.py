"""Two models category by category: where the one is worse, though it may be better as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.contracts.algorithms import Direction
from assay.contracts.results import Verdict
from assay.decision.multiplicity import benjamini_hochberg
from assay.decision.paired import Paired, paired_difference
from assay.decision.statistics import Codes, Values
from assay.decision.verdicts import verdict


@dataclass(frozen=True)
class Slice:
    """One category.

    Attributes:
        adjusted: p value of no difference, after Benjamini and Hochberg over all categories.
        verdict: of the first model against the second, at that.
    """

    category: str
    paired: Paired
    p_value: float | None
    adjusted: float | None
    verdict: Verdict


def by_category(
    first: Values,
    second: Values,
    categories: Codes,
    names: Sequence[str],
    *,
    direction: Direction,
    confidence: float,
    binary: bool = False,
    clusters: Codes | None = None,
    span: float = 1.0,
) -> list[Slice]:
    """Compare two models within each category, in the order of `names`.

    Claims hold at a false discovery rate of 1 - confidence: with many categories, some look worse by chance.

    Args:
        first, second, binary, clusters, span: as of `paired_difference`.
        categories: index into `names` for each record; -1 for one without a category, which is in no slice.
    """
    order = np.argsort(categories, kind="stable")
    starts = np.searchsorted(categories[order], np.arange(len(names) + 1))
    found = []
    for index in range(len(names)):
        rows = order[starts[index] : starts[index + 1]]
        inside = None if clusters is None else clusters[rows]
        found.append(paired_difference(first[rows], second[rows], binary=binary, clusters=inside, span=span))
    p_values = [paired.p_value() for paired in found]
    return [
        Slice(name, paired, p, adjusted, verdict(paired, direction=direction, alpha=1 - confidence, p_value=adjusted))
        for name, paired, p, adjusted in zip(names, found, p_values, benjamini_hochberg(p_values), strict=True)
    ]


def regressions(first: Values, second: Values, direction: Direction) -> NDArray[np.intp]:
    """Places of the records on which the first model is worse than the second, the most first.

    Records that either lacks are not among them; equal losses keep the order of the records.
    """
    loss = second - first if direction == "higher" else first - second
    worse = np.flatnonzero(loss > 0)
    return worse[np.argsort(-loss[worse], kind="stable")]
