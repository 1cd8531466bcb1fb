"""The prompts of one asking on local disk, so that they can be counted, cut into jobs and found again by number."""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType

from assay.contracts.catalog import Record


class Spool:
    """Records as they are to be asked, in their order. Use it as a context, which lets the file go.

    Memory holds 8 bytes a record.

    Attributes:
        digest: 16 hexadecimal characters that the same prompts to the same records always have.
        size: bytes of the file.

    Args:
        records: what is to be asked.
        prompt_of: the text to send for a record.
        file: where to lay them; replaced when it is there.
    """

    def __init__(self, records: Iterable[Record], prompt_of: Callable[[Record], str], file: Path) -> None:
        self._places = array("q", [0])
        digest = hashlib.sha256()
        with file.open("wb") as spool:
            for record in records:
                line = json.dumps([record.id, prompt_of(record)]).encode() + b"\n"
                digest.update(line)
                self._places.append(self._places[-1] + spool.write(line))
        self.digest = digest.hexdigest()[:16]
        self.size = self._places[-1]
        self._file = file.open("rb")

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._places) - 1

    def __getitem__(self, number: int) -> tuple[str, str]:
        """Id and prompt of one record, counted from 0."""
        start, end = self._places[number], self._places[number + 1]
        record_id, prompt = json.loads(os.pread(self._file.fileno(), end - start, start))
        return record_id, prompt

    def records(self) -> Iterator[Record]:
        """The records with their prompts as input, for whoever asks them one by one."""
        for number in range(len(self)):
            record_id, prompt = self[number]
            yield Record(id=record_id, model_input=prompt, target_output="")
