"""A model behind a SageMaker endpoint with a queue: requests and answers go by way of S3 (InvokeEndpointAsync).

A request is one object, and so is its answer; both stay below the evaluation's prefix. How long a request waited and
how long the model then took is told nowhere, so no latency is recorded.
"""

from __future__ import annotations

import json
import math
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from assay.aws.endpoint_model import answer_of, request_to
from assay.aws.service_model import Clients, errors_in_our_words
from assay.contracts.config import EvaluationSection
from assay.contracts.evaluation import bucket_and_key
from assay.inference.errors import ModelAnswerError, ModelCallError, ThrottledError, UnavailableError
from assay.inference.model import Answer
from assay.inference.prompts import encoded, request_body

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
# No call waits for the model.
_SILENCE_SECONDS = 10.0
# What InvokeEndpointAsync takes for the time in the queue and for the time in the model, in seconds.
_LEAST_IN_QUEUE, _MOST_IN_QUEUE, _MOST_IN_MODEL = 60, 21_600, 3600
# What Text Generation Inference calls the kinds of its failures; anything else may pass.
_STATUS_OF_KIND = {"validation": 422, "overloaded": 429}
_STATUS_IN_WORDS = re.compile(r"error \((\d{3})\)")


class AsynchronousModel:
    """Asks one endpoint through its queue. Safe to share between threads.

    Args:
        endpoint_name: an endpoint in service that has an AsyncInferenceConfig.
        evaluation: how to form requests and read replies.
        connections: how many requests may be under way at once.
        requests_uri: S3 URI below which requests are laid; the endpoint's own role must be able to read there.
        request_seconds: how long an answer may take, its time in the queue included.
        runtime, s3: boto3 clients that retry nothing; ones of its own by default.
        sleep, clock: waiting, and monotonic seconds.
    """

    def __init__(
        self,
        endpoint_name: str,
        evaluation: EvaluationSection,
        connections: int,
        requests_uri: str,
        *,
        request_seconds: float,
        runtime: Any = None,
        s3: Any = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._evaluation = evaluation
        self._request = request_to(endpoint_name, evaluation)
        self._bucket, self._prefix = bucket_and_key(requests_uri)
        self._sleep = sleep
        self._clock = clock
        silence = min(request_seconds, _SILENCE_SECONDS)
        self._runtime = Clients("sagemaker-runtime", connections=connections, request_seconds=silence, client=runtime)
        self._s3 = Clients("s3", connections=connections, request_seconds=silence, client=s3)

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
        """Lay one request into the queue and wait for what comes of it.

        Raises:
            ThrottledError, UnavailableError: may succeed when tried again; also when the deadline passes.
            ModelAnswerError: the model refuses this request, or its reply holds no text.
        """
        end = self._clock() + deadline_seconds
        identity = uuid.uuid4().hex
        key = f"{self._prefix}/{identity}.json"
        body = encoded(request_body(self._evaluation, prompt))
        s3 = self._s3.within(deadline_seconds)
        with errors_in_our_words():
            s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType="application/json")
            left = math.ceil(max(1.0, end - self._clock()))
            sent = self._runtime.within(left).invoke_endpoint_async(
                **self._request,
                InferenceId=identity,
                InputLocation=f"s3://{self._bucket}/{key}",
                # What nobody waits for any more keeps no instance busy.
                RequestTTLSeconds=min(max(left, _LEAST_IN_QUEUE), _MOST_IN_QUEUE),
                InvocationTimeoutSeconds=min(left, _MOST_IN_MODEL),
            )
        received = self._awaited(s3, sent["OutputLocation"], sent.get("FailureLocation"), end, identity)
        return answer_of(received, self._evaluation, latency_ms=None, request_id=identity)

    def _awaited(self, s3: Any, output: str, failure: str | None, end: float, identity: str) -> bytes:
        """The answer's bytes. An endpoint without a failure path tells of no failure: the deadline passes then."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            left = end - self._clock()
            if (received := _found(s3, output)) is not None:
                return received
            if failure and (told := _found(s3, failure)) is not None:
                raise failure_of(told, identity)
            if left <= 0:
                raise UnavailableError("no answer from the queue in time", request_id=identity)
            self._sleep(min(pause, left))
            pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)


def _found(s3: Any, uri: str) -> bytes | None:
    """The object's bytes, None while it is not there or S3 does not say."""
    bucket, key = bucket_and_key(uri)
    try:
        with errors_in_our_words():
            body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except (ThrottledError, UnavailableError):
        return None
    except ModelAnswerError as error:
        if isinstance(cause := error.__cause__, ClientError) and cause.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise
    return body


def failure_of(told: bytes, request_id: str | None) -> ModelCallError:
    """What a failure object means: the container's own reply, or SageMaker's sentence where there was none.

    SageMaker does not say the container's status. It is taken from what containers and SageMaker write into theirs;
    a failure that does not show its kind may pass.
    """
    status = _status_in(told)
    reason = "the model failed" if status is None else f"the model answered {status}"
    kind: type[ModelCallError] = UnavailableError
    if status == 429:
        kind = ThrottledError
    elif status is not None and 400 <= status < 500:
        kind = ModelAnswerError
    return kind(reason, request_id=request_id)


def _status_in(told: bytes) -> int | None:
    text = told.decode(errors="replace")
    try:
        reply = json.loads(text)
    except ValueError:
        reply = None
    if isinstance(reply, dict):
        inner = reply.get("error")
        for section in (reply, inner if isinstance(inner, dict) else {}):
            code = section.get("code")
            if isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600:
                return code
        kind = reply.get("error_type")
        return _STATUS_OF_KIND.get(kind) if isinstance(kind, str) else None
    found = _STATUS_IN_WORDS.search(text)
    return None if found is None else int(found[1])
