"""`assay history`: the evaluations of a suite over time, their winners, champions and drift."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay.aws.approvals import PackageState, package_state
from assay.aws.champions import Champions
from assay.aws.evaluation_files import EvaluationFiles
from assay.aws.history import EvaluationHistory, PastEvaluation
from assay.aws.storage import Storage
from assay.contracts.config import SuiteConfig
from assay.contracts.errors import ObjectNotFoundError, RejectedError
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Comparison, Manifest, Mean
from assay.decision.drift import Changed, Drift, drift, what_changed
from cli.output import FAILED, CommandError, make_console, told
from cli.target import ProfileOption, StackOption, Target, resolve, told_by_aws


@dataclass(frozen=True)
class Results:
    """What a completed evaluation left in S3."""

    files: EvaluationFiles
    config: SuiteConfig
    manifest: Manifest
    comparison: Comparison


@dataclass(frozen=True)
class Movement:
    """One model against the last evaluation before that read the same catalog.

    Attributes:
        since: that evaluation's id; None when there is none that has the model.
        changed: what differs besides time; the scores are compared only where nothing does.
    """

    model: str
    since: str | None
    changed: list[Changed]
    drift: Drift | None


@dataclass(frozen=True)
class Entry:
    """One evaluation of the history.

    Attributes:
        catalog_changed: whether the catalog is another than that of the evaluation before; None for the first, and
            where one of the two left nothing.
    """

    evaluation: PastEvaluation
    results: Results | None
    package: PackageState | None
    is_champion: bool
    catalog_changed: bool | None
    movements: list[Movement]


def history(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="The suite's name.")],
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200, help="How many, the newest first.")] = 10,
    all_models: Annotated[
        bool, typer.Option("--all-models", help="Drift of every model, not of winners only.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="All of it as JSON.")] = False,
    profile: ProfileOption = None,
    stack: StackOption = None,
) -> None:
    """Show a suite's evaluations over time: winners, gates, approvals, the champion, and drift.

    Exit code: 0 shown, 1 the suite was never evaluated, 2 not done.
    """
    with told():
        target = resolve(profile, stack)
        with told_by_aws(f"{target.place}: "):
            entries = read_history(target, suite, limit, all_models=all_models)
        if not entries:
            raise CommandError(f"{target.place} has no evaluation of the suite {suite}", FAILED)
        console = make_console()
        if as_json:
            console.print_json(json.dumps([as_values(entry) for entry in entries]))
        else:
            print_history(suite, entries, console)


def read_history(target: Target, suite: str, limit: int, *, all_models: bool) -> list[Entry]:
    """The last evaluations of a suite, the newest first."""
    # One more, which the oldest that is shown is compared with.
    past = EvaluationHistory(target.table, target.client("dynamodb")).of_suite(suite, limit + 1)
    results = [_results(target, evaluation) for evaluation in past]
    newest = next((found for found in results if found is not None), None)
    champion = None if newest is None else Champions(target.client("sagemaker")).of(newest.config)
    entries = []
    for index, (evaluation, found) in enumerate(zip(past, results, strict=True)):
        if index == limit:
            break
        earlier = [item for item in results[index + 1 :] if item is not None]
        package = _package(target, evaluation)
        entries.append(
            Entry(
                evaluation=evaluation,
                results=found,
                package=package,
                is_champion=champion is not None and package is not None and champion.arn == package.arn,
                catalog_changed=_catalog_changed(found, earlier),
                movements=_movements(found, earlier, all_models=all_models),
            )
        )
    return entries


def _results(target: Target, evaluation: PastEvaluation) -> Results | None:
    """What it left, None where it has not completed, or where what it left is gone or can no longer be read."""
    if evaluation.status != "completed":
        return None
    paths = EvaluationPaths(evaluation.bucket, evaluation.suite, evaluation.evaluation_id)
    files = EvaluationFiles(paths, Storage(evaluation.bucket, target.client("s3")))
    try:
        return Results(files, files.config(), files.manifest(), files.comparison())
    except (ObjectNotFoundError, RejectedError):
        return None


def _package(target: Target, evaluation: PastEvaluation) -> PackageState | None:
    if evaluation.model_package_arn is None:
        return None
    try:
        described = target.client("sagemaker").describe_model_package(ModelPackageName=evaluation.model_package_arn)
    except ClientError as error:
        if "does not exist" not in str(error):
            raise
        return None
    return package_state(described)


def _catalog_changed(found: Results | None, earlier: Sequence[Results]) -> bool | None:
    if found is None or not earlier:
        return None
    return not _same_catalog(found, earlier[0])


def _same_catalog(now: Results, then: Results) -> bool:
    return now.manifest.catalog.sha256 == then.manifest.catalog.sha256 and now.config.dataset == then.config.dataset


def _movements(found: Results | None, earlier: Sequence[Results], *, all_models: bool) -> list[Movement]:
    if found is None:
        return []
    winner = found.comparison.winner
    names = [model.name for model in found.config.models] if all_models else [winner] if winner is not None else []
    return [_movement(name, found, earlier) for name in names]


def _movement(model: str, now: Results, earlier: Sequence[Results]) -> Movement:
    for then in earlier:
        if _same_catalog(now, then) and model in [item.name for item in then.config.models]:
            changed = what_changed(model, now.config, then.config, same_catalog=True)
            moved = None
            if not changed:
                moved = drift(now.files.scores_of(model), then.files.scores_of(model), now.config)
            return Movement(model, then.manifest.evaluation_id, changed, moved)
    return Movement(model, None, [], None)


def as_values(entry: Entry) -> dict[str, Any]:
    """An entry for --json."""
    evaluation, results, package = entry.evaluation, entry.results, entry.package
    mean = _mean(results)
    return {
        "evaluation_id": evaluation.evaluation_id,
        "requested_at": evaluation.requested_at.isoformat(),
        "status": evaluation.status,
        "reason": evaluation.reason,
        "catalog_sha256": None if results is None else results.manifest.catalog.sha256,
        "catalog_changed": entry.catalog_changed,
        "winner": evaluation.winner,
        "metric": None if results is None else results.comparison.metric,
        "score": None if mean is None else mean.model_dump(mode="json"),
        "gate": evaluation.gate,
        "package": None
        if package is None
        else {
            "arn": package.arn,
            "version": package.version,
            "approval_status": package.status,
            "decided_by": package.decided_by,
            "decided_at": package.decided_at,
            "note": package.note,
        },
        "is_champion": entry.is_champion,
        "against_last_on_this_catalog": [asdict(movement) for movement in entry.movements],
    }


def print_history(suite: str, entries: Sequence[Entry], console: Console) -> None:
    """Print the table, and what its words mean."""
    table = Table(title=f"{suite}: {len(entries)} evaluations, the newest first", title_justify="left")
    for name in ("requested", "evaluation", "catalog", "winner", "score", "gate", "package", "drift"):
        table.add_column(name, overflow="fold")
    for entry in entries:
        table.add_row(*_row(entry))
    console.print(table)
    console.print(
        Text(
            "drift: the winner against the last evaluation before on the same catalog, where neither the model nor the "
            "scoring changed; a * marks a catalog that is not that of the evaluation before"
        )
    )


def _row(entry: Entry) -> list[str]:
    evaluation, results = entry.evaluation, entry.results
    catalog = "" if results is None else results.manifest.catalog.sha256[:8] + ("*" if entry.catalog_changed else "")
    winner = evaluation.winner or ("none" if evaluation.status == "completed" else evaluation.status)
    return [
        evaluation.requested_at.strftime("%Y-%m-%d %H:%M"),
        evaluation.evaluation_id,
        catalog,
        winner,
        _score(_mean(results)),
        evaluation.gate or "",
        _package_words(entry),
        "\n".join(_movement_words(movement, alone=len(entry.movements) == 1) for movement in entry.movements),
    ]


def _mean(results: Results | None) -> Mean | None:
    if results is None or results.comparison.winner is None:
        return None
    ranked = next(item for item in results.comparison.models if item.model == results.comparison.winner)
    metric = results.comparison.metric
    return next((item.mean for item in ranked.scores if f"{item.algorithm}.{item.score}" == metric), None)


def _score(mean: Mean | None) -> str:
    if mean is None or mean.value is None:
        return ""
    return f"{mean.value:.3f}" + ("" if mean.low is None else f" ({mean.low:.3f} to {mean.high:.3f})")


def _package_words(entry: Entry) -> str:
    package = entry.package
    if package is None:
        return ""
    status = {"PendingManualApproval": "waits", "Approved": "approved", "Rejected": "rejected"}[package.status]
    when = "" if package.decided_at is None else f" {package.decided_at[:10]}"
    return f"{package.version} {status}{when}{', champion' if entry.is_champion else ''}"


def _movement_words(movement: Movement, *, alone: bool) -> str:
    prefix = "" if alone else f"{movement.model}: "
    moved = movement.drift
    if movement.since is None:
        return f"{prefix}first on this catalog"
    if movement.changed:
        return f"{prefix}{' and '.join(movement.changed)} changed"
    if moved is None or moved.difference is None:
        return f"{prefix}no scores to compare"
    bounds = "" if moved.low is None else f" ({moved.low:+.3f} to {moved.high:+.3f})"
    words = {"better": "better", "worse": "worse"}.get(moved.verdict, "none shown")
    return f"{prefix}{words}: {moved.difference:+.3f}{bounds}"
