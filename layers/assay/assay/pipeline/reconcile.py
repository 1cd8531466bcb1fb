"""What no event told, found by looking: evaluations that hang, conclusions and announcements that died or were never
begun, endpoints that nobody wants.

SageMaker's events are best effort, processes die, and people delete things. Every quarter of an hour each evaluation
that has not ended is compared with its pipeline, each registered package with what was told of it, and each endpoint,
configuration and model with the owner's tag with its evaluation. Everything here may be done again, and by two at once:
the state machines' claims let one conclude and one announce, and a resource is deleted once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

from assay.contracts.config import SuiteConfig
from assay.contracts.errors import ObjectNotFoundError, RejectedError, TransientError
from assay.contracts.reconciliation import (
    DeadExecution,
    EvaluationState,
    Owned,
    PackageStatus,
    PipelineState,
)
from assay.pipeline.plan import endpoint_name, plan

Item = TypeVar("Item")
# How long a registered package is watched for a decision that no event told of.
WATCHED = timedelta(days=365)
NEVER_STARTED = "its pipeline was never started"
GONE = "its pipeline execution is no longer there"


@dataclass(frozen=True)
class Grace:
    """How long the ordinary way is waited for, in seconds, before the reconciler steps in.

    Attributes:
        start: from the request until its pipeline has been started; a function that fails is tried again for an hour.
        event: from the pipeline's end until a status event has had it claimed, and from a package's change until its
            event has had that told.
        orphan: from an evaluation's end until what it left is deleted.
        unknown: from the creation of what belongs to no evaluation that is known.
        ending: why everything ends now: running evaluations are stopped with this reason, and no winner's endpoint is
            kept for a time that nobody would see the end of. Empty as a rule.
        spared: evaluations whose dead conclusions are not revived any more.
    """

    start: float = 7200.0
    event: float = 600.0
    orphan: float = 900.0
    unknown: float = 86_400.0
    ending: str = ""
    spared: frozenset[str] = frozenset()

    @classmethod
    def of(cls, seconds: float) -> Grace:
        """The same for everything."""
        return cls(seconds, seconds, seconds, seconds)

    @classmethod
    def at_the_end(cls, reason: str, spared: frozenset[str] = frozenset()) -> Grace:
        """None, but for a function that may still be starting a pipeline, though it is deleted: that has 5 minutes."""
        return cls(300.0, 0.0, 0.0, 0.0, reason, spared)


class EvaluationLog(Protocol):
    """The table of evaluations."""

    def unfinished(self) -> Iterable[EvaluationState]: ...
    def registered(self, since: datetime, /) -> Iterable[EvaluationState]: ...
    def get(self, evaluation_id: str, /) -> EvaluationState | None: ...
    def started(self, evaluation_id: str, execution_arn: str, /) -> None: ...
    def give_reason(self, evaluation_id: str, reason: str, /) -> None: ...


class Executions(Protocol):
    """The pipelines' executions."""

    def find(self, suite: str, evaluation_id: str, /) -> str | None: ...
    def state(self, arn: str, /) -> PipelineState | None: ...
    def stop(self, arn: str, /) -> None: ...


class Conclusions(Protocol):
    """The executions of the state machine that concludes."""

    def start(self, evaluation_id: str, execution_arn: str, status: str, /) -> bool: ...
    def going_on(self) -> Iterable[str]: ...
    def dead(self) -> Iterable[DeadExecution]: ...
    def redrive(self, arn: str, /) -> None: ...


class Packages(Protocol):
    """The model packages that were registered."""

    def statuses(self, arns: Sequence[str], /) -> Iterable[tuple[str, str]]: ...
    def status(self, arn: str, /) -> PackageStatus | None: ...


class Announcements(Protocol):
    """The executions of the state machine that tells how a package stands."""

    def tell(self, evaluation_id: str, package_arn: str, found: PackageStatus, /) -> bool: ...
    def going_on(self) -> Iterable[str]: ...
    def dead(self) -> Iterable[DeadExecution]: ...
    def redrive(self, arn: str, /) -> None: ...


class Resources(Protocol):
    """Endpoints, their configurations and models that this stack created."""

    def owned(self) -> Iterable[Owned]: ...
    def created_at(self, resource: Owned, /) -> datetime | None: ...
    def delete(self, resource: Owned, /) -> bool: ...


class Users(Protocol):
    """Which evaluations use an endpoint that has a name of its own; None for one that nobody shares."""

    def of(self, name: str, /) -> frozenset[str] | None: ...
    def leave(self, name: str, evaluation_id: str, /) -> bool: ...
    def forget(self, name: str, /) -> None: ...


@dataclass
class Reconciled:
    """What was done. `kept` is what stays because a config says so; `faults` are what could not be done this time."""

    found: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    concluded: list[str] = field(default_factory=list)
    redriven: list[str] = field(default_factory=list)
    announced: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Reconciler:
    """The use case. Everything that it touches comes in."""

    log: EvaluationLog
    executions: Executions
    conclusions: Conclusions
    packages: Packages
    announcements: Announcements
    resources: Resources
    users: Users
    config_of: Callable[[EvaluationState], SuiteConfig]
    now: Callable[[], datetime]

    def reconcile(self, grace: Grace) -> Reconciled:
        """Look at everything once; what goes wrong with one keeps no other from it."""
        done = Reconciled()
        for state in _told(self.log.unfinished, done):
            self._carefully(done, state.evaluation_id, partial(self._settle, state, grace, done))
        for dead in _told(self.conclusions.dead, done):
            if dead.subject not in grace.spared:
                self._carefully(done, dead.arn, partial(self._revive, dead, done))
        self._release(grace, done, None)
        faults = list(done.faults)
        self._announce(grace, done)
        if grace.ending:
            done.faults = faults  # what is not told of packages costs nothing, and keeps nobody from the end
        return done

    def left(self, kept: Iterable[str]) -> list[str]:
        """Evaluations that have not ended or are still being told of, and ARNs of what is there and is not kept.

        An evaluation whose pipeline has ended, and whose conclusion died for good, is not among them.

        Raises:
            TransientError: not everything could be looked at.
        """
        stay, telling = set(kept), set(self.conclusions.going_on())
        waiting = {state.evaluation_id for state in self.log.unfinished() if not self._is_dead(state)}
        there = [item for item in self.resources.owned() if item.arn not in stay]
        return [
            *(f"evaluation {identifier}" for identifier in sorted(waiting | telling)),
            *(item.arn for item in there if self.resources.created_at(item) is not None),
            *(f"announcement of {arn}" for arn in self.announcements.going_on()),
        ]

    def _is_dead(self, state: EvaluationState) -> bool:
        """Whether nothing of an unfinished evaluation goes on but, maybe, its conclusion."""
        if state.execution_arn is None:
            return False
        pipeline = self.executions.state(state.execution_arn)
        return state.concluded_by is not None and (pipeline is None or pipeline.ended)

    def release(self, evaluation_id: str) -> Reconciled:
        """Delete at once what a concluded evaluation leaves, but what it keeps."""
        done = Reconciled()
        self._release(Grace.of(0), done, evaluation_id)
        return done

    def _carefully(self, done: Reconciled, subject: str, work: Callable[[], None]) -> None:
        try:
            work()
        except (TransientError, ObjectNotFoundError, RejectedError) as error:
            done.faults.append(f"{subject}: {error}")

    def _settle(self, state: EvaluationState, grace: Grace, done: Reconciled) -> None:
        arn = state.execution_arn
        if arn is None:
            arn = self.executions.find(state.suite, state.evaluation_id)
            if arn is not None:
                self.log.started(state.evaluation_id, arn)
                done.found.append(state.evaluation_id)
            elif self._older(state.requested_at, grace.start):
                self._conclude(state, "none", grace.ending or NEVER_STARTED, done)
            return
        if state.concluded_by is not None:
            return  # being concluded; when that died it is redriven
        pipeline = self.executions.state(arn)
        if pipeline is None:
            self._conclude(state, arn, GONE, done)
        elif pipeline.ended:
            if self._older(pipeline.changed_at, grace.event) and self.conclusions.start(
                state.evaluation_id, arn, pipeline.status
            ):
                done.concluded.append(state.evaluation_id)
        elif pipeline.status == "Executing":
            reason = grace.ending or self._overdue(state, pipeline)
            if reason is not None:
                self.log.give_reason(state.evaluation_id, reason)
                self.executions.stop(arn)
                done.stopped.append(state.evaluation_id)

    def _overdue(self, state: EvaluationState, pipeline: PipelineState) -> str | None:
        limit = self.config_of(state).limits.timeout
        if limit is None or not self._older(pipeline.started_at, limit):
            return None
        return f"it had not ended after {limit} s (`limits.timeout`)"

    def _conclude(self, state: EvaluationState, arn: str, reason: str, done: Reconciled) -> None:
        if state.concluded_by is None:
            self.log.give_reason(state.evaluation_id, reason)
            if self.conclusions.start(state.evaluation_id, arn, "Failed"):
                done.concluded.append(state.evaluation_id)

    def _revive(self, dead: DeadExecution, done: Reconciled) -> None:
        state = self.log.get(dead.subject)
        if state is None or (state.concluded_by not in (None, dead.arn)):
            return  # another one has it
        if state.concluded_by is None and state.concluded:
            return
        self.conclusions.redrive(dead.arn)
        done.redriven.append(dead.subject)

    def _announce(self, grace: Grace, done: Reconciled) -> None:
        """Have it told how packages stand of which nothing, or something else, was told last."""
        states = {
            state.model_package_arn: state
            for state in _told(partial(self.log.registered, self.now() - WATCHED), done)
            if state.model_package_arn is not None
        }
        found = _told(partial(self.packages.statuses, list(states)), done)
        statuses = {arn: status for arn, status in found if arn in states}
        for arn, status in statuses.items():
            if states[arn].approval_told != status:
                self._carefully(done, arn, partial(self._announce_one, states[arn].evaluation_id, arn, grace, done))
        for dead in _told(self.announcements.dead, done):
            if dead.subject in statuses:
                work = partial(self._speak_on, dead, states[dead.subject].evaluation_id, statuses, done)
                self._carefully(done, dead.arn, work)

    def _announce_one(self, evaluation_id: str, arn: str, grace: Grace, done: Reconciled) -> None:
        found = self.packages.status(arn)
        if found is None or not self._older(found.changed_at, grace.event):
            return
        if self.announcements.tell(evaluation_id, arn, found):
            done.announced.append(evaluation_id)

    def _speak_on(self, dead: DeadExecution, evaluation_id: str, statuses: dict[str, str], done: Reconciled) -> None:
        """Let an announcement go on that died half-way, as no other execution takes over what it claimed."""
        state = self.log.get(evaluation_id)
        if state is not None and (state.approval_told_by == dead.arn or state.approval_told != statuses[dead.subject]):
            self.announcements.redrive(dead.arn)
            done.redriven.append(evaluation_id)

    def _release(self, grace: Grace, done: Reconciled, evaluation_id: str | None) -> None:
        order = {"endpoint": 0, "endpoint-config": 1, "model": 2}
        kept: dict[str, frozenset[str] | None] = {}
        for resource in sorted(_told(self.resources.owned, done), key=lambda item: order[item.kind]):
            if evaluation_id in (None, resource.evaluation_id):
                self._carefully(done, resource.arn, partial(self._release_one, resource, grace, done, kept))

    def _release_one(
        self, resource: Owned, grace: Grace, done: Reconciled, kept: dict[str, frozenset[str] | None]
    ) -> None:
        identifier = resource.evaluation_id
        if identifier not in kept:
            kept[identifier] = self._kept(identifier, grace)
        names = kept[identifier]
        if names is None:
            created = self.resources.created_at(resource)
            if created is None or not self._older(created, grace.unknown):
                return
        elif "*" in names:
            return
        elif resource.name.lower() in names:
            done.kept.append(resource.arn)
            return
        users = self.users.of(resource.name)
        if users is not None and not self._left_by_all(resource, users):
            return
        if self.resources.delete(resource):
            done.deleted.append(resource.arn)
        if users is not None:
            self.users.forget(resource.name)

    def _left_by_all(self, resource: Owned, users: frozenset[str]) -> bool:
        """Whether all evaluations that used an endpoint have ended, and nobody can join it any more."""
        states = {user: self.log.get(user) for user in users}
        if any(state is not None and not state.concluded for state in states.values()):
            return False
        return all([self.users.leave(resource.name, user) for user in [*users, resource.evaluation_id]][-1:])

    def _kept(self, evaluation_id: str, grace: Grace) -> frozenset[str] | None:
        """Names that an evaluation keeps, in lower case, as SageMaker tells none apart by case.

        `*` is all of them; None for an evaluation that nobody knows.
        """
        state = self.log.get(evaluation_id) if evaluation_id else None
        if state is None:
            return None
        if not state.concluded or state.concluded_at is None or not self._older(state.concluded_at, grace.orphan):
            return frozenset("*")
        return frozenset() if state.status != "completed" else self._kept_by_config(state, grace)

    def _kept_by_config(self, state: EvaluationState, grace: Grace) -> frozenset[str]:
        config = self.config_of(state)
        hours = config.limits.keep_winner_hours
        kept = set()
        for endpoint in plan(config):
            won = state.winner in [model.name for model in endpoint.models]
            if hours is not None:
                timely = state.concluded_at is not None and not self._older(state.concluded_at, hours * 3600)
                keeps = won and timely and not grace.ending
            else:
                keeps = endpoint.keep
            if keeps:
                kept.add(endpoint_name(config, endpoint.section, state.evaluation_id).lower())
        return frozenset(kept)

    def _older(self, moment: datetime, seconds: float) -> bool:
        return self.now() - moment >= timedelta(seconds=seconds)


def _told(items: Callable[[], Iterable[Item]], done: Reconciled) -> list[Item]:
    """All items, or those before a passing fault, which is told."""
    found: list[Item] = []
    try:
        found.extend(items())
    except TransientError as error:
        done.faults.append(str(error))
    return found
