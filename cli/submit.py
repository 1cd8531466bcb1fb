"""`assay submit`: drop a catalog and a config as people do, and follow what comes of it."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError
from rich.console import Console

from assay.aws.evaluation_files import EvaluationFiles
from assay.aws.evaluations import Evaluations
from assay.aws.storage import Storage
from assay.contracts import yaml_positions
from assay.contracts.errors import Fault, ObjectNotFoundError, RejectedError
from assay.contracts.evaluation import EvaluationPaths, ObjectVersion, evaluation_id, rejected_key
from assay.contracts.results import Comparison
from cli.decision import print_decision, print_gate
from cli.files import Suite, read_config, read_records, unreadable
from cli.follow import Follower, Snapshot
from cli.output import FAILED, TIMED_OUT, CommandError, make_console, told
from cli.progress import TimedOutError, watch
from cli.target import ProfileOption, StackOption, Target, resolve, told_by_aws
from cli.validate import line_of

POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Drop:
    """A config in the bucket.

    Attributes:
        catalog_key: where its catalog lies in the bucket, None where the config places it elsewhere.
        catalog: the version of the catalog that it is evaluated with, None when the bucket has none yet.
    """

    suite: str
    config: ObjectVersion
    catalog_key: str | None
    catalog: ObjectVersion | None

    @property
    def evaluation_id(self) -> str:
        """The id that the cloud gives to this evaluation; needs the catalog.

        Raises:
            ValueError: there is no catalog yet.
        """
        if self.catalog is None:
            raise ValueError(f"{self.config.uri} has no catalog yet, so it asks for no evaluation")
        return evaluation_id(self.config, self.catalog)


def read_valid(config: Path, catalog: Path | None) -> tuple[Suite, Path | None]:
    """The config and its local catalog (the given one, else the one beside it), both checked.

    Raises:
        CommandError: with every fault, a line each.
    """
    try:
        suite = read_config(config)
        catalog = catalog if catalog is not None else suite.local_catalog()
        if catalog is not None:
            for _ in read_records(catalog, suite.config.dataset, suite.needs()):
                pass
    except RejectedError as error:
        raise refused(error.subject, list(error.faults), error.total) from error
    return suite, catalog


def refused(path: str, faults: list[Fault], total: int) -> CommandError:
    """What to say of a refused file: its faults as `assay validate` writes them."""
    lines = [line_of(path, fault) for fault in faults]
    return CommandError("\n".join([f"refused, {total} fault{'s' if total != 1 else ''}", *lines]), FAILED)


def drop(target: Target, suite: Suite, catalog: Path | None) -> Drop:
    """Put the catalog, then the config into the bucket. A catalog that is there already, byte for byte, is left alone:
    dropping it again would evaluate every other suite that reads it.

    Raises:
        CommandError: a file cannot be read, another suite's config has its name in the bucket, or AWS refuses.
    """
    storage = Storage(target.bucket, target.client("s3"))
    with told_by_aws(f"s3://{target.bucket}: "):
        config_key = f"configs/{suite.path.name}"
        _check_that_it_replaces_no_other(storage, config_key, suite.config.suite)
        key = _catalog_key(suite, target.bucket)
        if catalog is not None:
            if key is None:
                location = suite.config.dataset.input_data_location
                raise CommandError(
                    f"the catalog lies at {location}, outside of s3://{target.bucket}: it is not uploaded"
                )
            _upload_catalog(storage, key, catalog)
        put = target.client("s3").put_object(
            Bucket=target.bucket, Key=config_key, Body=suite.text, ContentType="application/yaml"
        )
        version = ObjectVersion(target.bucket, config_key, put.get("VersionId"))
        return Drop(suite.config.suite, version, key, _latest(storage, key))


def await_catalog(target: Target, dropped: Drop, seconds: float) -> Drop:
    """Wait until the catalog lies in the bucket.

    Raises:
        CommandError: the config was refused, or the catalog has not come in time.
    """
    storage = Storage(target.bucket, target.client("s3"))
    deadline = time.monotonic() + seconds
    while dropped.catalog is None:
        with told_by_aws():
            if (refusal := rejection(target, dropped)) is not None:
                raise refusal
            dropped = replace(dropped, catalog=_latest(storage, dropped.catalog_key))
        if time.monotonic() > deadline:
            raise CommandError(f"the catalog had not come after {seconds:.0f} s", TIMED_OUT)
        if dropped.catalog is None:
            time.sleep(POLL_SECONDS)
    return dropped


def _check_that_it_replaces_no_other(storage: Storage, key: str, suite: str) -> None:
    """Whoever drops another suite's name under a key ends the suite that it described, and its schedule."""
    try:
        there = yaml_positions.load(storage.read(key), key).values
    except (ObjectNotFoundError, RejectedError):
        return  # nothing there, or nothing that names a suite
    section = there.get("pipeline") if isinstance(there, dict) else None
    name = section.get("name") if isinstance(section, dict) else None
    if isinstance(name, str) and name != suite:
        raise CommandError(
            f"s3://{storage.bucket}/{key} describes the suite {name[:80]!r}, and this file {suite!r}: "
            f"rename this file, or delete that one first if {suite!r} shall take its place; nothing was dropped"
        )


def _latest(storage: Storage, key: str | None) -> ObjectVersion | None:
    return storage.latest(key) if key is not None and storage.exists(key) else None


def _catalog_key(suite: Suite, bucket: str) -> str | None:
    key = suite.config.dataset.catalog_key().removeprefix(f"s3://{bucket}/")
    return None if key.startswith("s3://") else key


def _upload_catalog(storage: Storage, key: str, path: Path) -> None:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        there = storage.source(storage.latest(key)).sha256
    except ObjectNotFoundError:
        there = ""
    if there != digest:
        storage.upload(key, str(path), "application/x-ndjson" if key.endswith(".jsonl") else "binary/octet-stream")


def rejection(target: Target, dropped: Drop) -> CommandError | None:
    """What the cloud found wrong with this very drop, None as long as it has refused nothing."""
    for key in (dropped.config.key, dropped.catalog_key):
        if key is None:
            continue
        try:
            answer = target.client("s3").get_object(Bucket=target.bucket, Key=rejected_key(key))
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                continue
            raise
        body = json.loads(answer["Body"].read())
        if _is_about(body, dropped, answer["LastModified"], target):
            faults = [
                Fault(item["message"], line=item["line"], column=item["column"], key=item["key"])
                for item in body["faults"]
            ]
            return refused(body["subject"], faults, body["total_faults"])
    return None


def _is_about(body: dict[str, Any], dropped: Drop, written: datetime, target: Target) -> bool:
    """Whether a refusal tells of this drop; when the event of its catalog is handled last, it names that one."""
    if body["dropped"]["version_id"] == dropped.config.version_id:
        return True
    if dropped.catalog is None or body["dropped"]["version_id"] != dropped.catalog.version_id:
        return False
    version = {} if dropped.config.version_id is None else {"VersionId": dropped.config.version_id}
    config = target.client("s3").head_object(Bucket=target.bucket, Key=dropped.config.key, **version)
    # An older one is of an older config.
    return dropped.suite in body["suites"] and bool(config["LastModified"] <= written)


def follow(target: Target, dropped: Drop, identifier: str, console: Console, seconds: float) -> Comparison:
    """Follow an evaluation to its decision.

    Raises:
        CommandError: it failed, was refused, or has not ended in time.
    """
    log = Evaluations(target.table, target.client("dynamodb"))
    follower = Follower(target.client("sagemaker"), target.client("stepfunctions"), log)

    def read() -> Snapshot:
        with told_by_aws():
            snapshot = follower.snapshot(identifier)
            if snapshot.status is None and (refusal := rejection(target, dropped)) is not None:
                raise refusal
        return snapshot

    try:
        snapshot = watch(read, console, seconds=seconds)
    except TimedOutError as error:
        raise CommandError(str(error), TIMED_OUT) from error
    with told_by_aws():
        if snapshot.status != "completed":
            reason = f": {snapshot.reason}" if snapshot.reason else ""
            raise CommandError(f"evaluation {identifier} ended as {snapshot.status}{reason}", FAILED)
        key = EvaluationPaths(target.bucket, dropped.suite, identifier).comparison
        return Comparison.model_validate_json(Storage(target.bucket, target.client("s3")).read(key))


def submit(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The suite's config.")],
    catalog: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Its catalog; the one in ../catalogs beside the config when left out."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the evaluation until its verdict.")] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for with --wait.")] = 14_400,
    profile: ProfileOption = None,
    stack: StackOption = None,
) -> None:
    """Check a config and its catalog, drop them into the stack's bucket, and print the evaluation's id.

    Works on the local cloud, or in AWS with --profile or --stack.
    Exit code: 0 dropped (completed with --wait), 1 refused or failed, 2 could not be done, 3 not ended in time.
    """
    console = make_console()
    with told():
        suite, local = read_valid(config, catalog)
        target = resolve(profile, stack)
        dropped = drop(target, suite, local)
        console.print(f"dropped {dropped.config.uri} ({target.place})", soft_wrap=True, markup=False)
        if dropped.catalog is None:
            location = suite.config.dataset.input_data_location
            console.print(f"it starts when its catalog comes: {location}", soft_wrap=True, markup=False)
            if not wait:
                return
            dropped = await_catalog(target, dropped, timeout)
        identifier = dropped.evaluation_id
        console.print(f"evaluation {identifier}", soft_wrap=True)
        if wait:
            comparison = follow(target, dropped, identifier, console, timeout)
            print_decision(comparison, console)
            paths = EvaluationPaths(target.bucket, dropped.suite, identifier)
            with told_by_aws():
                print_gate(EvaluationFiles(paths, Storage(target.bucket, target.client("s3"))).gate(), console)
            console.print(f"report: {paths.uri(paths.report)}", soft_wrap=True, markup=False)
