"""The last response to every record, found by record: the parts of S3 laid on local disk, with an index in memory."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from assay.contracts.catalog import Record
from assay.contracts.results import Response
from assay.inference.store import Objects, part_bodies, written_responses

JOINED_RECORDS = 2_000


class HashedSet:
    """Ids of records, or responses, of which memory holds 8 bytes each.

    Two different ones among a million share their 64 bits once in 37 million catalogs (n² / 2⁶⁵).

    Args:
        hashes: `hash` of each, in any order.
    """

    def __init__(self, hashes: NDArray[np.int64]) -> None:
        self._hashes = np.sort(hashes)

    def __contains__(self, item: object) -> bool:
        key = hash(item)
        place = int(np.searchsorted(self._hashes, key))
        return place < len(self._hashes) and int(self._hashes[place]) == key

    def __len__(self) -> int:
        return len(self._hashes)


def answered_ids(objects: Objects, prefix: str, *, failures_stand: bool = False) -> HashedSet:
    """Ids of the records whose last response below `prefix` is no failure; memory holds a few parts and the ids.

    Args:
        failures_stand: take those with a failure, too.
    """
    keys, failed = array("q"), bytearray()
    for body in part_bodies(objects, prefix):
        for _, _, response in written_responses(body):
            keys.append(hash(response.record_id))
            failed.append(response.failure is not None and not failures_stand)
    hashes = np.frombuffer(keys, np.int64) if keys else np.empty(0, np.int64)
    last = _last_of_each(hashes)
    return HashedSet(hashes[last][np.frombuffer(failed, np.uint8)[last] == 0])


def failures(objects: Objects, prefix: str) -> HashedSet:
    """The responses below `prefix` that are failures; memory holds a few parts and the hashes."""
    found = array("q")
    for body in part_bodies(objects, prefix):
        found.extend(hash(response) for *_, response in written_responses(body) if response.failure is not None)
    return HashedSet(np.frombuffer(found, np.int64) if found else np.empty(0, np.int64))


class KeptResponses:
    """The responses below a prefix, by record. Use it as a context, which lets the file go.

    Memory holds 24 bytes for each response written; the responses lie in `file`. It is read and not mapped: pages of a
    mapped file count as the process's memory.

    Args:
        objects: the bucket.
        prefix: where the parts lie, ending in `/`.
        file: where to lay them; replaced when it is there.
    """

    def __init__(self, objects: Objects, prefix: str, file: Path) -> None:
        keys, places = array("q"), array("q")
        end = 0
        with file.open("wb") as spool:
            for body in part_bodies(objects, prefix):
                for offset, length, response in written_responses(body):
                    keys.append(hash(response.record_id))
                    places.extend((end + offset, length))
                end += spool.write(body)
        hashes = np.frombuffer(keys, np.int64) if keys else np.empty(0, np.int64)
        last = _last_of_each(hashes)
        self._hashes = hashes[last]
        self._places = (np.frombuffer(places, np.int64) if places else np.empty(0, np.int64)).reshape(-1, 2)[last]
        self._file = file.open("rb")

    def __enter__(self) -> KeptResponses:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        """Records that have a response."""
        return len(self._hashes)

    def of(self, records: Sequence[Record]) -> list[Response | None]:
        """The last response to each of these records; None for one that has none."""
        if not len(self._hashes) or not records:
            return [None] * len(records)
        wanted = np.fromiter((hash(record.id) for record in records), np.int64, len(records))
        found = np.searchsorted(self._hashes, wanted)
        found[found == len(self._hashes)] = 0
        there = (self._hashes[found] == wanted).tolist()
        places = self._places[found].tolist()
        return [
            self._read(record.id, *place) if is_there else None
            for record, is_there, place in zip(records, there, places, strict=True)
        ]

    def joined(
        self, records: Iterable[Record], size: int = JOINED_RECORDS
    ) -> Iterator[list[tuple[Record, Response | None]]]:
        """Each record with its last response, in the records' order, so many at a time; memory holds those."""
        remaining = iter(records)
        while batch := list(islice(remaining, size)):
            yield list(zip(batch, self.of(batch), strict=True))

    def _read(self, record_id: str, offset: int, length: int) -> Response | None:
        response = Response.model_validate_json(os.pread(self._file.fileno(), length, offset))
        return response if response.record_id == record_id else None


def _last_of_each(hashes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each different value stands for the last time, in the order of the values."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    is_last = np.ones(len(order), bool)
    is_last[:-1] = ordered[1:] != ordered[:-1]
    return order[is_last]
