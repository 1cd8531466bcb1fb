"""A bucket in memory, for what asks little of one."""

from __future__ import annotations

from pathlib import Path


class Bucket:
    """Objects by key.

    Attributes:
        read_keys: each key that was read, as often as it was.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.read_keys: list[str] = []

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))

    def read(self, key: str) -> bytes:
        self.read_keys.append(key)
        return self.objects[key]

    def write(self, key: str, body: bytes, _content_type: str = "") -> None:
        self.objects[key] = body

    def download(self, key: str, path: str) -> None:
        Path(path).write_bytes(self.objects[key])
