"""After a failed or stopped evaluation: no endpoint that it created is left running."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from assay.contracts.config import SuiteConfig
from assay.contracts.errors import TransientError
from assay.contracts.serving import Serving
from assay.pipeline.plan import endpoint_name, plan
from assay.pipeline.sharing import Users, is_shared, release_shared

POLL_SECONDS = 10.0
Released_co = TypeVar("Released_co", covariant=True)


class Endpoints(Protocol[Released_co]):
    """The endpoints of an account; what the evaluation did not create is left alone."""

    def look(self, name: str, /) -> Serving | None: ...
    def release(self, name: str, evaluation_id: str, /) -> Released_co: ...


def release_all(
    config: SuiteConfig,
    evaluation_id: str,
    endpoints: Endpoints[Released_co],
    users: Users,
    *,
    seconds: float = 0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Released_co]:
    """Release each endpoint of the config, also one that the config keeps: that is for an evaluation with a result.

    What other evaluations still use is left to the last of them.

    Args:
        seconds: how long to try again what could not be released. SageMaker deletes no endpoint that it is creating.

    Raises:
        TransientError: some could not be released; all were tried.
    """
    deadline = clock() + seconds
    left = {
        endpoint_name(config, planned.section, evaluation_id): is_shared(planned.section)
        for planned in plan(config)
        if planned.created
    }
    results: list[Released_co] = []
    while True:
        faults = {}
        for name, shared in left.items():
            try:
                released = (
                    release_shared(endpoints, users, name, evaluation_id)
                    if shared
                    else endpoints.release(name, evaluation_id)
                )
                if released is not None:
                    results.append(released)
            except TransientError as error:
                faults[name] = str(error)
        if not faults:
            return results
        if clock() + POLL_SECONDS > deadline:
            raise TransientError("; ".join(faults.values()))
        left = {name: left[name] for name in faults}
        sleep(POLL_SECONDS)
