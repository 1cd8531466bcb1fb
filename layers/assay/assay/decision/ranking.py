"""Who may be chosen, and in which order by the metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import shorten

from assay.contracts.algorithms import Direction
from assay.contracts.config import SuiteConfig
from assay.contracts.decision_sections import MEASURES
from assay.contracts.prices import Prices
from assay.contracts.results import ConstraintResult, Failure, Mean, ModelOutcome, RankedModel, ScoreSummary
from assay.decision.economics import model_cost, tokens_per_second
from assay.decision.selection import TIE, checked, measure


def ranking(
    config: SuiteConfig,
    outcomes: Sequence[ModelOutcome],
    summaries: Mapping[str, list[ScoreSummary]],
    *,
    metric: str,
    direction: Direction,
    records: int,
    prices: Prices,
) -> list[RankedModel]:
    """Rank the models by the mean of the metric, equal means with equal ranks; those that are not eligible come last.

    A model is eligible when it was evaluated, when no more than `gate.max_failed` of the records lack the metric, for
    want of an answer or of a score, and when it keeps every constraint.

    Args:
        outcomes: of every model of the config, in its order.
        summaries: the scores of each, the metric among them.
    """
    eligible: list[tuple[float, RankedModel]] = []
    out: list[RankedModel] = []
    for outcome in outcomes:
        scores = summaries[outcome.model]
        mean = mean_of(scores, metric)
        cost = model_cost(config.model(outcome.model), outcome, prices)
        speed = tokens_per_second(outcome)
        constraints = list(_constraints(config, outcome, scores, metric, records, prices))
        reason = _ineligible(outcome, mean, records, config.gate.max_failed, metric.rpartition(".")[2])
        if reason is None and mean.value is not None:
            reason = _broken(constraints)
        item = RankedModel(
            model=outcome.model,
            rank=None,
            ineligible=reason,
            scores=scores,
            outcome=outcome,
            constraints=constraints,
            cost=cost,
            tokens_per_second=speed,
        )
        if reason is None and mean.value is not None:
            eligible.append((-mean.value if direction == "higher" else mean.value, item))
        else:
            out.append(item)
    eligible.sort(key=lambda found: round(found[0] / TIE))
    return [
        *(
            item.model_copy(update={"rank": 1 + sum(other < value - TIE for other, _ in eligible)})
            for value, item in eligible
        ),
        *out,
    ]


def mean_of(scores: Sequence[ScoreSummary], metric: str) -> Mean:
    """The mean of a metric by its name."""
    return next(item.mean for item in scores if f"{item.algorithm}.{item.score}" == metric)


def lost(name: str) -> ModelOutcome:
    """The outcome of a model whose step left none."""
    failure = Failure(kind="NoOutcome", reason="its evaluation left no outcome")
    return ModelOutcome(model=name, status="failed", failure=failure)


def _constraints(
    config: SuiteConfig,
    outcome: ModelOutcome,
    scores: Sequence[ScoreSummary],
    metric: str,
    records: int,
    prices: Prices,
) -> Iterator[ConstraintResult]:
    cost = model_cost(config.model(outcome.model), outcome, prices)
    for section in config.selection.constraints if config.selection else []:
        if section.metric in MEASURES:
            value = measure(section.metric, outcome, cost, mean_of(scores, metric), tokens_per_second(outcome), records)
            yield from checked(section, value)
        else:
            algorithm, score, _ = config.score(section.metric)
            mean = mean_of(scores, f"{algorithm}.{score}")
            yield from checked(section, mean.value, mean)


def _broken(constraints: Sequence[ConstraintResult]) -> str | None:
    broken = [
        f"{item.text} is asked, and its value is {'not known' if item.value is None else f'{item.value:,.4g}'}"
        for item in constraints
        if not item.kept
    ]
    return "; ".join(broken) or None


def _ineligible(outcome: ModelOutcome, mean: Mean, records: int, max_failed: float, score: str) -> str | None:
    if outcome.status == "failed":
        failure = outcome.failure or Failure(kind="Failed", reason="no reason is known")
        return f"it could not be evaluated ({failure.kind}: {shorten(failure.reason, 200, placeholder=' ...')})"
    if mean.failed > max_failed * records + TIE * records:
        kinds = ", ".join(f"{count} {kind}" for kind, count in outcome.errors.items())
        return (
            f"{mean.failed:,} of {records:,} records ({_percent(mean.failed / records)}) have no {score}, more than "
            f"the {_percent(max_failed)} that the gate allows" + (f" ({kinds})" if kinds else "")
        )
    if mean.value is None:
        return f"no record has {score}"
    return None


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
