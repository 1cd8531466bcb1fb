"""Events that come in and go out. Source `assay`, on Assay's own bus; change is additive only."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

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
    """The `detail` of every event that Assay emits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal["1"] = "1"
    evaluation_id: str | None
    suite: str | None
    occurred_at: datetime
    data: dict[str, Any] = Field(default_factory=dict)


class ObjectCreated(BaseModel):
    """What Assay reads of S3's `Object Created`; everything else in it is left alone.

    Keys arrive as they are, not URL-encoded.
    """

    class _Object(BaseModel):
        key: str = Field(min_length=1)
        version_id: str | None = Field(None, alias="version-id")

    class _Bucket(BaseModel):
        name: str

    class _Detail(BaseModel):
        bucket: ObjectCreated._Bucket
        object: ObjectCreated._Object

    detail: ObjectCreated._Detail

    @property
    def version(self) -> ObjectVersion:
        item = self.detail
        return ObjectVersion(bucket=item.bucket.name, key=item.object.key, version_id=item.object.version_id)


ObjectCreated.model_rebuild()
