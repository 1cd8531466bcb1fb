"""What a catalog may hold, and what becomes of it."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.contracts.catalog import MAX_FAULTS_SHOWN, Record, read_catalog
from assay.contracts.catalog_bytes import MAX_LINE_BYTES
from assay.contracts.dataset import DatasetSection
from tests.unit.catalog_support import KEY, dataset, line, read, refusal

CSV = b'id,question,answer,kind\n1,"What, and\nwhy?",Because,causes\n2,"Who says ""no""?",Me<OR>I,\n'


def test_a_record_keeps_its_id_and_its_other_text_columns() -> None:
    [record] = read(line(id="q-1", context="Once upon a time", year=1999), dataset(category_key="kind"))
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


def test_an_id_that_is_not_given_stays_the_same_between_versions_of_assay() -> None:
    # Evaluations are paired over time by it.
    assert read(line())[0].id == "5d8a995a6fa7cf7c"


def test_where_a_context_is_named_the_same_question_may_be_asked_of_each_context() -> None:
    body = b"\n".join([line(context="One."), line(context="Two.")])
    records = read(body, dataset(context_key="context"))
    assert len({record.id for record in records}) == 2
    assert "the same input stands already on line 1" in str(refusal(body))


def test_empty_lines_and_a_byte_order_mark_are_passed_over() -> None:
    assert len(read(b"\xef\xbb\xbf" + line(id=1) + b"\r\n\n  \n" + line(id=2))) == 2


def test_a_csv_holds_commas_newlines_and_quotes_inside_of_quotes() -> None:
    first, second = read(CSV, key="catalogs/x.csv")
    assert first == Record(id="1", model_input="What, and\nwhy?", target_output="Because", columns={"kind": "causes"})
    assert (second.model_input, second.target_output, second.columns) == ('Who says "no"?', "Me<OR>I", {"kind": ""})


@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_a_csv_reads_the_same_from_any_spreadsheet(ends: bytes) -> None:
    body = b"\xef\xbb\xbf" + ends.join([b"question,answer", b"a,b", b"", b"c,d"])
    assert [record.model_input for record in read(body, key="catalogs/x.csv")] == ["a", "c"]


def test_a_column_without_a_name_as_pandas_writes_it_is_no_fault() -> None:
    assert read(b",question,answer\n0,a,b\n", key="catalogs/x.csv")[0].model_input == "a"


@pytest.mark.parametrize(
    ("mime_type", "key", "is_csv"),
    [
        (None, "catalogs/x.csv", True),
        (None, "catalogs/X.CSV.GZ", True),
        (None, "catalogs/x.jsonl", False),
        (None, "catalogs/x.jsonl.gz", False),
        (None, "catalogs/x", False),
        ("csv", "catalogs/x.txt", True),
        ("text/csv", "catalogs/x.jsonl", True),
        ("jsonlines", "catalogs/x.csv", False),
        ("application/jsonlines", "catalogs/x.csv.gz", False),
    ],
)
def test_the_form_is_what_the_config_says_else_what_the_key_ends_with(
    mime_type: str | None, key: str, is_csv: bool
) -> None:
    assert dataset(dataset_mime_type=mime_type).is_csv(key) == is_csv


@pytest.mark.parametrize(("body", "key"), [(line() + b"\n", KEY), (CSV, "catalogs/x.csv")])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_gzip_is_told_by_the_content_and_not_by_the_name(body: bytes, key: str, ending: str) -> None:
    packed = gzip.compress(body[:20]) + gzip.compress(body[20:])
    assert read(packed, key=key + ending) == read(body, key=key + ending)


@given(cuts=st.lists(st.integers(0, 400), max_size=12), packed=st.booleans(), form=st.sampled_from([KEY, "x.csv"]))
def test_records_do_not_depend_on_where_the_file_is_cut(cuts: list[int], packed: bool, form: str) -> None:
    body = CSV if form == "x.csv" else b"\n".join([line(), line(question="Wer?", answer="Zoë"), b"", line(id=7)])
    body = gzip.compress(body, mtime=0) if packed else body
    places = [0, *sorted(cuts), len(body)]
    chunks = [body[start:end] for start, end in pairwise(places)]
    assert read(chunks, key=form) == read(body, key=form)


def test_fields_lie_where_the_config_says() -> None:
    deep = {
        "ask": {"text": "Why?", "about": "Once."},
        "gold": ["Because", "Since"],
        "meta": {"kind": "causes", "document": 12, "key": "q-1"},
    }
    section = dataset(
        model_input_key="ask.text",
        target_output_key="join('<OR>', gold)",
        context_key="ask.about",
        category_key="meta.kind",
        cluster_key="meta.document",
        id_key="meta.key",
    )
    [record] = read(json.dumps(deep).encode(), section)
    assert record == Record(
        id="q-1",
        model_input="Why?",
        target_output="Because<OR>Since",
        category="causes",
        cluster="12",
        columns={"context": "Once."},
    )


def test_a_plain_key_comes_before_the_jmespath_of_the_same_text() -> None:
    body = json.dumps({"a.b": "plain", "a": {"b": "deep"}, "my answer": "x"}).encode()
    section = dataset(model_input_key="a.b", target_output_key="my answer")
    assert read(body, section)[0].model_input == "plain"


def test_a_context_that_the_config_locates_comes_before_a_column_of_that_name() -> None:
    [record] = read(line(context="no", passage="yes"), dataset(context_key="passage"))
    assert record.columns["context"] == "yes"


def test_brackets_inside_of_a_text_are_no_nesting() -> None:
    assert read(line(question="[" * 5000 + '\\"{' * 5000))[0].model_input.startswith("[[[")


def test_every_faulty_line_is_counted_and_the_first_hundred_are_shown() -> None:
    error = refusal(b"{\n" * 250)
    assert len(error.faults) == MAX_FAULTS_SHOWN == 100
    assert error.total == 250
    assert [fault.line for fault in error.faults] == list(range(1, 101))


def many(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield line(question=f"What is {number}?", note="x" * 1000) + b"\n"


def test_memory_does_not_grow_with_what_a_record_holds() -> None:
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_catalog(many(10_000), dataset(), KEY)) == 10_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # 10 MB passed by; what stays is about 100 bytes an id.
    assert peak < 3_000_000


@pytest.mark.parametrize("key", [KEY, "catalogs/x.csv"])
def test_memory_does_not_grow_with_a_line_that_never_ends(key: str) -> None:
    def endless() -> Iterator[bytes]:
        yield b'question,answer\n"'
        for _ in range(40):
            yield b"x" * MAX_LINE_BYTES

    tracemalloc.start()
    try:
        refusal(endless(), key=key)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * MAX_LINE_BYTES


def test_memory_does_not_grow_with_what_a_small_gzip_unpacks_to() -> None:
    packed = gzip.compress(b"x" * 100_000_000)
    tracemalloc.start()
    try:
        assert "longer than 1,048,576 bytes" in str(refusal(packed))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * MAX_LINE_BYTES


def test_a_default_dataset_reads_the_default_names() -> None:
    body = b'{"model_input": "2+2?", "target_output": "4"}'
    assert read(body, DatasetSection(input_data_location="x"))[0].model_input == "2+2?"
