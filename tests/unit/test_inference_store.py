from __future__ import annotations

from assay.contracts.results import Failure, Response
from assay.inference.store import PartStore, read_responses
from tests.unit.memory_bucket import Bucket

PREFIX = "evaluations/demo/1/models/m/responses/"


def answer(record_id: str, text: str = "yes") -> Response:
    return Response(record_id=record_id, text=text, latency_ms=1.5, attempts=1, prompt="p")


def failure(record_id: str) -> Response:
    reason = Failure(kind="Throttled", reason="too many requests")
    return Response(record_id=record_id, text=None, latency_ms=None, attempts=3, prompt="p", failure=reason)


def test_responses_come_back_as_they_were() -> None:
    bucket = Bucket()
    store = PartStore(bucket, PREFIX)
    kept = [answer("1", "a\nb\u2028c\x85"), failure("2"), answer("3", "")]
    store.append(kept[:2])
    store.append(kept[2:])
    assert sorted(read_responses(bucket, PREFIX), key=lambda item: item.record_id) == kept
    assert bucket.keys(PREFIX) == [f"{PREFIX}part-00000.jsonl", f"{PREFIX}part-00001.jsonl"]


def test_a_second_store_goes_on_with_the_next_number() -> None:
    bucket = Bucket()
    PartStore(bucket, PREFIX).append([answer("1")])
    bucket.write(f"{PREFIX}part-00041.jsonl", b"")
    PartStore(bucket, PREFIX).append([answer("2")])
    assert bucket.keys(PREFIX)[-1] == f"{PREFIX}part-00042.jsonl"


def test_nothing_is_written_for_nothing() -> None:
    bucket = Bucket()
    PartStore(bucket, PREFIX).append([])
    assert bucket.objects == {}


def test_the_last_response_to_a_record_counts() -> None:
    bucket = Bucket()
    store = PartStore(bucket, PREFIX)
    store.append([failure("1"), answer("2")])
    store.append([answer("1", "now")])
    assert {item.record_id: item.text for item in read_responses(bucket, PREFIX)} == {"1": "now", "2": "yes"}


def test_parts_are_ordered_by_number_beyond_five_digits() -> None:
    bucket = Bucket()
    bucket.write(f"{PREFIX}part-100000.jsonl", answer("1", "new").model_dump_json().encode())
    bucket.write(f"{PREFIX}part-99999.jsonl", answer("1", "old").model_dump_json().encode())
    assert [item.text for item in read_responses(bucket, PREFIX)] == ["new"]


def test_only_records_with_an_answer_count_as_answered() -> None:
    store = PartStore(Bucket(), PREFIX)
    assert "1" not in store.answered()
    store.append([answer("1"), failure("2"), answer("3", "")])
    assert [name in store.answered() for name in ("1", "2", "3", "4")] == [True, False, True, False]


def test_an_answer_after_a_failure_counts_and_a_failure_after_an_answer_too() -> None:
    store = PartStore(Bucket(), PREFIX)
    store.append([failure("1"), answer("2")])
    store.append([answer("1"), failure("2")])
    assert [name in store.answered() for name in ("1", "2")] == [True, False]


def test_every_failure_that_was_kept_is_known_as_it_is() -> None:
    store = PartStore(Bucket(), PREFIX)
    assert failure("1") not in store.failures()
    store.append([failure("1"), answer("2"), failure("3")])
    store.append([answer("3")])
    known = store.failures()
    assert [failure(name) in known for name in ("1", "2", "3", "4")] == [True, False, True, False]
    assert failure("1").model_copy(update={"attempts": 2}) not in known
    assert answer("2") not in known


def test_parts_of_an_earlier_version_are_read() -> None:
    bucket = Bucket()
    old = b'{"record_id":"1","text":"yes","latency_ms":1.5,"attempts":1,"prompt":"p","failure":null}\n'
    bucket.write(f"{PREFIX}part-00000.jsonl", old)
    assert list(read_responses(bucket, PREFIX)) == [answer("1")]


def test_other_objects_below_the_prefix_are_left_alone() -> None:
    bucket = Bucket()
    bucket.write(f"{PREFIX}part-00000.jsonl.tmp", b"not JSON")
    bucket.write(f"{PREFIX}notes.txt", b"not JSON")
    assert list(read_responses(bucket, PREFIX)) == []
