"""What a suite's schedule asks for when it is due: the suite again, as it stands, on the newest catalog."""

from __future__ import annotations

from dataclasses import dataclass

from assay.contracts.errors import RejectedError
from assay.contracts.evaluation import scheduled_evaluation_id
from assay.contracts.events import DueEvaluation
from assay.pipeline.ports import Started
from assay.pipeline.refusals import Refusals
from assay.pipeline.start import EvaluationStarter, Request
from assay.pipeline.suites import Suites


@dataclass(frozen=True)
class Due:
    """Handles what EventBridge Scheduler sends."""

    starter: EvaluationStarter
    suites: Suites
    refusals: Refusals

    def handle(self, due: DueEvaluation) -> Started:
        """Start the evaluation that is due; once for each time, however often Scheduler tells of it."""
        known = self.suites.book.description(due.suite)
        current = None if known is None else self.suites.current(known.config_key)
        if current is None:
            return self._nothing(due)
        try:
            checked = self.starter.read(current.version)
            if checked.suite != due.suite or checked.config.schedule is None:
                return self._nothing(due)
            self.suites.ensure_described(checked, current)
            catalog = self.suites.current(checked.catalog_key)
            if catalog is None:
                return Started(outcome="waiting", suite=due.suite)
            asked = Request(
                evaluation_id=scheduled_evaluation_id(self.starter.store.bucket, due.suite, due.scheduled_time),
                requested_by={"kind": "schedule", "scheduled_time": due.scheduled_time},
            )
            return self.starter.start(checked, catalog.version, asked)
        except RejectedError as error:
            self.refusals.tell(error, cause=current.version, suites=[due.suite])
            return Started(outcome="rejected", suite=due.suite)

    def _nothing(self, due: DueEvaluation) -> Started:
        """The suite or its schedule is gone, and with it goes what Scheduler has of it."""
        self.suites.unschedule(due.suite)
        return Started(outcome="forgotten", suite=due.suite)
