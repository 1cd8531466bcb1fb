"""`assay validate`: what is wrong with configs and catalogs, told as a compiler tells it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from assay.contracts.catalog_needs import Needs
from assay.contracts.dataset import DatasetSection
from assay.contracts.errors import Fault, RejectedError
from cli.files import Suite, is_config, read_config, read_records
from cli.output import FAILED, UNUSABLE, CommandError, told


@dataclass
class Findings:
    """What was found so far.

    Attributes:
        faults: the path as it was given, and the fault.
        total: faults counted, where `faults` holds only the first of a file.
        valid: a sentence of each file without a fault.
        unreadable: a sentence of each file that could not be read.
        unchecked: catalogs whose field names are not known, since a config that may say them is at fault.
    """

    faults: list[tuple[str, Fault]] = field(default_factory=list)
    total: int = 0
    checked: int = 0
    faulty: set[str] = field(default_factory=set)
    valid: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    faulty_configs: bool = False
    field_names_assumed: bool = False

    def refuse(self, path: Path, error: RejectedError) -> None:
        self.checked += 1
        self.total += error.total
        self.faulty.add(str(path))
        # A config that was valid by itself may name what its catalog does not have.
        self.valid = [sentence for sentence in self.valid if not sentence.startswith(f"{path}: ")]
        self.faults += [(str(path), fault) for fault in error.faults]

    def accept(self, sentence: str) -> None:
        self.checked += 1
        self.valid.append(sentence)

    @property
    def code(self) -> int:
        if self.unreadable:
            return UNUSABLE
        return FAILED if self.faults else 0


def check(files: list[Path], config: Path | None) -> Findings:
    """Check files, the catalogs of configs with them; each pair of catalog and field names once."""
    findings = Findings()
    suites: list[Suite] = []
    catalogs: list[Path] = []
    for path in dict.fromkeys(files):
        try:
            if not is_config(path):
                catalogs.append(path)
                continue
            suites.append(read_config(path))
            names = f"{len(suites[-1].config.models)} models" if len(suites[-1].config.models) > 1 else "1 model"
            examples = suites[-1].check_local_training_data()
            trained = f", {examples:,} examples to train on and to validate with" if examples else ""
            findings.accept(f"{path}: suite {suites[-1].config.suite}, {names}{trained}")
        except RejectedError as error:
            findings.refuse(path, error)
            findings.faulty_configs = True
        except CommandError as error:
            findings.unreadable.append(str(error))
    named = _named(config, findings)
    given = {path.resolve(): path for path in catalogs}
    done: set[Path] = set()
    for suite in suites:
        catalog = suite.local_catalog()
        if catalog is None:
            continue
        _catalog(given.get(catalog.resolve(), catalog), suite.config.dataset, suite.needs(), findings, suite.path)
        done.add(catalog.resolve())
    for path in catalogs:
        if path.resolve() in done and config is None:
            continue
        if named is None and findings.faulty_configs:
            findings.unchecked.append(str(path))
            continue
        findings.field_names_assumed |= named is None
        if named is None:
            _catalog(path, DatasetSection(input_data_location=path.name), None, findings, config)
        else:
            _catalog(path, named.config.dataset, named.needs(), findings, config)
    return findings


def _named(config: Path | None, findings: Findings) -> Suite | None:
    if config is None:
        return None
    try:
        return read_config(config)
    except RejectedError as error:
        findings.faulty_configs = True
        if str(config) not in findings.faulty:
            findings.refuse(config, error)
    except CommandError as error:
        findings.faulty_configs = True
        findings.unreadable.append(str(error))
    return None


def _catalog(path: Path, dataset: DatasetSection, needs: Needs | None, findings: Findings, config: Path | None) -> None:
    try:
        records = sum(1 for _ in read_records(path, dataset, needs))
    except RejectedError as error:
        findings.refuse(Path(error.subject), error)
    except CommandError as error:
        findings.unreadable.append(str(error))
    else:
        how = "" if config is None else f" with {config}"
        findings.accept(f"{path}: {records:,} record{'s' if records != 1 else ''}{how}")


def line_of(path: str, fault: Fault) -> str:
    """`path:line:column: key: message`, as editors and CI read it."""
    place = ":".join(str(part) for part in (path, fault.line, fault.column) if part is not None)
    return ": ".join(part for part in (place, fault.key, fault.message) if part)


def validate(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Configs (.yaml, .yml) and catalogs (.jsonl, .csv, each also .gz)."),
    ],
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Config that says where a catalog's fields lie.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a list of {file, line, column, key, message} instead.")
    ] = False,
) -> None:
    """Check configs and catalogs, and name every fault with its line. Asks no cloud.

    The catalog of a config is checked with it where it lies in ../catalogs beside it, and training data where they lie
    below .. as they will in the bucket.
    Exit code: 0 all valid, 1 faults found, 2 a file could not be read.
    """
    with told():
        findings = check(files, config)
        if as_json:
            rows = [
                {"file": path, "line": fault.line, "column": fault.column, "key": fault.key, "message": fault.message}
                for path, fault in findings.faults
            ]
            typer.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        else:
            _print(findings)
        for sentence in findings.unreadable:
            typer.echo(f"error: {sentence}", err=True)
        raise typer.Exit(findings.code)


def _print(findings: Findings) -> None:
    for path, fault in findings.faults:
        typer.echo(line_of(path, fault))
    for sentence in findings.valid:
        typer.echo(f"valid {sentence}")
    for path in findings.unchecked:
        typer.echo(f"not checked {path}: a config is at fault, and where the fields lie is not known without it")
    if findings.faults and findings.field_names_assumed:
        typer.echo("a catalog was read by the default field names; --config FILE gives it others")
    shown = f", {len(findings.faults)} shown" if findings.total > len(findings.faults) else ""
    faults = f"{findings.total} fault{'s' if findings.total != 1 else ''}{shown}" if findings.total else "no faults"
    typer.echo(f"{findings.checked} checked: {faults}")
