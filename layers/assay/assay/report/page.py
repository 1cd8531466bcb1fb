"""The report: one HTML page that stands alone. No script, no request, nothing of a model's text taken for markup."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from assay.contracts.config import SuiteConfig
from assay.contracts.gate import GateResult
from assay.contracts.results import Comparison, Manifest, Mean, PairedDifference, RankedModel
from assay.decision.explanation import points
from assay.report.chart import Scale
from assay.report.samples import Samples

MAX_PAIRS = 45
MAX_REGRESSED = 50
_TEMPLATE = "template.html.j2"


@dataclass(frozen=True)
class Place:
    """A model in the ranking, with its difference to the first."""

    model: RankedModel
    mean: Mean
    behind: PairedDifference | None

    @property
    def unscored(self) -> int:
        """Records with an answer and without the metric."""
        return self.mean.failed - self.model.outcome.failed if self.model.outcome.status == "evaluated" else 0


@dataclass(frozen=True)
class Pairs:
    """The paired differences of one score; `left_out` of them are only in the comparison's file."""

    title: str
    direction: str
    shown: list[PairedDifference]
    left_out: int
    scale: Scale


def render_report(
    comparison: Comparison,
    *,
    manifest: Manifest,
    config: SuiteConfig,
    samples: Samples,
    gate: GateResult | None = None,
) -> str:
    """Render the page.

    Args:
        samples: records that models got wrong, from `select_samples`.
        gate: what the winner was held against; None when there is no winner.
    """
    metric_means = {item.model: _mean(item, comparison.metric) for item in comparison.models}
    pairs = _pairs(comparison)
    first = next((item.model for item in comparison.models if item.rank == 1), None)
    behind = {
        item.second: item
        for item in comparison.differences
        if item.first == first and f"{item.algorithm}.{item.score}" == comparison.metric
    }
    places = [Place(item, metric_means[item.model], behind.get(item.model)) for item in comparison.models]
    return (
        _environment()
        .get_template(_TEMPLATE)
        .render(
            comparison=comparison,
            manifest=manifest,
            config=config,
            samples=_in_order(samples, [item.model for item in comparison.models]),
            headline=_headline(comparison),
            gate=gate,
            gate_regressed=[] if gate is None else gate.regressed[:MAX_REGRESSED],
            places=places,
            means_scale=Scale.around(_bounds(place.mean for place in places)),
            score_names=[(item.algorithm, item.score, item.direction) for item in comparison.models[0].scores],
            metric_pairs=next((item for item in pairs if item.title == comparison.metric), None),
            other_pairs=[item for item in pairs if item.title != comparison.metric],
            failure_kinds=sorted({kind for item in comparison.models for kind in item.outcome.errors}),
            slowest=max((item.outcome.latency.p99 for item in comparison.models if item.outcome.latency), default=0.0),
            confidence=f"{comparison.confidence * 100:g}",
        )
    )


def _headline(comparison: Comparison) -> str:
    winner, count = comparison.winner, len(comparison.models)
    eligible = sum(item.rank is not None for item in comparison.models)
    if winner is None:
        return "No model is chosen"
    if comparison.verdict is None:
        return f"{winner} is the only {'model' if count == 1 else 'eligible model'}"
    if comparison.verdict == "better":
        return f"{winner} is the best of {eligible} models"
    if comparison.verdict == "equivalent":
        return f"{winner} is chosen among equals"
    return f"{winner} is chosen, within the noise"


def _in_order(samples: Samples, models: list[str]) -> Samples:
    """The answers to each record in the order of the ranking."""
    shown = [
        replace(sample, answers=sorted(sample.answers, key=lambda item: models.index(item.model)))
        for sample in samples.shown
    ]
    return replace(samples, shown=shown)


def _mean(model: RankedModel, metric: str) -> Mean:
    return next(item.mean for item in model.scores if f"{item.algorithm}.{item.score}" == metric)


def _pairs(comparison: Comparison) -> list[Pairs]:
    """The differences by score. Where there are too many, those of the first model come before the rest."""
    by_score: dict[str, list[PairedDifference]] = {}
    for item in comparison.differences:
        by_score.setdefault(f"{item.algorithm}.{item.score}", []).append(item)
    first = comparison.models[0].model
    found = []
    for title, items in by_score.items():
        shown = items if len(items) <= MAX_PAIRS else sorted(items, key=lambda item: item.first != first)[:MAX_PAIRS]
        scale = Scale.around([0.0, *_bounds(shown)])
        found.append(Pairs(title, items[0].direction, shown, len(items) - len(shown), scale))
    return found


def _bounds(items: Iterable[Mean | PairedDifference]) -> Iterable[float]:
    for item in items:
        value = item.value if isinstance(item, Mean) else item.difference
        yield from (bound for bound in (item.low, value, item.high) if bound is not None)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["points"] = _points
    environment.filters["signed"] = _signed
    environment.filters["duration"] = _duration
    return environment


def _points(value: float) -> str:
    return points(value).replace("-", "\N{MINUS SIGN}")


def _signed(value: float) -> str:
    text = points(value)
    return text.replace("-", "\N{MINUS SIGN}") if text.startswith("-") or float(text) == 0 else f"+{text}"


def _duration(milliseconds: float) -> str:
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds:,.0f} ms" if milliseconds < 10_000 else f"{milliseconds / 1000:,.1f} s"
