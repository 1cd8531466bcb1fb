"""What the reconciler does with evaluations that hang, conclusions that died, and things that were left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assay.contracts.config import SuiteConfig
from assay.contracts.errors import TransientError
from assay.contracts.reconciliation import (
    DeadExecution,
    EvaluationState,
    Owned,
    PackageStatus,
    PipelineState,
    ReconciliationRequest,
)
from assay.pipeline.plan import endpoint_name
from assay.pipeline.reconcile import GONE, NEVER_STARTED, Grace, Reconciled, Reconciler

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ID = "0123456789abcdef" * 2
ARN = "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/assay-sums/execution/1"
DEAD = "arn:aws:states:eu-west-1:123456789012:execution:conclude:1"


def ago(**units: float) -> datetime:
    return NOW - timedelta(**units)


def config(*models: dict[str, Any], **limits: Any) -> SuiteConfig:
    deployed = {"model_id": "m", "deployment_config": {"instance_type": "ml.m5.xlarge"}}
    return SuiteConfig.model_validate(
        {
            "pipeline": {"name": "sums"},
            "dataset": {"input_data_location": "x.jsonl"},
            "models": [{**deployed, **model} for model in models or ({"name": "good"},)],
            "algorithms": ["FactualKnowledge"],
            "limits": limits,
        }
    )


@dataclass
class Sharing:
    """Users of named endpoints in memory, as the table keeps them."""

    users: dict[str, set[str]] = field(default_factory=dict)
    creators: dict[str, str] = field(default_factory=dict)
    leaving: set[str] = field(default_factory=set)

    def join(self, name: str, evaluation_id: str) -> bool:
        name = name.lower()
        if name not in self.leaving:
            self.users.setdefault(name, set()).add(evaluation_id)
        return name not in self.leaving

    def create(self, name: str, evaluation_id: str) -> bool:
        name = name.lower()
        return self.creators.setdefault(name, evaluation_id) == evaluation_id

    def leave(self, name: str, evaluation_id: str) -> bool:
        name = name.lower()
        self.users.setdefault(name, set()).discard(evaluation_id)
        if self.creators.get(name) == evaluation_id:
            del self.creators[name]
        if not self.users[name]:
            self.leaving.add(name)
        return not self.users[name]

    def forget(self, name: str) -> None:
        name = name.lower()
        if not self.users.get(name):
            self.users.pop(name, None)
            self.leaving.discard(name)

    def of(self, name: str) -> frozenset[str] | None:
        name = name.lower()
        return frozenset(self.users[name]) if name in self.users else None


@dataclass
class Registry:
    """Registered packages in memory, and executions that tell how they stand."""

    packages: dict[str, PackageStatus] = field(default_factory=dict)
    told: list[tuple[str, str, PackageStatus]] = field(default_factory=list)
    died: list[DeadExecution] = field(default_factory=list)
    redriven: list[str] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)

    def statuses(self, arns: Sequence[str]) -> Iterator[tuple[str, str]]:
        return ((arn, self.packages[arn].status) for arn in arns if arn in self.packages)

    def status(self, arn: str) -> PackageStatus | None:
        if arn in self.refuses:
            raise TransientError("throttled")
        return self.packages.get(arn)

    def tell(self, evaluation_id: str, package_arn: str, found: PackageStatus) -> bool:
        item = (evaluation_id, package_arn, found)
        if item in self.told:
            return False
        self.told.append(item)
        return True

    def going_on(self) -> Iterable[str]:
        return ()

    def dead(self) -> Iterable[DeadExecution]:
        return list(self.died)

    def redrive(self, arn: str) -> None:
        self.redriven.append(arn)


@dataclass
class World:
    """Everything that the reconciler touches, in memory."""

    states: dict[str, EvaluationState] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    pipelines: dict[str, PipelineState] = field(default_factory=dict)
    running: dict[str, str] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    concluded: list[tuple[str, str, str]] = field(default_factory=list)
    died: list[DeadExecution] = field(default_factory=list)
    telling: list[str] = field(default_factory=list)
    redriven: list[str] = field(default_factory=list)
    things: list[Owned] = field(default_factory=list)
    created: datetime = NOW
    configs: dict[str, SuiteConfig] = field(default_factory=dict)
    refuses: set[str] = field(default_factory=set)
    sharing: Sharing = field(default_factory=Sharing)
    registry: Registry = field(default_factory=Registry)

    # the table
    def registered(self, since: datetime) -> Iterator[EvaluationState]:
        concluded = (state for state in self.states.values() if state.status == "completed")
        return (state for state in concluded if state.model_package_arn and state.requested_at >= since)

    def unfinished(self) -> Iterator[EvaluationState]:
        return (state for state in self.states.values() if not state.concluded)

    def get(self, evaluation_id: str) -> EvaluationState | None:
        return self.states.get(evaluation_id)

    def started(self, evaluation_id: str, execution_arn: str) -> None:
        self.states[evaluation_id] = replace(self.states[evaluation_id], status="started", execution_arn=execution_arn)

    def give_reason(self, evaluation_id: str, reason: str) -> None:
        self.reasons.setdefault(evaluation_id, reason)

    # pipelines
    def find(self, suite: str, evaluation_id: str) -> str | None:
        return self.running.get(evaluation_id)

    def state(self, arn: str) -> PipelineState | None:
        if arn in self.refuses:
            raise TransientError("throttled")
        return self.pipelines.get(arn)

    def stop(self, arn: str) -> None:
        self.stopped.append(arn)

    # the state machine
    def start(self, evaluation_id: str, execution_arn: str, status: str) -> bool:
        if evaluation_id in [item[0] for item in self.concluded]:
            return False
        self.concluded.append((evaluation_id, execution_arn, status))
        return True

    def going_on(self) -> Iterable[str]:
        return list(self.telling)

    def dead(self) -> Iterable[DeadExecution]:
        return list(self.died)

    def redrive(self, arn: str) -> None:
        self.redriven.append(arn)

    # what was created
    def owned(self) -> Iterable[Owned]:
        return list(self.things)

    def created_at(self, resource: Owned) -> datetime | None:
        return self.created

    def delete(self, resource: Owned) -> bool:
        if resource.arn in self.refuses:
            raise TransientError("in use")
        self.things.remove(resource)
        return True

    def evaluation(self, **changes: Any) -> None:
        state = EvaluationState(ID, "sums", "drops", "started", ARN, ago(hours=1))
        self.states[ID] = replace(state, **changes)

    def pipeline(self, status: str, started: datetime = NOW, changed: datetime = NOW) -> None:
        self.pipelines[ARN] = PipelineState(status, started, changed)

    def left(self, *names: str, evaluation_id: str = ID) -> None:
        self.things += [
            Owned(kind, name, f"arn:{kind}/{name}", evaluation_id)
            for name in names
            for kind in ("model", "endpoint-config", "endpoint")
        ]

    def reconcile(self, grace: Grace | None = None) -> Reconciled:
        return self.reconciler().reconcile(grace or Grace())

    def release(self) -> Reconciled:
        return self.reconciler().release(ID)

    def reconciler(self) -> Reconciler:
        def config_of(state: EvaluationState) -> SuiteConfig:
            return self.configs.get(state.evaluation_id, config())

        registry = self.registry
        return Reconciler(self, self, self, registry, registry, self, self.sharing, config_of, lambda: NOW)


@pytest.fixture
def world() -> World:
    return World()


# ---- evaluations that hang


def test_an_evaluation_that_runs_is_left_alone(world: World) -> None:
    world.evaluation()
    world.pipeline("Executing", started=ago(hours=20))
    world.left("e")
    assert world.reconcile(Grace.of(0)) == Reconciled()


@pytest.mark.parametrize("status", ["Succeeded", "Failed", "Stopped"])
def test_an_end_that_no_event_told_is_handed_to_the_state_machine(world: World, status: str) -> None:
    world.evaluation()
    world.pipeline(status, changed=ago(minutes=11))
    assert world.reconcile().concluded == [ID]
    assert world.concluded == [(ID, ARN, status)]
    assert world.reconcile().concluded == []


def test_an_event_that_may_still_come_is_waited_for(world: World) -> None:
    world.evaluation()
    world.pipeline("Succeeded", changed=ago(minutes=9))
    assert world.reconcile() == Reconciled()


def test_an_evaluation_that_is_being_concluded_is_not_concluded_again(world: World) -> None:
    world.evaluation(concluded_by="arn:another")
    world.pipeline("Succeeded", changed=ago(hours=1))
    assert world.reconcile() == Reconciled()


def test_a_start_whose_note_was_lost_is_found_by_its_name(world: World) -> None:
    world.evaluation(status="requested", execution_arn=None, requested_at=ago(minutes=1))
    world.running[ID] = ARN
    assert world.reconcile().found == [ID]
    assert world.states[ID].execution_arn == ARN
    assert world.concluded == []


def test_an_evaluation_that_never_started_fails_with_that_reason_when_nobody_will_try_again(world: World) -> None:
    world.evaluation(status="requested", execution_arn=None, requested_at=ago(minutes=119))
    assert world.reconcile() == Reconciled()
    world.evaluation(status="requested", execution_arn=None, requested_at=ago(minutes=121))
    assert world.reconcile().concluded == [ID]
    assert (world.concluded, world.reasons) == ([(ID, "none", "Failed")], {ID: NEVER_STARTED})


def test_an_evaluation_whose_pipeline_was_deleted_fails_with_that_reason(world: World) -> None:
    world.evaluation()
    world.reconcile()
    assert (world.concluded, world.reasons) == ([(ID, ARN, "Failed")], {ID: GONE})


def test_an_evaluation_past_its_deadline_is_stopped_with_that_reason(world: World) -> None:
    world.evaluation()
    world.configs[ID] = config(timeout=3600)
    world.pipeline("Executing", started=ago(minutes=59))
    assert world.reconcile() == Reconciled()
    world.pipeline("Executing", started=ago(minutes=61))
    assert world.reconcile().stopped == [ID]
    assert world.stopped == [ARN]
    assert "3600 s (`limits.timeout`)" in world.reasons[ID]


def test_one_pipeline_that_cannot_be_looked_at_keeps_no_other_from_it(world: World) -> None:
    other = "f" * 32
    world.evaluation()
    world.refuses.add(ARN)
    world.states[other] = EvaluationState(other, "sums", "drops", "started", "arn:2", ago(hours=1))
    world.pipelines["arn:2"] = PipelineState("Failed", ago(hours=1), ago(hours=1))
    done = world.reconcile()
    assert done.concluded == [other]
    assert done.faults == [f"{ID}: throttled"]


# ---- conclusions that died


def test_a_conclusion_that_died_goes_on_where_it_died(world: World) -> None:
    world.died.append(DeadExecution(DEAD, ID))
    for status in ("started", "completed"):
        world.redriven.clear()
        world.evaluation(status=status, concluded_by=DEAD)
        world.reconcile()
        assert world.redriven == [DEAD]


def test_a_second_conclusion_that_died_before_it_claimed_anything_is_left(world: World) -> None:
    world.died.append(DeadExecution(DEAD, ID))
    world.evaluation(status="completed", concluded_by="arn:the-one-that-did-it")
    world.reconcile()
    world.states.clear()
    world.reconcile()
    assert world.redriven == []


def test_a_conclusion_that_died_before_it_could_claim_goes_on(world: World) -> None:
    world.died.append(DeadExecution(DEAD, ID))
    world.evaluation()
    world.pipeline("Failed")
    world.reconcile()
    assert world.redriven == [DEAD]


# ---- what was left


def test_what_a_failed_evaluation_left_is_deleted_after_a_while_the_endpoint_first(world: World) -> None:
    world.left("e")
    world.evaluation(status="failed", concluded_at=ago(minutes=14))
    assert world.reconcile() == Reconciled()
    world.evaluation(status="failed", concluded_at=ago(minutes=16))
    assert world.reconcile().deleted == ["arn:endpoint/e", "arn:endpoint-config/e", "arn:model/e"]
    assert world.things == []


def test_what_belongs_to_no_known_evaluation_is_deleted_when_it_is_a_day_old(world: World) -> None:
    world.left("e", evaluation_id="")
    world.left("f", evaluation_id="a" * 32)
    world.created = ago(hours=23)
    assert world.reconcile() == Reconciled()
    world.created = ago(hours=25)
    assert len(world.reconcile().deleted) == 6


def test_an_endpoint_that_the_config_keeps_stays_and_the_others_do_not(world: World) -> None:
    suite = config({"name": "kept", "cleanup_endpoint": False}, {"name": "other"})
    kept, other = (endpoint_name(suite, model, ID) for model in suite.models)
    world.configs[ID] = suite
    world.left(kept, other)
    world.evaluation(status="completed", concluded_at=ago(days=30))
    world.reconcile()
    assert {item.name for item in world.things} == {kept}


def test_a_kept_endpoint_is_known_by_the_name_in_its_arn_which_is_in_lower_case(world: World) -> None:
    world.configs[ID] = config({"name": "kept", "endpoint_name": "Support-Bot", "cleanup_endpoint": False})
    world.left("support-bot")
    world.evaluation(status="completed", concluded_at=ago(days=1))
    assert world.reconcile().deleted == []
    assert len(world.things) == 3


def test_a_failed_evaluation_keeps_nothing(world: World) -> None:
    suite = config({"name": "kept", "cleanup_endpoint": False})
    world.configs[ID] = suite
    world.left(endpoint_name(suite, suite.models[0], ID))
    world.evaluation(status="failed", concluded_at=ago(days=1))
    world.reconcile()
    assert world.things == []


def test_the_winners_endpoint_stays_for_its_hours_and_the_losers_go_at_once(world: World) -> None:
    suite = config({"name": "good"}, {"name": "bad"}, keep_winner_hours=24)
    good, bad = (endpoint_name(suite, model, ID) for model in suite.models)
    world.configs[ID] = suite
    world.left(good, bad)
    world.evaluation(status="completed", concluded_at=NOW, winner="good")
    world.release()
    assert {item.name for item in world.things} == {good}
    world.evaluation(status="completed", concluded_at=ago(hours=23), winner="good")
    assert world.reconcile() == Reconciled(kept=[item.arn for item in sorted(world.things, key=lambda item: item.kind)])
    world.evaluation(status="completed", concluded_at=ago(hours=24), winner="good")
    world.reconcile()
    assert world.things == []


def test_without_a_winner_no_endpoint_stays(world: World) -> None:
    suite = config({"name": "good"}, keep_winner_hours=24)
    world.configs[ID] = suite
    world.left(endpoint_name(suite, suite.models[0], ID))
    world.evaluation(status="completed", concluded_at=NOW, winner=None)
    world.release()
    assert world.things == []


def test_an_endpoint_that_a_running_evaluation_shares_stays_until_that_has_ended(world: World) -> None:
    other = "f" * 32
    world.left("shared")
    world.sharing.join("shared", ID)
    world.sharing.join("shared", other)
    world.evaluation(status="failed", concluded_at=ago(days=1))
    world.states[other] = EvaluationState(
        other, "sums", "drops", "started", "arn:2", ago(hours=1), concluded_by="arn:c"
    )
    assert world.reconcile() == Reconciled()
    world.states[other] = replace(world.states[other], status="failed", concluded_at=ago(hours=1))
    assert len(world.reconcile().deleted) == 3
    assert world.sharing.of("shared") is None
    assert world.sharing.join("shared", "a" * 32)


def test_a_shared_endpoint_is_known_by_the_name_in_its_arn_which_is_in_lower_case(world: World) -> None:
    other = "f" * 32
    world.left("shared")
    world.sharing.join("Shared", other)
    world.evaluation(status="failed", concluded_at=ago(days=1))
    world.states[other] = EvaluationState(
        other, "sums", "drops", "started", "arn:2", ago(hours=1), concluded_by="arn:c"
    )
    assert world.reconcile() == Reconciled()


def test_an_endpoint_that_cannot_be_deleted_is_told_and_the_others_go(world: World) -> None:
    world.left("e", "f")
    world.evaluation(status="failed", concluded_at=ago(days=1))
    world.refuses.add("arn:endpoint/e")
    done = world.reconcile()
    assert done.faults == ["arn:endpoint/e: in use"]
    assert len(done.deleted) == 5


@pytest.mark.parametrize(
    ("event", "completed", "grace"),
    [
        ({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}, None, None),
        ({"detail-type": "EvaluationCompleted", "detail": {"evaluation_id": ID, "data": {}}}, ID, None),
        ({"grace_seconds": 0}, None, 0),
    ],
)
def test_it_is_asked_by_the_clock_by_a_completion_or_by_an_operator(
    event: dict[str, Any], completed: str | None, grace: float | None
) -> None:
    request = ReconciliationRequest.model_validate(event)
    assert (request.completed, request.grace_seconds) == (completed, grace)
