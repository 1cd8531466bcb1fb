"""Training data that lie in the stack's bucket are checked when an evaluation starts, before it costs anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

from assay.contracts import yaml_positions
from assay.contracts.config import SuiteConfig
from assay.contracts.errors import RejectedError
from assay.contracts.training_data import Folder, check_training_data

# Of each channel. A function has minutes only; the finetune step reads all of it before it pays for a training job.
LOOKED_AT_BYTES = 16_000_000


class Bucket(Protocol):
    """The stack's bucket."""

    bucket: str

    def keys(self, prefix: str) -> list[str]: ...
    def chunks(self, key: str) -> Iterator[bytes]: ...


class BucketFolder:
    """One object of the bucket, or everything below a prefix."""

    def __init__(self, store: Bucket, key: str) -> None:
        self._store = store
        self._key = key.strip("/")

    def names(self) -> list[str]:
        below = f"{self._key}/"
        return [
            key.rpartition("/")[2] if key == self._key else key.removeprefix(below)
            for key in self._store.keys(self._key)
            if (key == self._key or key.startswith(below)) and not key.endswith("/")
        ]

    def chunks(self, name: str) -> Iterator[bytes]:
        whole = self._key.rpartition("/")[2] == name and self._key in self._store.keys(self._key)
        return self._store.chunks(self._key if whole else f"{self._key}/{name}")


def check_before_start(config: SuiteConfig, text: bytes, subject: str, store: Bucket) -> None:
    """Refuse a config whose training data, where they lie in the stack's bucket, are not what it says of them.

    Args:
        config: as it was written, without contenders in the place of models.
        text: the file that it was read from, to name lines.
        subject: the file's key.

    Raises:
        RejectedError: of the config, with the first faults of each channel.
    """
    own = f"s3://{store.bucket}/"

    def folder_of(path: str) -> Folder | None:
        key = path.removeprefix(own)
        return None if key.startswith("s3://") else BucketFolder(store, key)

    check_as_named(config, text, subject, folder_of, most_bytes=LOOKED_AT_BYTES)


def check_as_named(
    config: SuiteConfig,
    text: bytes,
    subject: str,
    folder_of: Callable[[str], Folder | None],
    *,
    most_bytes: int | None = None,
) -> dict[str, dict[str, int]]:
    """Check the training data that a config names, and tell each fault at its line of the config.

    Args:
        folder_of: what lies at a path; None for what is not to be looked at.
        most_bytes: how much of each channel to read; all of it when None.

    Returns:
        The number of examples by model and channel.

    Raises:
        RejectedError: of the config.
    """
    if not any(model.finetuning_config for model in config.models):
        return {}
    counts, faults = check_training_data(config, folder_of, most_bytes=most_bytes)
    if faults:
        document = yaml_positions.load(text, subject)
        placed = []
        for fault in faults:
            line, column = document.position(_path(document.values, fault.key))
            placed.append(replace(fault, line=line, column=column))
        raise RejectedError(subject, placed)
    return counts


def _path(values: object, key: str) -> tuple[str | int, ...]:
    """Where a key such as `models[0].finetuning_config.train_data_path` stands, in either spelling."""
    index = int(key.partition("[")[2].partition("]")[0])
    model = values["models"][index] if isinstance(values, dict) else {}
    section = "finetuning" if "finetuning" in model else "finetuning_config"
    return ("models", index, section, key.rpartition(".")[2])
