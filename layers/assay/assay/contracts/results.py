"""What an evaluation leaves behind: responses, scores, outcomes and the comparison. Failure is a value in each."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from assay.contracts.algorithms import Direction
from assay.contracts.lanes import LaneLimit


class Contract(BaseModel):
    """A value that is written to S3 or carried by an event: immutable, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Failure(Contract):
    """Why something has no result.

    Attributes:
        kind: a stable word to group by, such as `EndpointFailed`, `ModelError`, `Throttled`, `NoAnswer`.
        reason: one sentence for people; holds no prompt and no response.
    """

    kind: str
    reason: str


class Response(Contract):
    """What a model answered to one record, or why it did not.

    Attributes:
        record_id: the record that was asked.
        text: the answer; None when `failure` is set.
        latency_ms: milliseconds that the answering attempt took, without retries and waiting; None without an answer,
            and for one that came through an asynchronous endpoint's queue or of a batch inference job.
        attempts: requests sent for this record; 0 when time or money was over before it was asked.
        prompt: the text put to the model, after the prompt template.
        input_tokens, output_tokens: of the answering attempt, as the model's service counted them; None where it does
            not say.
        cost_usd: price of the answering attempt's tokens; None where tokens or prices are not known. The hours of an
            endpoint are no response's.
        finish_reason: why the model stopped, in its service's word, such as `stop` or `length`.
        request_id: the service's id of the last request, to look it up in the service's logs.
        log_probability: of the prompt to the model; None where it was not asked for or not told.
    """

    record_id: str
    text: str | None
    latency_ms: float | None
    attempts: int
    prompt: str
    failure: Failure | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    finish_reason: str | None = None
    request_id: str | None = None
    log_probability: float | None = None


class ScoreRow(Contract):
    """One score for one response: a line of `scores/part-*.parquet`.

    Attributes:
        value: the score, None when `error` is set.
        error: `kind: reason` of what kept it from being computed, None when it was.
    """

    record_id: str
    algorithm: str
    score: str
    value: float | None
    direction: Direction
    error: str | None = None


class Latency(Contract):
    """Milliseconds per answered record, over `n` answers."""

    n: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float


class UsedAsset(Contract):
    """A folder with a model or data that an algorithm used, and the SHA-256 of its content."""

    location: str
    sha256: str


class DatasetScore(Contract):
    """One score of the whole catalog that is no mean of those of its records.

    Attributes:
        direction: None where neither more nor less is better.
        value: None when `error` is set.
        n: responses that it rests on.
    """

    algorithm: str
    score: str
    direction: Direction | None
    value: float | None
    n: int
    error: str | None = None


class Training(Contract):
    """The training job that a fine-tuned model came from.

    Attributes:
        job: name of the SageMaker training job.
        artefact_uri: what it made, an `s3://` URI of `model.tar.gz`.
        instance_type: what it trained on.
        examples: lines of each channel that were checked before it started; of text none is counted.
        metrics: the last value of each metric that SageMaker found in the job's log, such as the loss.
        billable_seconds: of each instance; None where SageMaker does not say.
    """

    job: str
    artefact_uri: str
    instance_type: str
    examples: dict[str, int] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)
    billable_seconds: int | None = None


class Tokens(Contract):
    """Tokens of those answers whose service counted them.

    Attributes:
        n: answers that were counted.
        input, output: tokens of all of them.
        seconds: how long the answering requests took, one after the other; None where that was not timed.
        usd: what they cost by the responses' own word; None where one does not say.
    """

    n: int
    input: int
    output: int
    seconds: float | None = None
    usd: float | None = None


class JudgeUse(Contract):
    """What a judge was asked about the answers of one model.

    Attributes:
        judge: its model id, or its endpoint.
        identity: hash of how it is asked; judgements lie below `judgements/<identity>/`.
        asked: judgements that it was asked for; `failed` of them came to none.
        cached: judgements that had been given before.
        requests: sent, retries of the runner included.
        cost_usd: of what was asked; None where tokens or prices are not known.
    """

    judge: str
    identity: str
    asked: int
    cached: int
    failed: int
    requests: int
    cost_usd: float | None = None


class ModelOutcome(Contract):
    """How the evaluation of one model ended: `models/<model>/outcome.json`.

    Attributes:
        status: `evaluated` when the records were asked, `failed` when the model could not be asked at all.
        instance_type: what served the endpoint, such as `ml.g5.2xlarge` or `serverless 4096 MB`; None without an
            endpoint. Of several types in a config it is the one that AWS had room for.
        records: records in the catalog; answered + failed = records when evaluated.
        errors: number of failed records by kind of failure.
        wall_seconds: how long it took to ask the records.
        tokens: None where no service counted.
        deploy_seconds: from the request of the endpoint until it was in service; None where it was there already.
        dataset_scores: scores of the whole catalog; means are in the comparison.
        assets: folders with models and data that scored it.
        training: where it was fine-tuned in this evaluation.
        judge: what a judge was asked; None without one.
        by_batch: whether a batch inference job asked it; such answers have no latency, and a price of their own.
        asynchronous: whether its answers came through an asynchronous endpoint's queue; such answers have no latency.
    """

    model: str
    status: Literal["evaluated", "failed"]
    endpoint_name: str | None = None
    instance_type: str | None = None
    model_version: str | None = None
    records: int = 0
    answered: int = 0
    failed: int = 0
    errors: dict[str, int] = Field(default_factory=dict)
    latency: Latency | None = None
    wall_seconds: float | None = None
    tokens: Tokens | None = None
    deploy_seconds: float | None = None
    failure: Failure | None = None
    dataset_scores: list[DatasetScore] = Field(default_factory=list)
    assets: list[UsedAsset] = Field(default_factory=list)
    training: Training | None = None
    judge: JudgeUse | None = None
    by_batch: bool = False
    asynchronous: bool = False


class Mean(Contract):
    """A mean with the error it carries.

    Attributes:
        n: records that have the score.
        failed: records that should have it and do not.
        value: the mean, None when n is 0.
        low, high: confidence interval of the mean, None when n is below 2.
    """

    n: int
    failed: int
    value: float | None
    low: float | None = None
    high: float | None = None


class ScoreSummary(Contract):
    """One score of one model over the catalog.

    Attributes:
        errors_as_worst: the mean over every record, with the worst score for each that lacks one; None where none does
            or the model was not evaluated.
    """

    algorithm: str
    score: str
    direction: Direction
    mean: Mean
    errors_as_worst: Mean | None = None


Verdict = Literal["better", "worse", "equivalent", "inconclusive"]


Method = Literal["t", "cluster_t", "mcnemar"]
Criterion = Literal["quality", "cost", "latency"]


class WorstCase(Contract):
    """A paired difference over every record, with the worst score for each that a model lacks.

    Attributes:
        p_adjusted, verdict: as of `PairedDifference`, in a family of its own.
    """

    n: int
    difference: float | None
    low: float | None
    high: float | None
    p_adjusted: float | None
    verdict: Verdict


class PairedDifference(Contract):
    """One score of two models on the records that both answered.

    Attributes:
        difference: mean of (first minus second) over n common records; None when n is 0.
        low, high: confidence interval of the difference, of this pair alone; None when n (the clusters) is below 2.
        verdict: of `first` against `second`, direction respected; from `p_adjusted`, and from `equivalence_p` where the
            config has a margin.
        method: how interval and p value were made: `t` (paired t), `cluster_t` (cluster-robust), `mcnemar` (mid-p, with
            Tango's interval).
        clusters: of the n records; None where they count as independent.
        only_first, only_second, neither: the records that only one of the two has the score of, or none.
        p_value: two-sided, of no difference; `p_adjusted` after Holm, over all pairs of models on this score.
        equivalence_p: of a difference beyond the margin, after Holm likewise; None without a margin.
        bootstrap_low, bootstrap_high: percentile interval of the same difference by bootstrap; None where the two lack
            different records.
        detectable: the smallest true difference that would be found with 80 % power in this family.
        records_needed: records, all in all, on which a lead as large as this would be found with that power.
        errors_as_worst: None where neither lacks a record.
    """

    first: str
    second: str
    algorithm: str
    score: str
    direction: Direction
    n: int
    difference: float | None
    low: float | None
    high: float | None
    verdict: Verdict
    method: Method | None = None
    clusters: int | None = None
    only_first: int = 0
    only_second: int = 0
    neither: int = 0
    p_value: float | None = None
    p_adjusted: float | None = None
    equivalence_p: float | None = None
    bootstrap_low: float | None = None
    bootstrap_high: float | None = None
    detectable: float | None = None
    records_needed: int | None = None
    errors_as_worst: WorstCase | None = None


class ConstraintResult(Contract):
    """Whether a model keeps a bound of the config.

    Attributes:
        text: the bound, such as `latency_p95_ms <= 2000`.
        value: None where it is not known; the bound is then not kept.
        sure: whether the value's confidence interval lies on the same side; None where there is no interval.
    """

    text: str
    value: float | None
    kept: bool
    sure: bool | None = None


class ModelCost(Contract):
    """What it cost to ask one model the catalog.

    Attributes:
        basis: `tokens` (tokens times price) or `instance_hours` (hours times price); None where neither is known.
        usd: of all answers; `per_1k_usd` of a thousand.
        note: what it was made of, or why it is not known; a sentence.
    """

    basis: Literal["tokens", "instance_hours"] | None
    usd: float | None
    per_1k_usd: float | None
    note: str


class RankedModel(Contract):
    """A model's place. `rank` is None for a model that is not eligible; `ineligible` then says why.

    Attributes:
        rank: by the metric alone.
        probability_best: share of the bootstrap's draws in which the model has the best metric of the eligible ones.
        on_front: no other eligible model is as good in quality, cost and latency and better in one of them.
        tokens_per_second: output tokens for each second of the answering requests.
    """

    model: str
    rank: int | None
    ineligible: str | None
    scores: list[ScoreSummary]
    outcome: ModelOutcome
    probability_best: float | None = None
    on_front: bool | None = None
    constraints: list[ConstraintResult] = Field(default_factory=list)
    cost: ModelCost | None = None
    tokens_per_second: float | None = None


class CategorySlice(Contract):
    """The metric in one category.

    Attributes:
        means: mean of each model that has the score there.
        n, difference, low, high: of the winner minus its rival, on the records that both answered.
        p_adjusted: of no difference, after Benjamini and Hochberg over the categories.
        verdict: of the winner against its rival.
    """

    category: str
    records: int
    means: dict[str, float]
    n: int
    difference: float | None
    low: float | None
    high: float | None
    p_adjusted: float | None
    verdict: Verdict


class WeightRange(Contract):
    """A weight, and how far it may move, the others in proportion, before another model has the best mean."""

    score: str
    weight: float
    low: float
    high: float


class Selection(Contract):
    """How the winner was chosen among the eligible models.

    Attributes:
        objective: criteria in their order; a later one decides among those that are equal in the earlier ones.
        front: what `on_front` compares: those of quality, cost and latency that are known of every eligible model.
        rival: the best ranked eligible model besides the winner; `Comparison.verdict` is against it.
        ties: models that were equal to the winner in every criterion; it was chosen by its place in the ranking.
        weights: of a metric that is a weighted mean of scores.
    """

    objective: list[Criterion]
    front: list[Criterion]
    rival: str | None
    ties: list[str]
    weights: list[WeightRange] = Field(default_factory=list)


class Comparison(Contract):
    """`comparison.json`: everything the decision rests on. What came later has a default, so that old files are read.

    Attributes:
        metric: `<algorithm>.<score>` that ranks the models; `selection.weighted` for a weighted mean of scores.
        confidence: level of every interval, such as 0.95.
        winner: name of the chosen model, None when there is none to choose.
        verdict: of the winner against the best ranked eligible model besides it; None without a rival.
        explanation: the decision in two or three sentences for people.
        margin: differences that are surely within it are equivalent; None where the config has none.
        clusters: how many clusters the records are in; None where they count as independent.
        family: over which comparisons p values are adjusted, in a sentence; empty in files of old.
        draws, seed: of the bootstrap.
        slices: the metric by category, the largest first; `categories_left_out` more are not here.
        assumptions: what cost and latency rest on, in sentences.
    """

    schema_version: Literal["1"] = "1"
    evaluation_id: str
    suite: str
    metric: str
    direction: Direction
    confidence: float
    records: int
    models: list[RankedModel]
    differences: list[PairedDifference]
    winner: str | None
    verdict: Verdict | None
    explanation: str
    margin: float | None = None
    clusters: int | None = None
    family: str = ""
    draws: int | None = None
    seed: int | None = None
    selection: Selection | None = None
    slices: list[CategorySlice] = Field(default_factory=list)
    categories_left_out: int = 0
    assumptions: list[str] = Field(default_factory=list)

    @property
    def winning_endpoint(self) -> str | None:
        """The endpoint that the winner was asked through."""
        return next((item.outcome.endpoint_name for item in self.models if item.model == self.winner), None)


class Manifest(Contract):
    """`manifest.json`: what was evaluated, exactly, so that every number can be opened.

    Attributes:
        config, catalog: S3 URI, version id and SHA-256 of the files that asked for it.
        versions: versions of Assay and of the libraries and Python that ran it.
        lanes: how many of its endpoints might exist at the same time, and why so many.
        allotments: what asking each model may cost, in USD by its name; empty without a budget.
        judge_allotments: what asking a judge about each model's answers may cost, likewise.
    """

    schema_version: Literal["1"] = "1"
    evaluation_id: str
    suite: str
    requested_at: datetime
    config: SourceObject
    catalog: SourceObject
    records: int
    versions: dict[str, str]
    lanes: tuple[LaneLimit, ...] = ()
    allotments: dict[str, float] = Field(default_factory=dict)
    judge_allotments: dict[str, float] = Field(default_factory=dict)
    requested_by: dict[str, Any] = Field(default_factory=dict)


class SourceObject(Contract):
    """A file in S3, by content."""

    uri: str
    version_id: str | None
    sha256: str


Manifest.model_rebuild()
