"""State CompareModels: the scores of all models become one comparison, and a winner or none."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from assay.aws.evaluation_files import EvaluationFiles
from assay.contracts.conclusion import ComparisonReference, EvaluationReference
from assay.decision.compare import compare
from assay.decision.records import RecordIndex

logger = Logger()
metrics = Metrics()


@metrics.log_metrics
@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Compare, keep the comparison, and answer where it lies and what it says."""
    request = EvaluationReference.model_validate(event)
    files = EvaluationFiles(request.paths)
    config = files.config()
    comparison = compare(
        evaluation_id=request.evaluation_id,
        config=config,
        records=RecordIndex.of(files.records(), clustered=config.dataset.cluster_key is not None),
        outcomes=files.outcomes(config),
        scores=files.score_tables(config),
    )
    uri = files.write_comparison(comparison)
    failed = sum(model.outcome.status == "failed" for model in comparison.models)
    metrics.add_metric("EvaluationsCompared", MetricUnit.Count, 1)
    metrics.add_metric("ModelsFailed", MetricUnit.Count, failed)
    logger.info(
        "models compared",
        evaluation_id=request.evaluation_id,
        suite=request.suite,
        models=len(comparison.models),
        models_failed=failed,
        winner=comparison.winner,
        verdict=comparison.verdict,
    )
    return ComparisonReference(
        comparison_uri=uri, winner=comparison.winner, verdict=comparison.verdict, metric=comparison.metric
    ).model_dump(mode="json")
