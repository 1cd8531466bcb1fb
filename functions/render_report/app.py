"""State RenderReport: the comparison becomes a page, and the mail that tells of it."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from assay.aws import runtime
from assay.aws.approval_links import ApprovalLink, ApprovalLinks
from assay.aws.evaluation_files import EvaluationFiles
from assay.contracts.conclusion import ReportReference, ReportRequest
from assay.report.mail import completion_mail
from assay.report.page import render_report
from assay.report.samples import select_samples

logger = Logger()
metrics = Metrics()


@metrics.log_metrics
@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Render and keep the page; answer where it lies and what to mail."""
    request = ReportRequest.model_validate(event)
    files = EvaluationFiles(request.paths)
    config, comparison = files.config(), files.comparison()
    gate = files.gate()
    samples = select_samples(files.records(), files.responses(config), files.scores(config), config.metric())
    page = render_report(comparison, manifest=files.manifest(), config=config, samples=samples, gate=gate)
    uri = files.write_report(page)
    link = None
    url, arn = runtime.approval_url(), request.model_package_arn
    if url is not None and arn is not None and (gate is None or gate.approved_at is None):
        link = ApprovalLinks(runtime.evaluations_table()).make(url, ApprovalLink(request.evaluation_id, arn))
    mail = completion_mail(
        comparison,
        report_uri=uri,
        comparison_uri=request.paths.uri(request.paths.comparison),
        model_package_arn=request.model_package_arn,
        gate=gate,
        gate_uri=None if gate is None else request.paths.uri(request.paths.gate),
        approval_link=link,
    )
    metrics.add_metric("ReportsRendered", MetricUnit.Count, 1)
    logger.info("report rendered", evaluation_id=request.evaluation_id, suite=request.suite, bytes=len(page))
    return ReportReference(report_uri=uri, subject=mail.subject, text=mail.text).model_dump(mode="json")
