"""Endpoints share the few lanes that there are: no more of them exist at once than config or quota allow. Pure.

A lane is a chain of dependencies in the pipeline: an endpoint's deployment waits for the clean-up of the one before it.
Lanes are packed longest first (LPT), which ends at most 4/3 - 1/(3K) later than the best of all packings onto K lanes
(R. L. Graham, "Bounds on Multiprocessing Timing Anomalies", SIAM Journal on Applied Mathematics 17(2), 1969).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from assay.contracts.config import SuiteConfig
from assay.contracts.lanes import LaneLimit, Quotas
from assay.pipeline.plan import PlannedEndpoint, plan


@dataclass(frozen=True)
class Branch:
    """An endpoint that is to be created, as it is packed.

    Attributes:
        name: of the planned endpoint.
        seconds: from the start of its deployment to the end of its clean-up, predicted.
        pool: which lanes it may take: its instance type, or None for those of all.
        ready: seconds after the pipeline's start before which it cannot be deployed, since its model is being tuned.
        kept: it stays when its branch ends, and so nothing can follow it in its lane.
    """

    name: str
    seconds: float
    pool: str | None = None
    ready: float = 0.0
    kept: bool = False


@dataclass(frozen=True)
class Lane:
    """Endpoints that exist one after the other, by name, and the instance type whose quota they share (None: all)."""

    instance_type: str | None
    endpoints: tuple[str, ...]


class QuotaSource(Protocol):
    """Whoever knows the account's quotas. It never raises for what may pass: no quota is no reason to fail."""

    def endpoint_instances(self, instance_types: Iterable[str], /) -> Quotas: ...


def lane_limits(config: SuiteConfig, quotas: QuotaSource) -> tuple[LaneLimit, ...]:
    """How many endpoints there may be at once: what the config says, else what each instance type's quota allows."""
    created = [endpoint for endpoint in plan(config) if endpoint.created]
    if not created:
        return ()
    wanted = config.limits.endpoints
    if wanted is not None:
        reason = f"limits.endpoints: {wanted} at a time"
        return (LaneLimit(instance_type=None, endpoints=wanted, source="config", reason=reason),)
    largest: dict[str, int] = {}
    for endpoint in created:
        instance_type, count = _instances(endpoint)
        largest[instance_type] = max(largest.get(instance_type, 0), count)
    found = quotas.endpoint_instances(largest)
    return tuple(_by_quota(instance_type, count, found) for instance_type, count in largest.items())


def pack(branches: Iterable[Branch], limits: Sequence[LaneLimit]) -> tuple[Lane, ...]:
    """Put each branch on a lane: whenever one is free, the longest branch that is ready takes it.

    Endpoints that are kept come last in theirs.
    """
    allowed = {limit.instance_type: limit.endpoints for limit in limits}
    pools: dict[str | None, list[Branch]] = {}
    for branch in branches:
        pools.setdefault(branch.pool if branch.pool in allowed else None, []).append(branch)
    lanes: list[Lane] = []
    for pool, members in pools.items():
        count = allowed.get(pool)
        packed = _packed(members, len(members) if count is None else count)
        lanes += [Lane(pool, tuple(branch.name for branch in chain)) for chain in packed if chain]
    return tuple(lanes)


def _packed(branches: Sequence[Branch], count: int) -> list[list[Branch]]:
    lanes: list[list[Branch]] = [[] for _ in range(count)]
    free = [0.0] * count
    waiting = sorted((branch for branch in branches if not branch.kept), key=lambda branch: -branch.seconds)
    while waiting:
        lane = free.index(min(free))
        now = max(free[lane], min(branch.ready for branch in waiting))
        branch = next(branch for branch in waiting if branch.ready <= now)
        waiting.remove(branch)
        lanes[lane].append(branch)
        free[lane] = now + branch.seconds
    for branch in sorted((branch for branch in branches if branch.kept), key=lambda branch: -branch.seconds):
        open_lanes = [index for index in range(count) if not any(item.kept for item in lanes[index])]
        lane = min(open_lanes or range(count), key=lambda index: free[index])
        lanes[lane].append(branch)
        free[lane] = max(free[lane], branch.ready) + branch.seconds
    return lanes


def _by_quota(instance_type: str, count: int, found: Quotas) -> LaneLimit:
    if instance_type not in found.instances:
        reason = (
            f"no limit is known for {instance_type}, and each of its endpoints has a lane of its own: "
            f"{found.fault or 'Service Quotas does not name it'}"
        )
        return LaneLimit(instance_type=instance_type, endpoints=None, source="unknown", reason=reason)
    quota = found.instances[instance_type]
    lanes = max(1, quota // count)
    behind = "" if count == 1 else f", up to {count} behind an endpoint"
    reason = f"the account's quota: {quota} x {instance_type} for endpoints{behind}: {lanes} at a time"
    if quota < count:
        reason = (
            f"the account's quota: {quota} x {instance_type} for endpoints, and {count} are asked for: it will fail"
        )
    return LaneLimit(instance_type=instance_type, endpoints=lanes, source="quota", reason=reason)


def _instances(endpoint: PlannedEndpoint) -> tuple[str, int]:
    deployment = endpoint.section.deployment_config
    if deployment is None:
        raise ValueError(f"endpoint {endpoint.name!r} is not created by the evaluation")
    return deployment.preferred_instance_type, deployment.num_instances
