"""`assay plan` and `assay submit` as far as they go without a running stack: files, AWS's answers, output."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.servicequotas.responses import ServiceQuotasResponse
from typer.testing import CliRunner, Result

from assay.contracts.evaluation import ObjectVersion, evaluation_id
from cli import target
from cli.main import app
from cli.plan import duration, usd

CONFIG = """\
pipeline: {name: capitals}
dataset: {input_data_location: capitals.jsonl}
models:
  - name: small
    model_id: some-model
    endpoint_name: shared
    deployment_config: {instance_type: ml.m5.xlarge}
  - name: small-too
    model_id: some-model
    endpoint_name: shared
    deployment_config: {instance_type: ml.m5.xlarge}
algorithms: [FactualKnowledge]
"""
CATALOG = "".join(json.dumps({"model_input": f"question {n}", "target_output": "answer"}) + "\n" for n in range(5))
TEMPLATE = {
    "Parameters": {
        "PipelinePrefix": {"Type": "String", "Default": "assay"},
        "StepInstanceType": {"Type": "String", "Default": "ml.c5.xlarge"},
    },
    "Resources": {
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"VersioningConfiguration": {"Status": "Enabled"}}}
    },
    "Outputs": {"BucketName": {"Value": {"Ref": "Bucket"}}, "EvaluationsTable": {"Value": "evaluations"}},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a config and its catalog; no local cloud runs in it, and nothing of AWS is configured."""
    for name, text in (("configs/capitals.yaml", CONFIG), ("catalogs/capitals.jsonl", CATALOG)):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(target, "PROJECT", tmp_path)
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    return tmp_path


@pytest.fixture
def aws(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An account with a stack of Assay in it; its bucket hands nothing on."""
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "eu-west-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    # moto has nothing of SageMaker's; an account that has no quota of these types answers so.
    no_quota = json.dumps({"Quotas": []})
    for action in ("list_service_quotas", "list_aws_default_service_quotas"):
        monkeypatch.setattr(ServiceQuotasResponse, action, lambda _self: no_quota, raising=False)
    with mock_aws():
        boto3.client("cloudformation").create_stack(StackName="assay", TemplateBody=json.dumps(TEMPLATE))
        # moto drops the versioning of a template's bucket
        bucket = boto3.client("s3").list_buckets()["Buckets"][0]["Name"]
        boto3.client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        yield bucket


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_a_plan_needs_no_stack_and_tells_steps_calls_time_and_cost(folder: Path) -> None:
    result = run("plan", "configs/capitals.yaml")
    assert result.exit_code == 0, result.output
    assert "suite capitals: 5 records, 2 models, 1 endpoint on 1 lane, 5 steps" in result.stdout
    for words in ("deploy-shared", "evaluate-small-too", "after evaluate-small, evaluate-small-too", "cost  about $"):
        assert words in result.stdout
    assert "a token is 4 characters" in result.stdout


BATCH = """\
pipeline: {name: capitals}
dataset: {input_data_location: capitals.jsonl}
models:
  - {name: m, provider: bedrock, model_id: amazon.nova-lite-v1:0, bedrock_config: {batch_from_records: 100}}
algorithms: [FactualKnowledge]
"""


def test_a_plan_says_that_a_batch_job_asks(folder: Path) -> None:
    lines = [json.dumps({"model_input": f"number {number}", "target_output": "x"}) for number in range(100)]
    (folder / "catalogs/capitals.jsonl").write_text("\n".join(lines))
    (folder / "configs/capitals.yaml").write_text(BATCH)
    result = run("plan", "configs/capitals.yaml")
    assert result.exit_code == 0, result.output
    assert "none: a batch job asks" in result.stdout
    assert "batch inference jobs ask m: they may take 24 h" in result.stdout
    [model] = json.loads(run("plan", "configs/capitals.yaml", "--json").stdout)["models"]
    assert (model["by_batch"], model["latency_from"]) == (True, "batch")


def test_a_plan_says_what_a_judge_will_be_asked(folder: Path) -> None:
    judged = BATCH.replace(", bedrock_config: {batch_from_records: 100}", "")
    (folder / "configs/judged.yaml").write_text(
        judged.replace("algorithms: [FactualKnowledge]", "algorithms: [Judge]\njudge: {provider: bedrock, model_id: j}")
    )
    result = run("plan", "configs/judged.yaml")
    assert result.exit_code == 0, result.output
    for words in ("judge-m", "judgements, where none is known", "tokens of judge, at most", "the judge takes 2 s"):
        assert words in result.stdout
    values = json.loads(run("plan", "configs/judged.yaml", "--json").stdout)
    assert [(item["model"], item["calls"]) for item in values["judgings"]] == [("m", 5)]


def test_a_plan_beyond_the_budget_is_shown_and_refused(folder: Path) -> None:
    config = folder / "configs" / "capitals.yaml"
    config.write_text(f"{config.read_text()}\nlimits: {{budget_usd: 0.001}}\n")
    result = run("plan", "configs/capitals.yaml")
    assert result.exit_code == 1
    assert "cost  about $" in result.stdout
    assert "limits.budget_usd: the evaluation would cost about" in result.output


def test_what_is_printed_is_the_same_whatever_the_width_of_a_terminal(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    narrow = run("plan", "configs/capitals.yaml").stdout
    monkeypatch.setenv("COLUMNS", "200")
    assert run("plan", "configs/capitals.yaml").stdout == narrow
    assert "\x1b" not in narrow


def test_each_prompt_template_is_planned_as_a_contender_of_its_own(folder: Path) -> None:
    templates = "capitals.jsonl, prompt_templates: {plain: $model_input, polite: 'Please: $model_input'}"
    (folder / "configs/capitals.yaml").write_text(CONFIG.replace("capitals.jsonl", templates))
    values = json.loads(run("plan", "configs/capitals.yaml", "--json").stdout)
    names = ["small--plain", "small--polite", "small-too--plain", "small-too--polite"]
    assert [(model["name"], model["calls"], model["endpoint"]) for model in values["models"]] == [
        (name, 5, "shared") for name in names
    ]


def test_a_plan_in_json_has_every_number(folder: Path) -> None:
    result = run("plan", "configs/capitals.yaml", "--json")
    values = json.loads(result.stdout)
    assert [model["calls"] for model in values["models"]] == [5, 5]
    assert values["usd"] == pytest.approx(sum(cost["usd"] for cost in values["costs"]))
    assert values["prices"] == {
        "as_of": "2026-11",
        "region": "us-east-1",
        "source": "https://aws.amazon.com/sagemaker/ai/pricing/",
        "currency": "USD",
    }
    assert values["steps"][-1]["after"] == ["evaluate-small", "evaluate-small-too"]


def test_a_type_without_a_price_costs_an_unknown_sum(folder: Path) -> None:
    (folder / "configs/capitals.yaml").write_text(CONFIG.replace("ml.m5.xlarge", "ml.x9.huge"))
    assert "cost  unknown: there is no price of ml.x9.huge" in run("plan", "configs/capitals.yaml").stdout
    values = json.loads(run("plan", "configs/capitals.yaml", "--json").stdout)
    assert (values["usd"], values["unpriced"], values["costs"][0]["usd"]) == (None, ["ml.x9.huge"], None)


def test_prices_of_one_s_own_take_the_place_of_those_that_come_with_assay(folder: Path) -> None:
    prices = (
        "as_of: '2027-01'\nregion: eu-west-1\nsource: our contract\ninstances: {ml.m5.xlarge: 9.0, ml.m5.large: 0.0}\n"
    )
    (folder / "prices.yaml").write_text(prices)
    result = run("plan", "configs/capitals.yaml", "--prices", "prices.yaml", "--json")
    values = json.loads(result.stdout)
    endpoint, steps = values["costs"]
    assert endpoint["usd"] == pytest.approx(endpoint["hours"] * 9)
    assert steps["usd"] == 0
    assert values["prices"]["source"] == "our contract"


def test_faults_of_the_config_are_told_where_they_are_and_nothing_is_planned(folder: Path) -> None:
    (folder / "configs/capitals.yaml").write_text(CONFIG.replace("algorithms:", "algorithmen:"))
    for command in ("plan", "submit"):
        result = run(command, "configs/capitals.yaml")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "configs/capitals.yaml:12:1: algorithmen: unknown key" in result.stderr


def test_faults_of_the_catalog_stop_a_plan_too(folder: Path) -> None:
    (folder / "catalogs/capitals.jsonl").write_text(CATALOG + "{broken\n")
    result = run("plan", "configs/capitals.yaml")
    assert result.exit_code == 1
    assert "catalogs/capitals.jsonl:6:2: not JSON" in result.stderr


def test_a_plan_without_its_catalog_says_how_to_name_one(folder: Path) -> None:
    (folder / "catalogs/capitals.jsonl").rename(folder / "other.jsonl")
    result = run("plan", "configs/capitals.yaml")
    assert result.exit_code == 2
    assert "--catalog" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert run("plan", "configs/capitals.yaml", "--catalog", "other.jsonl").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["submit", "configs/capitals.yaml"], "the local cloud does not run"),
        (["submit", "configs/capitals.yaml", "--profile", "nobody"], "nobody"),
        (["submit", "configs/capitals.yaml", "--stack", "assay"], "region"),
        (["plan", "configs/capitals.yaml", "--profile", "nobody"], "nobody"),
        (["submit", "no-such.yaml"], "no-such.yaml: No such file"),
        (["plan", "configs/capitals.yaml", "--prices", "no-such.yaml"], "no-such.yaml: No such file"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line_with_exit_code_2(
    folder: Path, arguments: list[str], words: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_stack_that_is_not_there_is_told_by_its_name(aws: str) -> None:
    result = run("submit", "configs/capitals.yaml", "--stack", "other")
    assert result.exit_code == 2
    assert "stack other in AWS" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_stack_of_something_else_is_not_dropped_into(aws: str) -> None:
    template = json.dumps({"Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}}})
    boto3.client("cloudformation").create_stack(StackName="website", TemplateBody=template)
    result = run("submit", "configs/capitals.yaml", "--stack", "website")
    assert result.exit_code == 2
    assert "is it a stack of Assay?" in result.stderr


def test_submit_drops_catalog_and_config_into_the_stack_s_bucket_and_names_the_evaluation(aws: str) -> None:
    result = run("submit", "configs/capitals.yaml", "--stack", "assay")
    assert result.exit_code == 0, result.output
    s3 = boto3.client("s3")
    versions = [
        ObjectVersion(aws, key, s3.head_object(Bucket=aws, Key=key)["VersionId"])
        for key in ("configs/capitals.yaml", "catalogs/capitals.jsonl")
    ]
    assert result.stdout.splitlines() == [
        f"dropped s3://{aws}/configs/capitals.yaml (AWS, stack assay)",
        f"evaluation {evaluation_id(*versions)}",
    ]
    assert s3.get_object(Bucket=aws, Key="catalogs/capitals.jsonl")["Body"].read().decode() == CATALOG


def test_a_catalog_that_is_there_already_is_not_dropped_again_but_the_config_is(aws: str, folder: Path) -> None:
    first = run("submit", "configs/capitals.yaml", "--stack", "assay").stdout
    second = run("submit", "configs/capitals.yaml", "--stack", "assay").stdout
    assert first != second
    s3 = boto3.client("s3")
    assert len(s3.list_object_versions(Bucket=aws, Prefix="catalogs/")["Versions"]) == 1
    assert len(s3.list_object_versions(Bucket=aws, Prefix="configs/")["Versions"]) == 2
    (folder / "catalogs/capitals.jsonl").write_text(CATALOG.replace("question 4", "question 5"))
    run("submit", "configs/capitals.yaml", "--stack", "assay")
    assert len(s3.list_object_versions(Bucket=aws, Prefix="catalogs/")["Versions"]) == 2


def test_a_config_without_any_catalog_is_dropped_and_said_to_wait(aws: str, folder: Path) -> None:
    (folder / "catalogs/capitals.jsonl").unlink()
    result = run("submit", "configs/capitals.yaml", "--stack", "assay")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "it starts when its catalog comes: capitals.jsonl")
    waited = run("submit", "configs/capitals.yaml", "--stack", "assay", "--wait", "--timeout", "1")
    assert (waited.exit_code, waited.stderr) == (3, "error: the catalog had not come after 1 s\n")


def test_a_catalog_that_the_config_places_elsewhere_is_not_uploaded(aws: str, folder: Path) -> None:
    text = CONFIG.replace("capitals.jsonl", "s3://another/catalogs/capitals.jsonl")
    (folder / "configs/capitals.yaml").write_text(text)
    result = run("submit", "configs/capitals.yaml", "--stack", "assay", "--catalog", "catalogs/capitals.jsonl")
    assert result.exit_code == 2
    assert "outside of s3://" in result.stderr
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=aws)


def test_a_plan_against_a_stack_takes_its_steps_instance_type(aws: str) -> None:
    values = json.loads(run("plan", "configs/capitals.yaml", "--stack", "assay", "--json").stdout)
    assert values["costs"][-1]["instance_type"] == "ml.c5.xlarge"


def evaluated(bucket: str, **outcomes: dict[str, Any]) -> None:
    """Leave evaluations of the suite, each after the one before it, with what is said of the model `small`."""
    sagemaker = boto3.client("sagemaker")
    sagemaker.create_pipeline(
        PipelineName="assay-capitals",
        PipelineDefinition=json.dumps({"Version": "2020-12-01", "Steps": []}),
        ClientRequestToken="c" * 32,
        RoleArn="arn:aws:iam::123456789012:role/any-role-at-all",
    )
    for identifier, said in outcomes.items():
        sagemaker.start_pipeline_execution(
            PipelineName="assay-capitals", PipelineExecutionDisplayName=identifier, ClientRequestToken=identifier * 8
        )
        outcome = {"model": "small", "status": "evaluated", **said}
        key = f"evaluations/capitals/{identifier}/models/small/outcome.json"
        boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=json.dumps(outcome).encode())


def latency(mean: float) -> dict[str, Any]:
    return {"latency": {"n": 5, "mean": mean, "p50": 250, "p90": 250, "p95": 250, "p99": 250}}


def training(seconds: int) -> dict[str, Any]:
    job = {"job": "j", "artefact_uri": "s3://b/model.tar.gz", "instance_type": "ml.g5.xlarge"}
    return {"training": job | {"billable_seconds": seconds}}


def test_a_plan_takes_latencies_from_the_newest_evaluation_that_measured_them(aws: str) -> None:
    evaluated(aws, older=latency(900.0), newer=latency(250.0), failed={})
    values = json.loads(run("plan", "configs/capitals.yaml", "--stack", "assay", "--json").stdout)
    assert [(model["latency_seconds"], model["latency_from"]) for model in values["models"]] == [
        (0.25, "newer"),
        (2.0, "assumption"),
    ]


TUNED = """\
pipeline: {name: capitals}
dataset: {input_data_location: capitals.jsonl}
models:
  - name: small
    model_id: some-model
    deployment_config: {instance_type: ml.m5.xlarge}
    finetuning_config: {train_data_path: train/, parameters: {instance_type: ml.g5.xlarge}}
algorithms: [FactualKnowledge]
"""


@pytest.mark.parametrize(
    ("outcomes", "call", "told"),
    [
        ({"older": training(80), "queued": training(77), "failed": {}}, (2.0, "assumption"), "77 s, queued"),
        ({"timed": latency(250.0) | training(80), "undeployed": training(77)}, (0.25, "timed"), "80 s, timed"),
    ],
)
def test_a_plan_takes_the_time_of_training_from_evaluations_that_know_no_latency(
    folder: Path, aws: str, outcomes: dict[str, dict[str, Any]], call: tuple[float, str], told: str
) -> None:
    (folder / "configs/capitals.yaml").write_text(TUNED)
    evaluated(aws, **outcomes)
    values = json.loads(run("plan", "configs/capitals.yaml", "--stack", "assay", "--json").stdout)
    assert [(model["latency_seconds"], model["latency_from"]) for model in values["models"]] == [call]
    seconds, identifier = told.split(", ")
    [sentence] = [item for item in values["assumptions"] if item.startswith("fine-tuning takes ")]
    assert sentence.startswith(f"fine-tuning takes {seconds} of its instances, measured in ")
    assert sentence.endswith(f", {identifier}: small")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (7140, "119 min"), (11_100, "3 h 05 min")]
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("amount", "text"), [(None, "unknown"), (0.0, "$0.00"), (0.0123, "$0.0123"), (1234.5, "$1,234.50")]
)
def test_sums_are_told_to_the_cent_and_what_is_unknown_is_no_sum(amount: float | None, text: str) -> None:
    assert usd(amount) == text
