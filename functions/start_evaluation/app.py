"""Something was dropped, requested or is due: the evaluations that it asks for are started, or it is refused."""

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
from assay.aws.audiences import Audiences
from assay.aws.bus import Bus
from assay.aws.evaluations import Evaluations
from assay.aws.mail import Mailer
from assay.aws.model_packages import ModelPackages
from assay.aws.pipelines import SageMakerPipelines
from assay.aws.quotas import ServiceQuotas
from assay.aws.schedules import Schedules
from assay.aws.storage import Storage
from assay.aws.suites import SuiteTable
from assay.contracts.events import ObjectEvent, RequestEvent, StartEvent
from assay.pipeline.build import StepSettings
from assay.pipeline.drops import Drops
from assay.pipeline.due import Due
from assay.pipeline.refusals import Refusals
from assay.pipeline.requests import Requests
from assay.pipeline.start import EvaluationStarter
from assay.pipeline.suites import Suites

logger = Logger()
metrics = Metrics()


@metrics.log_metrics
@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Start what an event asks for; one that is delivered again is not handled again."""
    asked = StartEvent.validate_python(event).model_dump(mode="json", by_alias=True)
    once, config = idempotency()
    config.register_lambda_context(context)
    handle = idempotent_function(_handle, data_keyword_argument="asked", persistence_store=once, config=config)
    results: list[dict[str, Any]] = handle(asked=asked, function_arn=context.invoked_function_arn)
    metrics.add_metric("EventsHandled", MetricUnit.Count, 1)
    for result in results:
        metrics.add_metric(f"Evaluations{result['outcome'].capitalize()}", MetricUnit.Count, 1)
    logger.info("event handled", subject=_subject(asked), results=results)
    return {"results": results}


def _handle(*, asked: dict[str, Any], function_arn: str) -> list[dict[str, Any]]:
    start = starter()
    book = SuiteTable(runtime.evaluations_table())
    suites = Suites(start, book, schedules(function_arn), audiences())
    refusals = Refusals(start.store, start.announcer, book, start.clock)
    event = StartEvent.validate_python(asked)
    if isinstance(event, ObjectEvent):
        started = Drops(start, suites, refusals).handle(event.drop)
    elif isinstance(event, RequestEvent):
        started = [Requests(start, suites, refusals, ModelPackages()).handle(event)]
    else:
        started = [Due(start, suites, refusals).handle(event.detail)]
    return [{**dataclasses.asdict(item), "limits": [limit.model_dump() for limit in item.limits]} for item in started]


def _subject(asked: dict[str, Any]) -> Any:
    """What a log line calls an event: not the detail of a request, which may hold prompts."""
    return {"id": asked["id"], "source": asked["source"]} if "id" in asked else asked["detail"]


@functools.cache
def idempotency() -> tuple[DynamoDBPersistenceLayer, IdempotencyConfig]:
    """Powertools' memory of events: one that is handled is not handled again, one that failed is."""
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
        table_name=runtime.evaluations_table(),
        batch_role_arn=runtime.batch_role_arn(),
        keep_alive_seconds=runtime.step_keep_alive_seconds(),
    )
    return EvaluationStarter(
        store=Storage(runtime.bucket_name()),
        log=Evaluations(runtime.evaluations_table()),
        pipelines=SageMakerPipelines(runtime.pipeline_prefix(), settings),
        announcer=Announcements(Bus(runtime.event_bus_name()), Mailer(runtime.topic_arn()), audiences()),
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


@functools.cache
def audiences() -> Audiences:
    """The people whom the suites' configs name."""
    return Audiences(
        arn_prefix=runtime.suite_topic_arn_prefix(),
        owner=runtime.owner(),
        dead_letters_arn=runtime.mail_dead_letters_arn(),
    )


@functools.cache
def schedules(function_arn: str) -> Schedules:
    """The suites' schedules. They call this very function, whose ARN its own template cannot tell it."""
    return Schedules(
        group=runtime.schedule_group(),
        role_arn=runtime.schedule_role_arn(),
        function_arn=function_arn,
        dead_letters_arn=runtime.schedule_dead_letters_arn(),
    )
