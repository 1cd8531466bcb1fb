"""Folders with models and data that algorithms need: opt-in, found or fetched once, and named in the outcome."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from assay.contracts.errors import AssayError
from assay.contracts.results import UsedAsset


class MissingAssetError(AssayError):
    """A folder, file or package that an algorithm needs is not there; the text says which, and how to give it."""


class Assets(Protocol):
    """Finds the folders that a config names."""

    def folder(self, location: str, what: str, /) -> Path:
        """The folder at a path or `s3://` URI; `what` names the parameter in errors.

        Raises:
            MissingAssetError: it is not there.
        """
        ...


class Folders:
    """Folders of this machine, and of S3 when there is a way to fetch them.

    Args:
        fetch: copies everything below an `s3://` URI into a folder, and raises MissingAssetError when there is nothing.
    """

    def __init__(self, fetch: Callable[[str], Path] | None = None) -> None:
        self._fetch = fetch
        self._found: dict[str, Path] = {}

    def folder(self, location: str, what: str) -> Path:
        """As `Assets.folder`; what was found once is not looked for again."""
        if location not in self._found:
            self._found[location] = self._look(location, what)
        return self._found[location]

    def used(self) -> list[UsedAsset]:
        """Every folder that was asked for, with a fingerprint of its content."""
        return [UsedAsset(location=name, sha256=fingerprint(path)) for name, path in sorted(self._found.items())]

    def _look(self, location: str, what: str) -> Path:
        if location.startswith("s3://"):
            if self._fetch is None:
                raise MissingAssetError(f"{what}: {location} cannot be fetched here; give the path of a folder")
            return self._fetch(location)
        path = Path(location)
        if not path.is_dir():
            raise MissingAssetError(
                f"{what}: there is no folder {location}; put it into the evaluation image, or into S3 and give its "
                "s3:// URI"
            )
        return path


def fingerprint(folder: Path) -> str:
    """SHA-256 over the names and contents of a folder's files, hidden ones left out."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{name.as_posix()}\0{content}\n".encode())
    return digest.hexdigest()
