"""The start itself: a checked config and a version of a catalog become a running pipeline, once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from assay.contracts.catalog import Record, read_catalog
from assay.contracts.catalog_needs import Needs, needs_of
from assay.contracts.config import SuiteConfig, load_config
from assay.contracts.contenders import contenders, dump_config
from assay.contracts.errors import Fault, RejectedError
from assay.contracts.evaluation import EvaluationPaths, ObjectVersion
from assay.contracts.events import Detail
from assay.contracts.lanes import LaneLimit
from assay.contracts.prices import bundled_prices
from assay.contracts.results import Manifest, SourceObject
from assay.pipeline.budget import allotments, judge_allotments, over_budget
from assay.pipeline.estimate import estimate, plan_lanes, workload
from assay.pipeline.lanes import QuotaSource, lane_limits
from assay.pipeline.ports import Announcer, EvaluationLog, ObjectStore, Pipelines, Started
from assay.pipeline.training import check_before_start

CONFIGS, CATALOGS = "configs/", "catalogs/"


@dataclass(frozen=True)
class CheckedConfig:
    """A config that may be evaluated.

    Attributes:
        config: with each model for each prompt template.
        subject: the file or request that it comes from, to name in faults.
        text: of `config`; the file as it was dropped where that says the same.
        written: the config as it was written, and its text.
        source: the file, None for a config that a request carried.
        catalog_key: of its catalog in the stack's bucket.
    """

    config: SuiteConfig
    subject: str
    text: bytes
    needs: Needs
    written: tuple[SuiteConfig, bytes]
    source: ObjectVersion | None
    catalog_key: str

    @property
    def suite(self) -> str:
        return self.config.suite


@dataclass(frozen=True)
class Request:
    """Who asks for an evaluation: goes into its manifest and its events."""

    evaluation_id: str
    requested_by: dict[str, Any] = field(default_factory=dict)
    correlation_id: str | None = None


@dataclass(frozen=True)
class _Work:
    """What a catalog comes to: its records, and what asking each model may cost where there is a budget."""

    records: int
    allotments: dict[str, float]
    judge_allotments: dict[str, float]


@dataclass(frozen=True)
class EvaluationStarter:
    """Starts evaluations. Everything that it touches comes in."""

    store: ObjectStore
    log: EvaluationLog
    pipelines: Pipelines
    announcer: Announcer
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    quotas: QuotaSource
    versions: dict[str, str]
    step_instance_type: str = "ml.m5.large"

    def read(self, source: ObjectVersion) -> CheckedConfig:
        """Read and check a config that lies in the bucket.

        Raises:
            RejectedError: with every fault of the file.
            ObjectNotFoundError: there is no such version.
        """
        config, text = self.written(source)
        return self.checked(config, text, source.key, source=source)

    def written(self, source: ObjectVersion) -> tuple[SuiteConfig, bytes]:
        """A config as somebody wrote it, its prompt templates apart from its models, and its text. Raises as `read`."""
        text = self.store.read(source.key, source.version_id)
        return load_config(text, source.key), text

    def checked(self, config: SuiteConfig, text: bytes, subject: str, *, source: ObjectVersion | None) -> CheckedConfig:
        """Make ready a config that is valid by itself.

        Raises:
            RejectedError: its catalog cannot lie where it says.
        """
        written = (config, text)
        needs = needs_of(config, text, subject)
        if config.dataset.prompt_templates:
            config = contenders(config)
            text = dump_config(config)
        key = config.dataset.catalog_key().removeprefix(f"s3://{self.store.bucket}/")
        if not key.startswith(CATALOGS):
            found = config.dataset.input_data_location[:80]
            message = f"the catalog must lie below s3://{self.store.bucket}/{CATALOGS}, found {found!r}"
            raise RejectedError(subject, [Fault(message, key="dataset.input_data_location")])
        return CheckedConfig(config, subject, text, needs, written, source, key)

    def check_training_data(self, checked: CheckedConfig) -> None:
        """Look at the training data of a config as they lie in the bucket now.

        Raises:
            RejectedError: they are not what the config says of them.
        """
        config, text = checked.written
        check_before_start(config, text, checked.subject, self.store)

    def lock(self, suite: str) -> Any:
        """Keep every other handler from what is known of a suite, and from its pipeline."""
        return self.log.lock(suite, self.new_id())

    def start(self, checked: CheckedConfig, catalog: ObjectVersion, request: Request) -> Started:
        """Start one evaluation, unless it is there already.

        Raises:
            RejectedError: with the faults of the catalog or of training data; or it would cost more than its budget.
        """
        suite, identifier = checked.suite, request.evaluation_id
        repeated = Started(outcome="repeated", suite=suite, evaluation_id=identifier)
        if self.log.has_started(identifier):
            return repeated
        self.check_training_data(checked)
        chunks = self.store.chunks(catalog.key, catalog.version_id)
        rows = read_catalog(chunks, checked.config.dataset, catalog.key, checked.needs)
        limits = lane_limits(checked.config, self.quotas)
        work = self._weigh(checked, rows, limits)
        # Inside the lock, each holder its own: config and catalog that were dropped together are one evaluation, and
        # the later one finds it started.
        with self.lock(suite):
            begun = self.log.begin(
                identifier, suite=suite, bucket=self.store.bucket, correlation_id=request.correlation_id
            )
            return self._run(checked, catalog, request, work, limits) if begun else repeated

    def _weigh(self, checked: CheckedConfig, rows: Iterable[Record], limits: tuple[LaneLimit, ...]) -> _Work:
        """Count the records, and hold what they will cost against the budget where there is one."""
        config = checked.config
        if config.limits.budget_usd is None:
            return _Work(sum(1 for _ in rows), {}, {})
        work = workload(config, rows)
        prediction = estimate(config, work, bundled_prices(), step_instance_type=self.step_instance_type, limits=limits)
        if (fault := over_budget(prediction)) is not None:
            raise RejectedError(checked.subject, [fault])
        return _Work(work.records, allotments(config, prediction), judge_allotments(config, prediction))

    def _run(
        self,
        checked: CheckedConfig,
        catalog: ObjectVersion,
        request: Request,
        work: _Work,
        limits: tuple[LaneLimit, ...],
    ) -> Started:
        suite, identifier = checked.suite, request.evaluation_id
        paths = EvaluationPaths(bucket=self.store.bucket, suite=suite, evaluation_id=identifier)
        own = SourceObject(
            uri=paths.uri(paths.config), version_id=None, sha256=hashlib.sha256(checked.text).hexdigest()
        )
        manifest = Manifest(
            evaluation_id=identifier,
            suite=suite,
            requested_at=self.clock(),
            config=own if checked.source is None else self.store.source(checked.source),
            catalog=self.store.source(catalog),
            records=work.records,
            versions=self.versions,
            lanes=limits,
            allotments=work.allotments,
            judge_allotments=work.judge_allotments,
            requested_by=request.requested_by,
        )
        self.store.write(paths.config, checked.text, "application/yaml")
        self.store.write(paths.manifest, manifest.model_dump_json(indent=1).encode(), "application/json")
        lanes = [lane.endpoints for lane in plan_lanes(checked.config, work.records, limits)]
        arn = self.pipelines.start(checked.config, evaluation_id=identifier, evaluation_uri=paths.root, lanes=lanes)
        detail = Detail(
            evaluation_id=identifier,
            suite=suite,
            correlation_id=request.correlation_id,
            occurred_at=self.clock(),
            data={
                "config_uri": manifest.config.uri,
                "catalog_uri": manifest.catalog.uri,
                "records": work.records,
                "models": [model.name for model in checked.config.models],
                "pipeline_execution_arn": arn,
            },
        )
        self.announcer.emit("EvaluationStarted", detail)
        self.log.started(identifier, arn)
        return Started(outcome="started", suite=suite, evaluation_id=identifier, execution_arn=arn, limits=limits)
