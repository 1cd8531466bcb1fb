"""A config or catalog was dropped: the evaluations that it asks for are started, or it is refused."""

from __future__ import annotations

import dataclasses
import functools
import platform
import uuid
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.typing import LambdaContext

import assay
from assay.aws import runtime
from assay.aws.announcements import Announcements
from assay.aws.bus import Bus
from assay.aws.evaluations import Evaluations
from assay.aws.mail import Mailer
from assay.aws.pipelines import SageMakerPipelines
from assay.aws.quotas import ServiceQuotas
from assay.aws.storage import Storage
from assay.contracts.evaluation import ObjectVersion
from assay.contracts.events import ObjectCreated
from assay.pipeline.build import StepSettings
from assay.pipeline.start import EvaluationStarter, Started

logger = Logger()
metrics = Metrics()


@metrics.log_metrics
@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Start what S3's `Object Created` asks for; the same version of an object is handled once."""
    drop = ObjectCreated.model_validate(event).version
    once, config = idempotency()
    config.register_lambda_context(context)
    handle = idempotent_function(_handle, data_keyword_argument="drop", persistence_store=once, config=config)
    results: list[dict[str, Any]] = handle(drop=dataclasses.asdict(drop))
    for result in results:
        metrics.add_metric(f"Evaluations{result['outcome'].capitalize()}", MetricUnit.Count, 1)
    logger.info("drop handled", key=drop.key, version_id=drop.version_id, results=results)
    return {"results": results}


def _handle(*, drop: dict[str, Any]) -> list[dict[str, Any]]:
    started: list[Started] = starter().handle(ObjectVersion(**drop))
    return [{**dataclasses.asdict(item), "limits": [limit.model_dump() for limit in item.limits]} for item in started]


@functools.cache
def idempotency() -> tuple[DynamoDBPersistenceLayer, IdempotencyConfig]:
    """Powertools' memory of drops: one that is handled is not handled again, one that failed is."""
    store = DynamoDBPersistenceLayer(table_name=runtime.idempotency_table())
    return store, IdempotencyConfig(raise_on_no_idempotency_key=True, expires_after_seconds=7 * 24 * 3600)


@functools.cache
def starter() -> EvaluationStarter:
    """The use case with this stack's adapters."""
    settings = StepSettings(
        bucket=runtime.bucket_name(),
        role_arn=runtime.pipeline_role_arn(),
        image_uri=runtime.step_image_uri(),
        instance_type=runtime.step_instance_type(),
        owner=runtime.owner(),
        keep_alive_seconds=runtime.step_keep_alive_seconds(),
    )
    return EvaluationStarter(
        store=Storage(runtime.bucket_name()),
        log=Evaluations(runtime.evaluations_table()),
        pipelines=SageMakerPipelines(runtime.pipeline_prefix(), settings),
        announcer=Announcements(Bus(runtime.event_bus_name()), Mailer(runtime.topic_arn())),
        clock=lambda: datetime.now(UTC),
        new_id=lambda: uuid.uuid4().hex,
        quotas=ServiceQuotas(),
        step_instance_type=runtime.step_instance_type(),
        versions={
            "assay": assay.__version__,
            "python": platform.python_version(),
            "sagemaker": version("sagemaker"),
            "step_image": runtime.step_image_uri(),
        },
    )
