"""Everything that starting an evaluation touches, in memory: a versioned bucket with a clock, tables, services."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from assay.contracts.config import SuiteConfig
from assay.contracts.errors import (
    AddressRefusedError,
    ModelPackageRefusedError,
    ObjectNotFoundError,
    RejectedError,
    ScheduleRefusedError,
    TransientError,
)
from assay.contracts.evaluation import DatedVersion, ObjectVersion
from assay.contracts.events import Detail, Drop, DueEvaluation, RequestEvent
from assay.contracts.lanes import Quotas
from assay.contracts.results import Manifest, SourceObject
from assay.contracts.suites import Description, Reader
from assay.pipeline.drops import Drops
from assay.pipeline.due import Due
from assay.pipeline.ports import Started
from assay.pipeline.refusals import Refusals
from assay.pipeline.requests import Requests
from assay.pipeline.start import EvaluationStarter
from assay.pipeline.suites import Suites

BUCKET = "drops"
CATALOG = b'{"model_input": "2+2?", "target_output": "4"}\n{"model_input": "3+3?", "target_output": "6"}\n'
CONFIG = b"""\
pipeline: {name: sums}
dataset: {input_data_location: sums.jsonl}
models: [{name: m, provider: endpoint, endpoint_name: e}]
algorithms: [FactualKnowledge]
"""


def named(suite: str, config: bytes = CONFIG) -> bytes:
    """The config under another suite's name."""
    return config.replace(b"{name: sums}", f"{{name: {suite}}}".encode())


@dataclass
class Stored:
    """A version or a delete marker."""

    version_id: str
    body: bytes | None
    at: datetime


@dataclass
class Bucket:
    """A versioned bucket. Its clock moves a second with every change, unless it is told to stand still."""

    bucket: str = BUCKET
    now: datetime = datetime(2026, 1, 2, tzinfo=UTC)
    step: timedelta = timedelta(seconds=1)
    stored: dict[str, list[Stored]] = field(default_factory=dict)

    def put(self, key: str, body: bytes) -> ObjectVersion:
        return self._store(key, body, "v")

    def delete(self, key: str) -> ObjectVersion:
        """Put a delete marker."""
        return self._store(key, None, "d")

    def purge(self, version: ObjectVersion) -> None:
        """Delete a version, or a delete marker, for good."""
        self.now += self.step
        kept = [item for item in self.stored[version.key] if item.version_id != version.version_id]
        self.stored[version.key] = kept

    def _store(self, key: str, body: bytes | None, kind: str) -> ObjectVersion:
        self.now += self.step
        items = self.stored.setdefault(key, [])
        number = sum(1 for item in items if item.version_id.startswith(kind)) + 1
        items.append(Stored(f"{kind}{number}", body, self.now))
        return ObjectVersion(self.bucket, key, items[-1].version_id)

    # ---- as the product sees it

    def history(self, key: str, since: datetime | None = None) -> list[DatedVersion]:
        found: list[DatedVersion] = []
        until: datetime | None = None
        deleted = False
        for item in reversed(self.stored.get(key, [])):
            if since is not None and until is not None and until < since:
                break
            if item.body is not None:
                version = ObjectVersion(self.bucket, key, item.version_id)
                found.append(DatedVersion(version, item.at, until, deleted))
            until, deleted = item.at, item.body is None
        return found

    def read(self, key: str, version_id: str | None = None) -> bytes:
        items = self.stored.get(key, [])
        found = [item for item in items[-1:] if version_id is None] or [
            item for item in items if item.version_id == version_id
        ]
        if not found or found[0].body is None:
            raise ObjectNotFoundError(f"{key} {version_id}")
        return found[0].body

    def chunks(self, key: str, version_id: str | None = None) -> Iterator[bytes]:
        yield self.read(key, version_id)

    def keys(self, prefix: str) -> list[str]:
        found = [key for key, items in self.stored.items() if items and items[-1].body is not None]
        return sorted(key for key in found if key.startswith(prefix))

    def write(self, key: str, body: bytes, content_type: str = "") -> None:
        self.put(key, body)

    def create(self, key: str, body: bytes, content_type: str = "") -> bool:
        items = self.stored.get(key, [])
        if items and items[-1].body is not None:
            return False
        self.put(key, body)
        return True

    def source(self, version: ObjectVersion) -> SourceObject:
        digest = hashlib.sha256(self.read(version.key, version.version_id)).hexdigest()
        return SourceObject(uri=version.uri, version_id=version.version_id, sha256=digest)


@dataclass
class Log:
    """Evaluations in memory."""

    running: dict[str, str | None] = field(default_factory=dict)
    correlations: dict[str, str | None] = field(default_factory=dict)
    held: list[str] = field(default_factory=list)

    def has_started(self, evaluation_id: str) -> bool:
        return self.running.get(evaluation_id) is not None

    def begin(self, evaluation_id: str, *, suite: str, bucket: str, correlation_id: str | None) -> bool:
        self.correlations[evaluation_id] = correlation_id
        return self.running.setdefault(evaluation_id, None) is None

    def started(self, evaluation_id: str, execution_arn: str) -> None:
        self.running[evaluation_id] = execution_arn

    @contextlib.contextmanager
    def lock(self, suite: str, holder: str) -> Iterator[None]:
        assert self.held == [], "a handler that held two locks could wait for itself, or for one that waits for it"
        self.held.append(suite)
        try:
            yield
        finally:
            self.held.remove(suite)


@dataclass
class Book:
    """What is known of suites, in memory."""

    reading: dict[str, dict[str, Reader]] = field(default_factory=dict)
    expiring: set[tuple[str, str]] = field(default_factory=set)
    described: dict[str, Description] = field(default_factory=dict)
    owned: set[tuple[str, str]] = field(default_factory=set)
    claimed: set[tuple[str, str]] = field(default_factory=set)
    lapsing: set[tuple[str, str]] = field(default_factory=set)

    def note_reader(self, catalog_key: str, config: ObjectVersion) -> None:
        self.reading.setdefault(catalog_key, {})[config.key] = Reader(config.key, config.version_id)
        self.expiring.discard((catalog_key, config.key))

    def readers(self, catalog_key: str) -> list[Reader]:
        return [reader for _, reader in sorted(self.reading.get(catalog_key, {}).items())]

    def let_reader_expire(self, catalog_key: str, reader: Reader) -> None:
        if self.reading.get(catalog_key, {}).get(reader.config_key) == reader:
            self.expiring.add((catalog_key, reader.config_key))

    def description(self, suite: str) -> Description | None:
        return self.described.get(suite)

    def suites_of(self, config_key: str) -> list[str]:
        return sorted(suite for key, suite in self.owned if key == config_key)

    def describe(self, suite: str, config: ObjectVersion, notify_on: Collection[str]) -> None:
        self.owned.add((config.key, suite))
        self.described[suite] = Description(config.key, config.version_id, frozenset(notify_on))

    def own(self, suite: str, config_key: str) -> None:
        self.owned.add((config_key, suite))

    def forget(self, suite: str, config_key: str) -> None:
        known = self.described.get(suite)
        if known is not None and known.config_key == config_key:
            del self.described[suite]
        self.owned.discard((config_key, suite))

    def claim(self, suite: str, config_key: str) -> None:
        self.claimed.add((suite, config_key))
        self.lapsing.discard((suite, config_key))

    def claims(self, suite: str) -> list[str]:
        return sorted(key for name, key in self.claimed if name == suite)

    def let_claim_expire(self, suite: str, config_key: str) -> None:
        self.lapsing.add((suite, config_key))


@dataclass
class Timetable:
    """Schedules in memory; what stands in `refused` is not taken."""

    schedules: dict[str, tuple[str, str]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def put(self, suite: str, expression: str, timezone: str) -> None:
        if expression in self.refused:
            raise ScheduleRefusedError(self.refused[expression])
        self.schedules[suite] = (expression, timezone)

    def remove(self, suite: str) -> None:
        self.schedules.pop(suite, None)


@dataclass
class Audiences:
    """Addresses by suite, in memory; what stands in `refused` is not taken."""

    emails: dict[str, list[str]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)

    def put(self, suite: str, emails: Collection[str]) -> None:
        for email in self.refused & set(emails):
            raise AddressRefusedError(f"{email}: Invalid parameter: Endpoint")
        self.emails[suite] = list(emails)

    def remove(self, suite: str) -> None:
        self.emails.pop(suite, None)


@dataclass
class Packages:
    """A Model Registry in memory: the properties of each package by its ARN; what stands in `refused` is not shown."""

    registered: dict[str, dict[str, str]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def properties(self, arn: str) -> dict[str, str] | None:
        if arn in self.refused:
            raise ModelPackageRefusedError(self.refused[arn])
        return self.registered.get(arn)


@dataclass
class Pipelines:
    """Remembers what was started; refuses the first `failures` starts, and every start of a suite in `broken`."""

    log: Log
    failures: int = 0
    broken: set[str] = field(default_factory=set)
    started: list[tuple[str, str]] = field(default_factory=list)
    lanes: list[Sequence[Sequence[str]]] = field(default_factory=list)

    def endpoint_instances(self, instance_types: Iterable[str]) -> Quotas:
        return Quotas(dict.fromkeys(instance_types, 1))

    def start(
        self, config: SuiteConfig, *, evaluation_id: str, evaluation_uri: str, lanes: Sequence[Sequence[str]]
    ) -> str:
        assert self.log.held == [config.suite]
        if self.failures or config.suite in self.broken:
            self.failures = max(0, self.failures - 1)
            raise TransientError("throttled")
        self.started.append((config.suite, evaluation_uri))
        self.lanes.append(lanes)
        return f"arn:execution/{evaluation_id}"


@dataclass
class Announcements:
    """Events and mails in memory."""

    events: list[tuple[str, Detail]] = field(default_factory=list)
    mails: list[tuple[RejectedError, str]] = field(default_factory=list)
    suites_in_mails: list[list[str]] = field(default_factory=list)
    audiences_told: list[list[str]] = field(default_factory=list)

    def emit(self, detail_type: str, detail: Detail) -> None:
        self.events.append((detail_type, detail))

    def mail_rejection(
        self, error: RejectedError, rejected_uri: str, suites: Sequence[str], audiences: Sequence[str]
    ) -> None:
        self.mails.append((error, rejected_uri))
        self.suites_in_mails.append(list(suites))
        self.audiences_told.append(list(audiences))


@dataclass
class World:
    """A stack in memory, and what people and pipelines do to it."""

    bucket: Bucket = field(default_factory=Bucket)
    log: Log = field(default_factory=Log)
    book: Book = field(default_factory=Book)
    timetable: Timetable = field(default_factory=Timetable)
    audiences: Audiences = field(default_factory=Audiences)
    packages: Packages = field(default_factory=Packages)
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
        self.suites = Suites(self.starter, self.book, self.timetable, self.audiences)
        self.refusals = Refusals(self.bucket, self.announcements, self.book, self.starter.clock)
        self.drops = Drops(self.starter, self.suites, self.refusals)

    def put(self, key: str, body: bytes) -> Drop:
        """Store an object; the event of it, not delivered yet."""
        return Drop(self.bucket.put(key, body))

    def drop(self, key: str, body: bytes) -> list[Started]:
        return self.drops.handle(self.put(key, body))

    def remove(self, key: str) -> Drop:
        """Delete an object; the event of it, not delivered yet."""
        return Drop(self.bucket.delete(key), deleted=True)

    def delete(self, key: str) -> list[Started]:
        return self.drops.handle(self.remove(key))

    def request(self, event_id: str = "event-1", **detail: Any) -> Started:
        event = {
            "detail-type": "EvaluationRequested",
            "id": event_id,
            "source": "training",
            "detail": {"schema_version": "1", **detail},
        }
        return Requests(self.starter, self.suites, self.refusals, self.packages).handle(
            RequestEvent.model_validate(event)
        )

    def tick(self, suite: str = "sums", scheduled_time: str = "2026-01-02T06:00:00Z") -> Started:
        due = DueEvaluation(suite=suite, scheduled_time=scheduled_time)
        return Due(self.starter, self.suites, self.refusals).handle(due)

    def event(self, kind: str) -> dict[str, Any]:
        """The detail of the only event of its kind."""
        [detail] = [detail for name, detail in self.announcements.events if name == kind]
        return detail.model_dump()

    def manifests(self) -> list[Manifest]:
        """Of every evaluation that was started, in order."""
        prefix = f"s3://{BUCKET}/"
        return [
            Manifest.model_validate_json(self.bucket.read(f"{uri.removeprefix(prefix)}/manifest.json"))
            for _, uri in self.pipelines.started
        ]

    def pairs(self) -> list[tuple[str, str]]:
        """Key and version of config and catalog of every evaluation, in order."""
        prefix = f"s3://{BUCKET}/"
        return [
            (
                f"{item.config.uri.removeprefix(prefix)}@{item.config.version_id}",
                f"{item.catalog.uri.removeprefix(prefix)}@{item.catalog.version_id}",
            )
            for item in self.manifests()
        ]
