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
        latency_ms: milliseconds that the answering attempt took, without retries and waiting; None without an answer.
        attempts: requests sent for this record; 0 when time or money was over before it was asked.
        prompt: the text put to the model, after the prompt template.
        input_tokens, output_tokens: of the answering attempt, as the model's service counted them; None where it does
            not say.
        cost_usd: price of the answering attempt's tokens; None where tokens or prices are not known. The hours of an
            endpoint are no response's.
        finish_reason: why the model stopped, in its service's word, such as `stop` or `length`.
        request_id: the service's id of the last request, to look it up in the service's logs.
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


class ModelOutcome(Contract):
    """How the evaluation of one model ended: `models/<model>/outcome.json`.

    Attributes:
        status: `evaluated` when the records were asked, `failed` when the model could not be asked at all.
        records: records in the catalog; answered + failed = records when evaluated.
        errors: number of failed records by kind of failure.
        dataset_scores: scores of the whole catalog; means are in the comparison.
        assets: folders with models and data that scored it.
        training: where it was fine-tuned in this evaluation.
    """

    model: str
    status: Literal["evaluated", "failed"]
    endpoint_name: str | None = None
    model_version: str | None = None
    records: int = 0
    answered: int = 0
    failed: int = 0
    errors: dict[str, int] = Field(default_factory=dict)
    latency: Latency | None = None
    wall_seconds: float | None = None
    failure: Failure | None = None
    dataset_scores: list[DatasetScore] = Field(default_factory=list)
    assets: list[UsedAsset] = Field(default_factory=list)
    training: Training | None = None


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
    """One score of one model over the catalog."""

    algorithm: str
    score: str
    direction: Direction
    mean: Mean


Verdict = Literal["better", "worse", "equivalent", "inconclusive"]


class PairedDifference(Contract):
    """One score of two models on the records that both answered.

    Attributes:
        difference: mean of (first minus second) over n common records; None when n is 0.
        low, high: confidence interval of the difference; None when n is below 2.
        verdict: of `first` against `second`, direction respected.
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


class RankedModel(Contract):
    """A model's place. `rank` is None for a model that is not eligible; `ineligible` then says why."""

    model: str
    rank: int | None
    ineligible: str | None
    scores: list[ScoreSummary]
    outcome: ModelOutcome


class Comparison(Contract):
    """`comparison.json`: everything the decision rests on.

    Attributes:
        metric: `<algorithm>.<score>` that ranks the models.
        confidence: level of every interval, such as 0.95.
        winner: name of the chosen model, None when there is none to choose.
        verdict: of the winner against the next eligible model; None without a rival.
        explanation: the decision in two or three sentences for people.
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
    requested_by: dict[str, Any] = Field(default_factory=dict)


class SourceObject(Contract):
    """A file in S3, by content."""

    uri: str
    version_id: str | None
    sha256: str


Manifest.model_rebuild()
