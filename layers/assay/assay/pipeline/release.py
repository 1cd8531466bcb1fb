"""After a failed or stopped evaluation: no endpoint that it created is left running."""

from __future__ import annotations

from typing import Protocol, TypeVar

from assay.contracts.config import SuiteConfig
from assay.contracts.errors import TransientError
from assay.pipeline.plan import endpoint_name, plan

Released_co = TypeVar("Released_co", covariant=True)


class Endpoints(Protocol[Released_co]):
    """The endpoints of an account; what the evaluation did not create is left alone."""

    def release(self, name: str, evaluation_id: str, /) -> Released_co: ...


def release_all(config: SuiteConfig, evaluation_id: str, endpoints: Endpoints[Released_co]) -> list[Released_co]:
    """Release each endpoint of the config, also one that the config keeps: that is for an evaluation with a result.

    Raises:
        TransientError: some could not be released; all were tried.
    """
    results, faults = [], []
    for planned in plan(config):
        if planned.section.provider == "endpoint":
            continue
        try:
            results.append(endpoints.release(endpoint_name(config, planned.section, evaluation_id), evaluation_id))
        except TransientError as error:
            faults.append(str(error))
    if faults:
        raise TransientError("; ".join(faults))
    return results
