"""Each way in which a catalog can be wrong is told with its line and key, and by nothing but our own error."""

from __future__ import annotations

import codecs
import gzip
import json

import pytest

from assay.contracts.catalog_bytes import MAX_LINE_BYTES
from tests.unit.catalog_support import dataset, line, only_fault, refusal

CSV = "catalogs/x.csv"
DEEP = dataset(model_input_key="ask[0].text", target_output_key="length(n)", category_key="kind")
LONG = b"x" * MAX_LINE_BYTES


@pytest.mark.parametrize(
    ("broken", "key", "message"),
    [
        (b"{", "", "not JSON"),
        (b"nonsense", "", "not JSON"),
        (line() + b",", "", "not JSON: Extra data"),
        (b"[1]", "", "found a list"),
        (b"null", "", "found null"),
        (b'"text"', "", "found text"),
        (b"12", "", "found a number"),
        (b'{"question": NaN}', "", "NaN"),
        (b'{"question": -Infinity}', "", "-Infinity is not JSON"),
        (b'{"question": ' + b"9" * 5000 + b"}", "", "not JSON"),
        (b'{"question": ' + b"[" * 500_000 + b"}", "", "nested too deeply"),
        (b'{"question": "a", "question": "b"}', "", "the key 'question' stands twice"),
        (b'{"question": "a\tb"}', "", "not JSON: Invalid control character"),
        (b"\xff", "", "not UTF-8"),
        (b'{"question": "\xed\xa0\x80"}', "", "not UTF-8"),
        (b'{"question": "' + LONG + b'"}', "", "longer than 1,048,576 bytes"),
        (b'{"answer": "a", "kind": "b"}', "question", "missing"),
        (line(question=1), "question", "found a number"),
        (line(question="  "), "question", "empty"),
        (line(question="\ud83d"), "question", "half of a surrogate pair"),
        (line(answer=None), "answer", "found null"),
        (line(answer=["a"]), "answer", "found a list"),
        (line(answer={"a": 1}), "answer", "found an object"),
        (line(answer="Paris<OR>"), "answer", "an alternative is empty"),
        (line(answer="<OR>Paris"), "answer", "an alternative is empty"),
        (line(answer="Paris<OR> <OR>Lyon"), "answer", "an alternative is empty"),
        (line(answer="<OR>"), "answer", "an alternative is empty"),
        (line(kind=""), "kind", "empty"),
        (line(kind=1.5), "kind", "text or a whole number"),
        (line(id=True), "id", "true or false"),
        (line(id=" "), "id", "text"),
        (line(id={}), "id", "found an object"),
        (line(id="x" * 257), "id", "at most 256"),
        (line(id="first"), "id", "stands already on line 1"),
        (line(question="When?", note="\udfff"), "note", "half of a surrogate pair"),
        (line(question="When?", **{"\ud800": "x"}), "\\ud800", "half of a surrogate pair"),
    ],
)
def test_a_faulty_line_of_json_is_named(broken: bytes, key: str, message: str) -> None:
    body = b"\n".join([line(id="first"), broken, line(id="last")])
    fault = only_fault(body, dataset(category_key="kind"))
    assert (fault.line, fault.key) == (2, key)
    assert message in fault.message
    str(fault).encode()


def row(**values: object) -> bytes:
    return json.dumps({"ask": [{"text": "Why?"}], "n": "four", "kind": "b", **values}).encode()


@pytest.mark.parametrize(
    ("broken", "key", "message"),
    [
        (row(ask=[]), "ask[0].text", "nothing is at this JMESPath"),
        (row(ask=[{"text": 1}]), "ask[0].text", "found a number"),
        (row(ask=[{"text": ["a"]}]), "ask[0].text", "found a list"),
        (row(n=4), "length(n)", "does not fit this record (JMESPathTypeError)"),
        (row(n="four"), "length(n)", "must be text, found a number"),
    ],
)
def test_what_a_jmespath_does_not_find_is_named(broken: bytes, key: str, message: str) -> None:
    fault = next(fault for fault in refusal(broken, DEEP).faults if fault.key == key)
    assert fault.line == 1
    assert message in fault.message


@pytest.mark.parametrize("key", ["my question", "-", "!" * 900])
def test_a_key_that_is_neither_there_nor_a_jmespath_says_so(key: str) -> None:
    fault = only_fault(line(), dataset(model_input_key=key))
    assert "the key is missing, and it is no JMESPath either" in fault.message


@pytest.mark.parametrize(
    ("body", "line_number", "key", "message"),
    [
        (b"question,reply\na,b\n", 1, "answer", "the column is missing; there are `question`, `reply`"),
        (b"question,answers\na,b\n", 1, "answer", "did you mean `answers`?"),
        (b"question;answer\na;b\n", 1, "", "columns are parted by commas"),
        (b"question,answer,question\na,b,c\n", 1, "question", "names the column twice"),
        (b"question\na,b\n", 1, "answer", "the column is missing"),
        (b'"question,answer\na,b\n', 1, "", "not closed before the file ends"),
        (b"question,answer\xff\na,b\n", 1, "", "not UTF-8"),
        (b"question,answer\na,b,c\n", 2, "", "has 3 fields, and the header names 2"),
        (b"question,answer\na,b\nc\n", 3, "", "has 1 fields, and the header names 2"),
        (b'question,answer\na,b\n"c\nd",e\nf\n', 5, "", "has 1 fields"),
        (b"question,answer\na,\n", 2, "answer", "must not be empty"),
        (b"question,answer\na,b\n ,b\n", 3, "question", "must not be empty"),
        (b"question,answer\na,b<OR>\n", 2, "answer", "an alternative is empty"),
        (b"question,answer\na,b\nc,d\na,e\n", 4, "question", "the same input stands already on line 2"),
        (b"id,question,answer\n1,a,b\n1,c,d\n", 3, "id", "the id '1' stands already on line 2"),
        (b"id,question,answer\n,a,b\n", 2, "id", "must not be empty"),
        (b'question,answer\na,"b"c\n', 2, "", "a closing quote is followed by more text"),
        (b'question,answer\na,b\n\n"x\ny",d\n"never closed,e\n', 6, "", "not closed before the file ends"),
        (b"question,answer\ra,b\r", 1, "", "a carriage return stands outside of quotes"),
        (b'question,answer\na,"\xff\n"\nc,d\n', 2, "", "not UTF-8"),
        (b'question,answer\na,"x\n\xff"\nc,d\n', 3, "", "not UTF-8"),
        (b"question,answer\na," + LONG + b"\nc,d\n", 2, "", "longer than 1,048,576 bytes"),
        (b'question,answer\na,"' + b"x\n" * MAX_LINE_BYTES, 2, "", "is not closed within 1,048,576 bytes"),
        (b"question,answer\n", 1, "", "no records"),
    ],
)
def test_a_fault_of_a_csv_is_named_by_the_line_where_its_record_begins(
    body: bytes, line_number: int, key: str, message: str
) -> None:
    fault = only_fault(body, key=CSV)
    assert (fault.line, fault.key) == (line_number, key)
    assert message in fault.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "no records"),
        (b"\n  \n", "no records"),
        (b"\xef\xbb\xbf", "no records"),
        (gzip.compress(b"", mtime=0), "no records"),
        (gzip.compress(line(), mtime=0)[:-6], "not a whole gzip file: it ends too early"),
        (gzip.compress(line(), mtime=0) + b"garbage", "not a whole gzip file"),
        (b"\x1f\x8b" + b"\0" * 40, "not a whole gzip file"),
        (line().decode().encode("utf-16"), "the file is UTF-16"),
        (codecs.BOM_UTF16_BE + "a,b".encode("utf-16-be"), "the file is UTF-16"),
    ],
)
@pytest.mark.parametrize("key", ["catalogs/x.jsonl", "catalogs/x.jsonl.gz"])
def test_a_file_that_is_no_catalog_at_all_is_refused_once(body: bytes, message: str, key: str) -> None:
    fault = only_fault(body, key=key)
    assert fault.line == 1
    assert message in fault.message


def test_faults_before_the_place_where_a_gzip_breaks_are_told_too() -> None:
    error = refusal(gzip.compress(b"{\n" + line() + b"\n")[:-6])
    assert [fault.line for fault in error.faults] == [1, 3]


def test_faults_of_several_kinds_stand_in_the_order_of_the_file() -> None:
    body = b"\n".join([b"{", line(), line(question=3, answer=4), line()])
    places = [(fault.line, fault.key) for fault in refusal(body).faults]
    assert places == [(1, ""), (3, "question"), (3, "answer"), (4, "question")]


def test_an_id_that_the_config_locates_must_be_everywhere() -> None:
    fault = only_fault(b"\n".join([line(ref=1), line(question="Who?")]), dataset(id_key="ref"))
    assert (fault.line, fault.key, fault.message) == (2, "ref", "the key is missing")


def test_a_fault_quotes_no_prompt_and_no_answer() -> None:
    body = b"\n".join([line(question="SECRET"), line(question="SECRET"), line(question=["SECRET"]), b'{"SECRET'])
    assert "SECRET" not in str(refusal(body))
