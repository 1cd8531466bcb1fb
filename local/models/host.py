"""The process of a model server, as an endpoint, an inference component or a hosted service has one."""

from __future__ import annotations

import shutil
import socket
import time
from pathlib import Path
from subprocess import Popen
from typing import Any

import urllib3

from local.clients import client
from local.cloud import Cloud
from local.models.serve import BACKLOG
from local.pipeline.job import download
from local.training import unpack

START_SECONDS = 300.0
PING_SECONDS = 0.1


class Host:
    """A process that serves a model, and a pool of connections to it.

    Args:
        model: the server's name in local/models/serve.py.
        artefact: what a training job made of the model, or the model itself, as the S3 URI of an archive or, ending in
            a slash, of a folder; None for the model as it comes.

    Raises:
        ClientError: the artefact is not there.
        tarfile.TarError, OSError, EOFError: it is no archive, or not a whole one.
    """

    def __init__(self, cloud: Cloud, model: str, name: str, artefact: str | None = None) -> None:
        self._cloud = cloud
        settings = cloud.settings
        self.log = settings.home / "logs/endpoints" / f"{name}.log"
        self._folder = settings.home / "endpoints" / name
        given: list[str | Path] = []
        if artefact is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            _fetch(client(settings, "s3"), artefact, self._folder)
            given = ["--artefact", self._folder]
        with socket.create_server((settings.host, 0), backlog=BACKLOG) as listener:
            self.process: Popen[bytes] = cloud.spawn(
                [
                    settings.server_python,
                    *("-m", "local.models.serve", "--model", model, "--socket", str(listener.fileno())),
                    *("--cache", settings.project / ".assay/cache/models"),
                    *given,
                ],
                environment={**settings.client_environment(), "PYTHONUNBUFFERED": "1"},
                directory=settings.project,
                log=self.log,
                descriptors=[listener.fileno()],
            )
            port = listener.getsockname()[1]
        self.connections = urllib3.HTTPConnectionPool(settings.host, port, maxsize=64, retries=False)

    def wait_until_healthy(self) -> str | None:
        """Return None when the model answers, else why it does not."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and not self._cloud.stopping.is_set():
            if self.process.poll() is not None:
                return f"the container exited with code {self.process.returncode}: {self._last_line()}"
            try:
                if self.connections.request("GET", "/ping", timeout=2.0).status == 200:
                    return None
            except urllib3.exceptions.HTTPError:
                pass  # it loads, or it has just ended
            time.sleep(PING_SECONDS)
        return f"the container did not answer within {START_SECONDS:g} seconds"

    def end(self) -> None:
        self._cloud.terminate(self.process)
        self.connections.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _last_line(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")


def _fetch(s3: Any, uri: str, folder: Path) -> None:
    if not uri.endswith("/"):
        unpack(s3, uri, folder)
    elif not download(s3, uri.rstrip("/"), folder):
        raise FileNotFoundError(f"there is nothing at {uri}")
