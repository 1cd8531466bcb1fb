"""Responses as parts in S3: `part-00000.jsonl`, `part-00001.jsonl` and so on below one prefix."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Container, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Protocol

from assay.contracts.results import Response
from assay.inference.budget import Tariff

READ_AHEAD = 8
_PART = re.compile(r"part-(\d+)\.jsonl$")


class Objects(Protocol):
    """The few things that are asked of a bucket, by several threads at once."""

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
        failures_stand: whether a record whose last response is a failure counts as answered, too.
    """

    def __init__(self, objects: Objects, prefix: str, *, failures_stand: bool = False) -> None:
        self._objects = objects
        self._prefix = prefix
        self._failures_stand = failures_stand
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

    def answered(self) -> Container[str]:
        """Ids of the records that need not be asked again: by default those whose last response is no failure."""
        # Needs numpy, which who only reads responses may go without.
        from assay.inference.kept import answered_ids

        return answered_ids(self._objects, self._prefix, failures_stand=self._failures_stand)

    def failures(self) -> Container[Response]:
        """Every response that is a failure, also of records that have an answer since."""
        from assay.inference.kept import failures

        return failures(self._objects, self._prefix)


def part_bodies(objects: Objects, prefix: str) -> Iterator[bytes]:
    """The parts below a prefix as they are, in the order of writing. Memory holds 8, since they are read ahead."""
    keys = (key for _, key in sorted(_parts(objects, prefix)))
    with ThreadPoolExecutor(READ_AHEAD) as pool:
        coming: deque[Future[bytes]] = deque(pool.submit(objects.read, key) for key in islice(keys, READ_AHEAD))
        try:
            while coming:
                body = coming.popleft().result()
                coming.extend(pool.submit(objects.read, key) for key in islice(keys, 1))
                yield body
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def written_responses(body: bytes) -> Iterator[tuple[int, int, Response]]:
    """The responses of a part in the order of writing, each with the place and the length of its line."""
    offset = 0
    # Only "\n" ends a line of JSON; splitlines would also cut at others that JSON leaves unescaped.
    for line in body.split(b"\n"):
        if line:
            yield offset, len(line), Response.model_validate_json(line)
        offset += len(line) + 1


def spent_usd(objects: Objects, prefix: str, tariff: Tariff) -> float:
    """What the responses below a prefix cost in tokens; a request whose cost is not known counts as its worst case."""
    return sum(
        tariff.worst_usd(response.prompt) * response.attempts if response.cost_usd is None else response.cost_usd
        for body in part_bodies(objects, prefix)
        for *_, response in written_responses(body)
    )


def read_responses(objects: Objects, prefix: str) -> Iterator[Response]:
    """One response a record, the one written last; the newest part comes first.

    A record has several when it failed and a restarted step asked it again. Memory holds one part and the ids.
    """
    seen: set[str] = set()
    for _, key in sorted(_parts(objects, prefix), reverse=True):
        for *_, response in reversed(list(written_responses(objects.read(key)))):
            if response.record_id not in seen:
                seen.add(response.record_id)
                yield response


def _parts(objects: Objects, prefix: str) -> list[tuple[int, str]]:
    found = [(_PART.search(key), key) for key in objects.keys(prefix)]
    return [(int(match[1]), key) for match, key in found if match is not None]
