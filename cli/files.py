"""Configs and catalogs on disk: which is which, which belong together, and what is wrong with them."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assay.contracts.catalog import Record, read_catalog
from assay.contracts.catalog_needs import Needs, needs_of
from assay.contracts.config import SuiteConfig, load_config
from assay.contracts.dataset import DatasetSection
from assay.contracts.errors import Fault, RejectedError
from assay.pipeline.training import check_as_named
from cli.output import CommandError

CONFIG_ENDINGS = (".yaml", ".yml")
CATALOG_ENDINGS = (".jsonl", ".csv", ".gz")
_PIECE = 262_144


@dataclass(frozen=True)
class Suite:
    """A config on disk, checked."""

    path: Path
    text: bytes
    config: SuiteConfig

    @property
    def catalog_name(self) -> str | None:
        """The catalog's name below catalogs/, None where the config places it elsewhere."""
        key = self.config.dataset.catalog_key()
        if key.startswith("s3://"):
            key = key.removeprefix("s3://").partition("/")[2]
        return key.removeprefix("catalogs/") if key.startswith("catalogs/") else None

    def needs(self) -> Needs:
        """What its models and algorithms need of the catalog."""
        return needs_of(self.config, self.text, str(self.path))

    def local_catalog(self) -> Path | None:
        """The catalog in the folder `catalogs` beside the config's own folder, None where it is not there."""
        if self.catalog_name is None:
            return None
        path = Path(os.path.normpath(self.path.parent / ".." / "catalogs" / self.catalog_name))
        return path if path.is_file() else None

    def check_local_training_data(self) -> int:
        """Check the training data that lie beside the config's own folder, as they would in the bucket.

        Returns:
            The number of examples; 0 where none are there.

        Raises:
            RejectedError: with every fault.
            CommandError: a file cannot be read.
        """

        def folder_of(path: str) -> LocalChannel | None:
            local = Path(os.path.normpath(self.path.parent / ".." / path))
            return LocalChannel(local) if not path.startswith("s3://") and local.exists() else None

        counts = check_as_named(self.config, self.text, str(self.path), folder_of)
        return sum(count for channels in counts.values() for count in channels.values())


@dataclass(frozen=True)
class LocalChannel:
    """Training data on disk, as they will lie in the bucket: one file, or everything below a folder."""

    path: Path

    def names(self) -> list[str]:
        if self.path.is_file():
            return [self.path.name]
        return sorted(file.relative_to(self.path).as_posix() for file in self.path.rglob("*") if file.is_file())

    def chunks(self, name: str) -> Iterator[bytes]:
        path = self.path if self.path.is_file() else self.path / name
        try:
            with path.open("rb") as file:
                yield from iter(lambda: file.read(_PIECE), b"")
        except OSError as error:
            raise unreadable(path, error) from error


def is_config(path: Path) -> bool:
    """Whether a file is a config: by its ending, else by whether it starts as JSON does.

    Raises:
        CommandError: it cannot be read.
    """
    name = path.name.lower()
    if name.endswith(CONFIG_ENDINGS):
        return True
    if name.endswith(CATALOG_ENDINGS):
        return False
    try:
        with path.open("rb") as file:
            return not file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    except OSError as error:
        raise unreadable(path, error) from error


def read_config(path: Path) -> Suite:
    """Read and check a config.

    Raises:
        RejectedError: with every fault.
        CommandError: the file cannot be read.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    return Suite(path, text, load_config(text, str(path)))


def read_records(path: Path, dataset: DatasetSection, needs: Needs | None = None) -> Iterator[Record]:
    """Read a catalog record by record.

    Raises:
        RejectedError: with every fault, when the file has ended; of the config where it alone is at fault.
        CommandError: the file cannot be read.
    """
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
            yield from read_catalog(iter(lambda: file.read(_PIECE), b""), dataset, str(path), needs)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise RejectedError(str(path), [Fault(f"not a whole gzip file: {error}")]) from error
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> CommandError:
    """What to say of a file that cannot be read."""
    return CommandError(f"{path}: {error.strerror or error}")
