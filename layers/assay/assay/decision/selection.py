"""From the ranking to the choice: constraints, the Pareto front, the objective, and how firm the weights are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from assay.contracts.decision_sections import ConstraintSection
from assay.contracts.results import ConstraintResult, Criterion, Latency, Mean, ModelCost, ModelOutcome
from assay.decision.statistics import Values

# Numbers that differ by less are equal: the order of a sum must not decide.
TIE = 1e-12


def measure(
    name: str, outcome: ModelOutcome, cost: ModelCost, metric: Mean, speed: float | None, records: int
) -> float | None:
    """A measure of `decision_sections.MEASURES`, of one model; None where it is not known.

    Args:
        metric: the mean that ranks the models, whose failures count.
        speed: tokens per second.

    Raises:
        KeyError: there is no such measure.
    """
    latency: Latency | None = outcome.latency
    found: dict[str, float | None] = {
        "latency_ms": latency.mean if latency else None,
        "latency_p50_ms": latency.p50 if latency else None,
        "latency_p90_ms": latency.p90 if latency else None,
        "latency_p95_ms": latency.p95 if latency else None,
        "latency_p99_ms": latency.p99 if latency else None,
        "cost_usd": cost.usd,
        "cost_per_1k_usd": cost.per_1k_usd,
        "tokens_per_second": speed,
        "deploy_seconds": outcome.deploy_seconds,
        "failures": float(metric.failed),
        "failed_share": metric.failed / records if records else None,
    }
    return found[name]


def checked(section: ConstraintSection, value: float | None, mean: Mean | None = None) -> list[ConstraintResult]:
    """Whether a value keeps each bound of a constraint. What is not known keeps none.

    Args:
        mean: where the value is a mean of scores: its interval tells how sure that is.
    """
    return [_checked(text, bound, value, mean, most=most) for text, bound, most in section.texts]


def _checked(text: str, bound: float, value: float | None, mean: Mean | None, *, most: bool) -> ConstraintResult:
    if value is None:
        return ConstraintResult(text=text, value=None, kept=False)
    slack = TIE * max(1.0, abs(bound))
    kept = value <= bound + slack if most else value >= bound - slack
    sure = None
    if mean is not None and mean.low is not None and mean.high is not None:
        sure = not mean.low <= bound <= mean.high
    return ConstraintResult(text=text, value=value, kept=kept, sure=sure)


def pareto_front(points: Mapping[str, Sequence[float]]) -> set[str]:
    """The models that no other beats: none is as good in every dimension and better in one. Less is better in each."""
    return {name for name, mine in points.items() if not any(_beats(other, mine) for other in points.values())}


def _beats(other: Sequence[float], mine: Sequence[float]) -> bool:
    pairs = [(first, second, TIE * max(1.0, abs(second))) for first, second in zip(other, mine, strict=True)]
    return all(first <= second + slack for first, second, slack in pairs) and any(
        first < second - slack for first, second, slack in pairs
    )


@dataclass(frozen=True)
class Choice:
    """The model that the objective chose, and those that were equal to it in every criterion."""

    winner: str
    ties: list[str]


def choose(
    ranked: Sequence[str],
    objective: Sequence[Criterion],
    *,
    measures: Mapping[Criterion, Mapping[str, float | None]],
    equal: Callable[[str, str], bool],
) -> Choice:
    """Choose by the first criterion, and by each later one among those that are equal so far.

    Args:
        ranked: the eligible models by quality, the best first; at least one.
        measures: `cost` and `latency` by model, less is better; a model whose measure is not known gives way to those
            whose is, and a criterion that is known of none decides nothing.
        equal: whether the second model is as good as the first in quality.
    """
    left = list(ranked)
    for criterion in objective:
        if criterion == "quality":
            left = [name for name in left if name == left[0] or equal(left[0], name)]
            continue
        known = {name: value for name in left if (value := measures[criterion].get(name)) is not None}
        if known:
            least = min(known.values())
            left = [name for name in left if name in known and known[name] <= least + TIE * max(1.0, abs(least))]
    return Choice(left[0], left[1:])


def weight_ranges(utilities: Values, weights: Sequence[float], winner: int) -> list[tuple[float, float]]:
    """How far each weight may move, the others in proportion, while the winner keeps the best weighted mean.

    With weights that sum to 1, moving one to t multiplies the others by (1 - t) / (1 - w): every weighted mean is a
    line in t, and a rival overtakes where two lines cross (Triantaphyllou and Sanchez, "A sensitivity analysis approach
    for some deterministic multi-criteria decision making methods", Decision Sciences 28 (1997) 151-194).

    Args:
        utilities: models by scores, more is better.
        weights: as they are in the config.
        winner: row of the winner.

    Returns:
        Bounds from 0 to 1 for each weight, as a share of all; both are the weight itself where another model is as good
        as the winner, or better.
    """
    shares = np.array(weights, dtype=np.float64) / sum(weights)
    leads = utilities[winner] - np.delete(utilities, winner, axis=0)
    found = []
    for index, share in enumerate(shares):
        # Where one weighs all, what it gives up goes to the others in equal parts.
        others = shares / (1 - share) if share < 1 else np.full(len(shares), 1 / max(1, len(shares) - 1))
        others[index] = 0.0
        low, high = 0.0, 1.0
        for lead in leads:
            at_zero, at_one = float(lead @ others), float(lead[index])
            now = at_zero + (at_one - at_zero) * share
            if now <= TIE:
                low = high = float(share)
                break
            if at_one != at_zero:
                crossing = at_zero / (at_zero - at_one)
                if at_one < at_zero:
                    high = min(high, crossing)
                else:
                    low = max(low, crossing)
        found.append((max(0.0, low), min(1.0, high)))
    return found
