"""State RegisterModel: the winner becomes a model package that awaits approval."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from assay.aws import runtime
from assay.aws.evaluation_files import EvaluationFiles
from assay.aws.registry import ModelRegistry, registration
from assay.contracts.conclusion import EvaluationReference, RegistrationReference

logger = Logger()
metrics = Metrics()


@metrics.log_metrics
@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Register the winner once, and answer with its package's ARN."""
    request = EvaluationReference.model_validate(event)
    files = EvaluationFiles(request.paths)
    comparison = files.comparison()
    endpoint = comparison.winning_endpoint
    item = registration(
        comparison,
        config=files.config(),
        manifest=files.manifest(),
        gate=files.gate(),
        paths=request.paths,
        now=datetime.now(UTC),
        served=None if endpoint is None else files.served(endpoint),
    )
    arn = ModelRegistry(runtime.owner()).register(item)
    metrics.add_metric("ModelsRegistered", MetricUnit.Count, 1)
    logger.info("model registered", evaluation_id=request.evaluation_id, suite=request.suite, model_package_arn=arn)
    return RegistrationReference(model_package_arn=arn).model_dump(mode="json")
