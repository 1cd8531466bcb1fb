"""A model server, as SageMaker starts one behind an endpoint: `GET /ping` and `POST /invocations`.

python -m local.models.serve --model smollm2-135m-instruct --port 8080 --cache DIR [--artefact DIR]

Who starts it may hand over a listening socket in place of a port, which nobody can then take while the model loads.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

from local.models import chat
from local.models.payload import Completion, PayloadError, Prompt, parsed, read_payload, written

BACKLOG = 128
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
# What Text Generation Inference calls the kinds of its failures, by our status.
KINDS = {400: "validation", 429: "overloaded", 500: "generation"}


class Model(Protocol):
    """Anything that answers prompts, from many threads at once."""

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]: ...


def _smollm2(options: argparse.Namespace) -> Model:
    from local.models.smollm2 import SmolLM2

    return SmolLM2(options.cache, options.threads, options.artefact)


def _nearest(options: argparse.Namespace) -> Model:
    from local.models.nearest import NearestNeighbour

    if options.artefact is not None:
        raise ValueError(f"{options.model} serves no artefact of a training job")
    return NearestNeighbour(options.facts, options.threads)


def _likeness(options: argparse.Namespace) -> Model:
    from local.models.likeness import LikenessJudge

    return LikenessJudge(options.threads)


def _broken(options: argparse.Namespace) -> Model:
    raise FileNotFoundError(f"{options.model}: the container holds no weights (this model never starts, on purpose)")


def _saved(options: argparse.Namespace) -> Model:
    from local.models.saved import saved_model

    if options.artefact is None:
        raise ValueError(f"{options.model} serves what --artefact names")
    return saved_model(options.artefact, options.threads)


def _echo(_options: argparse.Namespace) -> Model:
    from local.models.echo import Echo

    return Echo()


MODELS: dict[str, Callable[[argparse.Namespace], Model]] = {
    "smollm2-135m-instruct": _smollm2,
    "nearest-neighbour-minilm": _nearest,
    "likeness-judge-minilm": _likeness,
    "broken-model": _broken,
    "echo": _echo,
    "saved-model": _saved,
}


class Server(ThreadingHTTPServer):
    """One thread a connection; a client keeps its connection for many requests."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, model: Model) -> None:
        super().__init__(listener.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.model = model


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        if self.path == "/ping":
            self._send(200, {})
        else:
            self._send(404, {"error": f"no such path: {self.path}"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path != "/invocations":
            self._send(404, {"error": f"no such path: {self.path}"})
            return
        try:
            reply = self._reply(body)
        except PayloadError as error:
            self._send(400, {"error": str(error), "error_type": KINDS[400]})
        except Exception as error:  # noqa: BLE001 - a server answers; the traceback is in its log
            self.log_error("%r", error)
            self._send(500, {"error": f"{type(error).__name__}: {error}", "error_type": KINDS[500]})
        else:
            self._send(200, reply)

    def _reply(self, body: bytes) -> Any:
        document = parsed(body)
        if isinstance(document, dict) and "messages" in document:
            request = chat.read_request(document)
            return chat.reply(request, self.server.model.answer([request.prompt])[0])
        prompts = read_payload(document)
        answers = self.server.model.answer(prompts)
        return [written(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)]

    def _send(self, status: int, body: Any) -> None:
        encoded = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        # What a caller attaches to a request comes back with its answer, as SageMaker asks of containers.
        if ATTRIBUTES in self.headers:
            self.send_header(ATTRIBUTES, self.headers[ATTRIBUTES])
        self.end_headers()
        self.wfile.write(encoded)

    def log_request(self, *_: Any) -> None:
        """Nothing: a line a request would be the whole log."""


def main(arguments: list[str] | None = None) -> int:
    """Load the model, then answer: who connects before that waits for it."""
    parser = argparse.ArgumentParser(prog="local.models.serve", description=__doc__)
    parser.add_argument("--model", required=True, choices=sorted(MODELS))
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--port", type=int)
    place.add_argument("--socket", type=int, help="descriptor of a socket that listens already")
    parser.add_argument("--cache", type=Path, default=Path(".assay/cache/models"))
    parser.add_argument("--artefact", type=Path, help="folder with what training made of the model, or a model")
    parser.add_argument("--facts", type=Path, default=Path(__file__).with_name("facts.jsonl"))
    # Two threads beside another busy process wait for each other at every product: half the cores are faster.
    parser.add_argument("--threads", type=int, default=max(1, (os.cpu_count() or 1) // 2))
    options = parser.parse_args(arguments)
    if options.socket is None:
        listener = socket.create_server(("127.0.0.1", options.port), backlog=BACKLOG)
    else:
        listener = socket.socket(fileno=options.socket)
    try:
        model = MODELS[options.model](options)
    except (OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201 - the log is this stream
        return 1
    Server(listener, model).serve_forever()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
