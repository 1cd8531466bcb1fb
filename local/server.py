"""The daemon's process: every AWS API of the local cloud on one port of 127.0.0.1.

python -m local.server --project DIR --home DIR --port PORT
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from moto.moto_api._internal.models import moto_api_backend
from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wrappers import Response

from local import faults, front
from local.cloud import Cloud, Settings
from local.events import bus
from local.functions.service import service
from local.log_format import KeyFormatter

# In the order in which they are installed: who patches what another one calls comes first.
ADAPTERS = (
    "dynamodb_atomic",
    "lambda_code",
    "lambda_runtime",
    "lambda_urls",
    "custom_resources",
    "events",
    "event_schedules",
    "s3_events",
    "s3_policies",
    "sns_mailbox",
    "step_functions",
    "sagemaker_tags",
    "tagged_resources",
    "sagemaker_jumpstart",
    "sagemaker_endpoints",
    "sagemaker_training",
    "sagemaker_runtime",
    "sagemaker_asynchronous",
    "service_quotas",
    "hosted_models",
    "sagemaker_model_packages",
    "sagemaker_pipelines",
    "sagemaker_executions",
    "pretended",
    "cloudformation_strict",
)

_logger = logging.getLogger("local.server")


class QuietHandler(MotoRequestHandler):  # type: ignore[misc]
    """moto's request handler without a line for each request; failures are logged by the front."""

    def log_request(self, *_: Any) -> None:
        """Nothing: progress is polled."""


def build(settings: Settings, listener: int | None = None) -> tuple[Cloud, BaseWSGIServer]:
    """Install every adapter and bind the port, unless `listener` is a socket (its descriptor) that has it already.

    The caller serves and closes. moto keeps its state in the process: a second cloud starts empty, and replaces the
    first. The environment of this process is pointed at the local cloud, so that no client in it can reach another one.
    What handlers and steps left in their scratch folders when an earlier daemon was killed is deleted.
    """
    for scratch in ("tmp", "steps", "training", "endpoints"):
        shutil.rmtree(settings.home / scratch, ignore_errors=True)
    os.environ.update(settings.client_environment())
    os.environ["MOTO_PORT"] = str(settings.port)
    front.clear_routes()
    bus.forget()
    moto_api_backend.reset()
    cloud = Cloud(settings)
    front.local_path("health", lambda _request: _json({"status": "ok", "pid": os.getpid()}))
    front.local_path("events", lambda _request: _json(bus.seen()))
    faults.install()
    application = front.Front(DomainDispatcherApplication(create_backend_app))
    server = make_server(
        settings.host, settings.port, application, threaded=True, request_handler=QuietHandler, fd=listener
    )
    if listener is not None:
        os.close(listener)  # the server has a descriptor of its own
    server.daemon_threads = True
    server.block_on_close = False
    for name in ADAPTERS:
        importlib.import_module(f"local.adapters.{name}").install(cloud)
    return cloud, server


def close(cloud: Cloud, server: BaseWSGIServer) -> None:
    """End every process that was started, then stop answering."""
    cloud.stopping.set()
    service().pool.close()
    cloud.close()
    server.shutdown()
    server.server_close()


def _json(body: Any) -> Response:
    return Response(json.dumps(body), content_type="application/json")


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, then end every process that was started."""
    parser = argparse.ArgumentParser(prog="local.server", description=__doc__)
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--socket", type=int, help="descriptor of a socket that listens on the port already")
    parser.add_argument("--region", default=Settings.region)
    parser.add_argument("--time-scale", type=float, default=Settings.time_scale)
    parser.add_argument("--warm-steps", action="store_true")
    options = parser.parse_args(arguments)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(KeyFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    settings = Settings(
        options.project.resolve(),
        options.home.resolve(),
        options.port,
        options.region,
        options.time_scale,
        options.warm_steps,
    )
    cloud, server = build(settings, options.socket)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    threading.Thread(target=server.serve_forever, name="front", daemon=True).start()
    _logger.info("serving at %s", settings.endpoint_url)
    ended.wait()
    _logger.info("closing")
    close(cloud, server)
    return 0


if __name__ == "__main__":
    # What cannot be stopped (a thread in a call that never returns) must not keep the daemon alive.
    code = main()
    logging.shutdown()
    os._exit(code)
