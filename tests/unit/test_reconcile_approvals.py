"""What the reconciler does about decisions that no event told, and about announcements that died."""

from __future__ import annotations

from datetime import datetime

import pytest

from assay.contracts.reconciliation import DeadExecution, EvaluationState, PackageStatus
from assay.pipeline.reconcile import Grace, Reconciled
from tests.unit.test_reconcile import ID, NOW, World, ago

PACKAGE = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/sums/3"
DEAD = "arn:aws:states:eu-west-1:123456789012:execution:announce:1"


def world(
    status: str, *, told: str | None, changed: datetime | None = None, by: str | None = "arn:execution:announce:0"
) -> World:
    """A completed evaluation whose winner was registered as PACKAGE, and of which something was told, or nothing."""
    found = World()
    found.evaluation(
        status="completed",
        concluded_at=ago(days=2),
        model_package_arn=PACKAGE,
        approval_told=told,
        approval_told_by=by if told else None,
    )
    found.registry.packages[PACKAGE] = PackageStatus(status, changed or ago(minutes=11))
    return found


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("Approved", "PendingManualApproval"),
        ("Rejected", "PendingManualApproval"),
        ("Rejected", "Approved"),
        ("PendingManualApproval", "Approved"),
        ("Approved", None),
        ("PendingManualApproval", None),
    ],
)
def test_a_status_that_no_event_told_is_handed_to_the_state_machine(status: str, told: str | None) -> None:
    around = world(status, told=told)
    assert around.reconcile().announced == [ID]
    assert around.registry.told == [(ID, PACKAGE, PackageStatus(status, ago(minutes=11)))]


@pytest.mark.parametrize("status", ["PendingManualApproval", "Approved", "Rejected"])
def test_what_was_told_is_not_told_again(status: str) -> None:
    around = world(status, told=status)
    assert around.reconcile(Grace.of(0)) == Reconciled()
    assert around.registry.told == []


def test_a_status_is_handed_over_once_however_often_it_is_found_untold() -> None:
    around = world("Approved", told="PendingManualApproval")
    assert [around.reconcile().announced, around.reconcile().announced] == [[ID], []]


def test_an_event_that_may_still_come_is_waited_for_unless_an_operator_says_not_to() -> None:
    around = world("Approved", told="PendingManualApproval", changed=ago(minutes=9))
    assert around.reconcile() == Reconciled()
    assert around.reconcile(Grace.of(0)).announced == [ID]


def test_a_package_that_was_deleted_is_not_told_of() -> None:
    around = world("Approved", told="PendingManualApproval")
    del around.registry.packages[PACKAGE]
    assert around.reconcile() == Reconciled()


def test_an_evaluation_that_registered_nothing_has_nothing_to_tell() -> None:
    around = world("Approved", told=None)
    around.evaluation(status="completed", concluded_at=ago(days=2))
    assert around.reconcile() == Reconciled()


def test_one_package_that_cannot_be_looked_at_keeps_no_other_from_being_told_of() -> None:
    around = world("Approved", told=None)
    around.registry.refuses.add(PACKAGE)
    other, package = "f" * 32, f"{PACKAGE}1"
    around.states[other] = EvaluationState(
        other, "sums", "drops", "completed", None, ago(hours=1), concluded_at=NOW, model_package_arn=package
    )
    around.registry.packages[package] = PackageStatus("Rejected", ago(hours=1))
    done = around.reconcile()
    assert done.announced == [other]
    assert done.faults == [f"{PACKAGE}: throttled"]


def test_an_announcement_that_died_after_it_had_written_itself_down_goes_on() -> None:
    around = world("Approved", told="Approved", by=DEAD)
    around.registry.died.append(DeadExecution(DEAD, PACKAGE))
    assert around.reconcile().redriven == [ID]
    assert around.registry.redriven == [DEAD]


def test_an_announcement_that_died_holding_the_claim_goes_on_since_nobody_else_may_take_it() -> None:
    around = world("Approved", told="PendingManualApproval")
    around.registry.died.append(DeadExecution(DEAD, PACKAGE))
    assert around.reconcile().redriven == [ID]


def test_an_announcement_that_died_is_left_when_another_told_the_same_or_something_newer() -> None:
    around = world("Rejected", told="Rejected", by="arn:another")
    around.registry.died.append(DeadExecution(DEAD, PACKAGE))
    around.registry.died.append(DeadExecution(DEAD, f"{PACKAGE}-of-somebody-else"))
    assert around.reconcile() == Reconciled()
    assert around.registry.redriven == []
