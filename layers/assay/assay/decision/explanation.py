"""The decision in two or three sentences for people, no surer than the numbers are. A score of 0.625 is 62.5 points."""

from __future__ import annotations

from collections.abc import Sequence

from assay.contracts.algorithms import Direction
from assay.contracts.results import Mean, PairedDifference, RankedModel

_NAMED = 3


def points(value: float) -> str:
    """A score, or a difference of scores, in points of 100; never "-0.0"."""
    return f"{round(100 * value, 1) + 0.0:.1f}"


def interval(low: float | None, high: float | None) -> str:
    """ " [4.1, 20.9]", or nothing where there is no interval."""
    return "" if low is None or high is None else f" [{points(low)}, {points(high)}]"


def explain(
    ranked: Sequence[RankedModel],
    differences: Sequence[PairedDifference],
    *,
    metric: str,
    direction: Direction,
    winner: str | None,
) -> str:
    """Say who was chosen, by how much, against whom, and what else that rests on.

    Args:
        ranked: eligible models first, by rank.
        differences: first minus second, in the order of `ranked`.
    """
    eligible = [item for item in ranked if item.rank is not None]
    means = {item.model: _mean(item, metric) for item in eligible}
    pairs = {(item.first, item.second): item for item in differences if f"{item.algorithm}.{item.score}" == metric}
    best = "highest" if direction == "higher" else "lowest"
    if not eligible:
        sentences = [f"No model is chosen: of {_count(len(ranked), 'model')}, none is eligible."]
    elif len(eligible) == 1:
        only = eligible[0].model
        sentences = [
            f"{only} is chosen with {_score(means[only])} of {metric}.",
            f"It is the only eligible model of {len(ranked)}, so there is no rival to compare it with.",
        ]
    elif winner is None:
        first = eligible[0].model
        second = next(item.model for item in eligible[1:] if pairs[first, item.model].verdict == "worse")
        behind = _lead(pairs[first, second], direction, sign=-1)
        sentences = [
            f"No model is chosen. {first} has the {best} mean of {metric}, {_score(means[first])}.",
            f"Yet it is behind {second} by {behind}: records that failed changed the order of the means.",
        ]
    else:
        second = eligible[1].model
        sentences = [
            _headline(eligible, means, metric, best),
            _against(winner, second, pairs[winner, second], direction),
        ]
        close = [item.model for item in eligible[2:] if pairs[winner, item.model].verdict != "better"]
        if close:
            sentences.append(f"Within the noise of {winner} too: {_list(close)}.")
    out = [item for item in ranked if item.rank is None]
    if out:
        named = "; ".join(f"{item.model}: {item.ineligible}" for item in out[:_NAMED])
        more = f"; and {len(out) - _NAMED} more" if len(out) > _NAMED else ""
        sentences.append(f"Not eligible: {named}{more}.")
    return " ".join(sentences)


def _headline(eligible: Sequence[RankedModel], means: dict[str, Mean], metric: str, best: str) -> str:
    winner = eligible[0].model
    equal = [item.model for item in eligible[1:] if item.rank == 1]
    if not equal:
        return f"{winner} has the {best} mean of {metric}, {_score(means[winner])}."
    return (
        f"{_list([winner, *equal])} have the same mean of {metric}, {points(means[winner].value or 0)} points; "
        f"{winner} is chosen because the config names it first."
    )


def _against(winner: str, second: str, pair: PairedDifference, direction: Direction) -> str:
    if pair.n == 0:
        return f"It has no record in common with {second}, so the two cannot be compared."
    if pair.verdict == "better":
        return f"It leads {second} by {_lead(pair, direction)}."
    if pair.difference == pair.low == pair.high == 0:
        return f"{winner} and {second} have the same score on each of {_count(pair.n, 'common record')}."
    return (
        f"Its lead over {second}, {_lead(pair, direction)}, is within the noise: "
        "this catalog does not tell the two apart."
    )


def _lead(pair: PairedDifference, direction: Direction, sign: int = 1) -> str:
    """The difference as a lead of the first model, or as a deficit with sign -1."""
    sign = sign if direction == "higher" else -sign
    bounds = [None if bound is None else sign * bound for bound in (pair.low, pair.high)]
    low, high = bounds if sign > 0 else reversed(bounds)
    return f"{points(sign * (pair.difference or 0.0))} points{interval(low, high)} on {_count(pair.n, 'common record')}"


def _mean(model: RankedModel, metric: str) -> Mean:
    return next(item.mean for item in model.scores if f"{item.algorithm}.{item.score}" == metric)


def _score(mean: Mean) -> str:
    return f"{points(mean.value or 0.0)} points{interval(mean.low, mean.high)}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
