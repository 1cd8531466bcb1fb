"""SageMaker Pipelines: one pipeline a suite, started once an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import boto3

from assay.contracts.config import SuiteConfig
from assay.pipeline.build import EVALUATION_PARAMETER, StepSettings, build_pipeline, upsert


class SageMakerPipelines:
    """Creates or replaces a suite's pipeline and starts it.

    Args:
        prefix: the pipelines of this stack are called `<prefix>-<suite>`; events are told apart by it.
        settings: how the jobs of the pipelines run.
        client: a boto3 SageMaker client; one of its own by default.
    """

    def __init__(self, prefix: str, settings: StepSettings, client: Any = None) -> None:
        self._prefix = prefix
        self._settings = settings
        self._client = client if client is not None else boto3.client("sagemaker")

    def start(
        self, config: SuiteConfig, *, evaluation_id: str, evaluation_uri: str, lanes: Sequence[Sequence[str]] = ()
    ) -> str:
        """Run the pipeline of `config` for one evaluation.

        `lanes` are names of endpoints that exist one after the other.

        The evaluation id is the idempotency token: a second call gives the execution that the first one started.

        Returns:
            The execution's ARN.
        """
        name = f"{self._prefix}-{config.suite}"
        upsert(build_pipeline(name, config, self._settings, lanes=lanes), self._settings)
        execution = self._client.start_pipeline_execution(
            PipelineName=name,
            PipelineExecutionDisplayName=evaluation_id,
            PipelineParameters=[{"Name": EVALUATION_PARAMETER, "Value": evaluation_uri}],
            ClientRequestToken=evaluation_id,
        )
        return str(execution["PipelineExecutionArn"])
