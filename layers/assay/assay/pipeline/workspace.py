"""The folder that a pipeline definition ships: this package, and nothing else.

cloudpickle pickles step functions by reference, so a step's process must be able to import `assay`, which no image
holds. The SDK's own way to ship code is to zip the working directory; so the package is copied alone into a fresh one.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import assay


@contextlib.contextmanager
def package_alone() -> Iterator[Path]:
    """Be, for a while, in a working directory that holds the package `assay` and nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(
            Path(assay.__file__).parent, Path(folder) / "assay", ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
        with contextlib.chdir(folder):
            yield Path(folder)
