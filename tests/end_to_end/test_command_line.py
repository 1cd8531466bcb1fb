"""The command line against a running stack: what a person types, sees and gets as an exit code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from assay.contracts.results import Comparison
from cli import target
from cli.main import app
from tests.end_to_end.conftest import PROJECT, Cloud

CAPITALS = [("France", "Paris"), ("Japan", "Tokyo"), ("Egypt", "Cairo"), ("Peru", "Lima"), ("Italy", "Rome")]
CATALOG = "".join(
    json.dumps({"model_input": f"What is the capital of {name}?", "target_output": capital}) + "\n"
    for name, capital in CAPITALS
)
CONFIG = """\
pipeline: {{name: {suite}}}
dataset: {{input_data_location: {location}}}
models:
  - name: nearest
    model_id: assay-nearest-neighbour-minilm
    deployment_config: {{instance_type: ml.m5.xlarge}}
algorithms: [FactualKnowledge]
"""


@pytest.fixture
def project(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of configs and catalogs, beside the tests' own local cloud."""
    monkeypatch.setattr(target, "PROJECT", cloud.stack.settings.project)
    for name in ("configs", "catalogs"):
        (tmp_path / name).mkdir()
    return tmp_path


def write(project: Path, suite: str, location: str | None = None) -> str:
    (project / f"catalogs/{suite}.jsonl").write_text(CATALOG)
    path = project / f"configs/{suite}.yaml"
    path.write_text(CONFIG.format(suite=suite, location=location or f"{suite}.jsonl"))
    return str(path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_submit_and_wait_ends_with_the_verdict_and_the_plan_knows_the_latency(cloud: Cloud, project: Path) -> None:
    config = write(project, "typed")
    result = run("submit", config, "--wait", "--timeout", "180")
    assert result.exit_code == 0, result.output
    [identifier] = re.findall(r"^evaluation ([0-9a-f]{32})$", result.stdout, re.MULTILINE)
    comparison = Comparison.model_validate_json(cloud.read(f"evaluations/typed/{identifier}/comparison.json"))
    assert comparison.winner == "nearest"
    assert comparison.explanation.split()[0] in result.stdout
    assert f"report: s3://{cloud.bucket}/evaluations/typed/{identifier}/report.html" in result.stdout
    for line in ("step  evaluate-nearest", "state CompareModels"):
        assert line in result.stdout
        assert len([shown for shown in result.stdout.splitlines() if line in shown and "succeeded" in shown]) == 1

    outcome = comparison.models[0].outcome
    assert outcome.latency is not None
    values = json.loads(run("plan", config, "--json").stdout)
    [model] = values["models"]
    assert (model["calls"], model["latency_from"]) == (5, identifier)
    assert model["latency_seconds"] == pytest.approx(outcome.latency.mean / 1000)


def test_a_config_that_only_the_cloud_can_refuse_is_told_with_its_faults(cloud: Cloud, project: Path) -> None:
    config = write(project, "elsewhere", "s3://somebody-elses/catalogs/no-such-catalog.jsonl")
    result = run("submit", config, "--wait", "--timeout", "60")
    assert result.exit_code == 1
    assert "dataset.input_data_location" in result.stderr
    assert f"s3://{cloud.bucket}/configs/elsewhere.yaml" in result.stderr
    assert cloud.executions("elsewhere") == []


def test_an_evaluation_that_fails_is_told_with_its_reason(cloud: Cloud, project: Path) -> None:
    config = write(project, "stopped-by-hand")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(run, "submit", config, "--wait", "--timeout", "120")
        [execution] = cloud.wait(lambda: cloud.executions("stopped-by-hand"))
        cloud.stack.client("sagemaker").stop_pipeline_execution(PipelineExecutionArn=execution["PipelineExecutionArn"])
        result = waiting.result()
    assert result.exit_code == 1, result.output
    [failed] = cloud.wait(lambda: cloud.events("EvaluationFailed", suite="stopped-by-hand"))
    assert failed["data"]["reason"]
    assert result.stderr == f"error: evaluation {failed['evaluation_id']} ended as failed: {failed['data']['reason']}\n"


def test_an_evaluation_that_takes_too_long_is_left_to_go_on(cloud: Cloud, project: Path) -> None:
    result = run("submit", write(project, "slow"), "--wait", "--timeout", "1")
    assert result.exit_code == 3
    assert "it goes on" in result.stderr
    cloud.wait(lambda: cloud.events("EvaluationCompleted", suite="slow"))


def test_the_same_command_reaches_a_stack_through_aws_s_own_settings(cloud: Cloud, project: Path) -> None:
    config = write(project, "by-name")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(PROJECT / "layers/assay"), str(PROJECT)]),
        **cloud.stack.settings.client_environment(),
    }
    command = [sys.executable, "-c", "from cli.main import main; main()", "submit", config, "--stack", "assay"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    [identifier] = re.findall(r"^evaluation ([0-9a-f]{32})$", done.stdout, re.MULTILINE)
    [completed] = cloud.wait(lambda: cloud.events("EvaluationCompleted", suite="by-name"))
    assert completed["evaluation_id"] == identifier
