"""By the clock, and when an evaluation is complete: what no event told is found, and what nobody wants is deleted.

CloudFormation asks, too: before a stack is deleted every evaluation ends.
"""

from __future__ import annotations

import dataclasses
import functools
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes import CloudFormationCustomResourceEvent
from aws_lambda_powertools.utilities.typing import LambdaContext

from assay.aws import runtime, stack_resource
from assay.aws.endpoint_users import EndpointUsers
from assay.aws.evaluation_files import EvaluationFiles
from assay.aws.evaluations import Evaluations
from assay.aws.executions import PipelineExecutions
from assay.aws.machines import ApprovalAnnouncements, Conclusions
from assay.aws.model_packages import ModelPackages
from assay.aws.owned import OwnedResources
from assay.contracts.config import SuiteConfig
from assay.contracts.errors import TransientError
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.reconciliation import EvaluationState, ReconciliationRequest
from assay.pipeline.ending import end_all
from assay.pipeline.reconcile import Grace, Reconciler

# What is left of an invocation's time to answer CloudFormation.
ANSWER_SECONDS = 90.0

logger = Logger()
metrics = Metrics()


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Do what CloudFormation, the clock, an event or an operator asks, and answer what was done."""
    if stack_resource.is_request(event):
        seconds = context.get_remaining_time_in_millis() / 1000 - ANSWER_SECONDS
        return stack_changed(CloudFormationCustomResourceEvent(event), seconds)
    answer: dict[str, Any] = reconcile(event, context)
    return answer


@metrics.log_metrics
def reconcile(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Look at everything once. What could not be done fails the invocation, which is then tried again."""
    request = ReconciliationRequest.model_validate(event)
    if request.completed is not None:
        done = reconciler().release(request.completed)
    else:
        done = reconciler().reconcile(Grace() if request.grace_seconds is None else Grace.of(request.grace_seconds))
        # What a complete evaluation leaves for the decision is no orphan.
        metrics.add_metric("OrphansDeleted", MetricUnit.Count, len(done.deleted))
    recovered = {*done.found, *done.concluded, *done.redriven, *done.announced}
    metrics.add_metric("EvaluationsRecovered", MetricUnit.Count, len(recovered))
    answer = dataclasses.asdict(done)
    logger.info("evaluations reconciled", **answer)
    if done.faults:
        raise TransientError("; ".join(done.faults))
    return answer


def stack_changed(request: CloudFormationCustomResourceEvent, seconds: float) -> dict[str, Any]:
    """End every evaluation before a stack is deleted, and tell CloudFormation; other changes are none of ours.

    Whatever goes wrong is told as well: CloudFormation would wait for an answer for long.
    """
    failure = None
    try:
        if stack_resource.goes_with_its_stack(request):
            ended = end_all(reconciler(), seconds=seconds)
            logger.info("evaluations ended", left=ended.left, kept=ended.kept)
            if ended.left:
                failure = f"still there, so delete the stack again: {'; '.join(ended.left)}"
    except Exception as error:
        logger.exception("evaluations were not ended")
        failure = f"{type(error).__name__}: {error}"
    stack_resource.answer(request, f"{runtime.owner()}-evaluations", failure)
    return {"failure": failure}


@functools.cache
def reconciler() -> Reconciler:
    """The use case with this stack's adapters."""
    return Reconciler(
        log=Evaluations(runtime.evaluations_table()),
        executions=PipelineExecutions(runtime.pipeline_prefix()),
        conclusions=Conclusions(runtime.conclude_machine_arn()),
        packages=ModelPackages(),
        announcements=ApprovalAnnouncements(runtime.announce_machine_arn()),
        resources=OwnedResources(runtime.owner()),
        users=EndpointUsers(runtime.evaluations_table()),
        config_of=_config_of,
        now=lambda: datetime.now(UTC),
    )


def _config_of(state: EvaluationState) -> SuiteConfig:
    return EvaluationFiles(EvaluationPaths(state.bucket, state.suite, state.evaluation_id)).config()
