"""Every service that a provider speaks to, on one port of 127.0.0.1: the local cloud's own, with a scripted model.

Only the model is scripted. Requests and replies go through the SDKs, the sockets and the fakes that the local cloud
deploys, so a provider that passes here speaks the wire format.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from local.adapters import sagemaker_asynchronous, sagemaker_runtime
from local.adapters.sagemaker_endpoints import NotServedError
from local.cloud import Cloud, Settings
from local.faults import Faults
from local.hosted import bedrock, bedrock_batch, openai
from local.models.payload import Completion, PayloadError, Prompt, cut_at_stop
from local.models.serve import BACKLOG, Server
from local.wire_errors import error_response

ENDPOINT, QUEUED = "live", "queued"
BUCKET = "requests-and-answers"
ASYNCHRONOUS_URI = f"s3://{BUCKET}/evaluations/s/e/asynchronous"
REFUSED = "refuse this"
SECRET = "assay/key"
ACME_FAULTS = {"429", "500", "503", "400", "403", "404", "malformed_body", "hang"}
KEY = "a-key-that-nobody-may-see"


@dataclass
class Scripted:
    """A model that says what it was told, word by word, and keeps the prompts that it got."""

    prompts: list[Prompt] = field(default_factory=list)

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
        self.prompts.extend(prompts)
        return [self._said(prompt) for prompt in prompts]

    def _said(self, prompt: Prompt) -> Completion:
        if prompt.question == REFUSED:
            raise PayloadError(f"cannot answer {prompt.question!r}")
        # The question as it is; parameters only cut it.
        parts = re.findall(r"\s*\S+|\s+$", prompt.question)
        most = prompt.parameters.max_new_tokens
        text = "".join(parts[:most])
        cut = cut_at_stop(text, prompt.parameters.stop)
        reason: Any = "stop_sequence" if cut != text else "length" if len(parts) > most else "eos_token"
        return Completion(cut, tuple(range(len(parts))), min(len(parts), most), reason)


class Quiet(WSGIRequestHandler):  # type: ignore[misc]
    """Connections that stay open, and no line a request."""

    protocol_version = "HTTP/1.1"

    def log(self, *_: Any) -> None:
        """Nothing."""


class Buckets:
    """What batch jobs read and write, by bucket and key."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}

    def read(self, bucket: str, key: str) -> bytes | None:
        return self.objects.get((bucket, key))

    def write(self, bucket: str, key: str, body: bytes) -> None:
        self.objects[bucket, key] = body


@dataclass
class Wire:
    """The services while they run."""

    url: str
    model: Scripted
    cloud: Cloud
    buckets: Buckets = field(default_factory=Buckets)
    jobs: bedrock_batch.BatchJobs = field(init=False)
    forget_jobs: Callable[[], None] = field(init=False)
    faults: Faults = field(default_factory=Faults)
    requests: list[Request] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)

    def fail(self, service: str, fault: str, times: int = 1) -> None:
        """Let the next requests to a service end in a fault."""
        self.faults.add([{"kind": "answer", "api": service, "code": fault, "times": times}])


@dataclass(frozen=True)
class _Container:
    connections: urllib3.HTTPConnectionPool


@contextmanager
def wire(home: Path) -> Iterator[Wire]:
    """Run the services."""
    scripted = Scripted()
    container = Server(socket.create_server(("127.0.0.1", 0), backlog=BACKLOG), scripted)
    connections = urllib3.HTTPConnectionPool("127.0.0.1", container.server_address[1], maxsize=64, retries=False)
    application = _Application(connections)
    front = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    cloud = Cloud(Settings(home, home, front.server_port))
    running = Wire(cloud.settings.endpoint_url, scripted, cloud)
    application.begin(running)
    for server in (container, front):
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield running
    finally:
        cloud.stopping.set()
        for server in (front, container):
            server.shutdown()
            server.server_close()
        connections.close()
        cloud.close()


class _Application:
    def __init__(self, connections: urllib3.HTTPConnectionPool) -> None:
        self._connections = connections

    def begin(self, running: Wire) -> None:
        """Say what it is a part of."""
        cloud = running.cloud
        self._running = running
        self._bedrock = bedrock.Bedrock(self, running.faults, cloud.stopping.wait)
        self.without_jobs()
        self._openai = openai.OpenAI(self, running.faults, cloud.stopping.wait)
        self._endpoints = sagemaker_runtime.Runtime(cloud, self, running.faults)
        self._queues = sagemaker_asynchronous.Queues(cloud, self, running.faults)

    def without_jobs(self) -> None:
        """Forget every batch job."""
        running = self._running
        running.jobs = bedrock_batch.BatchJobs(self._bedrock, running.buckets, running.faults, running.cloud.stopping)
        running.forget_jobs = self.without_jobs

    def post(self, model: str, body: bytes) -> tuple[int, bytes]:
        answer = self._connections.request("POST", "/invocations", body=body)
        return answer.status, answer.data

    def serving(self, name: str, component: str | None = None) -> tuple[_Container, str]:
        if name not in (ENDPOINT, QUEUED) or component is not None:
            raise NotServedError(f"{name} is not there, or not the component {component}")
        return _Container(self._connections), "AllTraffic"

    def asynchronous(self, name: str) -> dict[str, Any] | None:
        paths = {"S3OutputPath": f"{ASYNCHRONOUS_URI}/answers", "S3FailurePath": f"{ASYNCHRONOUS_URI}/failures"}
        return {"OutputConfig": paths} if name == QUEUED else None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        request.get_data()
        self._running.requests.append(request)
        body: Iterable[bytes] = self._answer(request)(environ, start_response)
        return body

    def _answer(self, request: Request) -> Response:
        if request.headers.get("X-Amz-Target") == "secretsmanager.GetSecretValue":
            return Response(json.dumps({"SecretString": KEY}), content_type="application/x-amz-json-1.1")
        if bedrock.PATH.fullmatch(request.path):
            return self._bedrock.converse(request)
        if self._running.jobs.handles(request):
            return self._running.jobs.answer(request)
        if request.path == openai.PATH:
            return self._openai.complete(request)
        if request.path == "/acme":
            return self._acme(request)
        if request.path.startswith(f"/{BUCKET}/"):
            return self._object(request)
        if sagemaker_asynchronous.PATH.fullmatch(request.path):
            return self._queues.invoke(request)
        return self._endpoints.invoke(request)

    def _object(self, request: Request) -> Response:
        """As much of S3 as a queue needs."""
        if request.method == "PUT":
            self._running.objects[request.path] = request.get_data()
            return Response(headers={"ETag": '"e"'})
        if request.path in self._running.objects:
            return Response(self._running.objects[request.path])
        return error_response(request, "NoSuchKey", "The specified key does not exist.", 404)

    def _acme(self, request: Request) -> Response:
        """The in-house server of the example plug-in: a model server, with faults of its own."""
        fault = self._running.faults.answer("acme", ACME_FAULTS)
        if fault == "hang":
            self._running.cloud.stopping.wait(30.0)
        if fault == "malformed_body":
            return Response(b"[{", content_type="application/json")
        if fault is not None:
            return Response(b"{}", int(fault) if fault.isdigit() else 500)
        status, body = self.post("", request.get_data())
        return Response(body, status, content_type="application/json")
