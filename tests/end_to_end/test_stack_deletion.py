"""A stack that is deleted in the middle of an evaluation: it ends, and nothing of it goes on and costs."""

from __future__ import annotations

import json

from tests.end_to_end import chaos
from tests.local.conftest import eventually

SECONDS = 180.0

CONFIG = """\
pipeline: {name: cut-short}
dataset: {input_data_location: cut-short.jsonl}
models:
  - {name: busy, model_id: assay-echo, deployment_config: {instance_type: ml.m5.xlarge}}
  - {name: stays, model_id: assay-echo, deployment_config: {instance_type: ml.m5.large}, cleanup_endpoint: false}
algorithms: [FactualKnowledge]
limits: {concurrency: 1, request_seconds: 300}
"""
SLOW = json.dumps({"id": "1", "model_input": "wait 600 s: why?", "target_output": "so"})


def test_a_stack_that_is_deleted_in_the_middle_ends_its_evaluations_and_leaves_nothing_that_costs() -> None:
    with chaos.a_cloud() as cloud:
        stack = cloud.stack
        sagemaker, cloudformation = stack.client("sagemaker"), stack.client("cloudformation")
        foreign = cloud.create_foreign()
        bucket, table = stack.outputs["BucketName"], stack.outputs["EvaluationsTable"]
        s3 = stack.client("s3")
        s3.put_object(Bucket=bucket, Key="catalogs/cut-short.jsonl", Body=SLOW.encode())
        s3.put_object(Bucket=bucket, Key="configs/cut-short.yaml", Body=CONFIG.encode())

        def running() -> bool:
            endpoints = sagemaker.list_endpoints(StatusEquals="InService", MaxResults=100)["Endpoints"]
            return len(endpoints) == 3 + 2

        eventually(running, SECONDS)
        [execution] = sagemaker.list_pipeline_executions(PipelineName="assay-cut-short")["PipelineExecutionSummaries"]
        assert execution["PipelineExecutionStatus"] == "Executing"
        [described] = cloudformation.describe_stacks(StackName="assay")["Stacks"]
        cloudformation.delete_stack(StackName="assay")

        def status() -> str:
            [found] = cloudformation.describe_stacks(StackName=described["StackId"])["Stacks"]
            return str(found["StackStatus"])

        ended = eventually(lambda: (found := status()) != "DELETE_IN_PROGRESS" and found, SECONDS)
        events = cloudformation.describe_stack_events(StackName=described["StackId"])["StackEvents"]
        assert ended == "DELETE_COMPLETE", [event.get("ResourceStatusReason") for event in events]
        assert cloud.resources() == foreign
        arn = execution["PipelineExecutionArn"]
        assert sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"] == "Stopped"
        identifier = execution["PipelineExecutionDisplayName"]
        key = {"pk": {"S": f"EVALUATION#{identifier}"}, "sk": {"S": "STATE"}}
        item = stack.client("dynamodb").get_item(TableName=table, Key=key)["Item"]
        assert (item["status"]["S"], item["reason"]["S"]) == ("failed", "the stack is being deleted")
        told = [event["detail-type"] for event in stack.events() if event["source"] == "assay"]
        assert told == ["EvaluationStarted", "EvaluationFailed"]
        assert sum("the stack is being deleted" in mail["text"] for mail in stack.mails()) == 1
        assert s3.list_objects_v2(Bucket=bucket, Prefix="evaluations/cut-short/")["KeyCount"] > 0
        assert not stack.client("lambda").list_functions()["Functions"]
