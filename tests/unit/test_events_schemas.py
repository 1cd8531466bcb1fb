"""Every event has a sample and a schema, and what is emitted keeps to it. One file is fixture, contract and docs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator, FormatChecker, ValidationError

from assay.contracts.config import SuiteConfig
from assay.contracts.errors import RejectedError
from assay.contracts.evaluation import ObjectVersion
from assay.contracts.events import Detail, DetailType, ObjectCreated
from assay.contracts.lanes import Quotas
from assay.contracts.results import SourceObject
from assay.pipeline.start import EvaluationStarter

EVENTS = Path(__file__).resolve().parents[2] / "events"
NAMES = sorted(path.name.removesuffix(".schema.json") for path in EVENTS.glob("*.schema.json"))
OURS = [name for name in NAMES if name.endswith(".v1")]
CATALOG = b'{"model_input": "2+2?", "target_output": "4"}\n'
CONFIG = b"""\
pipeline: {name: sums}
dataset: {input_data_location: sums.jsonl}
models: [{name: m, provider: endpoint, endpoint_name: e}]
algorithms: [FactualKnowledge]
"""


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
    event["detail"]["data"]["added_later"] = 1
    validator(name).validate(event)


def test_a_drop_is_read_from_its_sample() -> None:
    event = load("s3_object_created.json")
    version = ObjectCreated.model_validate(event).version
    assert version == ObjectVersion(
        bucket="assay-bucket-1a2b3c4d5e6f",
        key="configs/general-knowledge.yaml",
        version_id="IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
    )


# ---- what start_evaluation emits


@dataclass
class World:
    """Everything that start_evaluation touches, in memory."""

    bucket: str = "drops"
    objects: dict[str, bytes] = field(default_factory=dict)
    emitted: list[tuple[str, Detail]] = field(default_factory=list)

    def latest(self, key: str) -> ObjectVersion:
        return ObjectVersion(self.bucket, key, "v1")

    def exists(self, key: str) -> bool:
        return key in self.objects

    def read(self, key: str, version_id: str | None = None) -> bytes:
        return self.objects[key]

    def chunks(self, key: str, version_id: str | None = None) -> Iterator[bytes]:
        yield self.objects[key]

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))

    def write(self, key: str, body: bytes, content_type: str = "") -> None:
        self.objects[key] = body

    def source(self, version: ObjectVersion) -> SourceObject:
        return SourceObject(uri=version.uri, version_id=version.version_id, sha256="0" * 64)

    def remember_suite(self, suite: str, config: ObjectVersion, catalog_key: str) -> None:
        pass

    def configs_reading(self, catalog_key: str) -> list[str]:
        return []

    def begin(self, evaluation_id: str, *, suite: str, bucket: str) -> bool:
        return True

    def started(self, evaluation_id: str, execution_arn: str) -> None:
        pass

    @contextlib.contextmanager
    def lock(self, suite: str, holder: str) -> Iterator[None]:
        yield

    def start(
        self, config: SuiteConfig, *, evaluation_id: str, evaluation_uri: str, lanes: Sequence[Sequence[str]]
    ) -> str:
        return "arn:execution"

    def endpoint_instances(self, instance_types: Iterable[str]) -> Quotas:
        return Quotas({})

    def emit(self, detail_type: str, detail: Detail) -> None:
        self.emitted.append((detail_type, detail))

    def mail_rejection(self, error: RejectedError, rejected_uri: str) -> None:
        pass


def emitted(config: bytes) -> tuple[str, dict[str, Any]]:
    world = World(objects={"configs/sums.yaml": config, "catalogs/sums.jsonl": CATALOG})
    starter = EvaluationStarter(
        world, world, world, world, lambda: datetime.now(UTC), lambda: "holder", world, {"assay": "0"}
    )
    starter.handle(ObjectVersion("drops", "configs/sums.yaml", "v1"))
    [(detail_type, detail)] = world.emitted
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
