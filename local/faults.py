"""What goes wrong on purpose: whoever tests against the local cloud says what, where and how often, and so it happens.

`POST /_local/faults` adds a list of faults, `GET` gives those that are left, `DELETE` forgets them all. A fault is an
object with `kind`, `about` (a text that what it befalls must hold, such as an evaluation's id; left out: anything),
`times` (1 when left out), and by kind:

api       a call is answered with an error instead of being carried out. `api`: `sagemaker:DeleteEndpoint`; `s3:PUT` and
          `lambda:POST` for the services that have methods in place of actions. `code`, `status`: the error.
step      a pipeline step's processes are killed. `step`: its name, or the beginning of it; `seconds`: after its start.
event     an event is not as it should be. `detail_type`; `does`: `lose`, `repeat` or `delay` (by `seconds`).
answer    a service that hosts models answers with one of its own errors, or badly. `api`: `bedrock`, `bedrock-batch`,
          `openai` or `sagemaker-runtime`; `code`: which; an unknown one is answered with the list of those there are.
endpoint  an endpoint whose name holds `about` fails instead of coming into service. `reason`.

Nothing of the product knows of it: a fault looks as it would in AWS.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from werkzeug.wrappers import Request, Response

from local import front
from local.cloud import LocalCloudError
from local.wire_errors import error_response, service_of

KINDS = ("api", "answer", "step", "event", "endpoint")
DOES = ("lose", "repeat", "delay")


@dataclass
class Fault:
    """One thing that will go wrong, `times` more times."""

    kind: str
    about: str = ""
    times: int = 1
    api: str = ""
    code: str = "ThrottlingException"
    status: int = 400
    step: str = ""
    seconds: float = 0.0
    detail_type: str = ""
    does: str = "lose"
    reason: str = "the fault that was asked for"

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.does not in DOES:
            raise LocalCloudError(f"no such fault: {self.kind} {self.does}; kinds: {', '.join(KINDS)}")


class Faults:
    """The faults that are still to happen."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, items: list[dict[str, Any]]) -> None:
        """Add faults, or refuse them all when one is not understood."""
        try:
            added = [Fault(**item) for item in items]
        except TypeError as error:
            raise LocalCloudError(f"a fault that is not understood: {error}") from error
        with self._lock:
            self._faults += added

    def left(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(fault) for fault in self._faults]

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def waits_for(self, kind: str, **exactly: str) -> bool:
        """Whether a fault of this kind might befall it, whatever it is about."""
        with self._lock:
            return any(_fits(fault, kind, exactly) for fault in self._faults)

    def answer(self, service: str, known: Collection[str]) -> str | None:
        """How the request at hand to a service that hosts models goes wrong; None where it does not.

        Raises:
            LocalCloudError: the service cannot go wrong like that.
        """
        fault = self.take("answer", "", api=service)
        if fault is not None and fault.code not in known:
            raise LocalCloudError(f"{service} has no fault {fault.code!r}; there are: {', '.join(sorted(known))}")
        return None if fault is None else fault.code

    def take(self, kind: str, about: str, **exactly: str) -> Fault | None:
        """The fault that befalls something now, which is then one time less to come."""
        with self._lock:
            for fault in self._faults:
                if _fits(fault, kind, exactly) and fault.about in about:
                    fault.times -= 1
                    if fault.times <= 0:
                        self._faults.remove(fault)
                    return fault
        return None


def _fits(fault: Fault, kind: str, exactly: dict[str, str]) -> bool:
    return fault.kind == kind and all(
        getattr(fault, name) == value or (name == "step" and value.startswith(fault.step))
        for name, value in exactly.items()
    )


FAULTS = Faults()


def install() -> None:
    """Answer `/_local/faults`, and every call that a fault is waiting for. Nothing is left of an earlier cloud's."""
    FAULTS.clear()
    front.local_path("faults", _change)
    front.route(_befalls, _answer)


def _change(request: Request) -> Response:
    if request.method == "POST":
        FAULTS.add(request.get_json())
    elif request.method == "DELETE":
        FAULTS.clear()
    return Response(json.dumps(FAULTS.left()), content_type="application/json")


def _befalls(request: Request) -> bool:
    """Whether a fault befalls this call; it is then taken, and lies in the request's environment."""
    api = _api_of(request)
    if request.path.startswith("/_local/") or not FAULTS.waits_for("api", api=api):
        return False
    fault = FAULTS.take("api", f"{request.path}?{request.query_string.decode()} {_body(request)}", api=api)
    request.environ["local.fault"] = fault
    return fault is not None


def _answer(request: Request) -> Response:
    fault: Fault = request.environ["local.fault"]
    return error_response(request, fault.code, fault.reason, fault.status)


def _api_of(request: Request) -> str:
    service = service_of(request)
    target = request.headers.get("X-Amz-Target")
    if target:
        return f"{service}:{target.rpartition('.')[2]}"
    if request.mimetype == "application/x-www-form-urlencoded":
        return f"{service}:{_form_action(request)}"
    return f"{service}:{request.method}"


def _form_action(request: Request) -> str:
    pairs = (pair.partition("=") for pair in _body(request).split("&"))
    return next((value for key, _, value in pairs if key == "Action"), "")


def _body(request: Request) -> str:
    """The body as text; who answers the call then reads the same request, which keeps it."""
    body: bytes = request.get_data(cache=True)
    request.environ["wsgi.input"] = io.BytesIO(body)
    return body.decode(errors="replace")
