"""What functions answer that carry out a custom resource: CloudFormation gives each request a URL of its own."""

from __future__ import annotations

import json
import secrets
from concurrent.futures import Future
from typing import Any

from werkzeug.wrappers import Request, Response

PATH = "/_local/cloudformation/"
_waiting: dict[str, Future[dict[str, Any]]] = {}


def expect() -> tuple[str, Future[dict[str, Any]]]:
    """Return the path that an answer is to be put to, and the answer to come."""
    path = f"{PATH}{secrets.token_urlsafe(16)}"
    _waiting[path] = Future()
    return path, _waiting[path]


def give_up(path: str) -> None:
    """Take no answer any more."""
    _waiting.pop(path, None)


def take(request: Request) -> Response:
    """Take an answer; 403 where none is waited for, as the signature of AWS's URL has run out then."""
    waiting = _waiting.pop(request.path, None) if request.method == "PUT" else None
    if waiting is None:
        return Response("Forbidden", status=403)
    waiting.set_result(json.loads(request.get_data()))
    return Response(status=200)


def forget() -> None:
    """Wait for nothing; a process that builds a second cloud starts so."""
    _waiting.clear()
