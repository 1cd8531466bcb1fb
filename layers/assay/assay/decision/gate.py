"""May the winner be registered? Absolute thresholds, and no worse than the champion, as a whole and in each category.

The burden of proof lies with the winner. It passes when the data show that it is not worse than the baseline by the
margin or more; too few records to show that are no pass, and neither is a difference that is merely not significant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from assay.contracts.algorithms import Direction
from assay.contracts.config import SuiteConfig
from assay.contracts.gate import GateBaseline, GateCheck, GateOutcome, GateResult, RegressedRecord
from assay.contracts.results import Comparison, Verdict
from assay.decision.explanation import interval, points
from assay.decision.gate_explanation import baseline_name, explain_gate, non_inferiority_sentence, sentence_of
from assay.decision.paired import Paired, paired_difference
from assay.decision.records import ScoreTable
from assay.decision.slices import by_category, regressions
from assay.decision.statistics import Codes, Values
from assay.decision.verdicts import equivalence_p, non_inferiority, verdict

MOST_REGRESSED = 10_000


@dataclass(frozen=True)
class Baseline:
    """What the winner is held against, with what it scored.

    Attributes:
        described: which model it is, of which evaluation.
        scores: its scores, by record.
        config: the config that it was evaluated by.
        unlike: ids of records of its catalog that have another input or expected answer in this one's.
        responses: S3 prefix of its responses.
    """

    described: GateBaseline
    scores: ScoreTable
    config: SuiteConfig
    unlike: frozenset[str] = frozenset()
    responses: str = ""


@dataclass(frozen=True)
class UnusableBaseline:
    """There is a champion, and it cannot be compared with: why, and what to do."""

    name: str
    reason: str


@dataclass(frozen=True)
class Catalog:
    """The records that the winner answered.

    Attributes:
        ids: of all records, in the order of the catalog.
        categories, clusters: of those records that have one.
    """

    ids: Sequence[str]
    categories: Mapping[str, str] = field(default_factory=dict)
    clusters: Mapping[str, str] = field(default_factory=dict)


def check_gate(
    comparison: Comparison,
    *,
    config: SuiteConfig,
    catalog: Catalog,
    scores: ScoreTable,
    baseline: Baseline | UnusableBaseline | None,
    responses: str = "",
) -> GateResult:
    """Hold the winner of a comparison against the thresholds of its config, and against a baseline.

    A record that the baseline has a score for and the winner has not counts as the worst score there can be: a model
    must not pass by leaving out what is hard. A record without the baseline's score is left out.

    Args:
        catalog: of this evaluation.
        scores: the winner's.
        baseline: None on the first run, when no model is approved and the config names none.
        responses: S3 prefix of the winner's responses.

    Raises:
        ValueError: the comparison has no winner.
    """
    if comparison.winner is None:
        raise ValueError(f"evaluation {comparison.evaluation_id} has no winner to hold against anything")
    gate = _Gate(comparison, comparison.winner, config, catalog, scores)
    checks = gate.thresholds()
    found: dict[str, Any] = {}
    if isinstance(baseline, UnusableBaseline):
        sentence = f"It cannot be held against {baseline.name}: {baseline.reason}"
        checks.append(GateCheck(kind="baseline", passed=False, sentence=sentence))
    elif baseline is not None:
        found = gate.against(baseline, checks)
        if responses:
            found["responses"] = {"winner": responses, "baseline": baseline.responses}
    outcome: GateOutcome = "not_applicable"
    if checks:
        outcome = "passed" if all(check.passed for check in checks) else "failed"
    elif isinstance(baseline, Baseline):
        outcome = "passed"
    approved_at = None
    if outcome == "passed" and isinstance(baseline, Baseline) and not gate.is_itself(baseline):
        approved_at = gate.approves_by_itself(baseline)
    result = GateResult(
        evaluation_id=comparison.evaluation_id,
        suite=comparison.suite,
        outcome=outcome,
        model=comparison.winner,
        metric=gate.metric,
        direction=gate.direction,
        confidence=config.gate.confidence,
        baseline=baseline.described if isinstance(baseline, Baseline) else None,
        checks=checks,
        approved_at=approved_at,
        explanation="",
        **found,
    )
    return result.model_copy(update={"explanation": explain_gate(result)})


@dataclass(frozen=True)
class _Joined:
    """One score of both models on the records that count; the winner's missing ones as the worst there can be."""

    ids: list[str]
    winner: Values
    baseline: Values
    left_out: int
    unanswered: Values
    binary: bool
    span: float


class _Gate:
    def __init__(
        self, comparison: Comparison, winner: str, config: SuiteConfig, catalog: Catalog, scores: ScoreTable
    ) -> None:
        self._comparison, self._winner, self._config = comparison, winner, config
        self._catalog, self._scores = catalog, scores
        self._algorithm, self._score, self.direction = config.metric()
        self.metric = f"{self._algorithm}.{self._score}"

    # ---- thresholds

    def thresholds(self) -> list[GateCheck]:
        ranked = next(item for item in self._comparison.models if item.model == self._winner)
        checks = []
        for threshold in self._config.gate.thresholds:
            algorithm, score, _ = self._config.score(threshold.metric)
            mean = next(item.mean for item in ranked.scores if (item.algorithm, item.score) == (algorithm, score))
            for limit, above in ((threshold.at_least, True), (threshold.at_most, False)):
                if limit is None:
                    continue
                passed = mean.value is not None and (mean.value >= limit if above else mean.value <= limit)
                value = "no value" if mean.value is None else f"{points(mean.value)} points"
                bound = f"at {'least' if above else 'most'} {points(limit)}"
                checks.append(
                    GateCheck(
                        kind="threshold",
                        passed=passed,
                        metric=f"{algorithm}.{score}",
                        n=mean.n,
                        limit=limit,
                        sentence=f"{algorithm}.{score} is {value}; {bound} {'is' if passed else 'was'} asked for.",
                    )
                )
        return checks

    # ---- the baseline

    def is_itself(self, baseline: Baseline) -> bool:
        """Whether the winner is the model of this evaluation that others are held against."""
        return baseline.described.kind == "model" and baseline.described.model == self._winner

    def against(self, baseline: Baseline, checks: list[GateCheck]) -> dict[str, Any]:
        """Add the checks against the baseline, and return what goes into the result beside them."""
        if self.is_itself(baseline):
            return {"verdict": "equivalent", "common": len(self._catalog.ids)}
        if (joined := self._joined(baseline, self.metric)) is None:
            reason = self._why_not(baseline, self._algorithm, self._score)
            checks.append(GateCheck(kind="baseline", passed=False, metric=self.metric, sentence=reason))
            return {}
        few = self._records(baseline, joined)
        if few is not None:
            checks.append(few)
        for metric, (direction, margin) in self._gated().items():
            other = joined if metric == self.metric else self._joined(baseline, metric)
            if other is None:
                reason = self._why_not(baseline, *metric.rsplit(".", 1))
                checks.append(GateCheck(kind="baseline", passed=False, metric=metric, sentence=reason))
            else:
                checks.append(self._non_inferior(metric, direction, self._paired(other), margin))
        checks += self._categories(joined)
        worse = regressions(joined.winner, joined.baseline, self.direction)
        return {
            "verdict": self._verdict(self._paired(joined), self._config.gate.margin_or_default),
            "common": len(joined.ids),
            "regressed_total": len(worse),
            "regressed": [self._regressed(joined, int(place)) for place in worse[:MOST_REGRESSED]],
        }

    def approves_by_itself(self, baseline: Baseline) -> float | None:
        """The level that the config approves at, when the gate is passed at that as well."""
        level = self._config.gate.approve_at_confidence
        if level is None:
            return None
        for metric, (direction, margin) in self._gated().items():
            joined = self._joined(baseline, metric)
            if joined is None:
                return None
            paired = self._paired(joined)
            if not non_inferiority(paired, direction=direction, margin=margin, confidence=level).passed:
                return None
        return level

    def _gated(self) -> dict[str, tuple[Direction, float]]:
        """The scores in which the winner must not be worse, each with its margin: the deciding one first, then those
        that the gate names, and those that weigh in the choice."""
        gate, selection = self._config.gate, self._config.selection
        found = {self.metric: (self.direction, gate.margin_or_default)}
        weights = selection.weights if selection is not None and selection.weights is not None else {}
        margins = {name: gate.margin_or_default for name, weight in weights.items() if weight > 0} | gate.margins
        for name, margin in margins.items():
            algorithm, score, direction = self._config.score(name)
            if name in gate.margins or f"{algorithm}.{score}" != self.metric:
                found[f"{algorithm}.{score}"] = (direction, margin)
        return found

    def _joined(self, baseline: Baseline, metric: str) -> _Joined | None:
        algorithm, score, direction = self._config.score(metric)
        before = baseline.scores.column(algorithm, score)
        if before is None or self._why_not(baseline, algorithm, score):
            return None
        own = self._scores.column(algorithm, score)
        mine = {} if own is None else dict(zip(own.record_ids, own.values, strict=True))
        theirs = dict(zip(before.record_ids, before.values, strict=True))
        common = [item for item in self._catalog.ids if item in theirs and item not in baseline.unlike]
        ids = [item for item in common if not np.isnan(theirs[item])]
        winner = np.array([mine.get(item, np.nan) for item in ids], dtype=np.float64)
        values = np.array([theirs[item] for item in ids], dtype=np.float64)
        known = self._config.algorithm(algorithm).known
        both = np.concatenate([winner[~np.isnan(winner)], values])
        highest, lowest = float(max(1.0, both.max(initial=1.0))), float(min(0.0, both.min(initial=0.0)))
        unanswered = np.isnan(winner)
        winner[unanswered] = lowest if direction == "higher" else highest
        return _Joined(
            ids=ids,
            winner=winner,
            baseline=values,
            left_out=len(common) - len(ids),
            unanswered=unanswered.astype(np.float64),
            binary=score in known.binary,
            span=highest - lowest,
        )

    def _why_not(self, baseline: Baseline, algorithm: str, score: str) -> str:
        """Why this score of the two models cannot be compared; empty when it can."""
        name = baseline_name(baseline.described)
        theirs = {item.algorithm: item for item in baseline.config.algorithms}
        if algorithm not in theirs:
            return sentence_of([f"{name} was not scored with {algorithm}"])
        if theirs[algorithm] != self._config.algorithm(algorithm):
            return sentence_of([f"{name} was scored with {algorithm} under other settings", "they do not compare"])
        if baseline.scores.column(algorithm, score) is None:
            return sentence_of([f"{name} has no score {algorithm}.{score}"])
        return ""

    def _records(self, baseline: Baseline, joined: _Joined) -> GateCheck | None:
        needed, n = self._config.gate.min_records, len(joined.ids)
        if baseline.described.catalog == "same" and n >= needed:
            return None
        parts = []
        if baseline.described.catalog == "changed":
            name = baseline_name(baseline.described)
            parts.append(f"{name} answered another version of the catalog, so only {n:,} records count")
            if baseline.unlike:
                parts.append(f"{len(baseline.unlike):,} with a changed input or answer do not")
        else:
            parts.append(f"{n:,} records count")
        if joined.left_out:
            parts.append(f"{joined.left_out:,} without a score of the baseline are left out")
        if n < needed:
            parts.append(f"at least {needed:,} are needed")
        return GateCheck(kind="records", passed=n >= needed, n=n, limit=float(needed), sentence=sentence_of(parts))

    def _paired(self, joined: _Joined) -> Paired:
        clusters = self._clusters(joined)
        return paired_difference(
            joined.winner, joined.baseline, binary=joined.binary, clusters=clusters, span=joined.span
        )

    def _clusters(self, joined: _Joined) -> Codes | None:
        """A record without a cluster is one of its own."""
        if not self._catalog.clusters:
            return None
        index: dict[tuple[str, str], int] = {}
        own = self._catalog.clusters
        keys = [("cluster", own[item]) if item in own else ("record", item) for item in joined.ids]
        return np.array([index.setdefault(key, len(index)) for key in keys], dtype=np.intp)

    def _non_inferior(self, metric: str, direction: Direction, paired: Paired, margin: float) -> GateCheck:
        confidence = self._config.gate.confidence
        found = non_inferiority(paired, direction=direction, margin=margin, confidence=confidence)
        bounds = paired.interval(confidence)
        low, high = bounds if bounds is not None else (None, None)
        sentence = non_inferiority_sentence(metric, direction, paired, bounds, found)
        return GateCheck(
            kind="non_inferiority",
            passed=found.passed,
            metric=metric,
            n=paired.n,
            difference=paired.difference,
            low=low,
            high=high,
            limit=margin,
            sentence=sentence,
        )

    def _categories(self, joined: _Joined) -> list[GateCheck]:
        present = [self._catalog.categories.get(item) for item in joined.ids]
        names = sorted({name for name in present if name is not None})
        if not names:
            return []
        place = {name: index for index, name in enumerate(names)}
        codes = np.array([-1 if name is None else place[name] for name in present], dtype=np.intp)
        confidence = self._config.gate.confidence
        slices = by_category(
            joined.winner,
            joined.baseline,
            codes,
            names,
            direction=self.direction,
            confidence=confidence,
            binary=joined.binary,
            clusters=self._clusters(joined),
            span=joined.span,
        )
        checks = []
        for item in slices:
            bounds = item.paired.interval(confidence)
            low, high = bounds if bounds is not None else (None, None)
            passed = item.verdict != "worse"
            state, change = "shows no loss" if passed else "is worse", points(item.paired.difference or 0.0)
            checks.append(
                GateCheck(
                    kind="category",
                    passed=passed,
                    metric=self.metric,
                    category=item.category,
                    n=item.paired.n,
                    difference=item.paired.difference,
                    low=low,
                    high=high,
                    sentence=f"In the category {item.category}, {self.metric} {state}: it changed by {change} points"
                    f"{interval(low, high)} on {item.paired.n:,} records.",
                )
            )
        return checks

    def _verdict(self, paired: Paired, margin: float) -> Verdict:
        return verdict(
            paired,
            direction=self.direction,
            alpha=1 - self._config.gate.confidence,
            p_value=paired.p_value(),
            equivalence=equivalence_p(paired, margin),
        )

    def _regressed(self, joined: _Joined, place: int) -> RegressedRecord:
        return RegressedRecord(
            record_id=joined.ids[place],
            category=self._catalog.categories.get(joined.ids[place]),
            before=float(joined.baseline[place]),
            after=None if joined.unanswered[place] else float(joined.winner[place]),
        )
