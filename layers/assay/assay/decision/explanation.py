"""The decision in a few sentences for people, no surer than the numbers are. A score of 0.625 is 62.5 points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from assay.contracts.algorithms import Direction
from assay.contracts.results import Criterion, Mean, PairedDifference, RankedModel, Selection, Verdict

_NAMED = 3
Pairs = Mapping[tuple[str, str], PairedDifference]


def points(value: float) -> str:
    """A score, or a difference of scores, in points of 100; never "-0.0"."""
    return f"{round(100 * value, 1) + 0.0:.1f}"


def interval(low: float | None, high: float | None) -> str:
    """ " [4.1, 20.9]", or nothing where there is no interval."""
    return "" if low is None or high is None else f" [{points(low)}, {points(high)}]"


def usd(amount: float) -> str:
    """Two places, and two figures below a cent."""
    return f"${amount:,.2f}" if amount >= 0.01 or amount == 0 else f"${amount:.2g}"


def explain(
    ranked: Sequence[RankedModel],
    pairs: Pairs,
    *,
    metric: str,
    direction: Direction,
    winner: str | None,
    selection: Selection | None,
    margin: float | None,
) -> str:
    """Say who was chosen, by how much, against whom, and what else that rests on.

    Args:
        ranked: eligible models first, by rank.
        pairs: first minus second on the metric, the better ranked first.
    """
    eligible = [item for item in ranked if item.rank is not None]
    means = {item.model: _mean(item, metric) for item in eligible}
    best = "highest" if direction == "higher" else "lowest"
    if not eligible:
        sentences = [f"No model is chosen: of {_count(len(ranked), 'model')}, none is eligible."]
    elif len(eligible) == 1:
        only = eligible[0].model
        sentences = [
            f"{only} is chosen with {_score(means[only])} of {metric}.",
            f"It is the only eligible model of {len(ranked)}, so there is no rival to compare it with.",
        ]
    elif winner is None or selection is None or selection.rival is None:
        first = eligible[0].model
        second = next(item.model for item in eligible[1:] if pairs[first, item.model].verdict == "worse")
        behind = _lead(_seen_from(pairs, second, first), direction)
        sentences = [
            f"No model is chosen. {first} has the {best} mean of {metric}, {_score(means[first])}.",
            f"Yet it is behind {second} by {behind}: records that failed changed the order of the means.",
        ]
    else:
        sentences = [
            *_headline(eligible, means, metric, best, winner, selection),
            *_against(_seen_from(pairs, winner, selection.rival), direction, margin),
        ]
        others = [item.model for item in eligible if item.model not in (winner, selection.rival)]
        close = [name for name in others if _seen_from(pairs, winner, name).verdict == "inconclusive"]
        if close:
            sentences.append(f"Within the noise of {winner} too: {_list(close)}.")
    out = [item for item in ranked if item.rank is None]
    if out:
        named = "; ".join(f"{item.model}: {item.ineligible}" for item in out[:_NAMED])
        more = f"; and {len(out) - _NAMED} more" if len(out) > _NAMED else ""
        sentences.append(f"Not eligible: {named}{more}.")
    return " ".join(sentences)


def _headline(
    eligible: Sequence[RankedModel],
    means: dict[str, Mean],
    metric: str,
    best: str,
    winner: str,
    selection: Selection,
) -> Iterator[str]:
    chosen = next(item for item in eligible if item.model == winner)
    deciding = _deciding(eligible, chosen, selection)
    if deciding is None:
        equal = [item.model for item in eligible if item.rank == chosen.rank and item.model != winner]
        if not equal:
            yield f"{winner} has the {best} mean of {metric}, {_score(means[winner])}."
            return
        yield (
            f"{_list([winner, *equal])} have the same mean of {metric}, {points(means[winner].value or 0)} points; "
            f"{winner} is chosen because the config names it first."
        )
        return
    among = "eligible models" if selection.objective[0] == deciding else "models that are equal to the best in quality"
    yield f"{winner} has the lowest {deciding} of the {among}, {_measure(chosen, deciding)}."
    if selection.ties:
        yield f"{_list(selection.ties)} {'is' if len(selection.ties) == 1 else 'are'} equal to it in that."
    yield f"Its mean of {metric} is {_score(means[winner])}."


def _deciding(eligible: Sequence[RankedModel], chosen: RankedModel, selection: Selection) -> Criterion | None:
    """The criterion other than quality that decided; None where the best of the ranking was chosen for its quality."""
    if selection.objective[0] != "quality":
        return selection.objective[0]
    if chosen.model == eligible[0].model:
        return None
    return next((item for item in selection.objective if item != "quality"), None)


def _measure(model: RankedModel, criterion: Criterion) -> str:
    if criterion == "cost" and model.cost is not None and model.cost.per_1k_usd is not None:
        return f"{usd(model.cost.per_1k_usd)} for 1,000 answers"
    if criterion == "latency" and model.outcome.latency is not None:
        return f"{model.outcome.latency.p95:,.0f} ms for 95 % of the answers"
    return "which is known of none"


def _against(pair: PairedDifference, direction: Direction, margin: float | None) -> Iterator[str]:
    found, winner, rival = pair.verdict, pair.first, pair.second
    if pair.n == 0:
        yield f"It has no record in common with {rival}, so the two cannot be compared."
        return
    if pair.clusters == 1:
        yield f"All records in common with {rival} are in one cluster, so nothing can be said of the two."
    elif found == "better":
        yield f"It leads {rival} by {_lead(pair, direction)}."
    elif found == "worse":
        yield f"It is behind {rival} by {_lead(_turned(pair), direction)}."
    elif found == "equivalent":
        yield (
            f"{winner} and {rival} are equivalent: they differ by less than the margin of {points(margin or 0)} points "
            f"({_lead(pair, direction)})."
        )
    elif pair.difference == 0 and pair.p_value == 1 and pair.detectable is None:
        yield f"{winner} and {rival} have the same score on each of {_count(pair.n, 'common record')}."
    else:
        yield (
            f"Its lead over {rival}, {_lead(pair, direction)}, is within the noise: "
            "this catalog does not tell the two apart."
        )
        yield from power(pair)
    worst = pair.errors_as_worst
    if worst is not None and worst.verdict != found:
        yield f"Were every failure the worst score, the verdict would be {worst.verdict}."


def power(pair: PairedDifference) -> Iterator[str]:
    """What the records can tell, and how many it would take to tell this lead."""
    if pair.detectable is not None:
        yield f"It can tell differences of {points(pair.detectable)} points."
    if pair.records_needed is not None and pair.records_needed > pair.n:
        more = pair.records_needed - pair.n
        yield f"A lead as small as this takes about {_rounded(more)} more {'record' if more == 1 else 'records'}."


def _rounded(number: int) -> str:
    """Two figures: what it is made of is no surer."""
    return f"{int(float(f'{number:.2g}')):,}"


def _seen_from(pairs: Pairs, first: str, second: str) -> PairedDifference:
    found = pairs.get((first, second))
    return found if found is not None else _turned(pairs[second, first])


def _turned(pair: PairedDifference) -> PairedDifference:
    def negated(value: float | None) -> float | None:
        return None if value is None else 0.0 - value

    opposite: dict[Verdict, Verdict] = {"better": "worse", "worse": "better"}
    worst = pair.errors_as_worst
    if worst is not None:
        worst = worst.model_copy(update={"verdict": opposite.get(worst.verdict, worst.verdict)})
    return pair.model_copy(
        update={
            "verdict": opposite.get(pair.verdict, pair.verdict),
            "errors_as_worst": worst,
            "first": pair.second,
            "second": pair.first,
            "difference": negated(pair.difference),
            "low": negated(pair.high),
            "high": negated(pair.low),
        }
    )


def _lead(pair: PairedDifference, direction: Direction) -> str:
    """The difference as a lead of the first model."""
    pair = pair if direction == "higher" else _turned(pair)
    return (
        f"{points(pair.difference or 0.0)} points{interval(pair.low, pair.high)} on {_count(pair.n, 'common record')}"
    )


def _mean(model: RankedModel, metric: str) -> Mean:
    return next(item.mean for item in model.scores if f"{item.algorithm}.{item.score}" == metric)


def _score(mean: Mean) -> str:
    return f"{points(mean.value or 0.0)} points{interval(mean.low, mean.high)}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
