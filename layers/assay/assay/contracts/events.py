"""Events that come in and go out. Source `assay`, on Assay's own bus; change is additive only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from assay.contracts.evaluation import ObjectVersion

SOURCE = "assay"

DetailType = Literal[
    "EvaluationStarted",
    "EvaluationRejected",
    "EvaluationCompleted",
    "EvaluationFailed",
    "ModelRegistered",
    "ModelApproved",
    "ModelRejected",
]


class Detail(BaseModel):
    """The `detail` of every event that Assay emits.

    Attributes:
        correlation_id: what the request for this evaluation carried; None for a drop or a schedule.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal["1"] = "1"
    evaluation_id: str | None
    suite: str | None
    correlation_id: str | None = None
    occurred_at: datetime
    data: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class Drop:
    """Something happened to an object that people drop.

    Attributes:
        version: what was created; or, where `deleted`, the version or delete marker that S3 names.
    """

    version: ObjectVersion
    deleted: bool = False


class ObjectEvent(BaseModel):
    """What Assay reads of S3's `Object Created` and `Object Deleted`; everything else in it is left alone.

    Keys arrive as they are, not URL-encoded. Events repeat, come late and out of order; `sequencer` would order those
    of one key, and is not needed: what is current is asked of the bucket.
    """

    class _Object(BaseModel):
        key: str = Field(min_length=1)
        version_id: str | None = Field(None, alias="version-id")

    class _Bucket(BaseModel):
        name: str

    class _Detail(BaseModel):
        bucket: ObjectEvent._Bucket
        object: ObjectEvent._Object
        # Only this tells the event of a delete marker that is put from that of the same marker taken away again.
        deletion_type: str | None = Field(None, alias="deletion-type")

    detail_type: Literal["Object Created", "Object Deleted"] = Field(alias="detail-type")
    detail: ObjectEvent._Detail

    @property
    def drop(self) -> Drop:
        item = self.detail
        version = ObjectVersion(bucket=item.bucket.name, key=item.object.key, version_id=item.object.version_id)
        return Drop(version, deleted=self.detail_type == "Object Deleted")


class RequestEvent(BaseModel):
    """`EvaluationRequested` as EventBridge hands it on. What its detail says is checked by `contracts.request`."""

    detail_type: Literal["EvaluationRequested"] = Field(alias="detail-type")
    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")
    source: str
    detail: dict[str, Any]


class DueEvaluation(BaseModel):
    """A suite whose schedule is due.

    Attributes:
        scheduled_time: when it was to be, as Scheduler writes it; the same each time that Scheduler tells of it.
    """

    schema_version: Literal["1"] = "1"
    suite: str
    scheduled_time: str = Field(min_length=1)


class DueEvent(BaseModel):
    """`EvaluationDue`: what Assay has EventBridge Scheduler send to `start_evaluation`, and to nobody else."""

    source: Literal["assay"] = "assay"
    detail_type: Literal["EvaluationDue"] = Field("EvaluationDue", alias="detail-type")
    detail: DueEvaluation


ObjectEvent.model_rebuild()
StartEvent = TypeAdapter[ObjectEvent | RequestEvent | DueEvent](ObjectEvent | RequestEvent | DueEvent)
