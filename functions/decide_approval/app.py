"""The page behind the link in an approval mail. Opening it asks; only its form decides."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from assay.aws import runtime
from assay.aws.approval_answer import answer
from assay.aws.approval_links import ApprovalLinks
from assay.aws.approvals import Approvals
from assay.aws.evaluations import Evaluations
from assay.contracts.link_request import LinkRequest

logger = Logger()
metrics = Metrics()


@metrics.log_metrics
@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Answer one request of a browser."""
    request = LinkRequest.from_url_event(event)
    table = runtime.evaluations_table()
    found = answer(request, links=ApprovalLinks(table), approvals=Approvals(Evaluations(table)))
    metrics.add_metric("ModelsDecidedByLink", MetricUnit.Count, found.decided)
    logger.info("approval link answered", method=request.method, status=found.status, decided=found.decided)
    return found.to_url_response()
