"""Invoke runs the real handler in its own process, and answers as Lambda's API does.

moto runs Docker or echoes the payload, and runs `InvocationType=Event` while the caller waits.
"""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import unquote

from moto.awslambda import models, responses
from moto.awslambda.exceptions import LambdaClientError
from moto.core import responses as core_responses
from werkzeug.wrappers import Request, Response

from local.cloud import Cloud, UnsupportedError, require
from local.front import local_path
from local.functions.asynchronous import enqueue
from local.functions.pool import ThrottledError
from local.functions.service import service, start
from local.functions.worker import Invocation, log_path

REQUEST_LIMIT = 6_291_456
ASYNCHRONOUS_LIMIT = 262_144
_TAIL_BYTES = 4096

_LambdaResponse = require(responses, "LambdaResponse")
_LambdaFunction = require(models, "LambdaFunction")
_LambdaBackend = require(models, "LambdaBackend")
_delete_function = require(_LambdaBackend, "delete_function")
require(_LambdaResponse, "invoke")
require(_LambdaResponse, "invoke_async")
require(_LambdaFunction, "invoke")
_request_id = require(core_responses, "gen_amzn_requestid_long")


def install(cloud: Cloud) -> None:
    """Start the pool of handler processes and put it behind Invoke.

    `/_local/rest` ends the idle ones now, and what else only waits for more to do.
    """
    lambda_service = start(cloud)
    cloud.when_resting(lambda_service.pool.close)

    def rest(_request: Request) -> Response:
        cloud.rest()
        return Response(status=204)

    local_path("rest", rest)

    def invoke(self: Any) -> tuple[int, dict[str, str], bytes]:
        name = unquote(self.path.rsplit("/", 2)[-2])
        function = lambda_service.function(name, self._get_param("Qualifier"))
        payload = self.body.encode() if isinstance(self.body, str) else self.body
        kind = self.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        if kind == "DryRun":
            return 204, {"status": "204"}, b""
        invocation = Invocation(checked(payload, ASYNCHRONOUS_LIMIT if kind == "Event" else REQUEST_LIMIT))
        if kind == "Event":
            enqueue(function, invocation)
            return 202, {"status": "202", "x-amzn-requestid": invocation.request_id}, b""
        if context := self.headers.get("X-Amz-Client-Context"):
            invocation.client_context = base64.b64decode(context).decode()
        try:
            outcome = lambda_service.run(function, invocation)
        except ThrottledError:
            raise _client_error(429, "TooManyRequestsException", "Rate Exceeded.") from None
        headers = {
            "content-type": "application/json",
            "x-amz-executed-version": "$LATEST",
            "x-amzn-requestid": invocation.request_id,
        }
        if outcome.error:
            headers["x-amz-function-error"] = outcome.error
        if self.headers.get("X-Amz-Log-Type") == "Tail":
            tail = log_path(cloud, function.function_name).read_bytes()[-_TAIL_BYTES:]
            headers["x-amz-log-result"] = base64.b64encode(tail).decode()
        return 200, headers, outcome.payload

    def refuse(*_: Any, **__: Any) -> None:
        raise UnsupportedError("a function is invoked through the Invoke API only")

    def delete_function(self: Any, function_name: str, qualifier: str | None = None) -> None:
        name = service().function(function_name).function_name
        _delete_function(self, function_name, qualifier)
        lambda_service.pool.retire(name)

    def keep_request_id(headers: dict[str, Any] | None = None) -> str:
        # The caller must see the id that stands in the function's log and in its context.
        return str((headers or {}).get("x-amzn-requestid") or _request_id(headers))

    core_responses.gen_amzn_requestid_long = keep_request_id
    _LambdaResponse.invoke = invoke
    _LambdaResponse.invoke_async = refuse
    _LambdaFunction.invoke = refuse
    _LambdaBackend.invoke = refuse
    _LambdaBackend.delete_function = delete_function


def checked(payload: bytes, limit: int) -> bytes:
    """Return the payload that the handler gets, an empty one being an empty object.

    Raises:
        LambdaClientError: RequestTooLargeException above `limit` bytes, InvalidRequestContentException if not JSON.
    """
    if len(payload) > limit:
        message = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
        raise _client_error(413, "RequestTooLargeException", message)
    try:
        json.loads(payload or b"{}")
    except ValueError as error:
        message = f"Could not parse request body into json: {error}"
        raise _client_error(400, "InvalidRequestContentException", message) from None
    return payload or b"{}"


def _client_error(status: int, code: str, message: str) -> Exception:
    error: Exception = LambdaClientError(code, message)
    error.code = status  # type: ignore[attr-defined]
    return error
