"""Which config describes a suite. A name belongs to one config; whichever comes second waits for it with a claim."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from assay.contracts import yaml_positions
from assay.contracts.errors import Fault, RejectedError, ScheduleRefusedError
from assay.contracts.evaluation import DatedVersion, ObjectVersion
from assay.contracts.suites import Description
from assay.pipeline.ports import SuiteBook, Timetable
from assay.pipeline.start import CheckedConfig, EvaluationStarter


@dataclass(frozen=True)
class Suites:
    """Keeps what is known of suites true to the bucket, in whatever order its events come.

    What is written down follows from what the bucket holds at that moment, under the suite's lock. So it is as true
    after the last event of a key as if the events had come in order.
    """

    starter: EvaluationStarter
    book: SuiteBook
    timetable: Timetable

    def describe(self, checked: CheckedConfig, version: DatedVersion) -> None:
        """Write down that a version describes its suite, with its schedule; nothing when a later one does.

        Raises:
            RejectedError: the suite is described by another config, or Scheduler refuses the schedule.
        """
        suite, source = checked.suite, version.version
        if not self._stands(source):
            return
        with self.starter.lock(suite):
            if not self._stands(source):
                return
            known = self.book.description(suite)
            if known is not None and known.config_key != source.key:
                # Before the look at the other config: when that is deleted afterwards, its handler finds the claim.
                self.book.claim(suite, source.key)
                if self.holds(suite, known.config_key):
                    message = (
                        f"the suite {suite!r} is described by {known.config_key} already; delete that file, and this "
                        "one takes its place, or choose another name"
                    )
                    raise RejectedError(source.key, [self._fault(source, ("pipeline", "name"), message)])
            self._set_schedule(checked, source)
            self.book.describe(suite, source)

    def ensure_described(self, checked: CheckedConfig, version: DatedVersion) -> None:
        """See to it that a current version describes its suite; one that was refused is tried again.

        Raises:
            RejectedError: it is refused still.
        """
        if not self.is_described_by(checked.suite, version.version):
            self.starter.check_training_data(checked)
            self.describe(checked, version)

    def is_described_by(self, suite: str, version: ObjectVersion) -> bool:
        """Whether this very version is what is known of the suite."""
        return self.book.description(suite) == Description(version.key, version.version_id)

    def vacate(self, suite: str, config_key: str, take_up: Callable[[DatedVersion], None]) -> None:
        """Forget that a config described a suite, which it no longer does, and give the suite to whoever waits for it.

        Args:
            take_up: called with the version of the next config, current since the suite was free. When it fails,
                everything is still there to be tried again.
        """
        freed = self._left(config_key)
        waiting = []
        for key in self.book.claims(suite):
            standing = self._standing(key)
            if standing is None or standing[1].suite != suite:
                self.book.drop_claim(suite, key)
            else:
                version, _ = standing
                since = version.since if freed is None else max(version.since, freed)
                waiting.append(replace(version, since=since))
        for version in sorted(waiting, key=lambda item: (item.since, item.version.key)):
            take_up(version)
            known = self.book.description(suite)
            if known is not None and known.config_key == version.version.key:
                break
        with self.starter.lock(suite):
            if self.holds(suite, config_key):
                return  # it is back
            known = self.book.description(suite)
            if known is not None and known.config_key == config_key:
                self.timetable.remove(suite)
            self.book.forget(suite, config_key)

    def unschedule(self, suite: str) -> None:
        """Remove a schedule that fires for nothing, unless the suite has got one meanwhile."""
        with self.starter.lock(suite):
            known = self.book.description(suite)
            current = None if known is None else self.current(known.config_key)
            try:
                checked = None if current is None else self.starter.read(current.version)
            except RejectedError:
                return  # whoever mends the config decides
            if checked is None or checked.suite != suite or checked.config.schedule is None:
                self.timetable.remove(suite)

    def holds(self, suite: str, config_key: str) -> bool:
        """Whether a config lies in the bucket that describes the suite."""
        standing = self._standing(config_key)
        return standing is not None and standing[1].suite == suite

    def current(self, key: str) -> DatedVersion | None:
        """The version that a key has now; None where it is deleted."""
        history = self.starter.store.history(key)
        return history[0] if history and history[0].until is None else None

    def _stands(self, source: ObjectVersion) -> bool:
        standing = self._standing(source.key)
        return standing is not None and standing[1].source == source

    def _standing(self, config_key: str) -> tuple[DatedVersion, CheckedConfig] | None:
        """The version that speaks for a config: the newest one that is not faulty, and was not deleted since."""
        for item in self.starter.store.history(config_key):
            if item.deleted:
                return None
            with contextlib.suppress(RejectedError):
                return item, self.starter.read(item.version)
        return None

    def _left(self, config_key: str) -> datetime | None:
        """When the config came to describe its suite no longer: it was deleted, or names another one."""
        history = self.starter.store.history(config_key)
        if not history:
            return None
        return history[0].since if history[0].until is None else history[0].until

    def _set_schedule(self, checked: CheckedConfig, source: ObjectVersion) -> None:
        schedule = checked.config.schedule
        if schedule is None:
            self.timetable.remove(checked.suite)
            return
        try:
            self.timetable.put(checked.suite, schedule.expression, schedule.timezone)
        except ScheduleRefusedError as error:
            fault = self._fault(source, ("schedule", "expression"), f"EventBridge Scheduler refuses it: {error}")
            raise RejectedError(source.key, [fault]) from error

    def _fault(self, source: ObjectVersion, path: yaml_positions.Path, message: str) -> Fault:
        text = self.starter.store.read(source.key, source.version_id)
        line, column = yaml_positions.load(text, source.key).position(path)
        return Fault(message, line=line, column=column, key=yaml_positions.dotted(path))
