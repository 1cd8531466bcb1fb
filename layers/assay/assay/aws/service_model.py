"""What all models behind an AWS service have in common: a client that tries once, and its errors in our words."""

from __future__ import annotations

import contextlib
import functools
import math
import threading
import time
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError, ResponseStreamingError
from botocore.exceptions import ConnectionError as NoConnectionError

from assay.inference.errors import ModelAnswerError, ModelCallError, ThrottledError, UnavailableError

# Models that serve a request for longer are rare, and a connection that hangs must not hold a place for ever.
LONGEST_REQUEST_SECONDS = 3600.0

_THROTTLES = {
    "ServiceQuotaExceededException",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
}
# 4xx, and yet over by itself: the model took too long, or is being loaded.
_PASSING = {"ModelTimeoutException", "ModelNotReadyException", "RequestTimeout", "RequestTimeoutException"}
# The model's own failure, with its own status inside.
_OF_THE_MODEL = {"ModelError": "OriginalStatusCode", "ModelErrorException": "originalStatusCode"}


def one_try_client(service: str, *, connections: int, request_seconds: float, region: str | None = None) -> Any:
    """A boto3 client that retries nothing, since the runner does: an attempt's latency is its own.

    Args:
        connections: requests that may be under way at once.
        request_seconds: how long one may be silent.
    """
    settings = Config(
        max_pool_connections=connections,
        retries={"total_max_attempts": 1},
        connect_timeout=min(10.0, request_seconds),
        read_timeout=min(request_seconds, LONGEST_REQUEST_SECONDS),
    )
    make: Any = boto3.client  # its stubs want a literal
    return make(service, region_name=region, config=settings)


class Clients:
    """Clients of one service, by how long a request may be silent; botocore sets that for a client and not for a call.

    They wait 1 s, 1.4 s, 2 s and so on (by the root of 2), and the last as long as a request may take. Each is made
    when it is needed first. Safe to share between threads.

    Args:
        connections: requests that may be under way at once.
        request_seconds: how long a request may be silent at most.
        client: stands for all of them.
    """

    def __init__(
        self,
        service: str,
        *,
        connections: int,
        request_seconds: float,
        region: str | None = None,
        client: Any = None,
    ) -> None:
        self._make = functools.partial(one_try_client, service, connections=connections, region=region)
        self._longest = request_seconds
        self._lock = threading.Lock()
        self._given = client
        self._clients = {request_seconds: client or self._make(request_seconds=request_seconds)}

    def within(self, seconds: float) -> Any:
        """The one that gives up after so many seconds, or somewhat before; a second is the least."""
        if self._given is not None:
            return self._given
        wait = self._longest
        if seconds < wait:
            wait = min(wait, 2.0 ** (math.floor(2 * math.log2(max(seconds, 1.0))) / 2))
        found = self._clients.get(wait)
        if found is None:
            with self._lock:
                found = self._clients.get(wait)
                if found is None:
                    found = self._clients[wait] = self._make(request_seconds=wait)
        return found


@contextlib.contextmanager
def errors_in_our_words() -> Iterator[None]:
    """Inside it, what botocore raises becomes what the runner knows.

    Raises:
        ThrottledError, UnavailableError: may succeed when tried again.
        ModelAnswerError: would fail again.
    """
    try:
        yield
    except ClientError as error:
        raise _mapped(error) from error
    except (NoConnectionError, HTTPClientError, IncompleteReadError, ResponseStreamingError) as error:
        raise UnavailableError(f"no answer: {type(error).__name__}") from error
    except BotoCoreError as error:
        raise ModelAnswerError(f"the request could not be sent: {type(error).__name__}") from error


def request_id_of(response: Any) -> str | None:
    """The service's id of the request."""
    found = response.get("ResponseMetadata", {}).get("RequestId")
    return None if found is None else str(found)


def milliseconds_since(started: float) -> float:
    """Of `time.perf_counter`."""
    return (time.perf_counter() - started) * 1000


def _mapped(error: ClientError) -> ModelCallError:
    code = str(error.response["Error"]["Code"])
    response: dict[str, Any] = dict(error.response)
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    original = int(response.get(_OF_THE_MODEL.get(code, ""), 0))
    # What a service or a model says may quote the prompt; a reason never does.
    reason = f"{code}: the model answered {original}" if original else f"{code} ({status})"
    identity = request_id_of(response)
    pause = _pause(response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after"))
    if code in _PASSING:
        return UnavailableError(reason, request_id=identity, retry_after_seconds=pause)
    if code in _THROTTLES or 429 in (status, original):
        return ThrottledError(reason, request_id=identity, retry_after_seconds=pause)
    broken = (original == 0 or original >= 500) if code in _OF_THE_MODEL else status >= 500
    return (UnavailableError if broken else ModelAnswerError)(reason, request_id=identity, retry_after_seconds=pause)


def _pause(header: str | None) -> float | None:
    try:
        return None if header is None else max(0.0, float(header))
    except ValueError:
        return None
