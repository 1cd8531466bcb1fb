"""The decision of an evaluation, printed."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay.contracts.gate import GateResult
from assay.contracts.results import Comparison, RankedModel

SHOWN = 5


def print_decision(comparison: Comparison, console: Console) -> None:
    """Print the ranking and the verdict."""
    console.print(ranking(comparison))
    console.print(Text("verdict: ", style="bold").append(comparison.explanation, style="not bold"))


def print_gate(gate: GateResult | None, console: Console) -> None:
    """Print what the gate found; nothing where there was no winner to hold against anything."""
    if gate is None:
        return
    console.print(Text("gate: ", style="bold").append(gate.explanation, style="not bold"))
    if gate.regressed_total and not gate.may_register:
        shown = ", ".join(item.record_id for item in gate.regressed[:SHOWN])
        more = "" if gate.regressed_total <= SHOWN else f" and {gate.regressed_total - SHOWN:,} more"
        console.print(Text("got worse: ", style="bold").append(f"{shown}{more}", style="not bold"))


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
