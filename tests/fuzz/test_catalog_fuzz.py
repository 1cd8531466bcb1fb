"""Whatever bytes are dropped as a catalog, the reader gives records that can be kept, or our own error with each place.

`make fuzz` puts more examples than the default, which only keeps this file honest.
"""

from __future__ import annotations

import gzip
import json
import os
import random
from itertools import pairwise
from pathlib import Path

import jmespath
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.contracts.catalog import MAX_FAULTS_SHOWN, Record, read_catalog
from assay.contracts.catalog_needs import Need, Needs
from assay.contracts.dataset import DatasetSection
from assay.contracts.errors import RejectedError

ROOT = Path(__file__).resolve().parents[2]
FUZZ = settings(
    max_examples=int(os.environ.get("ASSAY_FUZZ_EXAMPLES", "150")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
JSONL = b"".join((ROOT / "examples/catalogs/general-knowledge.jsonl").read_bytes().splitlines(keepends=True)[:12])
CSV = (ROOT / "examples/catalogs/own-responses.csv").read_bytes()
DEEP = b"".join(
    json.dumps({"ask": {"text": f"{n}?"}, "gold": [f"{n}", "x"], "id": n, "context": "c", "own": {"a": "b"}}).encode()
    + b"\n"
    for n in range(8)
)
NASTY = [
    *(b'"', b'""', b"\\", b"\\ud800", b"\\udc00\\ud800", b"\\u0000", b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf"),
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"\t", b",", b",,", b";", b"{", b"}", b"[", b"]", b"[" * 3000, b"{}", b"null"),
    *(b"NaN", b"1e999", b"9" * 5000, b"true", b"<OR>", b"<OR><OR>", b'": "', b'"id": 1,', b"\x1f\x8b", b"\xff\xfe"),
    *("\u2028".encode(), "\U0001f600".encode(), b"x" * 1_100_000),
]
SECTIONS = [
    {"model_input_key": "question", "target_output_key": "answer", "category_key": "category"},
    {
        "model_input_key": "ask.text",
        "target_output_key": "join('<OR>', gold)",
        "id_key": "id",
        "context_key": "context",
    },
    {"model_input_key": "ask", "target_output_key": "gold[0]", "cluster_key": "length(@)"},
    {"model_input_key": "question", "target_output_key": "not a path", "id_key": "sort_by(@, &id)"},
]
NEEDS = [
    Needs(),
    Needs(columns=(Need("context", "m"), Need("nobody", "m"))),
    Needs(columns=(Need("category", "m"),), responses=(Need("own.a", "own"), Need("assistant 2025", "old"))),
    Needs(responses=(Need("answer", "m"),), delimiters=("|", "<OR>"), subject="configs/suite.yaml"),
]


def check(body: bytes, section: dict[str, str], needs: Needs, key: str, cuts: list[int]) -> None:
    """Read; anything but records that can be kept or a told refusal is a failure of the test."""
    places = [0, *sorted(cut for cut in cuts if cut < len(body)), len(body)]
    chunks = (body[start:end] for start, end in pairwise(places))
    dataset = DatasetSection.model_validate({"input_data_location": "x", **section})
    records: list[Record] = []
    refusal = None
    try:
        records.extend(read_catalog(chunks, dataset, key, needs))
    except RejectedError as error:
        refusal = error
    assert len({record.id for record in records}) == len(records)
    for record in records:
        assert record.model_input.strip()
        assert record.target_output.strip()
        assert Record.model_validate_json(record.model_dump_json().encode()) == record
    if refusal is None:
        assert records
        return
    assert 0 < len(refusal.faults) <= min(refusal.total, MAX_FAULTS_SHOWN)
    assert all(fault.message for fault in refusal.faults)
    if refusal.subject == key:
        lines = [fault.line or 0 for fault in refusal.faults]
        assert lines == sorted(lines)
    json.dumps([str(fault) for fault in refusal.faults], ensure_ascii=False).encode()


def mutated(seed: int, base: bytes) -> bytes:
    """`base` after up to six small accidents: bytes and lines lost, doubled, swapped or replaced."""
    chance = random.Random(seed)
    body = base
    for _ in range(chance.randint(0, 6)):
        lines = body.splitlines(keepends=True) or [b""]
        at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        place = chance.randrange(len(body) + 1)
        match chance.randrange(6):
            case 0:
                body = body[:place] + chance.choice(NASTY) + body[place:]
            case 1:
                body = body[:place] + body[place + chance.randint(1, 30) :]
            case 2:
                body = body[:place] + bytes([chance.randrange(256)]) + body[place + 1 :]
            case 3:
                body = b"".join(lines[:at] + lines[at + 1 :])
            case 4:
                body = b"".join([*lines[:at], lines[other], *lines[at:]])
            case _:
                lines[at], lines[other] = lines[other], lines[at]
                body = b"".join(lines)
    if chance.random() < 0.2:
        body = gzip.compress(body, mtime=0)
        if chance.random() < 0.5:
            place = chance.randrange(len(body))
            body = body[:place] + bytes([chance.randrange(256)]) + body[place + chance.randint(1, 3) :]
    return body


KEYS = st.sampled_from(["catalogs/x.jsonl", "catalogs/x.csv", "catalogs/x.csv.gz"])
CUTS = st.lists(st.integers(0, 5000), max_size=6)
WAYS = {"section": st.sampled_from(SECTIONS), "needs": st.sampled_from(NEEDS), "key": KEYS, "cuts": CUTS}


@FUZZ
@given(seed=st.integers(0, 2**64), base=st.sampled_from([JSONL, CSV, DEEP]), **WAYS)
def test_a_damaged_catalog_is_read_or_refused(
    seed: int, base: bytes, section: dict[str, str], needs: Needs, key: str, cuts: list[int]
) -> None:
    check(mutated(seed, base), section, needs, key, cuts)


TEXTS = st.text(st.characters(exclude_categories=[]), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["question", "answer", "ask", "gold", "id", "category", "context", "own", "assistant 2025"])


@FUZZ
@given(rows=st.lists(st.dictionaries(NAMES | TEXTS, VALUES, max_size=8), max_size=5), **WAYS)
def test_records_of_random_values_are_read_or_refused(
    rows: list[dict[str, object]], section: dict[str, str], needs: Needs, key: str, cuts: list[int]
) -> None:
    body = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    check(body, section, needs, key, cuts)


@FUZZ
@given(body=st.binary(max_size=300) | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")), **WAYS)
def test_random_bytes_are_read_or_refused(
    body: bytes, section: dict[str, str], needs: Needs, key: str, cuts: list[int]
) -> None:
    check(body, section, needs, key, cuts)


FUNCTIONS = sorted(jmespath.functions.Functions.FUNCTION_TABLE)
ARGUMENTS = st.sampled_from(
    ["@", "ask", "gold", "id", "ask.text", "&id", "&@", "`1`", "`null`", '`"a"`', "'a'", "gold[*]"]
)
EXPRESSIONS = st.builds(
    lambda name, arguments, after: f"{name}({', '.join(arguments)}){after}",
    st.sampled_from(FUNCTIONS),
    st.lists(ARGUMENTS, min_size=1, max_size=3),
    st.sampled_from(["", "[0]", ".text", "[]", "[?@ > `1`]", " | @", " || 'x'"]),
)


@FUZZ
@given(expression=EXPRESSIONS, base=st.sampled_from([JSONL, CSV, DEEP]), key=KEYS)
def test_no_jmespath_breaks_the_reading_of_a_record(expression: str, base: bytes, key: str) -> None:
    needs = Needs(responses=(Need(expression, "m"),))
    section = {"model_input_key": "ask.text", "target_output_key": expression, "id_key": expression}
    check(base, section, needs, key, [])
