"""Where things lie on an axis. Positions are percentages, so that a chart is as wide as its column."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_TICKS = 6


@dataclass(frozen=True)
class Scale:
    """An axis from the first tick to the last."""

    ticks: tuple[float, ...]

    @classmethod
    def around(cls, values: Iterable[float]) -> Scale:
        """The axis with round ticks that holds all values; 0 to 1 when there are none."""
        found = list(values) or [0.0, 1.0]
        low, high = min(found), max(found)
        if high - low < 1e-9:
            low, high = low - 0.05, high + 0.05
        step = _step((high - low) / (_TICKS - 1))
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        return cls(tuple(round(number * step, 10) + 0.0 for number in range(first, last + 1)))

    def at(self, value: float) -> str:
        """Position of a value, such as "37.25%"."""
        low, high = self.ticks[0], self.ticks[-1]
        return f"{100 * (value - low) / (high - low):.2f}%"

    def below(self, value: float) -> str:
        """Position of a value from the top, where the axis goes up."""
        low, high = self.ticks[0], self.ticks[-1]
        return f"{100 * (high - value) / (high - low):.2f}%"


def _step(least: float) -> float:
    """The smallest round number that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    for lower, upper in pairwise((0.0, *_STEPS)):
        if lower * power < least <= upper * power * (1 + 1e-9):
            return upper * power
    return _STEPS[-1] * power
