"""Built code, kept by the hash of its content: what a function or a layer runs from is never the project's own folder.

A copy cannot change under a warm process, a changed build has a new name (so that an update is noticed), and the
names fit CloudFormation's `{S3Bucket, S3Key}` without a zip being made.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

from local.cloud import LocalCloudError

BUCKET = "assay-local-artefacts"


def store(home: Path, source: Path) -> str:
    """Copy the file or folder `source` below `home` and return its key.

    Raises:
        LocalCloudError: `source` is not there.
    """
    if not source.exists():
        raise LocalCloudError(f"{source} does not exist: `make build` makes it (sam build)")
    key = _digest(source)
    target = path(home, key)
    if not target.exists():
        scratch = target.with_name(f"{key}.{uuid.uuid4().hex}")
        scratch.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, scratch, symlinks=True)
        else:
            shutil.copy2(source, scratch)
        _settle(scratch, target)
    return key


def path(home: Path, key: str) -> Path:
    """Return where the artefact `key` lies."""
    return home / "artefacts" / key


def size(home: Path, key: str) -> int:
    """Bytes of an artefact, unzipped."""
    artefact = path(home, key)
    if artefact.is_file():
        return artefact.stat().st_size
    return sum(file.stat().st_size for file in artefact.rglob("*") if file.is_file())


def layer_root(home: Path, keys: Sequence[str]) -> Path:
    """Return a folder that holds what /opt would: every layer unpacked in order, a later file over an earlier one.

    Files are hard links, since artefacts never change.
    """
    name = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:32]
    target = home / "artefacts" / f"opt-{name}"
    if not target.exists():
        scratch = target.with_name(f"{target.name}.{uuid.uuid4().hex}")
        scratch.mkdir(parents=True)
        for key in keys:
            _overlay(path(home, key), scratch)
        _settle(scratch, target)
    return target


def _overlay(layer: Path, root: Path) -> None:
    for folder, folders, names in os.walk(layer):
        destination = root / Path(folder).relative_to(layer)
        destination.mkdir(parents=True, exist_ok=True)
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in (*names, *links):
            file = destination / name
            file.unlink(missing_ok=True)
            try:
                os.link(Path(folder) / name, file, follow_symlinks=False)
            except OSError:  # another file system, or one without links
                shutil.copy2(Path(folder) / name, file, follow_symlinks=False)


def _settle(scratch: Path, target: Path) -> None:
    """Give `scratch` its final name; when another process was quicker, its copy is the same and ours goes."""
    try:
        scratch.rename(target)
    except OSError:
        if not target.exists():
            raise
        if scratch.is_dir():
            shutil.rmtree(scratch)
        else:
            scratch.unlink()


def _digest(source: Path) -> str:
    digest = hashlib.sha256()
    if source.is_file():
        digest.update(source.read_bytes())
        return digest.hexdigest()[:32]
    for file in sorted(entry for entry in source.rglob("*") if entry.is_file() or entry.is_symlink()):
        content = str(file.readlink()).encode() if file.is_symlink() else file.read_bytes()
        digest.update(f"{file.relative_to(source)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:32]
