"""A model asked by batch inference jobs, in the place of the runner."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from assay.contracts.catalog import Record
from assay.contracts.provider_sections import BATCH_LEAST_RECORDS
from assay.inference.batch import JobService, ask_by_jobs
from assay.inference.budget import Budget, Tariff
from assay.inference.spool import Spool
from assay.inference.store import PartStore

logger = logging.getLogger("assay.steps")


class OneByOne(Protocol):
    """Asks by one request for each record, at these prices."""

    def __call__(
        self, records: Iterable[Record], store: PartStore, prompt_of: Callable[[Record], str], tariff: Tariff | None, /
    ) -> None: ...


@dataclass(frozen=True)
class BatchAsking:
    """Asks records by jobs, or one by one where they are fewer than a job takes.

    Attributes:
        until: by the monotonic clock, when asking must be over.
        tariff, on_demand: prices of jobs and of single requests.
        budget: of both together.
    """

    jobs: JobService
    prompt_of: Callable[[Record], str]
    one_by_one: OneByOne
    until: float
    tariff: Tariff | None
    on_demand: Tariff | None
    budget: Budget | None

    def ask(self, records: Iterable[Record], store: PartStore) -> None:
        """Ask, and keep each response."""
        with (
            tempfile.TemporaryDirectory(prefix="assay-batch-") as folder,
            Spool(records, self.prompt_of, Path(folder) / "spool.jsonl") as spool,
        ):
            if len(spool) < BATCH_LEAST_RECORDS:
                self.one_by_one(spool.records(), store, lambda record: record.model_input, self.on_demand)
                return
            summary = ask_by_jobs(
                spool,
                service=self.jobs,
                store=store,
                folder=Path(folder),
                until=self.until,
                tariff=self.tariff,
                budget=self.budget,
            )
            logger.info("asked by batch inference jobs: %s", summary)
