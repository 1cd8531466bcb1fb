"""Before a stack is deleted every evaluation ends; CloudFormation is told when that is so, and of what is left."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
import urllib3
from aws_lambda_powertools.utilities.data_classes import CloudFormationCustomResourceEvent

from assay.aws import runtime, stack_resource
from assay.contracts.errors import ObjectNotFoundError
from assay.contracts.reconciliation import DeadExecution, PackageStatus
from assay.pipeline.ending import REASON, Ended, end_all
from assay.pipeline.plan import endpoint_name
from tests.unit.function_support import SETTINGS, context_of, load
from tests.unit.test_reconcile import ARN, DEAD, ID, NOW, Registry, World, ago, config

PACKAGE = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/sums/1"
REQUEST = {
    "RequestType": "Delete",
    "ResponseURL": "https://answers.test/signed",
    "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/assay/1",
    "RequestId": "r",
    "LogicalResourceId": "EndOfEvaluations",
    "ResourceType": "Custom::EndOfEvaluations",
    "ResourceProperties": {},
    "ServiceToken": "arn",
}


class Passing(World):
    """A world in which a stopped pipeline has ended by the next look, and a conclusion that is begun is done."""

    def stop(self, arn: str) -> None:
        super().stop(arn)
        self.pipeline("Stopped")

    def start(self, evaluation_id: str, execution_arn: str, status: str) -> bool:
        self.evaluation(status="failed", concluded_at=NOW)
        return super().start(evaluation_id, execution_arn, status)


@dataclass
class Clock:
    """Stands still but for waiting."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def ended(world: World, seconds: float = 600) -> tuple[Ended, float]:
    clock = Clock()
    return end_all(world.reconciler(), seconds=seconds, clock=clock, sleep=clock.sleep), clock.now


def test_what_runs_is_stopped_and_concluded_and_what_it_created_is_deleted() -> None:
    world = Passing()
    world.evaluation()
    world.pipeline("Executing")
    world.left("ours")
    assert ended(world) == (Ended((), ()), 10.0)
    assert (world.stopped, world.concluded) == ([ARN], [(ID, ARN, "Stopped")])
    assert world.reasons == {ID: REASON}
    assert world.things == []


def test_without_anything_to_end_it_is_over_at_once() -> None:
    assert ended(World()) == (Ended((), ()), 0.0)


def test_what_is_still_being_told_is_waited_for() -> None:
    world = World(telling=[ID])
    world.evaluation(status="failed", concluded_at=NOW)
    assert ended(world, seconds=30) == (Ended((f"evaluation {ID}",), ()), 30.0)


def test_a_pipeline_that_is_being_started_has_five_minutes_and_the_reason_is_the_stacks_end() -> None:
    world = Passing()
    world.evaluation(status="requested", execution_arn=None, requested_at=ago(seconds=299))
    assert ended(world, seconds=0)[0].left == (f"evaluation {ID}",)
    assert world.concluded == []
    world.evaluation(status="requested", execution_arn=None, requested_at=ago(seconds=300))
    assert ended(world) == (Ended((), ()), 0.0)
    assert world.reasons == {ID: REASON}


def test_a_conclusion_that_dies_again_and_again_is_revived_three_times_and_then_given_up() -> None:
    world = World(died=[DeadExecution(DEAD, ID)])
    world.evaluation(concluded_by=DEAD)
    world.pipeline("Failed")
    assert ended(world) == (Ended((), ()), 30.0)
    assert world.redriven == [DEAD] * 3


def test_a_config_that_cannot_be_read_is_told_and_keeps_nothing_else_from_ending() -> None:
    world = World()
    world.evaluation(status="completed", concluded_at=NOW, winner="good")
    world.left("ours")
    world.left("orphan", evaluation_id="")

    def gone(_state: Any) -> Any:
        raise ObjectNotFoundError("config.yaml is gone")

    reconciler = replace(world.reconciler(), config_of=gone)
    found = end_all(reconciler, seconds=0, clock=Clock(), sleep=Clock().sleep)
    assert found.left == tuple(
        f"arn:{kind}/ours: config.yaml is gone" for kind in ("endpoint", "endpoint-config", "model")
    )
    assert {item.name for item in world.things} == {"ours"}


def test_what_cannot_be_told_of_packages_keeps_nobody_from_the_end() -> None:
    world = World(registry=Registry(packages={PACKAGE: PackageStatus("Approved", NOW)}, refuses={PACKAGE}))
    world.evaluation(status="completed", concluded_at=NOW, model_package_arn=PACKAGE)
    assert ended(world) == (Ended((), ()), 0.0)


def test_what_has_not_ended_in_time_is_told() -> None:
    world = World()
    world.evaluation()
    world.pipeline("Stopping")
    found, seconds = ended(world, seconds=60)
    assert found.left == (f"evaluation {ID}",)
    assert seconds == 60


def test_what_cannot_be_deleted_is_told_with_the_reason() -> None:
    world = World(refuses={"arn:endpoint/ours"})
    world.evaluation(status="failed", concluded_at=NOW)
    world.left("ours")
    found, _ = ended(world)
    assert found.left == ("arn:endpoint/ours: in use",)


def test_an_endpoint_that_the_config_keeps_stays_and_one_that_would_expire_does_not() -> None:
    suite = config({"name": "good", "cleanup_endpoint": False})
    for kept, limits in ((True, {}), (False, {"keep_winner_hours": 24})):
        suite = config({"name": "good", "cleanup_endpoint": not kept}, **limits)
        name = endpoint_name(suite, suite.models[0], ID)
        world = World(configs={ID: suite})
        world.evaluation(status="completed", concluded_at=NOW, winner="good")
        world.left(name)
        found, _ = ended(world)
        assert found.left == ()
        assert [item.name for item in world.things] == [name] * 3 * kept
        assert len(found.kept) == 3 * kept


@dataclass
class Stacks:
    """CloudFormation, which says how the stack stands."""

    status: str

    def describe_stacks(self, **_: Any) -> dict[str, Any]:
        return {"Stacks": [{"StackStatus": self.status}]}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def put(method: str, url: str, *, body: bytes, headers: dict[str, str], **_: Any) -> Any:
        assert (method, url, headers) == ("PUT", REQUEST["ResponseURL"], {"Content-Type": ""})
        found.append(json.loads(body))
        return SimpleNamespace(status=200)

    monkeypatch.setattr(urllib3, "request", put)
    return found


def changed(
    monkeypatch: pytest.MonkeyPatch, world: World, status: str = "DELETE_IN_PROGRESS", **changes: Any
) -> Any:  # fmt: skip
    for name, value in {**SETTINGS, "OWNER": "assay"}.items():
        monkeypatch.setenv(name, value)
    runtime.setting.cache_clear()
    app, clock = load("reconcile_evaluations"), Clock()
    monkeypatch.setattr(app, "reconciler", world.reconciler)
    monkeypatch.setattr(app, "end_all", partial(end_all, clock=clock, sleep=clock.sleep))
    monkeypatch.setattr(boto3, "client", lambda _: Stacks(status))
    context = context_of("reconcile_evaluations")
    monkeypatch.setattr(type(context), "get_remaining_time_in_millis", lambda _: 150_000, raising=False)
    app.lambda_handler({**REQUEST, **changes}, context)
    return clock.now


def test_cloudformation_is_told_that_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch, answers: list[dict[str, Any]]
) -> None:
    changed(monkeypatch, World())
    [answer] = answers
    assert answer.pop("Reason")
    assert answer == {
        "Status": "SUCCESS",
        "PhysicalResourceId": "assay-evaluations",
        "StackId": REQUEST["StackId"],
        "RequestId": "r",
        "LogicalResourceId": "EndOfEvaluations",
    }


def test_a_stack_is_not_deleted_while_something_is_left(
    monkeypatch: pytest.MonkeyPatch, answers: list[dict[str, Any]]
) -> None:
    world = World()
    world.evaluation()
    world.pipeline("Stopping")
    # Of 150 s of the function's time, 90 are left to answer in.
    assert changed(monkeypatch, world) == 60
    assert answers[0]["Status"] == "FAILED"
    assert answers[0]["Reason"] == f"still there, so delete the stack again: evaluation {ID}"


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("Create", "CREATE_IN_PROGRESS"),
        ("Update", "UPDATE_IN_PROGRESS"),
        ("Delete", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"),
        ("Delete", "UPDATE_ROLLBACK_IN_PROGRESS"),
    ],
)
def test_no_other_change_of_a_stack_ends_an_evaluation(
    monkeypatch: pytest.MonkeyPatch, answers: list[dict[str, Any]], kind: str, status: str
) -> None:
    world = World()
    world.evaluation()
    world.pipeline("Executing")
    changed(monkeypatch, world, status, RequestType=kind)
    assert answers[0]["Status"] == "SUCCESS"
    assert world.stopped == []


def test_whatever_goes_wrong_is_told_too(monkeypatch: pytest.MonkeyPatch, answers: list[dict[str, Any]]) -> None:
    world = World()
    monkeypatch.setattr(world, "unfinished", lambda: 1 / 0)
    changed(monkeypatch, world)
    assert answers[0]["Status"] == "FAILED"
    assert answers[0]["Reason"] == "ZeroDivisionError: division by zero"


def test_an_answer_that_is_not_taken_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib3, "request", lambda *_, **__: SimpleNamespace(status=403))
    with pytest.raises(urllib3.exceptions.HTTPError, match="took no answer: 403"):
        stack_resource.answer(CloudFormationCustomResourceEvent(REQUEST), "name")
