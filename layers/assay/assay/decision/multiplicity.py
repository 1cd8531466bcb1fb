"""What many comparisons at once do to a level, and how it is kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p values adjusted so that a family makes any false claim with no more than the level.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979) 65-70.
    It holds whatever the dependence between the tests.

    Args:
        p_values: of one family, in any order; None for a test that could not be made, which stays None and counts as no
            member.
    """
    order, sorted_p = _sorted(p_values)
    count = len(order)
    raised = np.maximum.accumulate(sorted_p * (count - np.arange(count)))
    return _in_place(p_values, order, raised)


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """p values adjusted so that among the claims made, the expected share of false ones is no more than the level.

    Benjamini and Hochberg, JRSS B 57 (1995) 289-300; for independent tests, and for positively dependent ones
    (Benjamini and Yekutieli, Annals of Statistics 29 (2001) 1165-1188). None as in `holm`.
    """
    order, sorted_p = _sorted(p_values)
    count = len(order)
    scaled = sorted_p * count / np.arange(1, count + 1)
    raised = np.minimum.accumulate(scaled[::-1])[::-1]
    return _in_place(p_values, order, raised)


def _sorted(p_values: Sequence[float | None]) -> tuple[list[int], np.ndarray]:
    there = [(p, index) for index, p in enumerate(p_values) if p is not None]
    there.sort()
    return [index for _, index in there], np.array([p for p, _ in there])


def _in_place(p_values: Sequence[float | None], order: list[int], adjusted: np.ndarray) -> list[float | None]:
    found: list[float | None] = [None] * len(p_values)
    for index, p in zip(order, adjusted, strict=True):
        found[index] = min(1.0, float(p))
    return found
