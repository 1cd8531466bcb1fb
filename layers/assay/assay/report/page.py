"""The report: one HTML page that stands alone. No script, no request, nothing of a model's text taken for markup."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from assay.contracts.config import SuiteConfig
from assay.contracts.gate import GateResult
from assay.contracts.results import CategorySlice, Comparison, Manifest, Mean, PairedDifference, RankedModel
from assay.decision.explanation import points, power, usd
from assay.report.chart import Scale
from assay.report.planes import planes
from assay.report.samples import Samples

MAX_PAIRS = 45
MAX_REGRESSED = 50
MAX_SLICES = 40
MAX_SLICE_MODELS = 4
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
            planes=planes(comparison),
            slices=comparison.slices[:MAX_SLICES],
            slices_left_out=len(comparison.slices[MAX_SLICES:]) + comparison.categories_left_out,
            slice_models=[item.model for item in comparison.models if item.rank is not None][:MAX_SLICE_MODELS],
            slices_scale=Scale.around([0.0, *_bounds(comparison.slices[:MAX_SLICES])]),
            can_tell=_can_tell(comparison),
        )
    )


def _headline(comparison: Comparison) -> str:
    winner, count = comparison.winner, len(comparison.models)
    eligible = sum(item.rank is not None for item in comparison.models)
    if winner is None:
        return "No model is chosen"
    if comparison.verdict is None:
        return f"{winner} is the only {'model' if count == 1 else 'eligible model'}"
    if comparison.selection is not None and comparison.selection.objective[0] != "quality":
        return f"{winner} is chosen for its {comparison.selection.objective[0]}"
    if comparison.verdict == "better":
        return _better(comparison, winner, eligible)
    how = " among equals" if comparison.verdict == "equivalent" else ", within the noise"
    return f"{winner} is chosen{how}"


def _better(comparison: Comparison, winner: str, eligible: int) -> str:
    """The best of all only where it is better than each, not only than the best of the others."""
    others = [item for item in _of_metric(comparison) if winner in (item.first, item.second)]
    sure = sum(item.verdict == ("better" if item.first == winner else "worse") for item in others)
    if comparison.selection is None or sure >= eligible - 1:
        return f"{winner} is the best of {eligible} models"
    return f"{winner} is better than {comparison.selection.rival}, and not surely than all"


def _of_metric(comparison: Comparison) -> list[PairedDifference]:
    return [item for item in comparison.differences if f"{item.algorithm}.{item.score}" == comparison.metric]


def _can_tell(comparison: Comparison) -> str:
    """What the catalog can tell of the winner and its rival, and what more would take; empty where it is not known."""
    names = {comparison.winner, comparison.selection.rival if comparison.selection else None}
    pair = next((item for item in _of_metric(comparison) if {item.first, item.second} == names), None)
    return "" if pair is None else " ".join(power(pair)).replace("It can", "This catalog can", 1)


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


def _bounds(items: Iterable[Mean | PairedDifference | CategorySlice]) -> Iterable[float]:
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
    environment.filters["usd"] = usd
    environment.filters["percent"] = _percent
    environment.filters["p_value"] = _p_value
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


def _percent(share: float) -> str:
    """Never 0 % or 100 % of what is only nearly that."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    return "> 99.9 %" if 0.999 < share < 1 else f"{100 * share:.1f} %"


def _p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
