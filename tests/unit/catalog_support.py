"""Reading catalogs in tests."""

from __future__ import annotations

import json
from collections.abc import Iterable

from assay.contracts.catalog import Record, read_catalog
from assay.contracts.catalog_needs import Needs
from assay.contracts.dataset import DatasetSection
from assay.contracts.errors import Fault, RejectedError

KEY = "catalogs/x.jsonl"


def dataset(**values: object) -> DatasetSection:
    """Fields named as the tests' lines name them."""
    named = {"model_input_key": "question", "target_output_key": "answer"}
    return DatasetSection.model_validate({"input_data_location": "x", **named, **values})


def line(**values: object) -> bytes:
    """A good line, with other values."""
    return json.dumps({"question": "Why?", "answer": "Because", "kind": "causes", **values}).encode()


def read(
    body: bytes | Iterable[bytes], section: DatasetSection | None = None, needs: Needs | None = None, key: str = KEY
) -> list[Record]:
    """The records of a catalog."""
    chunks = [body] if isinstance(body, bytes) else body
    return list(read_catalog(chunks, section or dataset(), key, needs))


def refusal(
    body: bytes | Iterable[bytes], section: DatasetSection | None = None, needs: Needs | None = None, key: str = KEY
) -> RejectedError:
    """Why a catalog is refused."""
    try:
        read(body, section, needs, key)
    except RejectedError as error:
        return error
    raise AssertionError("the catalog was not refused")


def only_fault(
    body: bytes | Iterable[bytes], section: DatasetSection | None = None, needs: Needs | None = None, key: str = KEY
) -> Fault:
    """The one thing that is wrong with a catalog."""
    [fault] = refusal(body, section, needs, key).faults
    return fault
