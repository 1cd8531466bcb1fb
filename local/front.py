"""The HTTP front of the local cloud: routes of our own first, then moto, and every failure as an AWS error."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.datastructures import Headers
from werkzeug.wrappers import Request, Response

from local.cloud import LocalCloudError, UnsupportedError
from local.wire_errors import error_response

Predicate = Callable[[Request], bool]
Handler = Callable[[Request], Response]

_logger = logging.getLogger("local.front")
_routes: list[tuple[Predicate, Handler]] = []
_request = threading.local()


def route(predicate: Predicate, handler: Handler) -> None:
    """Answer the requests that `predicate` takes with `handler`, before moto sees them; the first match wins."""
    _routes.append((predicate, handler))


def local_path(path: str, handler: Handler) -> None:
    """Answer `/_local/<path>` with `handler`."""
    route(lambda request: request.path == f"/_local/{path}", handler)


def clear_routes() -> None:
    """Forget every route; a process that builds a second cloud starts with none."""
    _routes.clear()


def defer(work: Callable[[], None]) -> None:
    """Run `work` when the request of this thread has been carried out completely, at once outside of a request.

    moto announces an object before it has stored its metadata and tags: an event must not overtake them.
    """
    pending = getattr(_request, "pending", None)
    if pending is None:
        work()
    else:
        pending.append(work)


class Front:
    """A WSGI application around moto's."""

    def __init__(self, application: Any) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        outermost = getattr(_request, "pending", None) is None
        if outermost:
            _request.pending = []
        try:
            status, headers, body = self._answer(request, environ)
        finally:
            if outermost:
                pending, _request.pending = _request.pending, None
                _run(pending)
        start_response(status, headers)
        return body

    def _answer(self, request: Request, environ: dict[str, Any]) -> tuple[str, Any, Iterable[bytes]]:
        try:
            answer = _call(self._choose(request), environ)
        except LocalCloudError as error:
            _logger.exception("request refused", extra={"path": request.path})
            return _call(error_response(request, type(error).__name__, str(error), 400), environ)
        except NotImplementedError as error:
            _logger.exception("request not carried out", extra={"path": request.path})
            message = f"{error} (not carried out by the local cloud)"
            return _call(error_response(request, UnsupportedError.__name__, message, 400), environ)
        except Exception as error:
            _logger.exception("request failed", extra={"path": request.path})
            message = f"{type(error).__name__}: {error} (the traceback is in the daemon's log)"
            return _call(error_response(request, "InternalFailure", message, 500), environ)
        status, headers, body = answer
        if request.path.startswith("/_local/"):
            return status, headers, body
        if status[0] in "45" and Headers(headers).get("Content-Type", "").startswith("text/html"):
            # No AWS API answers with a page: this is the framework's, and moto has no such path.
            message = f"{request.method} {request.path} is not carried out by the local cloud ({status})"
            return _call(error_response(request, UnsupportedError.__name__, message, int(status[:3])), environ)
        return status, headers, body

    def _choose(self, request: Request) -> Any:
        for predicate, handler in _routes:
            if predicate(request):
                return handler(request)
        return self._application


def _call(application: Any, environ: dict[str, Any]) -> tuple[str, Any, Iterable[bytes]]:
    started: list[Any] = []
    body: Iterable[bytes] = application(environ, lambda status, headers, *_: started.extend((status, headers)))
    return started[0], started[1], body


def _run(pending: list[Callable[[], None]]) -> None:
    for work in pending:
        try:
            work()
        except Exception:  # the reply is out already, and the work that follows is another's
            _logger.exception("work after a request failed")
