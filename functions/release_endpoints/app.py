"""State ReleaseEndpoints: what a failed or stopped evaluation left running is deleted."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from assay.aws import runtime
from assay.aws.bedrock_batch import stop_batch_jobs
from assay.aws.endpoint_users import EndpointUsers
from assay.aws.endpoints import Endpoints
from assay.aws.evaluation_files import EvaluationFiles
from assay.aws.training_jobs import stop_training_jobs
from assay.contracts.conclusion import EvaluationReference, ReleasedEndpoints
from assay.pipeline.release import release_all

# What is left of the function's time for one more round and the answer.
RESERVED_SECONDS = 60

logger = Logger()
metrics = Metrics()


@metrics.log_metrics
@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Release every endpoint that the evaluation created, stop its jobs, and answer which those were."""
    request = EvaluationReference.model_validate(event)
    config = EvaluationFiles(request.paths).config()
    # Jobs first: an endpoint that cannot be released fails the invocation, and keeps no job from being stopped.
    stopped = stop_training_jobs(config, request.evaluation_id)
    batches = stop_batch_jobs(config, request.evaluation_id)
    seconds = max(0.0, context.get_remaining_time_in_millis() / 1000 - RESERVED_SECONDS)
    users = EndpointUsers(runtime.evaluations_table())
    results = release_all(config, request.evaluation_id, Endpoints(runtime.owner()), users, seconds=seconds)
    answer = ReleasedEndpoints(
        released=[item.endpoint_name for item in results if item.released],
        left={item.endpoint_name: item.reason for item in results if not item.released},
        stopped_training_jobs=stopped,
        stopped_batch_jobs=batches,
    )
    metrics.add_metric("EndpointsReleased", MetricUnit.Count, len(answer.released))
    logger.info(
        "endpoints released",
        evaluation_id=request.evaluation_id,
        suite=request.suite,
        released=answer.released,
        left=answer.left,
        stopped_training_jobs=answer.stopped_training_jobs,
        stopped_batch_jobs=answer.stopped_batch_jobs,
    )
    return answer.model_dump(mode="json")
