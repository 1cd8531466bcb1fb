"""From a config to a SageMaker Pipeline, by the SDK's `@step`. The only module that a Lambda imports the SDK for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
import sagemaker.utils
from sagemaker.session import Session
from sagemaker.workflow.function_step import step
from sagemaker.workflow.parameters import ParameterString
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.retry import (
    RetryPolicy,
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
    StepExceptionTypeEnum,
    StepRetryPolicy,
)
from sagemaker.workflow.step_outputs import get_step

from assay.contracts.config import SuiteConfig
from assay.contracts.model_section import LONGEST_TRAINING
from assay.pipeline import steps, workspace
from assay.pipeline.job_times import job_seconds
from assay.pipeline.plan import PREPROCESS, PlannedEndpoint, PlannedModel, followed, plan, plan_given, planned_models

EVALUATION_PARAMETER = "EvaluationUri"


@dataclass(frozen=True)
class StepSettings:
    """How the jobs of a pipeline run.

    Attributes:
        bucket: where the SDK keeps code and results of steps, below `pipelines/`.
        role_arn: role of the jobs and of the endpoints they create.
        image_uri: the evaluation image; its Python has the minor version of the process that builds the pipeline.
        instance_type: of the steps' jobs, not of the endpoints.
        owner: value of the tag `assay:owner` on whatever the steps create.
        table_name: the table of evaluations, where steps write which evaluations use an endpoint.
        batch_role_arn: what Bedrock reads and writes the bucket as in batch inference jobs.
        keep_alive_seconds: how long an idle job's instance waits for the next step (a warm pool), at most 3600.
    """

    bucket: str
    role_arn: str
    image_uri: str
    instance_type: str
    owner: str
    table_name: str
    batch_role_arn: str
    keep_alive_seconds: int = 0


def build_pipeline(
    name: str,
    config: SuiteConfig,
    settings: StepSettings,
    boto_session: Any = None,
    lanes: Iterable[Sequence[str]] = (),
) -> Pipeline:
    """Describe the pipeline of a suite; nothing is created yet.

    The definition holds only what the config and the lanes say: the evaluation comes in as the parameter
    `EvaluationUri`.

    Args:
        name: the pipeline's name.
        config: a checked config.
        settings: how jobs run.
        boto_session: a boto3 Session, the default one when None.
        lanes: names of endpoints that exist one after the other: a deployment waits for the clean-up before it.
    """
    session = _session(settings, boto_session)
    evaluation_uri = ParameterString(name=EVALUATION_PARAMETER)

    def job(step_name: str, seconds: int) -> Any:
        return step(
            name=step_name,
            display_name=step_name,
            image_uri=settings.image_uri,
            instance_type=settings.instance_type,
            role=settings.role_arn,
            max_runtime_in_seconds=seconds,
            keep_alive_period_in_seconds=settings.keep_alive_seconds,
            retry_policies=_retries(),
            environment_variables={
                "EVALUATIONS_TABLE": settings.table_name,
                "OWNER": settings.owner,
                "BATCH_ROLE_ARN": settings.batch_role_arn,
            },
            tags={"assay:owner": settings.owner, "assay:suite": config.suite},
        )

    deployments: dict[str, Any] = {}
    cleanups: dict[str, Any] = {}
    evaluations: dict[str, Any] = {}
    prepared = job(PREPROCESS, 3600)(steps.preprocess)(evaluation_uri)

    def scored(model: PlannedModel, deployed: Any = None) -> Any:
        by_batch = config.model(model.name).bedrock_config.batch_from_records is not None
        seconds, shards = job_seconds(config.limits.evaluate_seconds, by_batch=by_batch), len(model.ask_steps)
        asked = [
            job(name, seconds)(steps.ask)(evaluation_uri, model.name, shard, shards, prepared, deployed)
            for shard, name in enumerate(model.ask_steps)
        ]
        evaluated = job(model.step, seconds)(steps.evaluate)(evaluation_uri, model.name, prepared, deployed, *asked)
        evaluations[model.name] = evaluated
        return evaluated

    def judged(model: PlannedModel) -> Any:
        seconds = job_seconds(config.limits.evaluate_seconds, by_batch=False)
        awaited = [evaluations[name] for name in (model.name, model.rival) if name is not None]
        return job(model.judge_step or "", seconds)(steps.judge)(evaluation_uri, model.name, *awaited)

    def branch(endpoint: PlannedEndpoint) -> Any:
        arguments = [evaluation_uri, endpoint.section.name, settings.role_arn, prepared]
        if endpoint.finetune_step is not None:
            arguments.append(job(endpoint.finetune_step, LONGEST_TRAINING + 600)(steps.finetune)(*arguments))
        # Twice: it may wait for another evaluation to let the endpoint go, and then for its own to be in service. A job
        # that SageMaker ends by its time limit would fail the whole pipeline instead of one model.
        deployed = job(endpoint.deploy_step, 2 * config.limits.deploy_seconds + 300)(steps.deploy)(*arguments)
        evaluated = [scored(model, deployed) for model in endpoint.models]
        deployments[endpoint.name] = deployed
        cleanups[endpoint.name] = job(endpoint.cleanup_step, steps.CLEANUP_SECONDS + 300)(steps.cleanup)(
            evaluation_uri, endpoint.section.name, *evaluated
        )
        return cleanups[endpoint.name]

    outputs = [*map(branch, plan(config)), *map(scored, plan_given(config))]
    outputs += [judged(model) for model in planned_models(config).values() if model.judge_step is not None]
    for after, before in followed(lanes).items():
        get_step(deployments[after]).add_depends_on([get_step(cleanups[before])])
    return Pipeline(
        name=name,
        parameters=[evaluation_uri],
        steps=outputs,
        sagemaker_session=session,
        pipeline_experiment_config=None,
    )


def upsert(pipeline: Pipeline, settings: StepSettings) -> None:
    """Upload the code, and create the pipeline or replace its definition."""
    with workspace.package_alone(), _configuration_validated_once():
        pipeline.upsert(role_arn=settings.role_arn, tags=[{"Key": "assay:owner", "Value": settings.owner}])


def _retries() -> list[RetryPolicy]:
    """What is SageMaker's fault and not the step's is tried again: else one lost job fails the whole evaluation.

    Every step may run twice: what it did already it finds again.
    """
    passing = {"interval_seconds": 30, "backoff_rate": 2.0, "max_attempts": 6}
    lasting = {"interval_seconds": 60, "backoff_rate": 2.0, "expire_after_mins": 120}
    return [
        StepRetryPolicy(
            exception_types=[StepExceptionTypeEnum.SERVICE_FAULT, StepExceptionTypeEnum.THROTTLING], **passing
        ),
        SageMakerJobStepRetryPolicy(exception_types=[SageMakerJobExceptionTypeEnum.INTERNAL_ERROR], **passing),
        SageMakerJobStepRetryPolicy(
            exception_types=[
                SageMakerJobExceptionTypeEnum.CAPACITY_ERROR,
                SageMakerJobExceptionTypeEnum.RESOURCE_LIMIT,
            ],
            **lasting,
        ),
    ]


def _session(settings: StepSettings, boto_session: Any) -> Session:
    return Session(
        boto_session=boto_session or boto3.Session(),
        default_bucket=settings.bucket,
        default_bucket_prefix="pipelines",
        sagemaker_config={
            "SchemaVersion": "1.0",
            "SageMaker": {
                "PythonSDK": {
                    "Modules": {
                        "TelemetryOptOut": True,
                        "RemoteFunction": {
                            "IncludeLocalWorkDir": True,
                            "CustomFileFilter": {"IgnoreNamePatterns": ["__pycache__"]},
                        },
                    }
                }
            },
        },
    )


@contextlib.contextmanager
def _configuration_validated_once() -> Iterator[None]:
    """Spare a pipeline of many steps the SDK's repeated checks of its own configuration.

    The SDK holds the whole of it against a JSON schema each time it looks up one value: 0.8 s a step, two minutes for
    fifty models. The session checked it when it was made.
    """
    validate = sagemaker.utils.validate_sagemaker_config
    sagemaker.utils.validate_sagemaker_config = lambda _configuration: None
    try:
        yield
    finally:
        sagemaker.utils.validate_sagemaker_config = validate
