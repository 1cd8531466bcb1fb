"""What a drop concerns: versions of configs and catalogs that were current together are evaluated together.

That rule needs no order of events. Each event looks for the partners that its version met in the bucket's own history;
of two versions that met, the event which is handled last sees both. So an event that repeats finds its evaluations
there, one that comes late loses none, and a config that came before its catalog waits for nothing but that catalog's
event.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from assay.contracts.errors import RejectedError
from assay.contracts.evaluation import DatedVersion, ObjectVersion, evaluation_id
from assay.contracts.events import Drop
from assay.contracts.suites import Reader
from assay.pipeline.ports import ObjectStore, Started, SuiteBook
from assay.pipeline.refusals import Refusals, merged
from assay.pipeline.start import CATALOGS, CONFIGS, CheckedConfig, EvaluationStarter, Request
from assay.pipeline.suites import Suites


@dataclass(frozen=True)
class Drops:
    """Handles what happens to objects below `configs/` and `catalogs/`."""

    starter: EvaluationStarter
    suites: Suites
    refusals: Refusals

    def handle(self, drop: Drop) -> list[Started]:
        """Start what a drop asks for.

        Raises:
            TransientError: not everything could be done this time; what was done is not done again by the next try.
            ExceptionGroup: that, of several suites.
        """
        key = drop.version.key
        outcome = _Outcome()
        if key.endswith("/"):  # a folder, as S3's console makes them: an empty object
            return []
        try:
            if key.startswith(CONFIGS):
                self._config(drop, outcome)
            elif key.startswith(CATALOGS):
                self._catalog(drop, outcome)
        finally:
            for by_suite in outcome.refused:
                self.refusals.tell(merged(by_suite), cause=drop.version, suites=[name for name in by_suite if name])
        return outcome.results

    @property
    def _store(self) -> ObjectStore:
        return self.starter.store

    @property
    def _book(self) -> SuiteBook:
        return self.suites.book

    # ---- a config

    def _config(self, drop: Drop, outcome: _Outcome) -> None:
        version = self._meant(drop)
        if version is not None:
            self._describe_and_evaluate(version, drop.version, outcome)
        self._vacate(drop.version.key, drop.version, outcome)

    def _meant(self, drop: Drop) -> DatedVersion | None:
        """The version that a drop is about: the created one; of a deletion the one that is current since, if any.

        A version that was deleted for good is none, and neither is one without which its key is empty.
        """
        history = self._store.history(drop.version.key)
        if drop.deleted:
            return history[0] if history and history[0].until is None else None
        return next((item for item in history if item.version == drop.version), None)

    def _describe_and_evaluate(self, version: DatedVersion, cause: ObjectVersion, outcome: _Outcome) -> None:
        source = version.version
        try:
            checked = self.starter.read(source)
            # Before the look for catalogs: one that is dropped afterwards finds this reader. And before anything that
            # refuses it: a catalog is then a time to try again, or to say again that it is refused.
            self._book.note_reader(checked.catalog_key, source)
            self.starter.check_training_data(checked)
            version = self.suites.describe(checked, version)
        except RejectedError as error:
            outcome.refuse(next(iter(self._book.suites_of(source.key)), ""), error)
            return
        history = self._store.history(checked.catalog_key, since=version.since)
        catalogs = [item for item in history if item.met(version)]
        for catalog in reversed(catalogs):
            self._evaluate(checked, catalog.version, cause, outcome)
        if not catalogs:
            outcome.results.append(Started(outcome="waiting", suite=checked.suite))

    def _vacate(self, config_key: str, cause: ObjectVersion, outcome: _Outcome) -> None:
        """Forget the suites that a config described and does not any more, since it was deleted or names another."""

        def take_up(version: DatedVersion) -> None:
            self._describe_and_evaluate(version, cause, outcome)

        for suite in self._book.suites_of(config_key):
            if self.suites.owner(suite) != config_key:
                self.suites.vacate(suite, config_key, take_up)
                outcome.results.append(Started(outcome="forgotten", suite=suite))

    # ---- a catalog

    def _catalog(self, drop: Drop, outcome: _Outcome) -> None:
        version = self._meant(drop)
        if version is None:
            return
        for reader in self._book.readers(version.version.key):
            try:
                self._for_reader(reader, version, drop.version, outcome)
            except Exception as error:  # noqa: BLE001  (the other suites are evaluated first; then it is raised)
                outcome.errors.append(error)
        if len(outcome.errors) == 1:
            raise outcome.errors[0]
        if outcome.errors:
            raise ExceptionGroup(f"{len(outcome.errors)} suites could not be started", outcome.errors)

    def _for_reader(self, reader: Reader, catalog: DatedVersion, cause: ObjectVersion, outcome: _Outcome) -> None:
        """Evaluate the versions of one config that the catalog met, and that read it."""
        history = self._store.history(reader.config_key, since=catalog.since)
        reads_still = False
        for version in reversed(history):
            current = version.until is None
            if not current and not version.met(catalog):
                continue
            try:
                checked = self.starter.read(version.version)
            except RejectedError as error:
                outcome.refuse(next(iter(self._book.suites_of(reader.config_key)), ""), error)
                reads_still |= current
                continue
            if checked.catalog_key != catalog.version.key:
                continue
            reads_still |= current
            if not version.met(catalog):
                continue
            if current and not self.suites.is_described_by(checked.suite, version.version):
                # Its own event is still to come, or it was refused. What refused it may be gone; else it is said again,
                # since a catalog that starts nothing must not look like one that nobody reads.
                self._describe_and_evaluate(version, cause, outcome)
                continue
            try:
                owned = self.suites.owned(checked, version)
            except RejectedError:
                continue  # its own event says so
            if owned.met(catalog):
                self._evaluate(checked, catalog.version, cause, outcome)
        if not reads_still:
            self._book.let_reader_expire(catalog.version.key, reader)

    # ---- both

    def _evaluate(
        self, checked: CheckedConfig, catalog: ObjectVersion, cause: ObjectVersion, outcome: _Outcome
    ) -> None:
        if checked.source is None:
            raise ValueError("a config that was dropped lies in the bucket")
        asked_by = {"kind": "drop", "uri": cause.uri, "version_id": cause.version_id}
        try:
            request = Request(evaluation_id(checked.source, catalog), asked_by)
            outcome.results.append(self.starter.start(checked, catalog, request))
        except RejectedError as error:
            outcome.refuse(checked.suite, error)


@dataclass
class _Outcome:
    """What came of a drop for all the suites that it concerns.

    Attributes:
        refused: refusals of one file each, by suite; what several suites find in one file is told once.
    """

    results: list[Started] = field(default_factory=list)
    refused: list[dict[str, RejectedError]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    def refuse(self, suite: str, error: RejectedError) -> None:
        self.results.append(Started(outcome="rejected", suite=suite or None))
        for by_suite in self.refused:
            one = next(iter(by_suite.values()))
            if one.subject == error.subject and by_suite.setdefault(suite, error).faults == error.faults:
                return
        self.refused.append({suite: error})
