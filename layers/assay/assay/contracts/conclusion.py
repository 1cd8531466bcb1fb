"""What the states of `conclude_evaluation` ask the functions, and what these answer: references, never rows."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from assay.contracts.config import SuiteName
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.gate import GateOutcome
from assay.contracts.results import Contract, Verdict


class EvaluationReference(BaseModel):
    """Which evaluation is meant, and where it lies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    evaluation_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    bucket: Annotated[str, Field(min_length=1)]
    suite: SuiteName

    @property
    def paths(self) -> EvaluationPaths:
        """Where its objects lie."""
        return EvaluationPaths(bucket=self.bucket, suite=self.suite, evaluation_id=self.evaluation_id)


class ReportRequest(EvaluationReference):
    """A report also says where the winner was registered, when it was."""

    model_package_arn: str | None = None


class ComparisonReference(Contract):
    """What `compare_models` answers."""

    comparison_uri: str
    winner: str | None
    verdict: Verdict | None
    metric: str


class GateReference(Contract):
    """What `check_gate` answers."""

    gate_uri: str
    outcome: GateOutcome


class RegistrationReference(Contract):
    """What `register_model` answers."""

    model_package_arn: str


class ReportReference(Contract):
    """What `render_report` answers: the page, and the mail that tells of it."""

    report_uri: str
    subject: str
    text: str


class ReleasedEndpoints(Contract):
    """What `release_endpoints` answers.

    Attributes:
        released: names of the endpoints that were deleted.
        left: why each other endpoint of the config was not.
        stopped_training_jobs, stopped_batch_jobs: names of the training and batch inference jobs that still ran.
    """

    released: list[str]
    left: dict[str, str]
    stopped_training_jobs: list[str] = Field(default_factory=list)
    stopped_batch_jobs: list[str] = Field(default_factory=list)
