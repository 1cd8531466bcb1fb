"""The pipeline that the SDK makes of a config."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

import assay
from assay.contracts.config import load_config
from assay.pipeline.plan import dependencies

pytestmark = pytest.mark.filterwarnings("ignore")  # the SDK's own: it announces its successor at every turn

CONFIG = b"""\
pipeline: {name: demo}
dataset: {input_data_location: x.jsonl}
models:
  - {name: plain, model_id: m, endpoint_name: shared, deployment_config: {instance_type: ml.m5.xlarge}}
  - {name: few-shot, model_id: m, endpoint_name: shared, deployment_config: {instance_type: ml.m5.xlarge}}
  - {name: other, model_id: n, deployment_config: {instance_type: ml.m5.xlarge}}
algorithms: [FactualKnowledge]
"""
SPLIT = b"""\
pipeline: {name: demo}
dataset: {input_data_location: x.jsonl}
models:
  - {name: m, model_id: m, deployment_config: {instance_type: ml.m5.xlarge}}
algorithms: [FactualKnowledge]
limits: {shards: 2}
"""
JUDGED = b"""\
pipeline: {name: demo}
dataset: {input_data_location: x.jsonl}
models:
  - {name: m, model_id: m, deployment_config: {instance_type: ml.m5.xlarge}}
  - {name: other, provider: bedrock, model_id: o}
algorithms: [{algorithm: JudgePreference, parameters: {rival: other}}]
judge: {endpoint_name: grader}
"""
BATCH = b"""\
pipeline: {name: demo}
dataset: {input_data_location: x.jsonl}
models:
  - {name: m, provider: bedrock, model_id: m, bedrock_config: {batch_from_records: 100}}
  - {name: n, provider: bedrock, model_id: n}
algorithms: [FactualKnowledge]
"""


@pytest.fixture(scope="module")
def built() -> Iterator[tuple[dict[str, Any], Any]]:
    with _built(CONFIG) as found:
        yield found


@contextlib.contextmanager
def _built(config: bytes, bucket: str = "drops") -> Iterator[tuple[dict[str, Any], Any]]:
    from assay.pipeline.build import StepSettings, build_pipeline, upsert

    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "x")
        patch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        settings = StepSettings(
            bucket=bucket,
            role_arn="arn:aws:iam::123456789012:role/steps",
            image_uri="image:1",
            instance_type="ml.m5.large",
            owner="assay",
            table_name="evaluations",
            batch_role_arn="arn:aws:iam::123456789012:role/batch",
        )
        before = Path.cwd()
        upsert(build_pipeline("assay-demo", load_config(config, "x"), settings), settings)
        assert Path.cwd() == before
        pipeline = boto3.client("sagemaker").describe_pipeline(PipelineName="assay-demo")
        yield json.loads(pipeline["PipelineDefinition"]), s3


def test_each_model_has_its_branch_and_models_of_one_endpoint_share_it(built: tuple[dict[str, Any], Any]) -> None:
    definition, _ = built
    assert {step["Name"]: sorted(step.get("DependsOn", [])) for step in definition["Steps"]} == {
        "preprocess": [],
        "deploy-shared": ["preprocess"],
        "evaluate-plain": ["deploy-shared", "preprocess"],
        "evaluate-few-shot": ["deploy-shared", "preprocess"],
        "cleanup-shared": ["evaluate-few-shot", "evaluate-plain"],
        "deploy-other": ["preprocess"],
        "evaluate-other": ["deploy-other", "preprocess"],
        "cleanup-other": ["evaluate-other"],
    }


def test_a_catalog_that_is_split_is_asked_by_parallel_steps_and_scored_by_one() -> None:
    with _built(SPLIT, "others") as (definition, _):
        found = {step["Name"]: sorted(step.get("DependsOn", [])) for step in definition["Steps"]}
    assert found == {
        "preprocess": [],
        "deploy-m": ["preprocess"],
        "ask-m-1-of-2": ["deploy-m", "preprocess"],
        "ask-m-2-of-2": ["deploy-m", "preprocess"],
        "evaluate-m": ["ask-m-1-of-2", "ask-m-2-of-2", "deploy-m", "preprocess"],
        "cleanup-m": ["evaluate-m"],
    }


def test_a_judge_is_asked_once_the_answers_and_the_rivals_are_there_and_keeps_no_endpoint() -> None:
    with _built(JUDGED, "judged") as (definition, _):
        found = {step["Name"]: sorted(step.get("DependsOn", [])) for step in definition["Steps"]}
    assert found == {
        "preprocess": [],
        "deploy-m": ["preprocess"],
        "evaluate-m": ["deploy-m", "preprocess"],
        "cleanup-m": ["evaluate-m"],
        "evaluate-other": ["preprocess"],
        "judge-m": ["evaluate-m", "evaluate-other"],
        "judge-other": ["evaluate-other"],
    }
    planned = dependencies(load_config(JUDGED, "x"))
    assert {name: sorted(after) for name, after in planned.items()} == found


def test_the_evaluation_comes_in_as_a_parameter_so_that_the_definition_is_the_configs_alone(
    built: tuple[dict[str, Any], Any],
) -> None:
    definition, _ = built
    assert definition["Parameters"] == [{"Name": "EvaluationUri", "Type": "String"}]


def test_every_step_runs_in_the_evaluation_image_with_the_stacks_tags_and_knows_whose_it_is(
    built: tuple[dict[str, Any], Any],
) -> None:
    definition, _ = built
    for step in definition["Steps"]:
        arguments = step["Arguments"]
        assert arguments["AlgorithmSpecification"]["TrainingImage"] == "image:1"
        assert {"Key": "assay:owner", "Value": "assay"} in arguments["Tags"]
        assert arguments["Environment"]["OWNER"] == "assay"
        assert arguments["Environment"]["BATCH_ROLE_ARN"] == "arn:aws:iam::123456789012:role/batch"


def test_the_package_is_shipped_whole_and_alone(built: tuple[dict[str, Any], Any]) -> None:
    _, s3 = built
    [archive] = [
        item["Key"] for item in s3.list_objects_v2(Bucket="drops")["Contents"] if item["Key"].endswith("workspace.zip")
    ]
    names = zipfile.ZipFile(io.BytesIO(s3.get_object(Bucket="drops", Key=archive)["Body"].read())).namelist()
    root = "sagemaker_remote_function_workspace/"
    shipped = {name.removeprefix(root) for name in names if not name.endswith("/")}
    package = Path(assay.__file__).parent
    wanted = {
        str(path.relative_to(package.parent))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert shipped == wanted
    assert all(name.startswith("assay/") for name in shipped)


def test_a_deployment_may_wait_for_another_evaluation_and_then_for_its_own_endpoint(
    built: tuple[dict[str, Any], Any],
) -> None:
    definition, _ = built
    seconds = load_config(CONFIG, "x").limits.deploy_seconds
    [step] = [step for step in definition["Steps"] if step["Name"] == "deploy-shared"]
    assert step["Arguments"]["StoppingCondition"]["MaxRuntimeInSeconds"] > 2 * seconds


@pytest.mark.parametrize(
    ("bucket", "limits", "seconds"),
    [
        ("short", b"", {"evaluate-m": 86_400 + 900 + 21_600, "evaluate-n": 86_400 + 21_600}),
        ("long", b"limits: {evaluate_seconds: 431700}", {"evaluate-m": 432_000, "evaluate-n": 432_000}),
    ],
)
def test_a_model_has_time_to_be_asked_and_scored_and_its_batch_jobs_to_stop(
    bucket: str, limits: bytes, seconds: dict[str, int]
) -> None:
    with _built(BATCH + limits, bucket) as (definition, _):
        found = {step["Name"]: step["Arguments"]["StoppingCondition"] for step in definition["Steps"]}
    assert {name: found[name]["MaxRuntimeInSeconds"] for name in seconds} == seconds


def test_endpoints_of_one_lane_follow_each_other_and_a_lost_job_is_tried_again(
    built: tuple[dict[str, Any], Any],
) -> None:
    from assay.pipeline.build import StepSettings, build_pipeline, upsert

    settings = StepSettings(
        bucket="drops",
        role_arn="arn:aws:iam::123456789012:role/steps",
        image_uri="image:1",
        instance_type="ml.m5.large",
        owner="assay",
        table_name="evaluations",
        batch_role_arn="arn:aws:iam::123456789012:role/batch",
        keep_alive_seconds=600,
    )
    upsert(build_pipeline("assay-lane", load_config(CONFIG, "x"), settings, lanes=[("other", "shared")]), settings)
    pipeline = boto3.client("sagemaker").describe_pipeline(PipelineName="assay-lane")
    steps = {step["Name"]: step for step in json.loads(pipeline["PipelineDefinition"])["Steps"]}
    assert sorted(steps["deploy-shared"]["DependsOn"]) == ["cleanup-other", "preprocess"]
    assert steps["deploy-other"]["DependsOn"] == ["preprocess"]
    for step in steps.values():
        repeated = {name for policy in step["RetryPolicies"] for name in policy["ExceptionType"]}
        assert {"SageMaker.JOB_INTERNAL_ERROR", "Step.THROTTLING", "SageMaker.CAPACITY_ERROR"} <= repeated
        assert step["Arguments"]["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 600
