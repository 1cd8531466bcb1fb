"""Evaluations in which something goes wrong at a random point, run through the local cloud, and what is left of them.

    python -m tests.end_to_end.chaos --seeds 0-199

Each seed is an evaluation of a model that is served in one of several ways, with a fault of its own: a step that is
killed, an API that throttles or fails, an execution that is stopped, a status event that is lost, repeated or late, an
endpoint that fails. When all pipelines of a cloud have ended, the reconciler is invoked as by its clock. Then no
endpoint, configuration or model of ours may exist, none that is not ours may be gone, and every evaluation must be
concluded, and announced and mailed exactly once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import requests

from assay.contracts.evaluation import ObjectVersion, evaluation_id
from cli import local_cloud
from cli.local_cloud import Stack

PROJECT = Path(__file__).resolve().parents[2]
# AWS's own waits (retries of events, of functions, of states), which are minutes, in seconds.
TIME_SCALE = 0.02
SETTLE_SECONDS = 240.0
ROUNDS = 30
STATUS_CHANGE = "SageMaker Model Building Pipeline Execution Status Change"
CATALOG = "\n".join(
    json.dumps({"id": str(number), "model_input": f"Say {number}", "target_output": str(number)}) for number in range(4)
)
CONFIG = """\
pipeline: {{name: {suite}}}
dataset: {{input_data_location: {suite}.jsonl}}
models:
  - {{name: m, model_id: assay-echo, deployment_config: {{{deployment}}}}}
algorithms: [FactualKnowledge{judged}
"""
# An endpoint of instances, one that runs when it is asked, and one that takes its requests from a queue.
DEPLOYMENTS = {
    "instances": "instance_type: {instance_type}",
    "serverless": "serverless: {{memory_mb: 4096, max_concurrency: 4}}",
    "asynchronous": "instance_type: {instance_type}, asynchronous: {{max_concurrent_invocations: 2}}",
}
JUDGE = ", Judge]\njudge: {provider: bedrock, model_id: local.likeness-judge-minilm-v1:0"
# Each seed its own instance type in turn: quotas are another test's matter.
TYPES = ("ml.m5.xlarge", "ml.m5.2xlarge", "ml.c5.xlarge", "ml.g5.xlarge", "ml.g4dn.xlarge")
STEPS = ("preprocess", "deploy-m", "evaluate-m", "cleanup-m")
# What each API is asked for about an evaluation holds its suite, or only its id. (What is put into S3 for its own sake
# holds the id; files that are dropped here hold the suite.)
BY_ID = {"s3:PUT", "dynamodb:UpdateItem", "dynamodb:GetItem", "events:PutEvents", "sns:Publish"}
APIS = (
    "sagemaker:CreateModel",
    "sagemaker:CreateEndpointConfig",
    "sagemaker:CreateEndpoint",
    "sagemaker:DescribeEndpoint",
    "sagemaker:DescribeEndpointConfig",
    "sagemaker:DescribeModel",
    "sagemaker:DeleteEndpoint",
    "sagemaker:DeleteEndpointConfig",
    "sagemaker:DeleteModel",
    "sagemaker:ListTags",
    "sagemaker:CreatePipeline",
    "sagemaker:StartPipelineExecution",
    "sagemaker:ListPipelineExecutionSteps",
    "sagemaker:POST",  # InvokeEndpoint
    "s3:PUT",
    "s3:GET",
    "lambda:POST",
    "states:StartExecution",
    "dynamodb:UpdateItem",
    "dynamodb:GetItem",
    "events:PutEvents",
    "sns:Publish",
)
ERRORS = (("ThrottlingException", 400), ("InternalFailure", 500), ("ServiceUnavailable", 503))


@dataclass(frozen=True)
class Run:
    """One evaluation and what befalls it.

    Attributes:
        fault: as `/_local/faults` takes it, with `about` still to be filled in; None for an execution that is stopped.
        stop_after: seconds after the pipeline's start at which somebody stops it.
        served: how the model is, a key of `DEPLOYMENTS`.
        judged: whether a judge grades its answers.
    """

    seed: int
    kind: str
    fault: dict[str, Any] | None
    by_id: bool = False
    stop_after: float = 0.0
    served: str = "instances"
    judged: bool = False

    @property
    def config(self) -> str:
        deployment = DEPLOYMENTS[self.served].format(instance_type=TYPES[self.seed % len(TYPES)])
        return CONFIG.format(suite=self.suite, deployment=deployment, judged=f"{JUDGE}}}" if self.judged else "]")

    @property
    def suite(self) -> str:
        return f"chaos-{self.seed:04d}"

    def __str__(self) -> str:
        served = f"{self.served}{', judged' if self.judged else ''}:"
        if self.fault is None:
            return f"{served} stopped after {self.stop_after:.1f} s"
        return " ".join([served, *(f"{key}={value}" for key, value in self.fault.items() if key != "about")])


def run_of(seed: int) -> Run:
    """What a seed stands for; the same each time."""
    run, chance = _befallen(seed), random.Random(f"served {seed}")
    served = chance.choices(tuple(DEPLOYMENTS), (2, 1, 1))[0]
    judged, hit = chance.random() < 0.25, chance.random() < 0.5
    fault = run.fault
    if judged and hit and run.kind == "step" and fault is not None:
        fault = fault | {"step": "judge-m"}
    return replace(run, served=served, judged=judged, fault=fault)


def _befallen(seed: int) -> Run:
    chance = random.Random(seed)
    kind = chance.choices(("step", "api", "stop", "event", "endpoint"), (3, 6, 2, 3, 1))[0]
    if kind == "step":
        fault = {"kind": "step", "step": chance.choice(STEPS), "seconds": round(chance.uniform(0, 4), 2)}
        return Run(seed, kind, fault)
    if kind == "api":
        api = chance.choice(APIS)
        code, status = chance.choice(ERRORS)
        fault = {"kind": "api", "api": api, "code": code, "status": status, "times": chance.choice((1, 3, 8))}
        return Run(seed, kind, fault, by_id=api in BY_ID)
    if kind == "stop":
        return Run(seed, kind, None, stop_after=round(chance.uniform(0, 25), 1))
    if kind == "event":
        does = chance.choice(("lose", "repeat", "delay"))
        # Of all changes of an execution's status, or of its last one alone.
        fault = {"kind": "event", "detail_type": STATUS_CHANGE, "does": does, "times": chance.choice((2, 4))}
        return Run(seed, kind, fault | {"seconds": round(chance.uniform(0, 6), 1)})
    return Run(seed, kind, {"kind": "endpoint", "reason": "InsufficientInstanceCapacity"})


@dataclass
class Cloud:
    """One local cloud in which some seeds run at once."""

    stack: Stack
    ids: dict[int, str] = field(default_factory=dict)

    def ask(self, what: str, body: Any) -> None:
        """Tell the local cloud something: faults, or quotas."""
        url = f"{self.stack.settings.endpoint_url}/_local/{what}"
        requests.post(url, json=body, timeout=60, proxies={"http": ""}).raise_for_status()

    def forget_faults(self) -> None:
        url = f"{self.stack.settings.endpoint_url}/_local/faults"
        requests.delete(url, timeout=60, proxies={"http": ""}).raise_for_status()

    def drop(self, run: Run) -> None:
        """Drop catalog and config of a seed, its fault being there before it can befall anything."""
        if run.fault is not None and not run.by_id:
            self.ask("faults", [{**run.fault, "about": run.suite}])
        bucket, s3 = self.stack.outputs["BucketName"], self.stack.client("s3")
        versions = []
        texts = {f"catalogs/{run.suite}.jsonl": CATALOG, f"configs/{run.suite}.yaml": run.config}
        for key, text in texts.items():
            put = s3.put_object(Bucket=bucket, Key=key, Body=text.encode())
            versions.append(ObjectVersion(bucket, key, put["VersionId"]))
        catalog, config = versions
        self.ids[run.seed] = evaluation_id(config, catalog)
        if run.fault is not None and run.by_id:
            self.ask("faults", [{**run.fault, "about": self.ids[run.seed]}])

    def item(self, seed: int) -> dict[str, str]:
        """What the table knows of a seed's evaluation."""
        key = {"pk": {"S": f"EVALUATION#{self.ids[seed]}"}, "sk": {"S": "STATE"}}
        found = self.stack.client("dynamodb").get_item(TableName=self.stack.outputs["EvaluationsTable"], Key=key)
        return {name: str(next(iter(value.values()))) for name, value in found.get("Item", {}).items()}

    def execution(self, run: Run) -> dict[str, Any] | None:
        """The execution of a seed's pipeline."""
        sagemaker = self.stack.client("sagemaker")
        names = {item["PipelineName"] for item in sagemaker.list_pipelines(MaxResults=100)["PipelineSummaries"]}
        if f"assay-{run.suite}" not in names:
            return None
        found = sagemaker.list_pipeline_executions(PipelineName=f"assay-{run.suite}")["PipelineExecutionSummaries"]
        assert len(found) <= 1, f"{run.suite} was started {len(found)} times"
        return dict(found[0]) if found else None

    def reconcile(self) -> dict[str, Any]:
        """Invoke the reconciler as its clock does, but without waiting for anything; what it answers."""
        answer = self.stack.client("lambda").invoke(
            FunctionName=self.stack.outputs["ReconcileEvaluationsFunctionName"], Payload=b'{"grace_seconds": 0}'
        )
        payload: dict[str, Any] = json.loads(answer["Payload"].read())
        return {"error": payload} if "FunctionError" in answer else payload

    def announced(self, seed: int) -> list[str]:
        kinds = ("EvaluationCompleted", "EvaluationFailed")
        return [
            event["detail-type"]
            for event in self.stack.events()
            if event["detail-type"] in kinds and event["detail"]["evaluation_id"] == self.ids[seed]
        ]

    def mailed(self, seed: int) -> int:
        return sum(self.ids[seed] in mail["text"] for mail in self.stack.mails())

    def resources(self) -> set[str]:
        """Every endpoint, configuration and model that exists."""
        sagemaker = self.stack.client("sagemaker")
        return {
            *(item["EndpointArn"] for item in sagemaker.list_endpoints(MaxResults=100)["Endpoints"]),
            *(item["EndpointConfigArn"] for item in sagemaker.list_endpoint_configs(MaxResults=100)["EndpointConfigs"]),
            *(item["ModelArn"] for item in sagemaker.list_models(MaxResults=100)["Models"]),
        }

    def create_foreign(self) -> set[str]:
        """Things that are not ours: without tags, of another stack, and of an evaluation's name but no owner."""
        sagemaker = self.stack.client("sagemaker")
        role = self.stack.outputs["PipelineRoleArn"]
        image = {"Image": "somebody-elses:1", "Environment": {"ASSAY_LOCAL_MODEL": "echo"}}
        tags = {
            "untagged": {},
            "other-stack": {"assay:owner": "another-stack", "assay:evaluation": "0" * 32},
            "no-owner": {"assay:evaluation": "0" * 32},
        }
        for name, values in tags.items():
            given = [{"Key": key, "Value": value} for key, value in values.items()]
            sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=image, Tags=given)
            variant = {"VariantName": "v", "ModelName": name, "InstanceType": "ml.t2.medium", "InitialInstanceCount": 1}
            sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], Tags=given)
            sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=given)
        return self.resources()


@contextlib.contextmanager
def a_cloud() -> Iterator[Cloud]:
    """A local cloud in a folder of its own, with what `sam build` made deployed into it."""
    with tempfile.TemporaryDirectory(prefix="assay-chaos-", ignore_cleanup_errors=True) as folder:
        project = Path(folder)
        (project / ".assay").mkdir()
        for name in (".venv", ".aws-sam", ".assay/cache", "local"):
            (project / name).symlink_to(PROJECT / name)
        try:
            yield Cloud(local_cloud.up(project, time_scale=TIME_SCALE, warm_steps=True))
        finally:
            local_cloud.down(project)


@dataclass
class Report:
    """What became of some seeds; `faults` says what should not be."""

    lines: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def run_seeds(seeds: Sequence[int]) -> Report:
    """Run some seeds at once in one cloud, and look at what is left."""
    runs = [run_of(seed) for seed in seeds]
    report = Report()
    with a_cloud() as cloud:
        foreign = cloud.create_foreign()
        for run in runs:
            cloud.drop(run)
        _await_the_end(cloud, runs)
        done = _reconcile(cloud, runs, foreign)
        _check(cloud, runs, foreign, report, done)
    return report


def _await_the_end(cloud: Cloud, runs: Sequence[Run]) -> None:
    """Wait until each pipeline has ended, stopping those that are to be stopped; some may never start."""
    deadline = time.monotonic() + SETTLE_SECONDS
    started: dict[int, float] = {}
    waiting = list(runs)
    while waiting and time.monotonic() < deadline:
        for run in list(waiting):
            execution = cloud.execution(run)
            if execution is None:
                continue
            since = started.setdefault(run.seed, time.monotonic())
            status = execution["PipelineExecutionStatus"]
            if status in ("Succeeded", "Failed", "Stopped"):
                waiting.remove(run)
            elif run.kind == "stop" and status == "Executing" and time.monotonic() - since >= run.stop_after:
                cloud.stack.client("sagemaker").stop_pipeline_execution(
                    PipelineExecutionArn=execution["PipelineExecutionArn"]
                )
        time.sleep(0.5)


def _reconcile(cloud: Cloud, runs: Sequence[Run], foreign: set[str]) -> list[dict[str, Any]]:
    """Reconcile until nothing is left to do: the first rounds may meet faults that are still there."""
    done = []
    for number in range(ROUNDS):
        if number == 2:
            cloud.forget_faults()
        done.append(cloud.reconcile())
        time.sleep(1.0 + number / 2)
        finished = all(cloud.announced(run.seed) and cloud.mailed(run.seed) for run in runs)
        if number > 2 and finished and cloud.resources() == foreign:
            break
    return done


def _check(
    cloud: Cloud, runs: Sequence[Run], foreign: set[str], report: Report, done: Sequence[dict[str, Any]]
) -> None:
    left = cloud.resources()
    report.faults += [f"left: {arn}" for arn in sorted(left - foreign)]
    report.faults += [f"gone, and was not ours: {arn}" for arn in sorted(foreign - left)]
    for run in runs:
        item, announced, mailed = cloud.item(run.seed), cloud.announced(run.seed), cloud.mailed(run.seed)
        status = item.get("status", "unknown")
        reconciled = sorted(
            {name for round_ in done for name, value in round_.items() if cloud.ids[run.seed] in str(value)}
        )
        report.outcomes[f"{run.kind}: {status}"] += 1
        reason = item.get("reason", "")
        report.lines.append(
            f"seed {run.seed:4d}  {status:9s}  {run}  {' '.join(reconciled)}{': ' + reason if reason else ''}"
        )
        wanted = {"completed": ["EvaluationCompleted"], "failed": ["EvaluationFailed"]}.get(status)
        if announced != wanted:
            report.faults.append(f"seed {run.seed}: {status}, announced: {announced}")
        if mailed != 1:
            report.faults.append(f"seed {run.seed}: {status}, {mailed} mails")
        execution = cloud.execution(run)
        if execution is not None and execution["PipelineExecutionStatus"] in ("Executing", "Stopping"):
            report.faults.append(f"seed {run.seed}: its pipeline is still {execution['PipelineExecutionStatus']}")
    if report.faults:
        report.lines += [f"reconciler: {json.dumps(answer)[:600]}" for answer in done]


def main() -> int:
    """Run many seeds, some at a time in a cloud, and print what became of each."""
    parser = argparse.ArgumentParser(prog="tests.end_to_end.chaos", description=__doc__)
    parser.add_argument("--seeds", default="0-199", help="first-last")
    parser.add_argument("--at-once", type=int, default=8, help="seeds in one cloud")
    options = parser.parse_args()
    first, _, last = options.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    began, ran, outcomes, faults = time.monotonic(), 0, Counter[str](), list[str]()
    for start in range(0, len(seeds), options.at_once):
        report = run_seeds(seeds[start : start + options.at_once])
        ran += sum(report.outcomes.values())
        outcomes += report.outcomes
        faults += report.faults
        print("\n".join([*report.lines, *report.faults]), flush=True)  # noqa: T201
    print(f"{ran} runs, seeds {options.seeds}, {time.monotonic() - began:.0f} s: {len(faults)} faults")  # noqa: T201
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:4d}  {outcome}")  # noqa: T201
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
