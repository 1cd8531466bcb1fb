"""The decision of an evaluation, printed."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay.contracts.results import Comparison, RankedModel


def print_decision(comparison: Comparison, console: Console) -> None:
    """Print the ranking and the verdict."""
    console.print(ranking(comparison))
    console.print(Text("verdict: ", style="bold").append(comparison.explanation, style="not bold"))


def ranking(comparison: Comparison) -> Table:
    table = Table(title=f"{comparison.suite}: {comparison.metric}, {comparison.records} records", title_justify="left")
    for name in ("", "model", "score", f"{comparison.confidence:.0%} interval", "answered", "p50 latency"):
        table.add_column(name, justify="left" if name == "model" else "right")
    for model in comparison.models:
        table.add_row(*_row(model, comparison))
    return table


def _row(model: RankedModel, comparison: Comparison) -> list[str]:
    outcome = model.outcome
    summary: Any = next((item for item in model.scores if f"{item.algorithm}.{item.score}" == comparison.metric), None)
    mean = summary.mean if summary else None
    score = "-" if mean is None or mean.value is None else f"{mean.value:.3f}"
    interval = "-" if mean is None or mean.low is None else f"{mean.low:.3f} to {mean.high:.3f}"
    latency = "-" if outcome.latency is None else f"{outcome.latency.p50:.0f} ms"
    place = "-" if model.rank is None else str(model.rank)
    return [place, model.model, score, interval, f"{outcome.answered}/{outcome.records}", latency]
