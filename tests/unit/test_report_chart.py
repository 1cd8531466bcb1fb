"""The axes of the report's charts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.report.chart import Scale


@given(st.lists(st.floats(-2, 2), max_size=12))
def test_an_axis_holds_every_value(values: list[float]) -> None:
    scale = Scale.around(values)
    assert 2 <= len(scale.ticks) <= 12
    assert list(scale.ticks) == sorted(scale.ticks)
    for value in values:
        assert -0.01 <= float(scale.at(value).removesuffix("%")) <= 100.01


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([], (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        ([0.0, 1.0], (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        ([0.61, 0.74], (0.6, 0.65, 0.7, 0.75)),
        ([-0.03, 0.1], (-0.05, 0.0, 0.05, 0.1)),
    ],
)
def test_ticks_are_round_numbers(values: list[float], ticks: tuple[float, ...]) -> None:
    assert Scale.around(values).ticks == pytest.approx(ticks)
