"""Every pair of models on one score, as one family of comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from assay.contracts.results import PairedDifference, WorstCase
from assay.decision.bootstrap import percentile_interval
from assay.decision.multiplicity import holm
from assay.decision.paired import Paired, paired_difference
from assay.decision.power import detectable_difference, records_needed
from assay.decision.records import ScoreGrid
from assay.decision.statistics import Codes, Values
from assay.decision.verdicts import equivalence_p, verdict

FAMILY = (
    "The p values of one score are adjusted after Holm over all pairs of models: the winner is chosen by the same "
    "data, so any pair may come to be the winner's. Other scores than the metric are families of their own."
)


def differences(
    grid: ScoreGrid,
    order: Sequence[tuple[str, int]],
    *,
    clusters: Codes | None,
    confidence: float,
    margin: float | None,
    draws: Values | None,
) -> list[PairedDifference]:
    """Compare each two models of `order`, the better ranked first.

    A family is all pairs of models on one score. That the winner is compared with the others only would not do: it was
    picked for its mean, and of ten equal models the best leads the worst by far.

    Args:
        order: name and row of each model that has the score.
        draws: bootstrapped means, draws by the rows of the grid; None where they are not wanted.
    """
    pairs = list(combinations(order, 2))
    found = [
        paired_difference(
            grid.values[first], grid.values[second], binary=grid.binary, clusters=clusters, span=grid.span
        )
        for (_, first), (_, second) in pairs
    ]
    alpha = 1 - confidence
    p_values = [paired.p_value() for paired in found]
    adjusted = holm(p_values)
    equivalent = _equivalences(found, margin)
    tested = sum(p is not None for p in p_values)
    worst = _errors_as_worst(grid, pairs, found, clusters, confidence, margin)
    rows = []
    for index, ((first, first_row), (second, second_row)) in enumerate(pairs):
        paired = found[index]
        low, high = paired.interval(confidence) or (None, None)
        drawn = None
        if draws is not None and paired.only_first == paired.only_second == 0:
            drawn = percentile_interval(draws[:, first_row] - draws[:, second_row], confidence)
        rows.append(
            PairedDifference(
                first=first,
                second=second,
                algorithm=grid.algorithm,
                score=grid.score,
                direction=grid.direction,
                n=paired.n,
                difference=paired.difference,
                low=low,
                high=high,
                verdict=verdict(
                    paired,
                    direction=grid.direction,
                    alpha=alpha,
                    p_value=adjusted[index],
                    equivalence=equivalent[index],
                ),
                method=paired.method,
                clusters=paired.clusters,
                only_first=paired.only_first,
                only_second=paired.only_second,
                neither=paired.neither,
                p_value=p_values[index],
                p_adjusted=adjusted[index],
                equivalence_p=equivalent[index],
                bootstrap_low=drawn[0] if drawn else None,
                bootstrap_high=drawn[1] if drawn else None,
                detectable=detectable_difference(paired, alpha / max(1, tested)),
                records_needed=records_needed(paired, alpha / max(1, tested)),
                errors_as_worst=worst[index],
            )
        )
    return rows


def _equivalences(found: Sequence[Paired], margin: float | None) -> list[float | None]:
    if margin is None:
        return [None] * len(found)
    return holm([equivalence_p(paired, margin) for paired in found])


def _errors_as_worst(
    grid: ScoreGrid,
    pairs: Sequence[tuple[tuple[str, int], tuple[str, int]]],
    found: Sequence[Paired],
    clusters: Codes | None,
    confidence: float,
    margin: float | None,
) -> list[WorstCase | None]:
    if all(paired.n == grid.values.shape[1] for paired in found):
        return [None] * len(found)
    filled = np.where(np.isnan(grid.values), grid.worst, grid.values)
    binary = grid.binary and grid.worst in (0.0, 1.0)
    whole = [
        paired_difference(filled[first], filled[second], binary=binary, clusters=clusters, span=grid.span)
        for (_, first), (_, second) in pairs
    ]
    adjusted = holm([paired.p_value() for paired in whole])
    equivalent = _equivalences(whole, margin)
    rows: list[WorstCase | None] = []
    for index, paired in enumerate(whole):
        if found[index].n == paired.n:
            rows.append(None)
            continue
        low, high = paired.interval(confidence) or (None, None)
        rows.append(
            WorstCase(
                n=paired.n,
                difference=paired.difference,
                low=low,
                high=high,
                p_adjusted=adjusted[index],
                verdict=verdict(
                    paired,
                    direction=grid.direction,
                    alpha=1 - confidence,
                    p_value=adjusted[index],
                    equivalence=equivalent[index],
                ),
            )
        )
    return rows
