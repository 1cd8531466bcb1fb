from __future__ import annotations

import random
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.contracts.catalog import Record
from assay.contracts.results import Failure, Response
from assay.inference.kept import KeptResponses, answered_ids
from assay.inference.store import PartStore, part_bodies, read_responses
from tests.unit.memory_bucket import Bucket

PREFIX = "evaluations/demo/1/models/m/responses/"


def record(name: str) -> Record:
    return Record(id=name, model_input=f"q{name}", target_output="a")


def answer(name: str, text: str) -> Response:
    return Response(record_id=name, text=text, latency_ms=1.5, attempts=1, prompt="p")


def failed(name: str) -> Response:
    return Response(
        record_id=name,
        text=None,
        latency_ms=None,
        attempts=3,
        prompt="p",
        failure=Failure(kind="Throttled", reason="too many requests"),
    )


def test_records_come_with_their_last_response_in_the_order_of_the_catalog(tmp_path: Path) -> None:
    bucket = Bucket()
    store = PartStore(bucket, PREFIX)
    store.append([answer("3", "c\u2028\x85"), failed("1")])
    store.append([answer("1", "a"), answer("gone", "x")])
    with KeptResponses(bucket, PREFIX, tmp_path / "kept") as kept:
        [pairs] = kept.joined([record("1"), record("2"), record("3")])
        assert [(item.id, response and response.text) for item, response in pairs] == [
            ("1", "a"),
            ("2", None),
            ("3", "c\u2028\x85"),
        ]
        assert len(kept) == 3


def test_records_come_so_many_at_a_time(tmp_path: Path) -> None:
    with KeptResponses(Bucket(), PREFIX, tmp_path / "kept") as kept:
        batches = list(kept.joined((record(str(number)) for number in range(7)), size=3))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert all(response is None for _, response in chain(*batches))


def test_a_part_without_an_end_of_line_does_not_swallow_the_next(tmp_path: Path) -> None:
    bucket = Bucket()
    bucket.write(f"{PREFIX}part-00000.jsonl", answer("1", "a").model_dump_json().encode())
    bucket.write(f"{PREFIX}part-00001.jsonl", answer("2", "b").model_dump_json().encode())
    with KeptResponses(bucket, PREFIX, tmp_path / "kept") as kept:
        assert kept.of([record("1"), record("2")]) == [answer("1", "a"), answer("2", "b")]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(0, 40), runs=st.integers(1, 4))
def test_what_is_kept_is_what_reading_every_part_gives(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, runs: int
) -> None:
    rng = random.Random(seed)
    bucket = Bucket()
    for _ in range(runs):
        store = PartStore(bucket, PREFIX)
        names = rng.sample(range(count), rng.randint(0, count))
        while names:
            part = [names.pop() for _ in range(min(len(names), rng.randint(1, 7)))]
            store.append(
                [failed(str(name)) if rng.random() < 0.3 else answer(str(name), str(rng.random())) for name in part]
            )
    expected = {response.record_id: response for response in read_responses(bucket, PREFIX)}
    records = [record(str(number)) for number in range(count)]
    answered = answered_ids(bucket, PREFIX)
    with KeptResponses(bucket, PREFIX, tmp_path_factory.mktemp("kept") / "kept") as kept:
        assert kept.of(records) == [expected.get(item.id) for item in records]
        assert len(kept) == len(expected)
    for item in records:
        response = expected.get(item.id)
        assert (item.id in answered) == (response is not None and response.failure is None)


def test_parts_come_in_the_order_of_writing_and_are_read_once_each() -> None:
    bucket = Bucket()
    for number in (3, 99_999, 100_000, 0):
        bucket.write(f"{PREFIX}part-{number:05d}.jsonl", str(number).encode())
    assert list(part_bodies(bucket, PREFIX)) == [b"0", b"3", b"99999", b"100000"]
    assert sorted(bucket.read_keys) == bucket.keys(PREFIX)


def test_a_part_that_cannot_be_read_is_told() -> None:
    class Torn(Bucket):
        def read(self, key: str) -> bytes:
            if key.endswith("00001.jsonl"):
                raise OSError("connection lost")
            return super().read(key)

    bucket = Torn()
    store = PartStore(bucket, PREFIX)
    store.append([answer("1", "a")])
    store.append([answer("2", "b")])
    with pytest.raises(OSError, match="connection lost"):
        answered_ids(bucket, PREFIX)
