"""What the steps of a pipeline hand on to each other: small values, since SageMaker pickles them."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class Prepared(TypedDict):
    """Result of `preprocess`."""

    records: int


class Finetuned(TypedDict):
    """Result of `finetune`: the training job that made the model (`results.Training` as JSON), or why there is none."""

    training_job: str
    model_version: str | None
    training: dict[str, Any] | None
    failure: dict[str, str] | None


class Deployed(TypedDict):
    """Result of `deploy`: an endpoint in service, or why there is none.

    Attributes:
        seconds: how long a new one took.
        asynchronous: whether it takes its requests from a queue.
    """

    endpoint_name: str
    instance_type: str | None
    model_version: str | None
    created: bool
    seconds: NotRequired[float]
    asynchronous: NotRequired[bool]
    training: dict[str, Any] | None
    failure: dict[str, str] | None


class Asked(TypedDict):
    """Result of `ask`; the responses lie in S3.

    Attributes:
        wall_seconds: how long asking took; None when the model could not be asked at all.
    """

    shard: int
    wall_seconds: float | None


class Judged(TypedDict):
    """Result of `judge`; the outcome in S3 has the whole.

    Attributes:
        asked, failed: judgements.
    """

    model: str
    asked: int
    failed: int


class Evaluated(TypedDict):
    """Result of `evaluate`; the whole outcome lies in S3."""

    model: str
    status: str
    answered: int
    failed: int
