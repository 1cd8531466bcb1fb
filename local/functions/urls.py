"""Function URLs: a browser's request becomes an event of payload format 2.0, and what the handler returns a page.

In AWS a URL is a host of its own; here it is a path below the local cloud's address, `/_local/url/<function>/`.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from typing import Any

from werkzeug.wrappers import Request, Response

from local.cloud import ACCOUNT_ID, Settings
from local.functions.pool import ThrottledError
from local.functions.service import service
from local.functions.worker import Invocation

PATH = "/_local/url/"
_names: set[str] = set()


def give(settings: Settings, name_or_arn: str) -> str:
    """Give a function a URL, and return it."""
    name = str(service().function(name_or_arn).function_name)
    _names.add(name)
    return f"{settings.endpoint_url}{PATH}{name}/"


def take(name_or_arn: str) -> None:
    """Take a function's URL away."""
    _names.discard(name_or_arn.rpartition(":")[2])


def forget() -> None:
    """Take every URL away."""
    _names.clear()


def answer(request: Request) -> Response:
    """Carry a request out as Lambda does behind a URL without authentication."""
    name, _, path = request.path.removeprefix(PATH).partition("/")
    if name not in _names:
        return _message(403, "Forbidden")
    try:
        function = service().function(name)
        outcome = service().run(function, Invocation(json.dumps(_event(request, f"/{path}")).encode()))
    except ThrottledError:
        return _message(429, "Rate Exceeded.")
    if outcome.error:
        return _message(502, "Internal Server Error")
    return _response(json.loads(outcome.payload))


def _event(request: Request, path: str) -> dict[str, Any]:
    body = request.get_data()
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": request.query_string.decode(),
        "headers": {key.lower(): value for key, value in request.headers.items()},
        "requestContext": {
            "accountId": ACCOUNT_ID,
            "domainName": request.host,
            "http": {
                "method": request.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.remote_addr or "127.0.0.1",
                "userAgent": request.headers.get("User-Agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": "$default",
            "stage": "$default",
            "timeEpoch": int(time.time() * 1000),
        },
        "isBase64Encoded": bool(body),
    }
    if request.args:
        # Of a name that stands several times, all values parted by commas.
        event["queryStringParameters"] = {name: ",".join(values) for name, values in request.args.lists()}
    if body:
        event["body"] = base64.b64encode(body).decode()
    return event


def _response(returned: Any) -> Response:
    if not isinstance(returned, dict) or "statusCode" not in returned:
        return Response(json.dumps(returned), content_type="application/json")
    body = returned.get("body") or ""
    content = base64.b64decode(body) if returned.get("isBase64Encoded") else str(body).encode()
    headers = {"Content-Type": "application/json"} | {
        str(key): str(value) for key, value in returned.get("headers", {}).items()
    }
    return Response(content, status=int(returned["statusCode"]), headers=headers)


def _message(status: int, text: str) -> Response:
    return Response(json.dumps({"Message": text}), status=status, content_type="application/json")
