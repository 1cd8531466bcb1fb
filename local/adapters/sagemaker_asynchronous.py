"""InvokeEndpointAsync: a request waits for its turn, and what the container says to it goes to S3."""

from __future__ import annotations

import json
import re
import threading
import uuid
from typing import Any

import urllib3
from botocore.exceptions import BotoCoreError, ClientError
from werkzeug.wrappers import Request, Response

from local import faults, front
from local.adapters.sagemaker_endpoints import NotServedError, endpoints_of
from local.adapters.sagemaker_runtime import (
    ERRORS,
    FAULTS,
    MALFORMED,
    MODEL_ERRORS,
    SERVICE,
    Container,
    Serving,
    post,
)
from local.clients import client
from local.cloud import Cloud
from local.models.serve import KINDS
from local.wire_errors import error_response

PATH = re.compile(r"/endpoints/([^/]+)/async-invocations")
_BEGINNING = "X-Amzn-SageMaker-"
_HEADERS = (
    "Accept",
    "Content-Type",
    "Custom-Attributes",
    "Inference-Id",
    "InputLocation",
    "InvocationTimeoutSeconds",
    "RequestTTLSeconds",
)
# SageMaker chooses by itself where a configuration says nothing.
MAX_CONCURRENT_INVOCATIONS = 4
LONGEST_IN_QUEUE_SECONDS = 21_600.0
LONGEST_IN_MODEL_SECONDS = 900.0


def install(cloud: Cloud) -> None:
    queues = Queues(cloud, endpoints_of(cloud), faults.FAULTS)
    front.route(lambda request: request.method == "POST" and PATH.fullmatch(request.path) is not None, queues.invoke)


class Queues:
    """Answers InvokeEndpointAsync. Each request has a thread of its own, which waits until its endpoint has room."""

    def __init__(self, cloud: Cloud, endpoints: Serving, faults_: faults.Faults) -> None:
        self._cloud = cloud
        self._endpoints = endpoints
        self._faults = faults_
        self._rooms: dict[tuple[str, int], threading.Semaphore] = {}
        self._lock = threading.Lock()

    def invoke(self, request: Request) -> Response:
        """Take a request into the queue, and say where its answer or its failure will lie."""
        found = PATH.fullmatch(request.path)
        name = found[1] if found else ""
        try:
            host, _ = self._endpoints.serving(name)
        except NotServedError as error:
            return error_response(request, "ValidationError", str(error), 400)
        config = self._endpoints.asynchronous(name)
        if config is None:
            message = f"Endpoint {name} has no AsyncInferenceConfig; ask it by InvokeEndpoint."
            return error_response(request, "ValidationError", message, 400)
        told = {key: request.headers[_BEGINNING + key] for key in _HEADERS if _BEGINNING + key in request.headers}
        if "InputLocation" not in told:
            return error_response(request, "ValidationError", "The local cloud takes the input from S3 only.", 400)
        fault = self._faults.answer(SERVICE, FAULTS)
        if fault is not None and fault in ERRORS:
            status, message = ERRORS[fault]
            return error_response(request, fault, message, status)
        number, output = uuid.uuid4(), config["OutputConfig"]
        answer = f"{output['S3OutputPath'].rstrip('/')}/{number}.out"
        failure = f"{output['S3FailurePath'].rstrip('/')}/{number}-error.out" if output.get("S3FailurePath") else None
        work = (host, self._room(name, config), told, answer, failure, fault)
        threading.Thread(target=self._work, args=work, name=f"queue-{name}", daemon=True).start()
        body = json.dumps({"InferenceId": told.get("Inference-Id", str(number))})
        response = Response(body, 202, content_type="application/json")
        response.headers[f"{_BEGINNING}OutputLocation"] = answer
        if failure is not None:
            response.headers[f"{_BEGINNING}FailureLocation"] = failure
        return response

    def _room(self, name: str, config: dict[str, Any]) -> threading.Semaphore:
        given = (config.get("ClientConfig") or {}).get("MaxConcurrentInvocationsPerInstance")
        size = int(given or MAX_CONCURRENT_INVOCATIONS)
        with self._lock:
            return self._rooms.setdefault((name, size), threading.Semaphore(size))

    def _work(
        self,
        host: Container,
        room: threading.Semaphore,
        told: dict[str, str],
        answer: str,
        failure: str | None,
        fault: str | None,
    ) -> None:
        if fault == "hang" or not room.acquire(timeout=float(told.get("RequestTTLSeconds", LONGEST_IN_QUEUE_SECONDS))):
            return  # an expired request leaves nothing behind, and one that hangs does not until it is expired
        try:
            good, body = self._carried_out(host, told, fault)
            if good or failure is not None:
                self._put(answer if good else str(failure), body)
        except (BotoCoreError, ClientError):
            if not self._cloud.stopping.is_set():
                raise
        finally:
            room.release()

    def _carried_out(self, host: Container, told: dict[str, str], fault: str | None) -> tuple[bool, bytes]:
        """Whether the container answered, and what it, or SageMaker in its place, said."""
        if fault == "malformed_body":
            return True, MALFORMED
        if fault is not None and fault in MODEL_ERRORS:
            kind = KINDS.get(MODEL_ERRORS[fault], KINDS[500])
            return False, json.dumps({"error": "a fault that was asked for", "error_type": kind}).encode()
        bucket, _, key = told["InputLocation"].removeprefix("s3://").partition("/")
        try:
            body = client(self._cloud.settings, "s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            return False, f"The input could not be read: {error}".encode()
        try:
            said = post(
                host,
                body,
                content_type=told.get("Content-Type"),
                accept=told.get("Accept"),
                attributes=told.get("Custom-Attributes"),
                seconds=float(told.get("InvocationTimeoutSeconds", LONGEST_IN_MODEL_SECONDS)),
            )
        except urllib3.exceptions.HTTPError as error:
            return False, f"Received server error (503) from primary: {type(error).__name__}".encode()
        return said.status < 400, said.data

    def _put(self, uri: str, body: bytes) -> None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        client(self._cloud.settings, "s3").put_object(Bucket=bucket, Key=key, Body=body)
