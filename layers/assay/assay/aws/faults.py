"""Which failures of a service may pass: throttles, faults of the service, and connections that broke."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError

from assay.contracts.errors import TransientError

_PASSING = {
    "BandwidthLimitExceeded",
    "ConditionalRequestConflict",
    "ConflictException",
    "InternalFailure",
    "InternalServerError",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
}


def code_of(error: ClientError) -> str:
    """The service's own word for the error, such as `ValidationException`."""
    return str(error.response["Error"]["Code"])


@contextlib.contextmanager
def transient_faults() -> Iterator[None]:
    """Inside it, and in a function that it decorates, a service's passing failure is a TransientError.

    boto3 has tried a few times within seconds when it raises one; whoever called may try again within minutes. Every
    other error stays as it is.

    Raises:
        TransientError: a throttle, a fault of the service, or no connection.
    """
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code_of(error) in _PASSING or status == 429 or status >= 500:
            raise TransientError(str(error)) from error
        raise
    except (NoConnectionError, HTTPClientError) as error:
        raise TransientError(str(error)) from error
