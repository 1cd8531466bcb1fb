"""The algorithms that a config may name: fmeval's, ours, and those of installed plug-ins. A config imports nothing."""

from __future__ import annotations

import functools
import re
from importlib.metadata import entry_points

from assay.contracts.algorithm import Algorithm, Direction, Parameter
from assay.contracts.algorithms_of_fmeval import FMEVAL
from assay.contracts.algorithms_of_ours import OURS

__all__ = ["ALGORITHMS", "PLUGIN_GROUP", "PLUGIN_NAME", "Algorithm", "Direction", "Parameter", "known_algorithms"]

PLUGIN_GROUP = "assay.algorithms"
PLUGIN_NAME = r"^[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*$"

ALGORITHMS: dict[str, Algorithm] = {algorithm.name: algorithm for algorithm in (*FMEVAL, *OURS)}
"""Those that come with Assay."""


def known_algorithms() -> dict[str, Algorithm]:
    """Every algorithm by name, those of plug-ins last.

    Raises:
        TypeError, ValueError: an installed plug-in offers something else than an algorithm of its own.
    """
    return ALGORITHMS | _plugins()


@functools.cache
def _plugins() -> dict[str, Algorithm]:
    found: dict[str, Algorithm] = {}
    for point in sorted(entry_points(group=PLUGIN_GROUP), key=lambda point: point.name):
        algorithm = point.load()
        if not isinstance(algorithm, Algorithm):
            raise TypeError(
                f"the entry point {point.name!r} of {PLUGIN_GROUP} is {type(algorithm).__name__}, which is "
                "no assay.contracts.algorithm.Algorithm"
            )
        if not re.match(PLUGIN_NAME, algorithm.name):
            raise ValueError(f"a plug-in's algorithm is called `package.Name`, found {algorithm.name!r}")
        if algorithm.name in found:
            raise ValueError(f"two plug-ins offer the algorithm {algorithm.name!r}")
        found[algorithm.name] = algorithm
    return found
