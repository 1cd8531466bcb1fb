from __future__ import annotations

from pathlib import Path

import pytest

from assay.contracts.catalog import Record
from assay.pipeline.workfiles import Workfiles

RECORDS = [Record(id=str(number), model_input=f"q{number}\u2028\x85", target_output="a") for number in range(3)]


class Bucket:
    def download(self, key: str, path: str) -> None:
        assert key == "catalog.jsonl"
        Path(path).write_text("".join(f"{record.model_dump_json()}\n" for record in RECORDS), encoding="utf-8")


def test_the_catalog_can_be_read_again_and_again_and_is_gone_afterwards() -> None:
    with Workfiles(Bucket(), "catalog.jsonl") as files:
        assert list(files.records()) == list(files.records()) == RECORDS
        path = files.path("catalog.jsonl")
        assert path.exists()
    assert not path.parent.exists()


def test_there_is_no_folder_outside_of_the_context() -> None:
    with pytest.raises(ValueError, match="inside of the context"):
        Workfiles(Bucket(), "catalog.jsonl").path("x")
