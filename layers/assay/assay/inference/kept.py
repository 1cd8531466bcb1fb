"""The last response to every record, found by record: the parts of S3 laid on local disk, with an index in memory."""

from __future__ import annotations

import mmap
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


class RecordIds:
    """Ids of records, of which memory holds 8 bytes each.

    Two different ids among a million share their 64 bits once in 37 million catalogs (n² / 2⁶⁵).

    Args:
        hashes: `hash` of each id, in any order.
    """

    def __init__(self, hashes: NDArray[np.int64]) -> None:
        self._hashes = np.sort(hashes)

    def __contains__(self, record_id: object) -> bool:
        key = hash(record_id)
        place = int(np.searchsorted(self._hashes, key))
        return place < len(self._hashes) and int(self._hashes[place]) == key

    def __len__(self) -> int:
        return len(self._hashes)


def answered_ids(objects: Objects, prefix: str) -> RecordIds:
    """Ids of the records whose last response below `prefix` is no failure; memory holds a few parts and the ids."""
    keys, failed = array("q"), bytearray()
    for body in part_bodies(objects, prefix):
        for _, response in written_responses(body):
            keys.append(hash(response.record_id))
            failed.append(response.failure is not None)
    hashes = np.frombuffer(keys, np.int64) if keys else np.empty(0, np.int64)
    last = _last_of_each(hashes)
    return RecordIds(hashes[last][np.frombuffer(failed, np.uint8)[last] == 0])


class KeptResponses:
    """The responses below a prefix, by record. Use it as a context, which lets the file go.

    Memory holds 16 bytes for each response written; the responses lie in `file`.

    Args:
        objects: the bucket.
        prefix: where the parts lie, ending in `/`.
        file: where to lay them; replaced when it is there.
    """

    def __init__(self, objects: Objects, prefix: str, file: Path) -> None:
        keys, offsets = array("q"), array("q")
        end = 0
        with file.open("wb") as spool:
            for body in part_bodies(objects, prefix):
                for offset, response in written_responses(body):
                    keys.append(hash(response.record_id))
                    offsets.append(end + offset)
                end += spool.write(body)
                if not body.endswith(b"\n"):
                    end += spool.write(b"\n")
        hashes = np.frombuffer(keys, np.int64) if keys else np.empty(0, np.int64)
        last = _last_of_each(hashes)
        self._hashes = hashes[last]
        self._offsets = np.frombuffer(offsets, np.int64)[last] if offsets else np.empty(0, np.int64)
        self._file = file.open("rb")
        self._lines = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) if end else None

    def __enter__(self) -> KeptResponses:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._lines is not None:
            self._lines.close()
        self._file.close()

    def __len__(self) -> int:
        """Records that have a response."""
        return len(self._hashes)

    def of(self, records: Sequence[Record]) -> list[Response | None]:
        """The last response to each of these records; None for one that has none."""
        if self._lines is None or not records:
            return [None] * len(records)
        wanted = np.fromiter((hash(record.id) for record in records), np.int64, len(records))
        places = np.searchsorted(self._hashes, wanted)
        places[places == len(self._hashes)] = 0
        there = self._hashes[places] == wanted
        offsets = np.where(there, self._offsets[places], -1).tolist()
        found = (None if offset < 0 else self._read(offset) for offset in offsets)
        return [
            response if response is not None and response.record_id == record.id else None
            for record, response in zip(records, found, strict=True)
        ]

    def joined(
        self, records: Iterable[Record], size: int = JOINED_RECORDS
    ) -> Iterator[list[tuple[Record, Response | None]]]:
        """Each record with its last response, in the records' order, so many at a time; memory holds those."""
        remaining = iter(records)
        while batch := list(islice(remaining, size)):
            yield list(zip(batch, self.of(batch), strict=True))

    def _read(self, offset: int) -> Response:
        lines = self._lines
        if lines is None:
            raise ValueError("there are no responses")
        return Response.model_validate_json(lines[offset : lines.find(b"\n", offset)])


def _last_of_each(hashes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each different value stands for the last time, in the order of the values."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    is_last = np.ones(len(order), bool)
    is_last[:-1] = ordered[1:] != ordered[:-1]
    return order[is_last]
