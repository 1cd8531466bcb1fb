"""What is refused is told three ways: a file with every fault, an event, and a mail."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from assay.contracts.errors import Fault, RejectedError
from assay.contracts.evaluation import ObjectVersion, rejected_key
from assay.contracts.events import Detail
from assay.pipeline.ports import Announcer, ObjectStore, SuiteBook

# An event has at most 256 KiB: 20 faults of twice 500 characters and 1,000 names of suites stay below that, though each
# character take the six bytes of an escape.
FAULTS_IN_EVENT = 20
SUITES_IN_EVENT = 1_000
FAULTS_IN_FILE = 100


@dataclass(frozen=True)
class Refusals:
    """Tells of refusals."""

    store: ObjectStore
    announcer: Announcer
    book: SuiteBook
    clock: Callable[[], datetime]

    def tell(
        self,
        error: RejectedError,
        *,
        cause: ObjectVersion,
        suites: Sequence[str] = (),
        correlation_id: str | None = None,
        key: str | None = None,
    ) -> None:
        """Tell of one refusal.

        Args:
            cause: the object that was dropped, or the request that was kept.
            suites: which suites are not evaluated because of it, where that is known.
            key: under which `rejected/<key>.json` is written; the refused file's when left out.
        """
        written = rejected_key(key or error.subject)
        uri = f"s3://{self.store.bucket}/{written}"
        data: dict[str, Any] = {
            "subject": f"s3://{self.store.bucket}/{error.subject}",
            "dropped": {"key": cause.key, "version_id": cause.version_id},
            "suites": sorted(suites),
            "total_faults": error.total,
        }
        now = self.clock()
        body = {**data, "rejected_at": now.isoformat(), "faults": [_told(fault) for fault in error.faults]}
        self.store.write(written, json.dumps(body, indent=1, ensure_ascii=False).encode(), "application/json")
        self.announcer.emit(
            "EvaluationRejected",
            Detail(
                evaluation_id=None,
                suite=None,
                correlation_id=correlation_id,
                occurred_at=now,
                data={
                    **data,
                    "suites": data["suites"][:SUITES_IN_EVENT],
                    "rejected_uri": uri,
                    "faults": [_told(fault.cut()) for fault in error.faults[:FAULTS_IN_EVENT]],
                },
            ),
        )
        self.announcer.mail_rejection(error, uri, data["suites"], [*filter(self._tells_of_refusals, data["suites"])])

    def _tells_of_refusals(self, suite: str) -> bool:
        """Whether the config that describes a suite names people who want to hear of what is refused."""
        known = self.book.description(suite)
        return known is not None and "rejected" in known.notify_on


def _told(fault: Fault) -> dict[str, Any]:
    return {"line": fault.line, "column": fault.column, "key": fault.key, "message": fault.message}


def merged(errors: dict[str, RejectedError]) -> RejectedError:
    """One refusal of one file on behalf of several suites, which may each find other faults in it.

    Args:
        errors: by suite; all of the same subject.
    """
    suites_of: dict[Fault, list[str]] = {}
    for suite, error in errors.items():
        for fault in error.faults:
            suites_of.setdefault(fault, []).append(suite)
    faults = [
        fault
        if len(suites) == len(errors)
        else Fault(f"{fault.message} (suite {', '.join(suites)})", line=fault.line, column=fault.column, key=fault.key)
        for fault, suites in suites_of.items()
    ]
    faults.sort(key=lambda fault: (fault.line or 0, fault.column or 0))
    total = max(len(faults), *(error.total for error in errors.values()))
    return RejectedError(next(iter(errors.values())).subject, faults[:FAULTS_IN_FILE], total)
