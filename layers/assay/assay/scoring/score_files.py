"""Scores as Parquet parts in S3, and back as arrays."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

PART_ROWS = 50_000
_PART = re.compile(r"part-(\d+)\.parquet$")
SCHEMA = pa.schema(
    [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("algorithm", pa.string(), nullable=False),
        pa.field("score", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("direction", pa.string(), nullable=False),
        pa.field("error", pa.string()),
    ]
)


class Objects(Protocol):
    """The few things that are asked of a bucket."""

    def keys(self, prefix: str, /) -> list[str]:
        """Keys below `prefix`."""
        ...

    def read(self, key: str, /) -> bytes:
        """The whole object."""
        ...

    def write(self, key: str, body: bytes, /) -> None:
        """Create or replace an object."""
        ...


@dataclass(frozen=True)
class ScoreColumn:
    """One score of one model over its records.

    Attributes:
        record_ids: text, each once.
        values: the score of each record, NaN where an error stands instead of it.
    """

    record_ids: NDArray[np.object_]
    values: NDArray[np.float64]

    @property
    def failed(self) -> int:
        """Records that have an error instead of the score."""
        return int(np.isnan(self.values).sum())


@dataclass(frozen=True)
class ScoreTable:
    """The scores of one model, by algorithm and score."""

    columns: Mapping[tuple[str, str], ScoreColumn]

    def column(self, algorithm: str, score: str) -> ScoreColumn | None:
        """The records that have a row for this score; None when none has."""
        return self.columns.get((algorithm, score))


def table_to_parquet(table: pa.Table) -> bytes:
    """Rows by the schema of scores as one Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def write_score_tables(objects: Objects, prefix: str, tables: Iterable[pa.Table]) -> int:
    """Write tables as `part-00000.parquet` and so on below `prefix`; the number of rows. Memory holds one part.

    Tables such as `Scoring.score` gives are put together to parts of about the same size. Scoring the same records
    again replaces the parts, since it gives as many rows.
    """
    total = number = 0
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(len(item) for item in waiting) >= PART_ROWS:
            total += _write_part(objects, prefix, number, waiting)
            number += 1
            waiting = []
    return total + (_write_part(objects, prefix, number, waiting) if waiting else 0)


def _write_part(objects: Objects, prefix: str, number: int, tables: list[pa.Table]) -> int:
    table = pa.concat_tables(tables)
    objects.write(f"{prefix}part-{number:05d}.parquet", table_to_parquet(table))
    return len(table)


def read_scores(objects: Objects, prefix: str) -> ScoreTable:
    """Read the parts below `prefix`; an empty table when there are none.

    Raises:
        ValueError: a record has two values for one score.
    """
    keys = sorted(key for key in objects.keys(prefix) if _PART.search(key))
    columns = ["record_id", "algorithm", "score", "value"]
    parts = [pq.read_table(io.BytesIO(objects.read(key)), columns=columns, use_threads=False) for key in keys]
    if not parts:
        return ScoreTable({})
    table = pa.concat_tables(parts)
    found = {}
    for algorithm, score in product(*(table[name].unique().to_pylist() for name in ("algorithm", "score"))):
        # A mask and not an expression: expressions need pyarrow's query engine, which the Lambda layer may go without.
        rows = table.filter(pc.and_(pc.equal(table["algorithm"], algorithm), pc.equal(table["score"], score)))
        if not len(rows):
            continue
        if pc.count_distinct(rows["record_id"]).as_py() != len(rows):
            raise ValueError(f"a record has two values for {algorithm}.{score} below {prefix}")
        found[algorithm, score] = ScoreColumn(
            record_ids=rows["record_id"].to_numpy(),
            values=rows["value"].to_numpy().astype(np.float64),
        )
    return ScoreTable(found)
