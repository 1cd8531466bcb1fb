"""Responses as parts in S3: `part-00000.jsonl`, `part-00001.jsonl` and so on below one prefix."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from assay.contracts.results import Response

_PART = re.compile(r"part-(\d+)\.jsonl$")


class Objects(Protocol):
    """The few things that are asked of a bucket."""

    def keys(self, prefix: str, /) -> list[str]:
        """Keys below `prefix`."""
        ...

    def read(self, key: str, /) -> bytes:
        """The whole object."""
        ...

    def write(self, key: str, body: bytes, /) -> None:
        """Create or replace an object. It exists whole or not at all."""
        ...


class PartStore:
    """Responses below one prefix of a bucket. One writer at a time: the step of one model.

    Args:
        objects: the bucket.
        prefix: where the parts lie, ending in `/`.
    """

    def __init__(self, objects: Objects, prefix: str) -> None:
        self._objects = objects
        self._prefix = prefix
        self._next: int | None = None

    def append(self, responses: list[Response]) -> None:
        """Write one more part; nothing when there is nothing to write."""
        if not responses:
            return
        if self._next is None:
            self._next = max((number for number, _ in _parts(self._objects, self._prefix)), default=-1) + 1
        body = "".join(f"{response.model_dump_json()}\n" for response in responses)
        self._objects.write(f"{self._prefix}part-{self._next:05d}.jsonl", body.encode())
        self._next += 1

    def answered(self) -> set[str]:
        """Ids of the records that need not be asked again: those whose last response is no failure."""
        return {
            response.record_id for response in read_responses(self._objects, self._prefix) if response.failure is None
        }


def read_responses(objects: Objects, prefix: str) -> Iterator[Response]:
    """One response a record, the one written last; the newest part comes first.

    A record has several when it failed and a restarted step asked it again. Memory holds one part and the ids.
    """
    seen: set[str] = set()
    for _, key in sorted(_parts(objects, prefix), reverse=True):
        # Only "\n" ends a line of JSON; str.splitlines would also cut at U+2028, which JSON leaves unescaped.
        for line in reversed(objects.read(key).split(b"\n")):
            if not line:
                continue
            response = Response.model_validate_json(line)
            if response.record_id not in seen:
                seen.add(response.record_id)
                yield response


def _parts(objects: Objects, prefix: str) -> list[tuple[int, str]]:
    found = [(_PART.search(key), key) for key in objects.keys(prefix)]
    return [(int(match[1]), key) for match, key in found if match is not None]
