"""Which model is best, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from assay.contracts.config import SuiteConfig
from assay.contracts.prices import Prices, bundled_prices
from assay.contracts.results import (
    CategorySlice,
    Comparison,
    Criterion,
    ModelOutcome,
    PairedDifference,
    RankedModel,
    ScoreSummary,
    Selection,
    Verdict,
    WeightRange,
)
from assay.decision.bootstrap import DRAWS, SEED, bootstrap_means, probability_best
from assay.decision.differences import FAMILY, differences
from assay.decision.economics import assumptions
from assay.decision.explanation import explain
from assay.decision.ranking import lost, mean_of, ranking
from assay.decision.records import RecordIndex, ScoreGrid, ScoreTable, score_grids, weighted_grid
from assay.decision.selection import choose, pareto_front, weight_ranges
from assay.decision.slices import by_category
from assay.decision.statistics import Codes, Values, mean_with_interval

MAX_CATEGORIES = 200


def compare(
    *,
    evaluation_id: str,
    config: SuiteConfig,
    records: RecordIndex,
    outcomes: Sequence[ModelOutcome],
    scores: Iterable[tuple[str, ScoreTable]],
    prices: Prices | None = None,
    draws: int = DRAWS,
) -> Comparison:
    """Rank the models of a config and choose one.

    Eligible models (see `ranking`) are ranked by the mean of the metric over the records that have it; the objective
    chooses among them. The verdict is that of the winner against the best ranked of the others, on the records that
    both have. There is no winner when no model is eligible, or when quality decides and another eligible model is
    better than the first on their common records (which happens only when records that failed changed the order of the
    means).

    Args:
        outcomes: how each model's evaluation ended; a model without one counts as failed.
        scores: of each model that has some; read one after the other, and not kept.
        prices: those that come with Assay by default; the config's own come first.
        draws: of the bootstrap.

    Raises:
        ValueError: an outcome or a score is of no model of this config, or of no record of the catalog.
    """
    by_name = {outcome.model: outcome for outcome in outcomes}
    names = [model.name for model in config.models]
    if unknown := set(by_name) - set(names):
        raise ValueError(f"outcomes of models that the config does not name: {', '.join(sorted(unknown))}")
    prices = (prices or bundled_prices()).overridden(config.pricing)
    grids = _grids(config, names, records, scores)
    chosen = config.metric()[:2]
    metric = grids[-1] if _weights(config) else next(grid for grid in grids if (grid.algorithm, grid.score) == chosen)
    found = [by_name.get(name) or lost(name) for name in names]
    confidence = config.gate.confidence
    summaries = {
        outcome.model: [_summary(grid, row, outcome, records, confidence) for grid in grids]
        for row, outcome in enumerate(found)
    }
    ranked = ranking(
        config,
        found,
        summaries,
        metric=metric.name,
        direction=metric.direction,
        records=len(records),
        prices=prices,
    )
    rows = {name: row for row, name in enumerate(names)}
    order = [(item.model, rows[item.model]) for item in ranked]
    drawn = _draws(grids, records.clusters, draws)
    pairs = [
        pair
        for grid in grids
        for pair in differences(
            grid,
            [(name, row) for name, row in order if not np.isnan(grid.values[row]).all()],
            clusters=records.clusters,
            confidence=confidence,
            margin=config.gate.margin,
            draws=drawn.get(grid.name),
        )
    ]
    on_metric = {(pair.first, pair.second): pair for pair in pairs if f"{pair.algorithm}.{pair.score}" == metric.name}
    ranked = _with_probabilities(ranked, drawn.get(metric.name), rows, metric)
    ranked, front = _with_front(ranked, metric)
    winner, against, selection = _choice(config, ranked, on_metric, front)
    if winner is not None and selection is not None:
        selection = selection.model_copy(update={"weights": _weight_ranges(config, ranked, winner)})
    slices, left_out = _slices(metric, records, rows, winner, selection, confidence)
    return Comparison(
        evaluation_id=evaluation_id,
        suite=config.suite,
        metric=metric.name,
        direction=metric.direction,
        confidence=confidence,
        records=len(records),
        models=ranked,
        differences=pairs,
        winner=winner,
        verdict=against,
        explanation=explain(
            ranked,
            on_metric,
            metric=metric.name,
            direction=metric.direction,
            winner=winner,
            selection=selection,
            margin=config.gate.margin,
        ),
        margin=config.gate.margin,
        clusters=None if records.clusters is None else len(np.unique(records.clusters)),
        family=FAMILY,
        draws=draws if drawn else None,
        seed=SEED if drawn else None,
        selection=selection,
        slices=slices,
        categories_left_out=left_out,
        assumptions=list(assumptions(config, prices, ranked)),
    )


def _weights(config: SuiteConfig) -> Mapping[str, float]:
    return (config.selection.weights if config.selection else None) or {}


def _grids(
    config: SuiteConfig, names: Sequence[str], records: RecordIndex, scores: Iterable[tuple[str, ScoreTable]]
) -> list[ScoreGrid]:
    """Every score of the config; the weighted mean comes last, where there is one."""
    wanted = [
        (section.algorithm, score, direction, score in section.known.binary)
        for section in config.algorithms
        for score, direction in section.known.scores.items()
    ]
    grids = score_grids(wanted, names, records, scores)
    weights = _weights(config)
    if weights:
        by_name = {(grid.algorithm, grid.score): grid for grid in grids}
        grids.append(weighted_grid([(by_name[config.score(name)[:2]], weight) for name, weight in weights.items()]))
    return grids


def _summary(grid: ScoreGrid, row: int, outcome: ModelOutcome, records: RecordIndex, confidence: float) -> ScoreSummary:
    values = grid.values[row]
    there = ~np.isnan(values)
    failed = len(values) - int(there.sum())
    clusters = records.clusters
    mean = mean_with_interval(
        values[there],
        failed=failed,
        confidence=confidence,
        binary=grid.binary,
        clusters=None if clusters is None else clusters[there],
    )
    worst = None
    if failed and outcome.status == "evaluated":
        worst = mean_with_interval(
            np.where(there, values, grid.worst),
            failed=0,
            confidence=confidence,
            binary=grid.binary and grid.worst in (0.0, 1.0),
            clusters=clusters,
        )
    return ScoreSummary(
        algorithm=grid.algorithm, score=grid.score, direction=grid.direction, mean=mean, errors_as_worst=worst
    )


def _draws(grids: Sequence[ScoreGrid], clusters: Codes | None, draws: int) -> dict[str, Values]:
    """Bootstrapped means of every score, on the same draws; nothing below two models."""
    if len(grids[0].values) < 2 or not draws or not grids[0].values.shape[1]:
        return {}
    means = bootstrap_means(np.concatenate([grid.values for grid in grids]), clusters=clusters, draws=draws)
    models = len(grids[0].values)
    return {grid.name: means[:, index * models : (index + 1) * models] for index, grid in enumerate(grids)}


def _with_probabilities(
    ranked: Sequence[RankedModel], drawn: Values | None, rows: Mapping[str, int], metric: ScoreGrid
) -> list[RankedModel]:
    eligible = [item.model for item in ranked if item.rank is not None]
    if drawn is None or len(eligible) < 2:
        return list(ranked)
    means = drawn[:, [rows[name] for name in eligible]]
    shares = probability_best(means if metric.direction == "higher" else -means)
    best = dict(zip(eligible, map(float, shares), strict=True))
    return [item.model_copy(update={"probability_best": best.get(item.model)}) for item in ranked]


def _measures(ranked: Sequence[RankedModel]) -> dict[Criterion, dict[str, float | None]]:
    return {
        "cost": {item.model: item.cost.per_1k_usd if item.cost else None for item in ranked},
        "latency": {item.model: item.outcome.latency.p95 if item.outcome.latency else None for item in ranked},
    }


def _with_front(ranked: Sequence[RankedModel], metric: ScoreGrid) -> tuple[list[RankedModel], list[Criterion]]:
    eligible = [item for item in ranked if item.rank is not None]
    sign = -1 if metric.direction == "higher" else 1
    quality = {item.model: sign * (mean_of(item.scores, metric.name).value or 0.0) for item in eligible}
    known: dict[Criterion, dict[str, float]] = {"quality": quality}
    for criterion, values in _measures(eligible).items():
        there = {name: value for name, value in values.items() if value is not None}
        if eligible and len(there) == len(eligible):
            known[criterion] = there
    front = pareto_front({name: [values[name] for values in known.values()] for name in quality})
    return [
        item if item.rank is None else item.model_copy(update={"on_front": item.model in front}) for item in ranked
    ], list(known)


def _choice(
    config: SuiteConfig,
    ranked: Sequence[RankedModel],
    pairs: Mapping[tuple[str, str], PairedDifference],
    front: list[Criterion],
) -> tuple[str | None, Verdict | None, Selection | None]:
    eligible = [item for item in ranked if item.rank is not None]
    if not eligible:
        return None, None, None
    objective = _objective(config)
    names = [item.model for item in eligible]
    ranks = {item.model: item.rank for item in eligible}

    def equal(first: str, second: str) -> bool:
        return ranks[first] == ranks[second] or pairs[first, second].verdict == "equivalent"

    choice = choose(names, objective, measures=_measures(eligible), equal=equal)
    rival = next((name for name in names if name != choice.winner), None)
    selection = Selection(objective=objective, front=front, rival=rival, ties=choice.ties)
    if rival is None:
        return choice.winner, None, selection
    beaten = any(pairs[names[0], name].verdict == "worse" for name in names[1:])
    if objective[0] == "quality" and beaten:
        return None, None, selection.model_copy(update={"rival": None, "ties": []})
    if (choice.winner, rival) in pairs:
        return choice.winner, pairs[choice.winner, rival].verdict, selection
    turned: dict[Verdict, Verdict] = {"better": "worse", "worse": "better"}
    against = pairs[rival, choice.winner].verdict
    return choice.winner, turned.get(against, against), selection


def _objective(config: SuiteConfig) -> list[Criterion]:
    wanted = config.selection.objective if config.selection else None
    if wanted is None:
        return ["quality"]
    return list(wanted) if isinstance(wanted, list) else [wanted]


def _weight_ranges(config: SuiteConfig, ranked: Sequence[RankedModel], winner: str) -> list[WeightRange]:
    weights = _weights(config)
    eligible = [item for item in ranked if item.rank is not None]
    if not weights or len(eligible) < 2:
        return []
    # On the records that a model has of each score: where it lacks some, this is not quite its weighted mean.
    utilities = np.array([[_utility(config, item, name) for name in weights] for item in eligible])
    row = next(index for index, item in enumerate(eligible) if item.model == winner)
    total = sum(weights.values())
    return [
        WeightRange(score=name, weight=weight / total, low=low, high=high)
        for (name, weight), (low, high) in zip(
            weights.items(), weight_ranges(utilities, list(weights.values()), row), strict=True
        )
    ]


def _utility(config: SuiteConfig, item: RankedModel, name: str) -> float:
    algorithm, score, direction = config.score(name)
    value = mean_of(item.scores, f"{algorithm}.{score}").value or 0.0
    return value if direction == "higher" else 1 - value


def _slices(
    metric: ScoreGrid,
    records: RecordIndex,
    rows: Mapping[str, int],
    winner: str | None,
    selection: Selection | None,
    confidence: float,
) -> tuple[list[CategorySlice], int]:
    rival = selection.rival if selection else None
    if records.categories is None or winner is None or rival is None:
        return [], 0
    found = by_category(
        metric.values[rows[winner]],
        metric.values[rows[rival]],
        records.categories,
        records.category_names,
        direction=metric.direction,
        confidence=confidence,
        binary=metric.binary,
        clusters=records.clusters,
        span=metric.span,
    )
    sizes = np.bincount(records.categories[records.categories >= 0], minlength=len(found))
    largest = sorted(range(len(found)), key=lambda index: -sizes[index])[:MAX_CATEGORIES]
    shown = []
    for index in largest:
        item, inside = found[index], metric.values[:, records.categories == index]
        low, high = item.paired.interval(confidence) or (None, None)
        shown.append(
            CategorySlice(
                category=item.category,
                records=int(sizes[index]),
                means={name: mean for name, row in rows.items() if (mean := _mean_there(inside[row])) is not None},
                n=item.paired.n,
                difference=item.paired.difference,
                low=low,
                high=high,
                p_adjusted=item.adjusted,
                verdict=item.verdict,
            )
        )
    return shown, len(found) - len(shown)


def _mean_there(values: Values) -> float | None:
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else None
