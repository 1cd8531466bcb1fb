"""Executions of the suites' pipelines: found by their evaluation, looked at, stopped."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.exceptions import ClientError

from assay.aws.faults import code_of, transient_faults
from assay.contracts.reconciliation import PipelineState


class PipelineExecutions:
    """The executions of one stack's pipelines.

    Args:
        prefix: the pipelines are called `<prefix>-<suite>`.
        client: a boto3 SageMaker client; one of its own by default.
    """

    def __init__(self, prefix: str, client: Any = None) -> None:
        self._prefix = prefix
        self._client = client if client is not None else boto3.client("sagemaker")

    @transient_faults()
    def find(self, suite: str, evaluation_id: str) -> str | None:
        """The execution that runs an evaluation; None when there is none."""
        pages = self._client.get_paginator("list_pipeline_executions").paginate(PipelineName=f"{self._prefix}-{suite}")
        try:
            for page in pages:
                for summary in page["PipelineExecutionSummaries"]:
                    if summary.get("PipelineExecutionDisplayName") == evaluation_id:
                        return str(summary["PipelineExecutionArn"])
        except ClientError as error:
            if code_of(error) != "ResourceNotFound":
                raise
        return None

    @transient_faults()
    def state(self, arn: str) -> PipelineState | None:
        """Where an execution stands; None when it, or its pipeline, is no longer there."""
        try:
            found = self._client.describe_pipeline_execution(PipelineExecutionArn=arn)
        except ClientError as error:
            if code_of(error) == "ResourceNotFound":
                return None
            raise
        return PipelineState(
            status=found["PipelineExecutionStatus"],
            started_at=found["CreationTime"],
            changed_at=found["LastModifiedTime"],
        )

    @transient_faults()
    def stop(self, arn: str) -> None:
        """Stop an execution; one that has just ended needs it no more."""
        try:
            self._client.stop_pipeline_execution(PipelineExecutionArn=arn)
        except ClientError as error:
            if code_of(error) != "ConflictException":
                raise
