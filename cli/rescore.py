"""`assay rescore`: other scores of an evaluation's stored responses, without asking a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import TypeAdapter, ValidationError
from rich.table import Table

from assay.aws.asset_files import fetch_folder
from assay.aws.evaluation_files import EvaluationFiles
from assay.aws.evaluations import Evaluations
from assay.aws.storage import Storage
from assay.contracts.config import AlgorithmSection
from assay.contracts.errors import ObjectNotFoundError, RejectedError
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Comparison
from assay.pipeline.rescore import rescore, rescore_name
from assay.scoring.assets import Folders, MissingAssetError
from cli.decision import print_decision
from cli.output import CommandError, make_console, told
from cli.target import ProfileOption, StackOption, Target, resolve, told_by_aws


def rescore_command(
    evaluation: Annotated[str, typer.Argument(help="An evaluation's id, or `SUITE/` and the beginning of it.")],
    algorithm: Annotated[
        list[str], typer.Option("--algorithm", "-a", help="An algorithm by its name; may stand several times.")
    ] = [],  # noqa: B006 - typer copies it
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="YAML with `algorithms`, as in a config, for parameters.")
    ] = None,
    profile: ProfileOption = None,
    stack: StackOption = None,
) -> None:
    """Score the stored responses of an evaluation by other algorithms. No model is asked, and nothing is replaced."""
    with told():
        sections = algorithms_of(algorithm, file)
        target = resolve(profile, stack)
        console, errors = make_console(), make_console(stderr=True)
        with told_by_aws(f"{target.place}: "):
            paths = find_evaluation(target, evaluation)
            storage = Storage(target.bucket, target.client("s3"))
            s3 = target.client("s3")
            try:
                comparison = rescore(
                    storage,
                    paths,
                    EvaluationFiles(paths, storage).config(),
                    sections,
                    assets=Folders(lambda uri: fetch_folder(uri, s3)),
                    told=lambda model: errors.print(f"scoring {model}", highlight=False),
                )
            except (MissingAssetError, RejectedError, ValueError, ObjectNotFoundError) as error:
                raise CommandError(str(error)) from error
        print_scores(comparison, console)
        print_decision(comparison, console)
        console.print(f"kept below {paths.root}/rescored/{rescore_name(sections)}/", soft_wrap=True, highlight=False)


def algorithms_of(names: list[str], file: Path | None) -> list[AlgorithmSection]:
    """The algorithms that were asked for.

    Raises:
        CommandError: there are none, or one is not known or wrongly set.
    """
    found: list[Any] = list(names)
    if file is not None:
        try:
            told_by_file = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise CommandError(f"{file}: {' '.join(str(error).split())}") from error
        sections = told_by_file.get("algorithms") if isinstance(told_by_file, dict) else told_by_file
        if not isinstance(sections, list):
            raise CommandError(f"{file} has no list of `algorithms`")
        found += sections
    if not found:
        raise CommandError("say which algorithms: --algorithm NAME, or --file with `algorithms` as in a config")
    try:
        checked = TypeAdapter(list[AlgorithmSection]).validate_python(found)
    except ValidationError as error:
        faults = [f"algorithms[{'.'.join(map(str, item['loc']))}]: {item['msg']}" for item in error.errors()]
        raise CommandError("; ".join(faults)) from error
    twice = [name for name in (item.algorithm for item in checked) if [s.algorithm for s in checked].count(name) > 1]
    if twice:
        raise CommandError(f"the algorithm {twice[0]} stands twice")
    return checked


def find_evaluation(target: Target, evaluation: str) -> EvaluationPaths:
    """The evaluation of that name.

    Raises:
        CommandError: there is none, or the beginning of its id is that of several.
    """
    suite, parted, beginning = evaluation.strip("/").removeprefix("evaluations/").partition("/")
    if not parted:
        state = Evaluations(target.table, target.client("dynamodb")).get(evaluation)
        if state is None:
            raise CommandError(f"{target.place} has no evaluation {evaluation}; SUITE/ID names an older one")
        return EvaluationPaths(target.bucket, state.suite, evaluation)
    found: set[str] = set()
    pages = (
        target.client("s3")
        .get_paginator("list_objects_v2")
        .paginate(Bucket=target.bucket, Prefix=f"evaluations/{suite}/{beginning}", Delimiter="/")
    )
    for page in pages:
        found |= {item["Prefix"].strip("/").split("/")[-1] for item in page.get("CommonPrefixes", [])}
    if len(found) != 1:
        many = f"{len(found)} evaluations begin so: {', '.join(sorted(found)[:5])}" if found else "there is none"
        raise CommandError(f"evaluation {evaluation} in {target.place}: {many}")
    return EvaluationPaths(target.bucket, suite, found.pop())


def print_scores(comparison: Comparison, console: Any) -> None:
    """Every score of every model, those of the catalog too."""
    table = Table(title="scores", title_justify="left")
    for name in ("model", "score", "", "mean", "interval", "n", "failed"):
        table.add_column(name, justify="left" if name in ("model", "score", "") else "right")
    for model in comparison.models:
        for item in model.scores:
            mean = item.mean
            value = "-" if mean.value is None else f"{mean.value:.4f}"
            interval = "-" if mean.low is None else f"{mean.low:.4f} to {mean.high:.4f}"
            arrow = "↑" if item.direction == "higher" else "↓"
            name = f"{item.algorithm}.{item.score}"
            table.add_row(model.model, name, arrow, value, interval, str(mean.n), str(mean.failed))
        for score in model.outcome.dataset_scores:
            value = score.error or "-" if score.value is None else f"{score.value:.4f}"
            arrow = {"higher": "↑", "lower": "↓", None: ""}[score.direction]
            table.add_row(
                model.model, f"{score.algorithm}.{score.score}", arrow, value, "of the catalog", str(score.n), ""
            )
    console.print(table)
