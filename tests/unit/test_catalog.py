"""What a catalog may hold, and how each faulty line is told."""

from __future__ import annotations

import json

import pytest

from assay.contracts.catalog import MAX_FAULTS_SHOWN, Record, read_catalog
from assay.contracts.dataset import DatasetSection
from assay.contracts.errors import RejectedError

DATASET = DatasetSection(
    input_data_location="x.jsonl", model_input_key="question", target_output_key="answer", category_key="kind"
)


def line(**values: object) -> bytes:
    return json.dumps({"question": "Why?", "answer": "Because", "kind": "causes", **values}).encode()


def read(*lines: bytes) -> list[Record]:
    return list(read_catalog(lines, DATASET, "catalogs/x.jsonl"))


def faults(*lines: bytes) -> RejectedError:
    with pytest.raises(RejectedError) as caught:
        read(*lines)
    return caught.value


def test_a_record_keeps_its_id_and_its_other_text_columns() -> None:
    [record] = read(line(id="q-1", context="Once upon a time", year=1999))
    assert record == Record(
        id="q-1",
        model_input="Why?",
        target_output="Because",
        category="causes",
        columns={"context": "Once upon a time"},
    )


def test_an_id_that_is_not_given_depends_on_the_input_alone() -> None:
    assert read(line(answer="a"))[0].id == read(line(answer="b"))[0].id
    assert read(line(question="Who?"))[0].id != read(line())[0].id


def test_empty_lines_and_a_byte_order_mark_are_passed_over() -> None:
    assert len(read(b"\xef\xbb\xbf" + line(id=1), b"", b"  ", line(id=2))) == 2


@pytest.mark.parametrize(
    ("broken", "key", "message"),
    [
        (b"{", "", "not JSON"),
        (b"nonsense", "", "not JSON"),
        (b"[1]", "", "found a list"),
        (b"null", "", "found null"),
        (b'{"question": NaN}', "", "NaN"),
        (b"\xff", "", "not UTF-8"),
        (b'{"answer": "a", "kind": "b"}', "question", "missing"),
        (line(question=1), "question", "found a number"),
        (line(question="  "), "question", "empty"),
        (line(answer=None), "answer", "found null"),
        (line(answer=["a"]), "answer", "found a list"),
        (line(kind=""), "kind", "empty"),
        (line(id=True), "id", "true or false"),
        (line(id=" "), "id", "text"),
        (line(id="first"), "id", "line 1"),
    ],
)
def test_a_faulty_line_is_named(broken: bytes, key: str, message: str) -> None:
    error = faults(line(id="first"), broken, line(id="last"))
    [fault] = error.faults
    assert (fault.line, fault.key) == (2, key)
    assert message in fault.message


def test_every_faulty_line_is_counted_and_the_first_hundred_are_shown() -> None:
    error = faults(*[b"{"] * 250)
    assert len(error.faults) == MAX_FAULTS_SHOWN == 100
    assert error.total == 250


def test_a_catalog_without_records_is_refused() -> None:
    assert "no records" in faults().faults[0].message
