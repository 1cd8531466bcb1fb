"""State CheckGate: the winner is held against thresholds and the champion before it may be registered."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from assay.aws.champions import check_evaluation
from assay.aws.evaluation_files import EvaluationFiles
from assay.contracts.conclusion import EvaluationReference, GateReference

logger = Logger()
metrics = Metrics()


@metrics.log_metrics
@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Check, keep what was found, and answer where it lies and whether the winner may be registered."""
    request = EvaluationReference.model_validate(event)
    files = EvaluationFiles(request.paths)
    result = check_evaluation(files)
    uri = files.write_gate(result)
    metrics.add_metric("GatesFailed", MetricUnit.Count, result.outcome == "failed")
    logger.info(
        "gate checked",
        evaluation_id=request.evaluation_id,
        suite=request.suite,
        outcome=result.outcome,
        verdict=result.verdict,
        checks_failed=sum(not check.passed for check in result.checks),
        regressed=result.regressed_total,
    )
    return GateReference(gate_uri=uri, outcome=result.outcome).model_dump(mode="json")
