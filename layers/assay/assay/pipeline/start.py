"""From a drop to running pipelines: which suites it concerns, what they evaluate, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from assay.contracts.catalog import Record, read_catalog
from assay.contracts.catalog_needs import needs_of
from assay.contracts.config import SuiteConfig, load_config
from assay.contracts.contenders import contenders, dump_config
from assay.contracts.errors import Fault, RejectedError
from assay.contracts.evaluation import EvaluationPaths, ObjectVersion, evaluation_id
from assay.contracts.events import Detail
from assay.contracts.lanes import LaneLimit
from assay.contracts.prices import bundled_prices
from assay.contracts.results import Manifest, SourceObject
from assay.pipeline.budget import allotments, over_budget
from assay.pipeline.estimate import estimate, plan_lanes, workload
from assay.pipeline.lanes import QuotaSource, lane_limits
from assay.pipeline.training import check_before_start

CONFIGS, CATALOGS, REJECTED = "configs/", "catalogs/", "rejected/"
FAULTS_IN_EVENT = 20


class ObjectStore(Protocol):
    """The bucket that people drop into."""

    bucket: str

    def latest(self, key: str) -> ObjectVersion: ...
    def exists(self, key: str) -> bool: ...
    def read(self, key: str, version_id: str | None = None) -> bytes: ...
    def chunks(self, key: str, version_id: str | None = None) -> Iterator[bytes]: ...
    def keys(self, prefix: str) -> list[str]: ...
    def write(self, key: str, body: bytes, content_type: str = ...) -> None: ...
    def source(self, version: ObjectVersion) -> SourceObject: ...


class EvaluationLog(Protocol):
    """What is known of suites and evaluations."""

    def remember_suite(self, suite: str, config: ObjectVersion, catalog_key: str) -> None: ...
    def configs_reading(self, catalog_key: str) -> list[str]: ...
    def begin(self, evaluation_id: str, *, suite: str, bucket: str) -> bool: ...
    def started(self, evaluation_id: str, execution_arn: str) -> None: ...
    def lock(self, suite: str, holder: str) -> AbstractContextManager[None]: ...


class Pipelines(Protocol):
    """The service that runs pipelines."""

    def start(
        self, config: SuiteConfig, *, evaluation_id: str, evaluation_uri: str, lanes: Sequence[Sequence[str]]
    ) -> str: ...


class Announcer(Protocol):
    """Assay's bus, and the people who get mail."""

    def emit(self, detail_type: str, detail: Detail) -> None: ...
    def mail_rejection(self, error: RejectedError, rejected_uri: str) -> None: ...


@dataclass(frozen=True)
class Started:
    """What came of one suite that a drop concerns.

    Attributes:
        outcome: `started`; `repeated` for an evaluation that is there already; `waiting` for a catalog; `rejected`.
        limits: endpoints that may exist at the same time, and who said so.
    """

    outcome: str
    suite: str | None = None
    evaluation_id: str | None = None
    execution_arn: str | None = None
    limits: tuple[LaneLimit, ...] = ()


@dataclass(frozen=True)
class _Work:
    """What a catalog comes to: its records, and what asking each model may cost where there is a budget."""

    records: int
    allotments: dict[str, float]


@dataclass(frozen=True)
class EvaluationStarter:
    """The use case. Everything that it touches comes in."""

    store: ObjectStore
    log: EvaluationLog
    pipelines: Pipelines
    announcer: Announcer
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    quotas: QuotaSource
    versions: dict[str, str]
    step_instance_type: str = "ml.m5.large"

    def handle(self, drop: ObjectVersion) -> list[Started]:
        """Start what a dropped config or catalog asks for; an evaluation for each suite it concerns."""
        if drop.key.endswith("/"):  # a folder, as S3's console makes them: an empty object
            return []
        if drop.key.startswith(CONFIGS):
            return [self._for_suite(drop, config=drop, catalog=None)]
        if drop.key.startswith(CATALOGS):
            return [
                self._for_suite(drop, self.store.latest(key), catalog=drop)
                for key in self.log.configs_reading(drop.key)
                if self.store.exists(key)  # a config that was deleted asks for nothing, and keeps no other from it
            ]
        return []

    def _for_suite(self, drop: ObjectVersion, config: ObjectVersion, catalog: ObjectVersion | None) -> Started:
        try:
            return self._from_config(config, catalog)
        except RejectedError as error:
            self._reject(drop, error)
            return Started(outcome="rejected")

    def _from_config(self, config_version: ObjectVersion, catalog: ObjectVersion | None) -> Started:
        text = self.store.read(config_version.key, config_version.version_id)
        config = load_config(text, config_version.key)
        needs = needs_of(config, text, config_version.key)
        check_before_start(config, text, config_version.key, self.store)
        if config.dataset.prompt_templates:
            config = contenders(config)
            text = dump_config(config)
        catalog_key = self._catalog_key(config, config_version.key)
        self.log.remember_suite(config.suite, config_version, catalog_key)
        if catalog is None:
            if not self.store.exists(catalog_key):
                return Started(outcome="waiting", suite=config.suite)
            catalog = self.store.latest(catalog_key)
        chunks = self.store.chunks(catalog.key, catalog.version_id)
        rows = read_catalog(chunks, config.dataset, catalog.key, needs)
        limits = lane_limits(config, self.quotas)
        work = self._weigh(config, rows, limits, config_version.key)
        identifier = evaluation_id(config_version, catalog)
        # Inside the lock, each holder its own: config and catalog that were dropped together are one evaluation, and
        # the later one finds it started.
        with self.log.lock(config.suite, self.new_id()):
            if not self.log.begin(identifier, suite=config.suite, bucket=self.store.bucket):
                return Started(outcome="repeated", suite=config.suite, evaluation_id=identifier)
            return self._start(config, text, identifier, config_version, catalog, work, limits)

    def _weigh(self, config: SuiteConfig, rows: Iterable[Record], limits: tuple[LaneLimit, ...], key: str) -> _Work:
        """Count the records, and hold what they will cost against the budget where there is one."""
        if config.limits.budget_usd is None:
            return _Work(sum(1 for _ in rows), {})
        work = workload(config, rows)
        prediction = estimate(config, work, bundled_prices(), step_instance_type=self.step_instance_type, limits=limits)
        if (fault := over_budget(prediction)) is not None:
            raise RejectedError(key, [fault])
        return _Work(work.records, allotments(config, prediction))

    def _start(
        self,
        config: SuiteConfig,
        text: bytes,
        identifier: str,
        config_version: ObjectVersion,
        catalog: ObjectVersion,
        work: _Work,
        limits: tuple[LaneLimit, ...],
    ) -> Started:
        paths = EvaluationPaths(bucket=self.store.bucket, suite=config.suite, evaluation_id=identifier)
        records = work.records
        manifest = Manifest(
            evaluation_id=identifier,
            suite=config.suite,
            requested_at=self.clock(),
            config=self.store.source(config_version),
            catalog=self.store.source(catalog),
            records=records,
            versions=self.versions,
            lanes=limits,
            allotments=work.allotments,
        )
        self.store.write(paths.config, text, "application/yaml")
        self.store.write(paths.manifest, manifest.model_dump_json(indent=1).encode(), "application/json")
        lanes = [lane.endpoints for lane in plan_lanes(config, records, limits)]
        arn = self.pipelines.start(config, evaluation_id=identifier, evaluation_uri=paths.root, lanes=lanes)
        self._emit(
            "EvaluationStarted",
            config.suite,
            identifier,
            {
                "config_uri": manifest.config.uri,
                "catalog_uri": manifest.catalog.uri,
                "records": records,
                "models": [model.name for model in config.models],
                "pipeline_execution_arn": arn,
            },
        )
        self.log.started(identifier, arn)
        return Started(
            outcome="started", suite=config.suite, evaluation_id=identifier, execution_arn=arn, limits=limits
        )

    def _catalog_key(self, config: SuiteConfig, subject: str) -> str:
        key = config.dataset.catalog_key().removeprefix(f"s3://{self.store.bucket}/")
        if not key.startswith(CATALOGS):
            found = config.dataset.input_data_location
            message = f"the catalog must lie below s3://{self.store.bucket}/{CATALOGS}, found {found!r}"
            raise RejectedError(subject, [Fault(message, key="dataset.input_data_location")])
        return key

    def _reject(self, drop: ObjectVersion, error: RejectedError) -> None:
        faults = [
            {"line": fault.line, "column": fault.column, "key": fault.key, "message": fault.message}
            for fault in error.faults
        ]
        key = f"{REJECTED}{error.subject}.json"
        uri = f"s3://{self.store.bucket}/{key}"
        data: dict[str, Any] = {
            "subject": f"s3://{self.store.bucket}/{error.subject}",
            "dropped": {"key": drop.key, "version_id": drop.version_id},
            "total_faults": error.total,
        }
        body = {**data, "rejected_at": self.clock().isoformat(), "faults": faults}
        self.store.write(key, json.dumps(body, indent=1, ensure_ascii=False).encode(), "application/json")
        self._emit("EvaluationRejected", None, None, {**data, "rejected_uri": uri, "faults": faults[:FAULTS_IN_EVENT]})
        self.announcer.mail_rejection(error, uri)

    def _emit(self, detail_type: str, suite: str | None, identifier: str | None, data: dict[str, Any]) -> None:
        detail = Detail(evaluation_id=identifier, suite=suite, occurred_at=self.clock(), data=data)
        self.announcer.emit(detail_type, detail)
