"""Approving and rejecting a registered model: by whom, when and why goes on its package."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, get_args

import boto3

from assay.aws.faults import transient_faults
from assay.aws.package_metadata import Decision, decision_properties

LONGEST_NOTE = 1024


class Locks(Protocol):
    """What keeps two people from deciding at the same moment."""

    def lock(self, suite: str, holder: str) -> AbstractContextManager[None]: ...


@dataclass(frozen=True)
class PackageState:
    """How a model package stands.

    Attributes:
        decided_by, decided_at: who set the status and when, where it is known; None for a package that waits.
        properties: its metadata.
    """

    arn: str
    group: str
    version: int
    status: str
    decided_by: str | None
    decided_at: str | None
    note: str | None
    properties: dict[str, str]


@dataclass(frozen=True)
class Decided:
    """What came of a decision.

    Attributes:
        package: as it stands afterwards.
        changed: False when it was decided like this before; who did that stands.
        champion: the newest approved package of the group, None when none is approved.
        overtaken: a champion that was approved after the gate had looked, so that the package was never held against
            it; None where there is none.
    """

    package: PackageState
    changed: bool
    champion: str | None
    overtaken: str | None = None


class AlreadyDecidedError(Exception):
    """Somebody decided otherwise before.

    Attributes:
        package: with their name, time and note.
    """

    def __init__(self, package: PackageState) -> None:
        self.package = package
        super().__init__(
            f"version {package.version} of {package.group} was {package.status.lower()} by "
            f"{package.decided_by or 'somebody'} at {package.decided_at or 'a time that is not known'}"
        )


class Approvals:
    """Decides about model packages.

    SageMaker updates a package whatever its status is, so that of two people who decide at the same moment the later
    one would silently win. A lock makes them follow each other, and the second is told of the first.

    Args:
        locks: usually the table of evaluations.
        client: a boto3 SageMaker client; one of its own by default.
        now: the time, with its zone.
    """

    def __init__(
        self,
        locks: Locks,
        client: Any = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._locks = locks
        self._client = client if client is not None else boto3.client("sagemaker")
        self._now = now

    @transient_faults()
    def state(self, arn: str) -> PackageState:
        """How a package stands."""
        return package_state(self._client.describe_model_package(ModelPackageName=arn))

    @transient_faults()
    def decide(self, arn: str, decision: Decision, *, by: str, note: str, again: bool = False) -> Decided:
        """Approve or reject a package.

        Args:
            by: who decides.
            note: why; kept on one line, at most 1024 characters.
            again: decide anew although somebody decided otherwise.

        Raises:
            AlreadyDecidedError: somebody decided otherwise, and `again` is not set.
            TransientError: somebody else is deciding, or SageMaker did not do it this time.
        """
        with self._locks.lock(f"approval/{arn}", uuid.uuid4().hex):
            before = self.state(arn)
            if before.status == decision:
                return Decided(before, changed=False, champion=self._champion(before.group))
            if before.status in get_args(Decision) and not again:
                raise AlreadyDecidedError(before)
            champion = self._champion(before.group)
            overtaken = None if champion in (None, arn, before.properties.get("champion_arn")) else champion
            self._client.update_model_package(
                ModelPackageArn=arn,
                ModelApprovalStatus=decision,
                ApprovalDescription=" ".join(note.split())[:LONGEST_NOTE],
                CustomerMetadataProperties={**before.properties, **decision_properties(decision, by, self._now())},
            )
            return Decided(self.state(arn), changed=True, champion=self._champion(before.group), overtaken=overtaken)

    def _champion(self, group: str) -> str | None:
        answer = self._client.list_model_packages(
            ModelPackageGroupName=group,
            ModelApprovalStatus="Approved",
            SortBy="CreationTime",
            SortOrder="Descending",
            MaxResults=1,
        )
        found = answer["ModelPackageSummaryList"]
        return str(found[0]["ModelPackageArn"]) if found else None


def package_state(described: dict[str, Any]) -> PackageState:
    """What DescribeModelPackage says."""
    properties = described.get("CustomerMetadataProperties", {})
    status = described.get("ModelApprovalStatus", "PendingManualApproval")
    by = at = None
    if properties.get("decision") == status:
        by, at = properties.get("decided_by"), properties.get("decided_at")
    elif status in get_args(Decision):
        # In the console, say: the decision that the metadata tell of is an older one.
        by = _identity(described.get("LastModifiedBy") or described.get("CreatedBy") or {})
        with contextlib.suppress(KeyError):
            at = described["LastModifiedTime"].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return PackageState(
        arn=described["ModelPackageArn"],
        group=described["ModelPackageGroupName"],
        version=described["ModelPackageVersion"],
        status=status,
        decided_by=by,
        decided_at=at,
        note=described.get("ApprovalDescription") or None,
        properties=properties,
    )


def _identity(context: dict[str, Any]) -> str | None:
    found = context.get("IamIdentity", {}).get("Arn") or context.get("UserProfileName")
    return None if found is None else str(found)
