"""Every event has a sample and a schema, and what is emitted keeps to it. One file is fixture, contract and docs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from pydantic import BaseModel

from assay.contracts.errors import RejectedError
from assay.contracts.evaluation import ObjectVersion
from assay.contracts.events import Detail, DetailType, Drop, DueEvent, ObjectEvent, RequestEvent, StartEvent
from assay.contracts.request import correlation_of, read_request
from tests.unit.start_world import CATALOG, CONFIG, World

EVENTS = Path(__file__).resolve().parents[2] / "events"
EARLIER = sorted(path.name for path in (EVENTS / "earlier").glob("*.json"))
NAMES = sorted(path.name.removesuffix(".schema.json") for path in EVENTS.glob("*.schema.json"))
TAKEN = ["evaluation_due.v1", "evaluation_requested.v1"]
OURS = [name for name in NAMES if name.endswith(".v1") and name not in TAKEN]


def load(name: str) -> Any:
    return json.loads((EVENTS / name).read_text())


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(load(f"{name}.schema.json"), format_checker=FormatChecker())


def test_each_sample_has_a_schema_and_each_schema_a_sample() -> None:
    samples = {path.name.removesuffix(".json") for path in EVENTS.glob("*.json") if ".schema." not in path.name}
    assert samples == set(NAMES)


def test_each_kind_of_event_that_assay_emits_is_published() -> None:
    published = {load(f"{name}.json")["detail-type"] for name in OURS}
    assert published == set(get_args(DetailType))


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one_and_its_sample_keeps_to_it(name: str) -> None:
    Draft202012Validator.check_schema(load(f"{name}.schema.json"))
    validator(name).validate(load(f"{name}.json"))


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_says_what_the_event_means(name: str) -> None:
    schema = load(f"{name}.schema.json")
    assert schema["title"] == load(f"{name}.json")["detail-type"]
    assert schema["description"].endswith(".")


@pytest.mark.parametrize("name", OURS)
def test_our_detail_reads_its_sample_and_writes_what_the_schema_allows(name: str) -> None:
    event = load(f"{name}.json")
    event["detail"] = Detail.model_validate(event["detail"]).model_dump(mode="json")
    validator(name).validate(event)


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("missing", ["schema_version", "evaluation_id", "suite", "occurred_at", "data"])
def test_a_detail_lacks_nothing(name: str, missing: str) -> None:
    event = load(f"{name}.json")
    del event["detail"][missing]
    with pytest.raises(ValidationError):
        validator(name).validate(event)


@pytest.mark.parametrize("name", OURS)
def test_a_consumer_survives_what_a_later_minor_version_adds(name: str) -> None:
    event = load(f"{name}.json")
    event["detail"]["added_later"] = event["detail"]["data"]["added_later"] = 1
    validator(name).validate(event)


@pytest.mark.parametrize("sample", EARLIER)
def test_an_event_as_an_earlier_version_emitted_it_is_still_one(sample: str) -> None:
    event = load(f"earlier/{sample}")
    name = f"{sample.partition('.')[0]}.v1"
    assert event != load(f"{name}.json"), "this is today's form"
    validator(name).validate(event)
    detail = Detail.model_validate(event["detail"])
    assert detail.correlation_id is None
    validator(name).validate(event | {"detail": detail.model_dump(mode="json")})


def test_each_event_that_was_emitted_before_correlation_ids_is_kept_in_that_form() -> None:
    kept = {f"{sample.partition('.')[0]}.v1" for sample in EARLIER if "with" not in sample}
    assert kept == set(OURS)


@pytest.mark.parametrize(
    ("name", "version_id", "deleted"),
    [
        ("s3_object_created.json", "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e", False),
        ("s3_object_deleted.json", "1QW9g1Z99LUNbvaaYVpW9xDlOLU.qxgF", True),
    ],
)
def test_a_drop_is_read_from_its_sample(name: str, version_id: str, deleted: bool) -> None:
    bucket, key = "assay-bucket-1a2b3c4d5e6f", "configs/general-knowledge.yaml"
    drop = ObjectEvent.model_validate(load(name)).drop
    assert drop == Drop(ObjectVersion(bucket=bucket, key=key, version_id=version_id), deleted=deleted)


# ---- what start_evaluation takes


def accepts(name: str, event: Any) -> bool:
    return bool(validator(name).is_valid(event))


REQUESTS = [
    {"suite": "sums"},
    {"suite": "sums", "config": "x"},
    {},
    {"config": {"pipeline": {}}},
    {"config": 7},
    {"suite": "a b"},
    {"suite": "sums", "request_id": "../x"},
    {"suite": "sums", "correlation_id": ""},
    {"suite": "sums", "correlation_id": "x" * 257},
    {"suite": "sums", "correlation_id": "a\nb"},
    {"suite": "sums", "correlation_id": "a\n"},
    {"suite": "sums", "correlation_id": "a\x85b"},
    {"suite": "sums", "correlation_id": "a\u2028b"},
    {"suite": "sums", "correlation_id": "größe\u00a0文 17"},
    {"suite": "sums", "correlation_id": None},
    {"suite": "sums", "request_id": None},
    {"suite": "sums", "other": 1},
    {"suite": "sums", "config": None},
    {"suite": "sums", "model": None},
    {"suite": None, "config": {"pipeline": {}}},
    {"suite": None},
    {"suite": "sums", "schema_version": "2"},
    {"suite": "sums", "model": {"name": "m"}},
    {"suite": "sums", "model": {"name": "m", "endpoint_name": "e"}},
    {"suite": "sums", "model": {"name": "m", "endpoint_name": "e", "model_data": "s3://b/k"}},
    {"suite": "sums", "model": {"endpoint_name": "e"}},
    {"suite": "sums", "model": {"name": "a b", "endpoint_name": "e"}},
    {"suite": "sums", "model": {"name": "m", "endpoint_name": "e", "model_data": None}},
    {"suite": "sums", "model": {"name": "m", "model_data": "s3://b"}},
    {"suite": "sums", "model": {"name": "m", "model_data": "s3://bucket/"}},
    {"suite": "sums", "model": {"name": "m", "model_data": "s3://bucket/model.tar.gz"}},
    {"suite": "sums", "model": {"name": "m", "model_package_arn": "arn:aws:iam::123456789012:role/r"}},
]


@pytest.mark.parametrize("detail", REQUESTS, ids=str)
def test_the_schema_of_a_request_allows_what_is_taken_and_nothing_else(detail: dict[str, Any]) -> None:
    event = load("evaluation_requested.v1.json") | {"detail": {"schema_version": "1", **detail}}
    try:
        read_request(event["detail"], "requests/x.json")
        taken = True
    except RejectedError:
        taken = False
    assert accepts("evaluation_requested.v1", event) is taken


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("s3_object_created", ObjectEvent),
        ("s3_object_deleted", ObjectEvent),
        ("evaluation_requested.v1", RequestEvent),
        ("evaluation_due.v1", DueEvent),
    ],
)
def test_each_event_that_starts_an_evaluation_is_known_by_its_sample(name: str, kind: type[BaseModel]) -> None:
    event = StartEvent.validate_python(load(f"{name}.json"))
    assert isinstance(event, kind)
    again = StartEvent.validate_python(event.model_dump(mode="json", by_alias=True))
    assert again == event


def test_a_sample_of_a_request_is_one_that_would_be_taken() -> None:
    event = RequestEvent.model_validate(load("evaluation_requested.v1.json"))
    assert read_request(event.detail, "requests/x.json").correlation_id == correlation_of(event.detail)


# ---- what start_evaluation emits


def emitted(config: bytes, catalog: bytes = CATALOG) -> tuple[str, dict[str, Any]]:
    world = World()
    world.drop("catalogs/sums.jsonl", catalog)
    world.drop("configs/sums.yaml", config)
    [(detail_type, detail)] = world.announcements.events
    return detail_type, json.loads(detail.model_dump_json())


@pytest.mark.parametrize(
    ("config", "kind", "name"),
    [
        (CONFIG, "EvaluationStarted", "evaluation_started.v1"),
        (CONFIG.replace(b"FactualKnowledge", b"Factual"), "EvaluationRejected", "evaluation_rejected.v1"),
        (b"a: [", "EvaluationRejected", "evaluation_rejected.v1"),
        (b"", "EvaluationRejected", "evaluation_rejected.v1"),
    ],
)
def test_what_is_emitted_about_a_drop_keeps_to_its_schema(config: bytes, kind: str, name: str) -> None:
    detail_type, detail = emitted(config)
    assert detail_type == kind
    validator(name).validate(load(f"{name}.json") | {"detail": detail})


@pytest.mark.parametrize(("suite", "kind"), [("sums", "started"), ("unknown", "rejected")])
def test_what_is_emitted_about_a_request_keeps_to_its_schema(suite: str, kind: str) -> None:
    world = World()
    world.drop("catalogs/sums.jsonl", CATALOG)
    world.drop("configs/sums.yaml", CONFIG)
    world.announcements.events.clear()
    world.request(suite=suite, correlation_id="build 17")
    [(_, emitted)] = world.announcements.events
    detail = json.loads(emitted.model_dump_json())
    assert detail["correlation_id"] == "build 17"
    name = f"evaluation_{kind}.v1"
    validator(name).validate(load(f"{name}.json") | {"detail": detail})
