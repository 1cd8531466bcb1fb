"""Before a stack is deleted: every evaluation ends, and nothing of it stays that costs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from assay.contracts.errors import TransientError
from assay.pipeline.reconcile import Grace, Reconciler

REASON = "the stack is being deleted"
POLL_SECONDS = 10.0
REVIVALS = 3
"""How often a conclusion that dies is revived; Step Functions allows 20 in all."""


@dataclass(frozen=True)
class Ended:
    """How it ended.

    Attributes:
        left: what is still there, or why that is not known; empty when all has ended.
        kept: ARNs of what stays because a config says so.
    """

    left: tuple[str, ...]
    kept: tuple[str, ...]


def end_all(
    reconciler: Reconciler,
    *,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Ended:
    """Stop every evaluation, have each concluded, and delete what they created, until nothing is left or time is up.

    An endpoint that a config keeps (`cleanup_endpoint: false`) stays; a winner's that is kept for some hours does not.

    Args:
        seconds: how long it may take. SageMaker deletes no endpoint that it is creating.
    """
    deadline, revived = clock() + seconds, Counter[str]()
    while True:
        spared = frozenset(identifier for identifier, times in revived.items() if times >= REVIVALS)
        done = reconciler.reconcile(Grace.at_the_end(REASON, spared))
        revived.update(done.redriven)
        left = done.faults + [f"evaluation {identifier}" for identifier in done.redriven if identifier not in spared]
        if not left:
            try:
                left = reconciler.left(done.kept)
            except TransientError as error:
                left = [str(error)]
        if not left or clock() + POLL_SECONDS > deadline:
            return Ended(tuple(left), tuple(done.kept))
        sleep(POLL_SECONDS)
