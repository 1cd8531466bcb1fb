"""What the gate found: `gate.json` of an evaluation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from assay.contracts.algorithms import Direction
from assay.contracts.results import Contract, Verdict

GateOutcome = Literal["passed", "failed", "not_applicable"]


class GateBaseline(Contract):
    """What the winner is held against.

    Attributes:
        kind: `champion`, the newest approved package of the suite, or `model`, one of the same evaluation.
        catalog: whether it answered the same version of the catalog, or another one.
        records: records of its catalog.
    """

    kind: Literal["champion", "model"]
    model: str
    evaluation_id: str
    model_package_arn: str | None
    model_package_version: int | None
    catalog: Literal["same", "changed"]
    records: int


class GateCheck(Contract):
    """One thing that the winner must fulfil.

    Attributes:
        kind: `baseline`, there is something usable to hold it against; `records`, there are records enough in common;
            `non_inferiority`, of one score; `category`, no category is worse; `threshold`, an absolute bound.
        metric: `<algorithm>.<score>`; None for what concerns no single score.
        category: the category that was looked at; None for all records.
        n: records that it rests on.
        difference, low, high: winner minus baseline, with its interval; None where there is none.
        limit: what was allowed: the margin, the threshold, or the records that it takes; None without a number.
        sentence: what was found, for people.
    """

    kind: Literal["baseline", "records", "non_inferiority", "category", "threshold"]
    passed: bool
    sentence: str
    metric: str | None = None
    category: str | None = None
    n: int | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None


class RegressedRecord(Contract):
    """A record on which the winner is worse than the baseline, by the metric that decides.

    Attributes:
        before, after: the baseline's score and the winner's; `after` is None for a record that the winner left without
            a score.
    """

    record_id: str
    category: str | None
    before: float
    after: float | None


class GateResult(Contract):
    """`gate.json`: whether the winner may be registered, and all that this rests on.

    Attributes:
        outcome: `not_applicable` when there is nothing to hold the winner against and no threshold; it is registered
            then, as it is when the outcome is `passed`.
        model: the winner.
        metric: `<algorithm>.<score>` that decides.
        verdict: of the winner against the baseline by that metric; None without a usable baseline.
        common: records that count: those that both had to answer, with the same content.
        regressed: the records that got worse, the worst first, at most `MOST_REGRESSED` of `regressed_total`.
        responses: S3 prefixes of the responses of `winner` and `baseline`, where the record ids are found again.
        approved_at: level of confidence at which the gate is passed too, when the config approves by itself at it; else
            None.
        explanation: the outcome in a few sentences for people.
    """

    schema_version: Literal["1"] = "1"
    evaluation_id: str
    suite: str
    outcome: GateOutcome
    model: str
    metric: str
    direction: Direction
    confidence: float
    baseline: GateBaseline | None
    verdict: Verdict | None = None
    common: int | None = None
    checks: list[GateCheck] = Field(default_factory=list)
    regressed_total: int = 0
    regressed: list[RegressedRecord] = Field(default_factory=list)
    responses: dict[str, str] = Field(default_factory=dict)
    approved_at: float | None = None
    explanation: str

    @property
    def may_register(self) -> bool:
        """Whether the winner may be registered."""
        return self.outcome != "failed"
