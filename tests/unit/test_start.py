"""Which drop starts what, and what is refused."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from assay.contracts.config import SuiteConfig, load_config
from assay.contracts.errors import RejectedError, TransientError
from assay.contracts.evaluation import ObjectVersion
from assay.contracts.events import Detail
from assay.contracts.lanes import Quotas
from assay.contracts.results import Manifest, SourceObject
from assay.pipeline.start import EvaluationStarter, Started

BUCKET = "drops"
CATALOG = b'{"model_input": "2+2?", "target_output": "4"}\n{"model_input": "3+3?", "target_output": "6"}\n'
CONFIG = b"""\
pipeline: {name: sums}
dataset: {input_data_location: sums.jsonl}
models: [{name: m, provider: endpoint, endpoint_name: e}]
algorithms: [FactualKnowledge]
"""


@dataclass
class Bucket:
    """A versioned bucket in memory."""

    bucket: str = BUCKET
    versions: dict[str, list[bytes]] = field(default_factory=dict)

    def drop(self, key: str, body: bytes) -> ObjectVersion:
        self.versions.setdefault(key, []).append(body)
        return self.latest(key)

    def latest(self, key: str) -> ObjectVersion:
        return ObjectVersion(self.bucket, key, f"v{len(self.versions[key])}")

    def exists(self, key: str) -> bool:
        return key in self.versions

    def delete(self, key: str) -> None:
        del self.versions[key]

    def read(self, key: str, version_id: str | None = None) -> bytes:
        index = int(version_id[1:]) - 1 if version_id else -1
        return self.versions[key][index]

    def chunks(self, key: str, version_id: str | None = None) -> Iterator[bytes]:
        yield self.read(key, version_id)

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self.versions if key.startswith(prefix))

    def write(self, key: str, body: bytes, content_type: str = "") -> None:
        self.versions.setdefault(key, []).append(body)

    def source(self, version: ObjectVersion) -> SourceObject:
        digest = hashlib.sha256(self.read(version.key, version.version_id)).hexdigest()
        return SourceObject(uri=version.uri, version_id=version.version_id, sha256=digest)


@dataclass
class Log:
    """Suites and evaluations in memory."""

    suites: dict[str, tuple[ObjectVersion, str]] = field(default_factory=dict)
    running: dict[str, str | None] = field(default_factory=dict)
    held: list[str] = field(default_factory=list)

    def remember_suite(self, suite: str, config: ObjectVersion, catalog_key: str) -> None:
        self.suites[suite] = (config, catalog_key)

    def configs_reading(self, catalog_key: str) -> list[str]:
        return sorted(config.key for config, catalog in self.suites.values() if catalog == catalog_key)

    def begin(self, evaluation_id: str, *, suite: str, bucket: str) -> bool:
        return self.running.setdefault(evaluation_id, None) is None

    def started(self, evaluation_id: str, execution_arn: str) -> None:
        self.running[evaluation_id] = execution_arn

    @contextlib.contextmanager
    def lock(self, suite: str, holder: str) -> Iterator[None]:
        assert suite not in self.held
        self.held.append(suite)
        yield
        self.held.remove(suite)


@dataclass
class Pipelines:
    """Remembers what was started; refuses the first `failures` starts."""

    log: Log
    failures: int = 0
    started: list[tuple[str, str]] = field(default_factory=list)
    lanes: list[Sequence[Sequence[str]]] = field(default_factory=list)

    def endpoint_instances(self, instance_types: Iterable[str]) -> Quotas:
        return Quotas(dict.fromkeys(instance_types, 1))

    def start(
        self, config: SuiteConfig, *, evaluation_id: str, evaluation_uri: str, lanes: Sequence[Sequence[str]]
    ) -> str:
        assert self.log.held == [config.suite]
        if self.failures:
            self.failures -= 1
            self.log.held.remove(config.suite)
            raise TransientError("throttled")
        self.started.append((config.suite, evaluation_uri))
        self.lanes.append(lanes)
        return f"arn:execution/{evaluation_id}"


@dataclass
class Announcements:
    """Events and mails in memory."""

    events: list[tuple[str, Detail]] = field(default_factory=list)
    mails: list[tuple[RejectedError, str]] = field(default_factory=list)

    def emit(self, detail_type: str, detail: Detail) -> None:
        self.events.append((detail_type, detail))

    def mail_rejection(self, error: RejectedError, rejected_uri: str) -> None:
        self.mails.append((error, rejected_uri))


@dataclass
class World:
    bucket: Bucket = field(default_factory=Bucket)
    log: Log = field(default_factory=Log)
    announcements: Announcements = field(default_factory=Announcements)

    def __post_init__(self) -> None:
        self.pipelines = Pipelines(self.log)
        self.starter = EvaluationStarter(
            store=self.bucket,
            log=self.log,
            pipelines=self.pipelines,
            announcer=self.announcements,
            clock=lambda: datetime(2026, 1, 2, tzinfo=UTC),
            new_id=lambda: "holder",
            quotas=self.pipelines,
            versions={"assay": "test"},
        )

    def drop(self, key: str, body: bytes) -> list[Started]:
        return self.starter.handle(self.bucket.drop(key, body))

    def event(self, kind: str) -> dict[str, Any]:
        [detail] = [detail for name, detail in self.announcements.events if name == kind]
        return detail.model_dump()


@pytest.fixture
def world() -> World:
    return World()


def test_a_config_starts_its_suite_when_its_catalog_is_there(world: World) -> None:
    world.drop("catalogs/sums.jsonl", CATALOG)
    [result] = world.drop("configs/sums.yaml", CONFIG)
    assert result.outcome == "started"
    root = f"evaluations/sums/{result.evaluation_id}"
    assert world.pipelines.started == [("sums", f"s3://{BUCKET}/{root}")]
    assert world.bucket.read(f"{root}/config.yaml") == CONFIG
    manifest = Manifest.model_validate_json(world.bucket.read(f"{root}/manifest.json"))
    assert manifest.records == 2
    assert manifest.catalog.sha256 == hashlib.sha256(CATALOG).hexdigest()
    assert world.event("EvaluationStarted")["data"]["pipeline_execution_arn"] == result.execution_arn


def test_an_evaluation_that_would_cost_more_than_its_budget_is_refused_by_the_key(world: World) -> None:
    world.drop("catalogs/sums.jsonl", CATALOG)
    [result] = world.drop("configs/sums.yaml", CONFIG + b"limits: {budget_usd: 0.0001}\n")
    assert result.outcome == "rejected"
    [(error, _)] = world.announcements.mails
    [fault] = error.faults
    assert (error.subject, fault.key) == ("configs/sums.yaml", "limits.budget_usd")
    assert "the evaluation would cost about" in fault.message
    assert world.pipelines.started == []


PRICED = b"bedrock, model_id: x, evaluation_config: {inference_parameters: {maxTokens: 9}}"
LIMITS = b"limits: {budget_usd: 500}\npricing: {tokens: {m: {input_usd: 1.0, output_usd: 2.0}}}\n"


def test_a_budget_is_written_down_as_the_part_of_each_model(world: World) -> None:
    world.drop("catalogs/sums.jsonl", CATALOG)
    [result] = world.drop("configs/sums.yaml", CONFIG.replace(b"endpoint, endpoint_name: e", PRICED) + LIMITS)
    text = world.bucket.read(f"evaluations/sums/{result.evaluation_id}/manifest.json")
    allotments = Manifest.model_validate_json(text).allotments
    assert allotments.keys() == {"m"}
    assert 0 < allotments["m"] < 500


def test_each_prompt_template_makes_a_contender_of_each_model(world: World) -> None:
    world.drop("catalogs/sums.jsonl", CATALOG)
    templates = b'sums.jsonl, prompt_templates: {plain: "$model_input", polite: "Please: $model_input"}'
    [result] = world.drop("configs/sums.yaml", CONFIG.replace(b"sums.jsonl", templates))
    assert world.event("EvaluationStarted")["data"]["models"] == ["m--plain", "m--polite"]
    written = load_config(world.bucket.read(f"evaluations/sums/{result.evaluation_id}/config.yaml"), "config.yaml")
    assert [model.evaluation_config.prompt_template for model in written.models] == [
        "$model_input",
        "Please: $model_input",
    ]


def test_a_config_waits_for_its_catalog_and_starts_when_it_comes(world: World) -> None:
    [waiting] = world.drop("configs/sums.yaml", CONFIG)
    assert waiting == Started(outcome="waiting", suite="sums")
    [started] = world.drop("catalogs/sums.jsonl", CATALOG)
    assert (started.outcome, started.suite) == ("started", "sums")


def test_a_catalog_starts_every_suite_that_reads_it_and_no_other(world: World) -> None:
    world.drop("configs/one.yaml", CONFIG)
    world.drop("configs/two.yaml", CONFIG.replace(b"name: sums", b"name: products"))
    world.drop("configs/three.yaml", CONFIG.replace(b"name: sums", b"name: other").replace(b"sums.jsonl", b"o.jsonl"))
    results = world.drop("catalogs/sums.jsonl", CATALOG)
    assert sorted(result.suite or "" for result in results) == ["products", "sums"]
    assert len({result.evaluation_id for result in results}) == 2


def test_the_same_event_twice_is_one_evaluation(world: World) -> None:
    world.drop("catalogs/sums.jsonl", CATALOG)
    drop = world.bucket.drop("configs/sums.yaml", CONFIG)
    first, second = world.starter.handle(drop), world.starter.handle(drop)
    assert first[0].evaluation_id == second[0].evaluation_id
    assert second[0].outcome == "repeated"
    assert len(world.pipelines.started) == 1


def test_dropping_the_same_config_again_is_a_new_evaluation(world: World) -> None:
    world.drop("catalogs/sums.jsonl", CATALOG)
    first, second = world.drop("configs/sums.yaml", CONFIG), world.drop("configs/sums.yaml", CONFIG)
    assert first[0].evaluation_id != second[0].evaluation_id
    assert len(world.pipelines.started) == 2


def test_a_start_that_failed_half_way_is_taken_up_by_the_next_delivery(world: World) -> None:
    world.drop("catalogs/sums.jsonl", CATALOG)
    drop = world.bucket.drop("configs/sums.yaml", CONFIG)
    world.pipelines.failures = 1
    with pytest.raises(TransientError):
        world.starter.handle(drop)
    assert world.starter.handle(drop)[0].outcome == "started"
    assert len(world.pipelines.started) == 1


@pytest.mark.parametrize(
    ("config", "catalog", "subject", "line"),
    [
        (b"pipeline: [", CATALOG, "configs/sums.yaml", 1),
        (CONFIG.replace(b"models:", b"model:"), CATALOG, "configs/sums.yaml", 1),
        (CONFIG.replace(b"FactualKnowledge", b"Guesswork"), CATALOG, "configs/sums.yaml", 4),
        (CONFIG, CATALOG + b"{broken\n", "catalogs/sums.jsonl", 3),
        (CONFIG.replace(b"sums.jsonl", b"'s3://elsewhere/x.jsonl'"), CATALOG, "configs/sums.yaml", None),
    ],
)
def test_what_is_refused_starts_nothing_and_is_told_three_ways(
    world: World, config: bytes, catalog: bytes, subject: str, line: int | None
) -> None:
    world.drop("catalogs/sums.jsonl", catalog)
    [result] = world.drop("configs/sums.yaml", config)
    assert result.outcome == "rejected"
    assert world.pipelines.started == []
    written = json.loads(world.bucket.read(f"rejected/{subject}.json"))
    assert written["faults"][0]["line"] == line
    data = world.event("EvaluationRejected")["data"]
    assert data["rejected_uri"] == f"s3://{BUCKET}/rejected/{subject}.json"
    assert data["faults"] == written["faults"]
    [(error, uri)] = world.announcements.mails
    assert (error.subject, uri) == (subject, data["rejected_uri"])


def test_one_suite_that_is_refused_does_not_stop_the_others(world: World) -> None:
    world.drop("configs/a.yaml", CONFIG.replace(b"sums.jsonl}", b"sums.jsonl, target_output_key: nothing}"))
    world.drop("configs/b.yaml", CONFIG.replace(b"name: sums", b"name: products"))
    results = world.drop("catalogs/sums.jsonl", CATALOG)
    assert sorted(result.outcome for result in results) == ["rejected", "started"]


def test_a_config_that_was_deleted_does_not_stop_the_others(world: World) -> None:
    world.drop("configs/a.yaml", CONFIG)
    world.drop("configs/b.yaml", CONFIG.replace(b"name: sums", b"name: products"))
    world.bucket.delete("configs/a.yaml")
    [result] = world.drop("catalogs/sums.jsonl", CATALOG)
    assert (result.outcome, result.suite) == ("started", "products")


@pytest.mark.parametrize("key", ["evaluations/sums/x/report.html", "configs/", "catalogs/2026/"])
def test_anything_else_in_the_bucket_concerns_nobody(world: World, key: str) -> None:
    assert world.drop(key, b"") == []
    assert world.announcements.mails == []
