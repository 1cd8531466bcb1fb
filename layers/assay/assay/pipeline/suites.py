"""Which config describes a suite. A name belongs to one config at a time; whichever comes second waits with a claim."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from assay.contracts import yaml_positions
from assay.contracts.errors import AddressRefusedError, Fault, RejectedError, ScheduleRefusedError
from assay.contracts.evaluation import DatedVersion, ObjectVersion
from assay.pipeline.ports import Audiences, SuiteBook, Timetable
from assay.pipeline.start import CheckedConfig, EvaluationStarter


@dataclass(frozen=True)
class _Tenure:
    """A time in which a config named a suite, through all its versions of that time."""

    since: datetime
    until: datetime | None
    versions: frozenset[ObjectVersion]


@dataclass(frozen=True)
class Suites:
    """Keeps what is known of suites true to the bucket, in whatever order its events come.

    What is written down follows from what the bucket holds at that moment, under the suite's lock. So it is as true
    after the last event of a key as if the events had come in order.

    Of the configs that name a suite at one time, it belongs to the one that has named it the longest; of two that began
    within one second, to the one whose key sorts first. A config takes part from its first event on.
    """

    starter: EvaluationStarter
    book: SuiteBook
    timetable: Timetable
    audiences: Audiences

    def describe(self, checked: CheckedConfig, version: DatedVersion) -> DatedVersion:
        """Write down that a version describes its suite, with its schedule; nothing when a later one does.

        Returns:
            The version, with the time in which its suite's name was its own.

        Raises:
            RejectedError: the suite was another config's as long as this version lasted, Scheduler refuses the
                schedule, or SNS an address.
        """
        suite, source = checked.suite, version.version
        with self.starter.lock(suite):
            # Before the look at the other configs: when one of them goes afterwards, its handler finds the claim.
            self.book.claim(suite, source.key)
            standing = self._standing(source.key)
            if standing is None or standing[1].suite != suite:
                self.book.let_claim_expire(suite, source.key)
            elif standing[1].source == source and self.owner(suite) == source.key:
                self.book.own(suite, source.key)
                self._set_schedule(checked, source)
                self._set_audience(checked, source)
                known = self.book.description(suite)
                notify = checked.config.notify
                self.book.describe(suite, source, [] if notify is None else notify.occasions)
                if known is not None and known.config_key != source.key and self._names(suite, known.config_key):
                    self.book.forget(suite, known.config_key)  # it began later, and its event came first
            return self.owned(checked, version)

    def owned(self, checked: CheckedConfig, version: DatedVersion) -> DatedVersion:
        """The version, with the time in which its suite's name was its own: from when no earlier config named it.

        Raises:
            RejectedError: there is no such time.
        """
        suite, source = checked.suite, version.version
        others = self._namers(suite) - {source.key}
        if not others:
            return version
        mine = next((item for item in self._tenures(suite, source.key) if source in item.versions), None)
        began = (version.since if mine is None else mine.since, source.key)
        since = version.since
        for other in sorted(others):
            for tenure in self._tenures(suite, other):
                if (tenure.since, other) > began or (tenure.until is not None and tenure.until <= version.since):
                    continue
                if tenure.until is None or (version.until is not None and tenure.until >= version.until):
                    raise self._taken(checked, source, other, tenure)
                since = max(since, tenure.until)
        return replace(version, since=since)

    def owner(self, suite: str) -> str | None:
        """The key of the config that the suite belongs to now."""
        namers = self._namers(suite)
        if len(namers) == 1:
            return next((key for key in namers if self._names(suite, key)), None)
        current = [(item.since, key) for key in namers for item in self._tenures(suite, key) if item.until is None]
        return min(current)[1] if current else None

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
        known = self.book.description(suite)
        return known is not None and (known.config_key, known.version_id) == (version.key, version.version_id)

    def vacate(self, suite: str, config_key: str, take_up: Callable[[DatedVersion], None]) -> None:
        """Forget that a config described a suite, which it no longer does, and give the suite to whoever is next.

        Args:
            take_up: called with the version of the next config. When it fails, everything is still there to be tried
                again.
        """
        with self.starter.lock(suite):
            for key in self.book.claims(suite):
                if not self._names(suite, key):
                    self.book.let_claim_expire(suite, key)
        heir = self.owner(suite)
        standing = None if heir is None else self._standing(heir)
        if standing is not None:
            take_up(standing[0])
        with self.starter.lock(suite):
            if self.owner(suite) == config_key:
                return  # it is back
            known = self.book.description(suite)
            if known is not None and known.config_key == config_key:
                self.timetable.remove(suite)
                self.audiences.remove(suite)
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

    def current(self, key: str) -> DatedVersion | None:
        """The version that a key has now; None where it is deleted."""
        history = self.starter.store.history(key)
        return history[0] if history and history[0].until is None else None

    def _names(self, suite: str, config_key: str) -> bool:
        """Whether a config lies in the bucket that names the suite."""
        standing = self._standing(config_key)
        return standing is not None and standing[1].suite == suite

    def _standing(self, config_key: str) -> tuple[DatedVersion, CheckedConfig] | None:
        """The version that speaks for a config: the newest one that is not faulty, and was not deleted since."""
        for item in self.starter.store.history(config_key):
            if item.deleted:
                return None
            with contextlib.suppress(RejectedError):
                return item, self.starter.read(item.version)
        return None

    def _namers(self, suite: str) -> set[str]:
        """The configs that name a suite or did until lately, as far as their events came."""
        known = self.book.description(suite)
        return {*self.book.claims(suite), *([] if known is None else [known.config_key])}

    def _tenures(self, suite: str, config_key: str) -> list[_Tenure]:
        """The times in which a config named a suite, oldest first. A faulty version leaves things as they were."""
        found: list[_Tenure] = []
        names = False
        for item in reversed(self.starter.store.history(config_key)):
            named_before = names
            with contextlib.suppress(RejectedError):
                names = self.starter.read(item.version).suite == suite
            if named_before and not names:
                found[-1] = replace(found[-1], until=item.since)
            elif names and not named_before:
                found.append(_Tenure(item.since, None, frozenset()))
            if names:
                until = item.until if item.deleted else None
                found[-1] = _Tenure(found[-1].since, until, found[-1].versions | {item.version})
            names = names and not item.deleted
        return found

    def _taken(self, checked: CheckedConfig, source: ObjectVersion, other: str, tenure: _Tenure) -> RejectedError:
        message = f"the suite {checked.suite!r} was described by {other} as long as this version was there"
        if tenure.until is None:
            message = (
                f"the suite {checked.suite!r} is described by {other} already; delete that file, and this one takes "
                "its place, or choose another name"
            )
        return RejectedError(source.key, [self._fault(source, ("pipeline", "name"), message)])

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

    def _set_audience(self, checked: CheckedConfig, source: ObjectVersion) -> None:
        notify = checked.config.notify
        if notify is None:
            self.audiences.remove(checked.suite)
            return
        try:
            self.audiences.put(checked.suite, notify.emails)
        except AddressRefusedError as error:
            fault = self._fault(source, ("notify", "emails"), f"SNS refuses an address: {error}")
            raise RejectedError(source.key, [fault]) from error

    def _fault(self, source: ObjectVersion, path: yaml_positions.Path, message: str) -> Fault:
        text = self.starter.store.read(source.key, source.version_id)
        line, column = yaml_positions.load(text, source.key).position(path)
        return Fault(message, line=line, column=column, key=yaml_positions.dotted(path))
