"""The main job, shown: a dropped config becomes a decision and a mail."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from assay.aws.evaluations import Evaluations
from assay.contracts.config import load_config
from assay.contracts.evaluation import EvaluationPaths, ObjectVersion, evaluation_id
from assay.contracts.results import Comparison
from cli import local_cloud
from cli.decision import print_decision
from cli.follow import Follower
from cli.local_cloud import Stack
from cli.progress import watch
from local.cloud import LocalCloudError

CATALOG = "examples/catalogs/general-knowledge.jsonl"
CONFIG = "examples/configs/general-knowledge.yaml"


@dataclass(frozen=True)
class Dropped:
    """Two files in the bucket, and the evaluation they ask for."""

    evaluation_id: str
    suite: str


def run_demo(project: Path, console: Console, *, seconds: float) -> None:
    """Start the local cloud, drop the example, watch, and print ranking, verdict and where everything is.

    Raises:
        LocalCloudError: the evaluation failed; the message says where to look.
        TimedOutError: it had not ended after `seconds`.
    """
    started = time.monotonic()
    console.print("[bold]starting the local cloud[/] and deploying template.yaml into it")
    stack = local_cloud.up(project)
    elapsed = time.monotonic() - started
    console.print(f"{elapsed:6.1f} s  serving at {stack.settings.endpoint_url}; IAM and quotas are not checked here")
    dropped = drop(stack, project / CATALOG, project / CONFIG)
    console.print(
        f"{time.monotonic() - started:6.1f} s  dropped catalogs/{Path(CATALOG).name} and configs/{Path(CONFIG).name}"
    )
    follower = Follower(
        stack.client("sagemaker"),
        stack.client("stepfunctions"),
        Evaluations(stack.outputs["EvaluationsTable"], stack.client("dynamodb")),
    )
    snapshot = watch(lambda: follower.snapshot(dropped.evaluation_id), console, seconds=seconds)
    if snapshot.status != "completed":
        raise LocalCloudError(
            f"evaluation {dropped.evaluation_id} ended as {snapshot.status}; see `assay local logs` and "
            f"{stack.settings.home / 'mails'}"
        )
    show(stack, dropped, console)
    stack.rest()
    console.print(
        f"[dim]{time.monotonic() - started:.0f} s in all; the local cloud goes on: assay local down ends it[/]"
    )


def drop(stack: Stack, catalog: Path, config: Path) -> Dropped:
    """Put catalog and config into the stack's bucket, as people do."""
    bucket = stack.outputs["BucketName"]
    versions = []
    for path, prefix in ((catalog, "catalogs"), (config, "configs")):
        key = f"{prefix}/{path.name}"
        put = stack.client("s3").put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
        versions.append(ObjectVersion(bucket, key, put["VersionId"]))
    catalog_version, config_version = versions
    suite = load_config(config.read_bytes(), config.name).suite
    return Dropped(evaluation_id(config_version, catalog_version), suite)


def show(stack: Stack, dropped: Dropped, console: Console) -> None:
    """Fetch report, comparison and mail, and print the decision."""
    paths = EvaluationPaths(stack.outputs["BucketName"], dropped.suite, dropped.evaluation_id)
    folder = stack.settings.project / ".assay/demo" / dropped.evaluation_id
    folder.mkdir(parents=True, exist_ok=True)
    report = _fetch(stack, paths, paths.report, folder / "report.html")
    comparison_file = _fetch(stack, paths, paths.comparison, folder / "comparison.json")
    comparison = Comparison.model_validate_json(comparison_file.read_bytes())
    console.print()
    print_decision(comparison, console)
    console.print()
    for name, path in (("report", report), ("comparison", comparison_file), ("mail", _mail(stack, dropped))):
        console.print(f"{name}: {path}", soft_wrap=True)


def _fetch(stack: Stack, paths: EvaluationPaths, key: str, target: Path) -> Path:
    target.write_bytes(stack.client("s3").get_object(Bucket=paths.bucket, Key=key)["Body"].read())
    return target


def _mail(stack: Stack, dropped: Dropped) -> Path:
    """The file of the mail that tells of this evaluation; SNS may be a moment behind the state machine."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for mail in reversed(stack.mails()):
            if dropped.evaluation_id in mail["text"]:
                return Path(mail["path"])
        time.sleep(0.2)
    raise LocalCloudError(f"no mail tells of evaluation {dropped.evaluation_id}")
