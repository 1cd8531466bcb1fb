"""What starting an evaluation touches, as it wants to see it; and what came of a start."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from assay.contracts.config import SuiteConfig
from assay.contracts.errors import RejectedError
from assay.contracts.evaluation import DatedVersion, ObjectVersion
from assay.contracts.events import Detail
from assay.contracts.lanes import LaneLimit
from assay.contracts.results import SourceObject
from assay.contracts.suites import Description, Reader


class ObjectStore(Protocol):
    """The bucket that people drop into."""

    bucket: str

    def history(self, key: str, since: datetime | None = None) -> list[DatedVersion]: ...
    def read(self, key: str, version_id: str | None = None) -> bytes: ...
    def chunks(self, key: str, version_id: str | None = None) -> Iterator[bytes]: ...
    def keys(self, prefix: str) -> list[str]: ...
    def write(self, key: str, body: bytes, content_type: str = ...) -> None: ...
    def create(self, key: str, body: bytes, content_type: str = ...) -> bool: ...
    def source(self, version: ObjectVersion) -> SourceObject: ...


class EvaluationLog(Protocol):
    """What is known of evaluations."""

    def has_started(self, evaluation_id: str) -> bool: ...
    def begin(self, evaluation_id: str, *, suite: str, bucket: str, correlation_id: str | None) -> bool: ...
    def started(self, evaluation_id: str, execution_arn: str) -> None: ...
    def lock(self, suite: str, holder: str) -> AbstractContextManager[None]: ...


class SuiteBook(Protocol):
    """What is known of suites. The bucket has the last word on each."""

    def note_reader(self, catalog_key: str, config: ObjectVersion) -> None: ...
    def readers(self, catalog_key: str) -> list[Reader]: ...
    def let_reader_expire(self, catalog_key: str, reader: Reader) -> None: ...
    def description(self, suite: str) -> Description | None: ...
    def suites_of(self, config_key: str) -> list[str]: ...
    def describe(self, suite: str, config: ObjectVersion, notify_on: Collection[str]) -> None: ...
    def own(self, suite: str, config_key: str) -> None: ...
    def forget(self, suite: str, config_key: str) -> None: ...
    def claim(self, suite: str, config_key: str) -> None: ...
    def claims(self, suite: str) -> list[str]: ...
    def let_claim_expire(self, suite: str, config_key: str) -> None: ...


class Timetable(Protocol):
    """The schedules of suites."""

    def put(self, suite: str, expression: str, timezone: str) -> None: ...
    def remove(self, suite: str) -> None: ...


class Audiences(Protocol):
    """The people whom the configs of suites name."""

    def put(self, suite: str, emails: Collection[str]) -> None: ...
    def remove(self, suite: str) -> None: ...


class ModelPackages(Protocol):
    """The Model Registry."""

    def properties(self, arn: str) -> dict[str, str] | None: ...


class Pipelines(Protocol):
    """The service that runs pipelines."""

    def start(
        self, config: SuiteConfig, *, evaluation_id: str, evaluation_uri: str, lanes: Sequence[Sequence[str]]
    ) -> str: ...


class Announcer(Protocol):
    """Assay's bus, and the people who get mail."""

    def emit(self, detail_type: str, detail: Detail) -> None: ...
    def mail_rejection(
        self, error: RejectedError, rejected_uri: str, suites: Sequence[str], audiences: Sequence[str]
    ) -> None: ...


@dataclass(frozen=True)
class Started:
    """What came of one thing that was asked for.

    Attributes:
        outcome: `started`; `repeated` for an evaluation that is there already; `waiting` for a catalog; `rejected`;
            `forgotten` for a suite whose config is gone.
        limits: endpoints that may exist at the same time, and who said so.
    """

    outcome: str
    suite: str | None = None
    evaluation_id: str | None = None
    execution_arn: str | None = None
    limits: tuple[LaneLimit, ...] = ()
