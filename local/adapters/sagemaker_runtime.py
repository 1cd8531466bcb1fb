"""InvokeEndpoint: a request goes to the process that serves the endpoint, and its errors come back as SageMaker's."""

from __future__ import annotations

import json
import re
import threading
from typing import Any, Protocol

import urllib3
from werkzeug.wrappers import Request, Response

from local import faults, front
from local.adapters.sagemaker_endpoints import NotServedError, endpoints_of
from local.cloud import ACCOUNT_ID, Cloud
from local.wire_errors import error_response

_PATH = re.compile(r"/endpoints/([^/]+)/invocations")
_COMPONENT = "X-Amzn-SageMaker-Inference-Component"
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
LARGEST_PAYLOAD = 6 * 1024 * 1024
ANSWER_SECONDS = 60.0
IN_FLIGHT = 64
HANG_SECONDS = 30.0
SERVICE = "sagemaker-runtime"
# Status and message of the service's own errors, and what the container answered for ModelError.
ERRORS = {
    "InternalFailure": (500, "An internal failure occurred."),
    "ServiceUnavailable": (503, "The service is unavailable. Try your call again."),
    "ThrottlingException": (400, "Rate exceeded"),
}
MODEL_ERRORS = {"ModelError400": 400, "ModelError429": 429, "ModelError500": 500, "ModelError503": 503}
MALFORMED = b'[{"generated_text": '
FAULTS = (*ERRORS, *MODEL_ERRORS, "malformed_body", "hang")


def install(cloud: Cloud) -> None:
    runtime = Runtime(cloud, endpoints_of(cloud), faults.FAULTS)
    front.route(lambda request: request.method == "POST" and _PATH.fullmatch(request.path) is not None, runtime.invoke)


class Container(Protocol):
    """What serves an endpoint."""

    @property
    def connections(self) -> urllib3.HTTPConnectionPool: ...


class Serving(Protocol):
    """Who knows what serves an endpoint or one of its components, and the name of its variant."""

    def serving(self, name: str, component: str | None = None, /) -> tuple[Container, str]: ...
    def asynchronous(self, name: str, /) -> dict[str, Any] | None: ...


def post(
    host: Container,
    body: bytes,
    *,
    content_type: str | None,
    accept: str | None,
    attributes: str | None,
    seconds: float,
) -> urllib3.BaseHTTPResponse:
    """Hand a request on to a container, with what SageMaker lets through of its headers.

    Raises:
        urllib3.exceptions.HTTPError: the container does not answer, or not within so many seconds.
    """
    headers = {"Content-Type": content_type or "application/octet-stream"}
    headers |= {key: value for key, value in (("Accept", accept), (ATTRIBUTES, attributes)) if value is not None}
    timeout = urllib3.Timeout(total=seconds)
    return host.connections.request("POST", "/invocations", body=body, headers=headers, timeout=timeout)


class Runtime:
    """Answers InvokeEndpoint."""

    def __init__(self, cloud: Cloud, endpoints: Serving, faults_: faults.Faults) -> None:
        self._cloud = cloud
        self._endpoints = endpoints
        self._faults = faults_
        self._room = threading.BoundedSemaphore(IN_FLIGHT)

    def invoke(self, request: Request) -> Response:
        found = _PATH.fullmatch(request.path)
        name = found[1] if found else ""
        try:
            serving = self._endpoints.serving(name, request.headers.get(_COMPONENT))
        except NotServedError as error:
            return error_response(request, "ValidationError", str(error), 400)
        if self._endpoints.asynchronous(name) is not None:
            message = f"Endpoint {name} is asynchronous; ask it by InvokeEndpointAsync."
            return error_response(request, "ValidationError", message, 400)
        if len(request.get_data()) > LARGEST_PAYLOAD:
            return error_response(request, "ValidationError", "The payload is larger than 6 MB.", 413)
        fault = self._faults.answer(SERVICE, FAULTS)
        return self._answered(request, name, serving) if fault is None else self._broken(request, name, fault)

    def _answered(self, request: Request, name: str, serving: tuple[Container, str]) -> Response:
        host, variant = serving
        with self._room:
            try:
                answer = post(
                    host,
                    request.get_data(),
                    content_type=request.headers.get("Content-Type"),
                    accept=request.headers.get("Accept"),
                    attributes=request.headers.get(ATTRIBUTES),
                    seconds=ANSWER_SECONDS,
                )
            except urllib3.exceptions.TimeoutError:
                return self._model_error(
                    name, 0, "Your invocation timed out while waiting for a response from container"
                )
            except urllib3.exceptions.HTTPError as error:
                return self._model_error(name, 503, f"the container does not answer: {error}")
        if answer.status >= 400:
            return self._model_error(name, answer.status, answer.data.decode(errors="replace"))
        response = Response(answer.data, content_type=answer.headers.get("Content-Type"))
        response.headers["x-Amzn-Invoked-Production-Variant"] = variant
        if ATTRIBUTES in answer.headers:
            response.headers[ATTRIBUTES] = answer.headers[ATTRIBUTES]
        return response

    def _broken(self, request: Request, name: str, fault: str) -> Response:
        if fault == "malformed_body":
            return Response(MALFORMED, content_type="application/json")
        if fault == "hang":
            self._cloud.stopping.wait(HANG_SECONDS)
            return self._model_error(name, 0, "Your invocation timed out while waiting for a response from container")
        if fault in MODEL_ERRORS:
            return self._model_error(name, MODEL_ERRORS[fault], "a fault that was asked for")
        status, message = ERRORS[fault]
        return error_response(request, fault, message, status)

    def _model_error(self, name: str, status: int, message: str) -> Response:
        """Return SageMaker's ModelError (424), which carries the container's own status and message."""
        kind = "client" if 400 <= status < 500 else "server"
        region = self._cloud.settings.region
        log = f"arn:aws:logs:{region}:{ACCOUNT_ID}:log-group:/aws/sagemaker/Endpoints/{name}"
        body = {
            "ErrorCode": "CLIENT_ERROR_FROM_MODEL" if kind == "client" else "SERVER_ERROR_FROM_MODEL",
            "LogStreamArn": log,
            "Message": f'Received {kind} error ({status}) from primary with message "{message}".',
            "OriginalMessage": message,
            "OriginalStatusCode": status,
        }
        return Response(json.dumps(body), 424, {"x-amzn-ErrorType": "ModelError"}, content_type="application/json")
