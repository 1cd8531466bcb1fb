"""What the reconciler compares: evaluations, their pipelines, their conclusions, and what they left behind."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field


@dataclass(frozen=True)
class EvaluationState:
    """Where an evaluation stands.

    Attributes:
        status: requested, started, completed or failed.
        execution_arn: its pipeline's execution; None until that was started.
        concluded_by: the state machine's execution that claimed it; None until one has.
        concluded_at: when its end was recorded.
        winner: the model that won; None where none did.
        model_package_arn: what was registered of it; None where nothing was.
        reason: why it failed; None where it did not.
        approval_told: the package's approval status that was announced last; None before any was.
        approval_told_by: the state machine's execution that announces that one.
    """

    evaluation_id: str
    suite: str
    bucket: str
    status: str
    execution_arn: str | None
    requested_at: datetime
    concluded_by: str | None = None
    concluded_at: datetime | None = None
    winner: str | None = None
    model_package_arn: str | None = None
    reason: str | None = None
    approval_told: str | None = None
    approval_told_by: str | None = None

    @property
    def concluded(self) -> bool:
        return self.status in ("completed", "failed")


@dataclass(frozen=True)
class PipelineState:
    """Where a pipeline execution stands.

    Attributes:
        status: Executing, Stopping, Succeeded, Failed, Stopped.
        changed_at: when it came to be so.
    """

    status: str
    started_at: datetime
    changed_at: datetime

    @property
    def ended(self) -> bool:
        return self.status in ("Succeeded", "Failed", "Stopped")


@dataclass(frozen=True)
class Owned:
    """A resource with the owner's tag.

    Attributes:
        kind: endpoint, endpoint-config or model.
        evaluation_id: what its tag says; empty when it has none.
    """

    kind: str
    name: str
    arn: str
    evaluation_id: str


@dataclass(frozen=True)
class DeadExecution:
    """An execution of a state machine that ended before it had told anything, and can go on.

    Attributes:
        subject: what its event was about: an evaluation's id, or a model package's ARN.
    """

    arn: str
    subject: str


@dataclass(frozen=True)
class PackageStatus:
    """How a model package stands.

    Attributes:
        status: PendingManualApproval, Approved or Rejected.
        changed_at: when the package was changed last, be it in this or in something else.
    """

    status: str
    changed_at: datetime


class ReconciliationRequest(BaseModel):
    """What the reconciler is asked: by the clock, by `EvaluationCompleted`, or by an operator.

    Attributes:
        grace_seconds: wait this long, and no longer, for the ordinary way; an operator may say 0.
    """

    class _Detail(BaseModel):
        evaluation_id: str | None = None

    detail_type: str = Field("", alias="detail-type")
    detail: _Detail = Field(default_factory=_Detail)
    grace_seconds: Annotated[float, Field(ge=0)] | None = None

    @property
    def completed(self) -> str | None:
        """The evaluation that has just been completed, None when everything is to be looked at."""
        return self.detail.evaluation_id if self.detail_type == "EvaluationCompleted" else None
