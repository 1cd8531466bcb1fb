"""What a step lays on its own disk while it evaluates a model, so that memory does not grow with the catalog."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol

from assay.contracts.catalog import Record


class Downloads(Protocol):
    """A bucket."""

    def download(self, key: str, path: str, /) -> None:
        """Write the whole object to a file."""
        ...


class Workfiles:
    """A folder of one evaluation's own, with its catalog. Use it as a context, which deletes the folder.

    The catalog is fetched whole before anybody is asked: a connection to S3 would not outlive hours of asking.

    Args:
        storage: the bucket.
        catalog: key of the normalised catalog.
    """

    def __init__(self, storage: Downloads, catalog: str) -> None:
        self._storage = storage
        self._key = catalog
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Workfiles:
        self._folder = tempfile.TemporaryDirectory(prefix="assay-")
        self._storage.download(self._key, str(self.path("catalog.jsonl")))
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def path(self, name: str) -> Path:
        """A file in the folder."""
        if self._folder is None:
            raise ValueError("the folder is there inside of the context only")
        return Path(self._folder.name) / name

    def records(self) -> Iterator[Record]:
        """The catalog's records in order, one in memory."""
        with self.path("catalog.jsonl").open("rb") as lines:
            for line in lines:
                yield Record.model_validate_json(line)
