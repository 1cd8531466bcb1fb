"""Scores and outcomes from a few rows and responses, by the ways that the evaluate step takes."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from assay.contracts.results import ModelOutcome, Response, ScoreRow
from assay.scoring.outcome import OutcomeTally
from assay.scoring.score_files import SCHEMA, Objects, write_score_tables


def table_of(rows: Iterable[ScoreRow]) -> pa.Table:
    return pa.Table.from_pylist([row.model_dump() for row in rows], schema=SCHEMA)


def rows_of(body: bytes) -> list[ScoreRow]:
    """The rows of one Parquet file."""
    return [ScoreRow.model_validate(row) for row in pq.read_table(io.BytesIO(body), schema=SCHEMA).to_pylist()]


def write_rows(objects: Objects, prefix: str, rows: Iterable[ScoreRow]) -> int:
    return write_score_tables(objects, prefix, (table_of([row]) for row in rows))


def outcome_of(model: str, records: int, responses: Iterable[Response], **known: Any) -> ModelOutcome:
    """The outcome of so many records, of which some have a response."""
    tally = OutcomeTally()
    left = records
    for response in responses:
        tally.add(response)
        left -= 1
    for _ in range(left):
        tally.add(None)
    return tally.outcome(model, **known)
