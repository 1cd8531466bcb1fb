"""Ready responses, as a catalog may hold them: kept like those of a model that was asked, and no model is called."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from assay.contracts.catalog import Record
from assay.contracts.results import Failure, Response
from assay.inference.asking import ResponseStore

PART_RESPONSES = 5_000


def keep_given(records: Iterable[Record], model: str, store: ResponseStore) -> None:
    """Keep the catalog's responses of a model, but for those that an earlier run has kept.

    A response has no latency and no attempt; it is a failure where the catalog has none to the record.
    Memory holds one part, and the ids of those kept before.
    """
    kept = store.answered()
    responses = (_response(record, model) for record in records if record.id not in kept)
    while part := list(islice(responses, PART_RESPONSES)):
        store.append(part)


def _response(record: Record, model: str) -> Response:
    text = record.responses.get(model)
    failure = Failure(kind="NoAnswer", reason="the catalog has no response to this record") if text is None else None
    return Response(
        record_id=record.id, text=text, latency_ms=None, attempts=0, prompt=record.model_input, failure=failure
    )
