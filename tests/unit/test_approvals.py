"""Who decides about a package, when and why, and what happens when two decide at once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws

from assay.aws.approvals import AlreadyDecidedError, Approvals, Decided
from cli.approval import lines

NOW = datetime(2026, 11, 24, 10, 2, 11, tzinfo=UTC)
ADA, GRACE = "arn:aws:iam::123456789012:user/ada", "arn:aws:iam::123456789012:user/grace"


class Lock:
    """A lock in memory, held for as long as its block runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.names: list[str] = []

    @contextlib.contextmanager
    def lock(self, suite: str, holder: str) -> Iterator[None]:
        assert holder
        with self._lock:
            self.names.append(suite)
            yield


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Two versions of one group, both waiting."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        sagemaker = boto3.client("sagemaker")
        sagemaker.create_model_package_group(ModelPackageGroupName="sums")
        yield [
            sagemaker.create_model_package(
                ModelPackageGroupName="sums",
                ModelApprovalStatus="PendingManualApproval",
                CustomerMetadataProperties={"model": model},
            )["ModelPackageArn"]
            for model in ("good", "better")
        ]


def approvals(lock: Lock | None = None) -> Approvals:
    return Approvals(lock or Lock(), now=lambda: NOW)


def test_an_approval_puts_approver_time_and_note_on_the_package(packages: list[str]) -> None:
    lock = Lock()
    done = approvals(lock).decide(packages[0], "Approved", by=ADA, note="Read the\nprompts.")
    described = boto3.client("sagemaker").describe_model_package(ModelPackageName=packages[0])
    assert described["ModelApprovalStatus"] == "Approved"
    assert described["ApprovalDescription"] == "Read the prompts."
    assert described["CustomerMetadataProperties"]["decided_by"] == ADA
    assert described["CustomerMetadataProperties"]["decided_at"] == "2026-11-24T10:02:11Z"
    assert (done.changed, done.champion, done.package.decided_by) == (True, packages[0], ADA)
    assert lock.names == [f"approval/{packages[0]}"]


def test_the_same_decision_again_changes_nothing_and_leaves_the_first_approver(packages: list[str]) -> None:
    approvals().decide(packages[0], "Approved", by=ADA, note="first")
    done = approvals().decide(packages[0], "Approved", by=GRACE, note="second")
    assert (done.changed, done.package.decided_by, done.package.note) == (False, ADA, "first")


def test_the_other_decision_is_refused_with_who_decided_and_when(packages: list[str]) -> None:
    approvals().decide(packages[0], "Rejected", by=ADA, note="No.")
    with pytest.raises(AlreadyDecidedError, match=r"version 1 of sums was rejected by .*/ada at 2026-11-24T10:02:11Z"):
        approvals().decide(packages[0], "Approved", by=GRACE, note="")


def test_a_mind_is_changed_only_when_that_is_said(packages: list[str]) -> None:
    approvals().decide(packages[0], "Rejected", by=ADA, note="No.")
    done = approvals().decide(packages[0], "Approved", by=GRACE, note="Yes.", again=True)
    assert (done.package.status, done.package.decided_by, done.package.note) == ("Approved", GRACE, "Yes.")


def test_of_two_who_decide_at_once_the_second_is_told_of_the_first(packages: list[str]) -> None:
    lock, found = Lock(), list[Any]()
    start = threading.Barrier(2)

    def decide(decision: Any, by: str) -> None:
        start.wait()
        try:
            found.append(approvals(lock).decide(packages[0], decision, by=by, note=""))
        except AlreadyDecidedError as error:
            found.append(error)

    people = [threading.Thread(target=decide, args=item) for item in (("Approved", ADA), ("Rejected", GRACE))]
    for person in people:
        person.start()
    for person in people:
        person.join()
    [won] = [item for item in found if isinstance(item, Decided)]
    [lost] = [item for item in found if isinstance(item, AlreadyDecidedError)]
    assert lost.package == won.package


def test_what_is_decided_in_the_console_is_not_put_down_to_whoever_decided_before(packages: list[str]) -> None:
    approvals().decide(packages[0], "Approved", by=ADA, note="")
    boto3.client("sagemaker").update_model_package(ModelPackageArn=packages[0], ModelApprovalStatus="Rejected")
    state = approvals().state(packages[0])
    assert state.status == "Rejected"
    assert state.decided_by not in (None, ADA)
    assert state.decided_at != "2026-11-24T10:02:11Z"


def test_an_older_version_that_is_approved_later_is_told_not_to_be_the_champion(packages: list[str]) -> None:
    approvals().decide(packages[1], "Approved", by=ADA, note="")
    done = approvals().decide(packages[0], "Approved", by=ADA, note="")
    assert done.champion == packages[1]
    assert lines(done) == [
        "good, version 1 of sums: approved by arn:aws:iam::123456789012:user/ada at 2026-11-24T10:02:11Z",
        "the champion is version 2",
        "note: version 2 was approved after the gate had looked; this one was never held against it",
    ]


def test_a_winner_that_was_held_against_the_champion_is_approved_without_a_word_about_it(packages: list[str]) -> None:
    approvals().decide(packages[0], "Approved", by=ADA, note="")
    boto3.client("sagemaker").update_model_package(
        ModelPackageArn=packages[1], CustomerMetadataProperties={"model": "better", "champion_arn": packages[0]}
    )
    done = approvals().decide(packages[1], "Approved", by=ADA, note="")
    assert (done.overtaken, done.champion) == (None, packages[1])


def test_a_winner_that_another_overtook_is_approved_with_a_word_about_it(packages: list[str]) -> None:
    approvals().decide(packages[0], "Approved", by=ADA, note="")
    done = approvals().decide(packages[1], "Approved", by=ADA, note="")
    assert done.overtaken == packages[0]
    rejected = approvals().decide(packages[1], "Rejected", by=ADA, note="", again=True)
    assert not [line for line in lines(rejected) if line.startswith("note:")]


def test_what_is_told_of_a_decision(packages: list[str]) -> None:
    first = lines(approvals().decide(packages[0], "Approved", by=ADA, note=""))
    assert first[1] == "it is the champion"
    again = lines(approvals().decide(packages[0], "Approved", by=GRACE, note=""))
    assert again[0].startswith("good, version 1 of sums was approved by arn:aws:iam::123456789012:user/ada")
    last = lines(approvals().decide(packages[0], "Rejected", by=ADA, note="", again=True))
    assert last[1] == "no version of sums is approved now"


def test_a_long_note_is_cut_to_what_sagemaker_takes(packages: list[str]) -> None:
    done = approvals().decide(packages[0], "Rejected", by=ADA, note="word " * 1000)
    assert len(done.package.note or "") == 1024
