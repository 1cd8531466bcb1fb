"""What earlier evaluations of a suite measured, read from its stack."""

from __future__ import annotations

from botocore.exceptions import ClientError

from assay.aws.storage import Storage
from assay.contracts.config import SuiteConfig
from assay.contracts.errors import ObjectNotFoundError
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import ModelOutcome
from assay.pipeline.prediction import Measured
from cli.target import Target, told_by_aws

EVALUATIONS_READ = 5


def measured_latencies(target: Target, config: SuiteConfig) -> dict[str, Measured]:
    """Mean latency, and time of training, of each model in the newest of the suite's last evaluations that has one.

    Where none of them has a latency, as of answers that come through a queue, the time of training is still known.
    """
    storage = Storage(target.bucket, target.client("s3"))
    found: dict[str, Measured] = {}
    with told_by_aws(f"{target.place}: "):
        for identifier in _evaluations(target, config.suite):
            paths = EvaluationPaths(target.bucket, config.suite, identifier)
            for model in config.models:
                known = found.get(model.name)
                if known is not None and known.seconds is not None:
                    continue
                try:
                    outcome = ModelOutcome.model_validate_json(storage.read(paths.outcome(model.name)))
                except ObjectNotFoundError:
                    continue
                training = outcome.training.billable_seconds if outcome.training is not None else None
                if outcome.latency is not None:
                    found[model.name] = Measured(outcome.latency.mean / 1000, identifier, target.place, training)
                elif known is None and training is not None:
                    found[model.name] = Measured(None, identifier, target.place, training)
    return found


def _evaluations(target: Target, suite: str) -> list[str]:
    """Ids of the suite's last evaluations, the newest first: an execution's display name is the id."""
    try:
        answer = target.client("sagemaker").list_pipeline_executions(
            PipelineName=f"{target.pipeline_prefix}-{suite}",
            SortBy="CreationTime",
            SortOrder="Descending",
            MaxResults=EVALUATIONS_READ,
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ResourceNotFound", "ResourceNotFoundException", "ValidationException"):
            return []
        raise
    executions = sorted(answer["PipelineExecutionSummaries"], key=lambda item: item["StartTime"], reverse=True)
    return [item["PipelineExecutionDisplayName"] for item in executions if "PipelineExecutionDisplayName" in item]
