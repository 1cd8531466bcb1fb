"""Quality against what it takes: the eligible models on a plane, with those on the Pareto front marked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from assay.contracts.results import Comparison, RankedModel
from assay.decision.explanation import usd
from assay.report.chart import Scale


@dataclass(frozen=True)
class Mark:
    """One model."""

    model: str
    value: float
    quality: float
    front: bool
    label: str


@dataclass(frozen=True)
class Plane:
    """Points against one thing of which less is better."""

    title: str
    across: Scale
    up: Scale
    marks: list[Mark]
    in_usd: bool

    def tick(self, value: float) -> str:
        """A value on the axis across."""
        return usd(value) if self.in_usd else f"{value:,.6g}"

    def is_right(self, value: float) -> bool:
        """Whether a label has to stand on the left of its mark."""
        return float(self.across.at(value).removesuffix("%")) > 50


def planes(comparison: Comparison) -> list[Plane]:
    """A plane for cost and one for latency, where two eligible models have it."""
    return list(_planes([item for item in comparison.models if item.rank is not None], comparison.metric))


def _planes(models: list[RankedModel], metric: str) -> Iterator[Plane]:
    costs = [(item, item.cost.per_1k_usd) for item in models if item.cost and item.cost.per_1k_usd is not None]
    latencies = [(item, item.outcome.latency.p95) for item in models if item.outcome.latency]
    for title, values, in_usd in (
        ("cost of 1,000 answers", costs, True),
        ("p95 latency in milliseconds", latencies, False),
    ):
        if len(values) < 2:
            continue
        marks = [
            Mark(
                model=item.model,
                value=value,
                quality=_quality(item, metric),
                front=bool(item.on_front),
                label=usd(value) if in_usd else f"{value:,.0f} ms",
            )
            for item, value in values
        ]
        yield Plane(
            title=title,
            across=Scale.around([0.0, *(mark.value for mark in marks)]),
            up=Scale.around(mark.quality for mark in marks),
            marks=marks,
            in_usd=in_usd,
        )


def _quality(item: RankedModel, metric: str) -> float:
    mean = next(found.mean for found in item.scores if f"{found.algorithm}.{found.score}" == metric)
    return mean.value or 0.0
