"""A running local cloud inside the test's process; nothing but 127.0.0.1 can be reached."""

from __future__ import annotations

import os
import socket
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_socket

from local import server
from local.adapters.lambda_code import runtime_of
from local.clients import client
from local.cloud import Cloud, Settings, restore
from local.deploy import deploy
from local.events import bus

PROJECT = Path(__file__).resolve().parents[2]
RUNTIME = runtime_of(Settings(PROJECT, PROJECT, 0))


@dataclass(frozen=True)
class Running:
    """The running cloud and shorthands for what tests ask of it."""

    cloud: Cloud

    @property
    def settings(self) -> Settings:
        return self.cloud.settings

    def aws(self, service: str) -> Any:
        return client(self.settings, service)

    def deploy(
        self, folder: Path, template: str, stack: str, parameters: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Write `template` into `folder` and deploy it from there."""
        file = folder / "template.yaml"
        file.write_text(textwrap.dedent(template), encoding="utf-8")
        return deploy(self.settings, file, stack, parameters or {})

    def messages(self, queue_url: str, count: int = 1, timeout: float = 15.0) -> list[dict[str, Any]]:
        """Receive `count` messages, attributes included."""
        found: list[dict[str, Any]] = []

        def receive() -> bool:
            answer = self.aws("sqs").receive_message(
                QueueUrl=queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
            )
            found.extend(answer.get("Messages", []))
            return len(found) >= count

        eventually(receive, timeout)
        return found

    def events(self, source: str) -> list[dict[str, Any]]:
        return [event for event in bus.seen() if event["source"] == source]


def eventually(condition: Callable[[], Any], timeout: float = 15.0) -> Any:
    """Wait until `condition` gives something true, and return it."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(autouse=True)
def _only_this_machine() -> Iterator[None]:
    pytest_socket.socket_allow_hosts(["127.0.0.1", "localhost"], allow_unix_socket=True)
    yield
    pytest_socket._remove_restrictions()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One cloud a module, whose waiting times are a hundredth of AWS's; its tests use names of their own."""
    with serving(tmp_path_factory.mktemp("home")) as cloud:
        yield cloud


@contextmanager
def serving(home: Path, *, warm_steps: bool = False) -> Iterator[Running]:
    """A cloud while it is needed."""
    before = dict(os.environ)
    settings = Settings(PROJECT, home, free_port(), time_scale=0.01, warm_steps=warm_steps)
    cloud, front = server.build(settings)
    threading.Thread(target=front.serve_forever, daemon=True).start()
    yield Running(cloud)
    server.close(cloud, front)
    restore()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a file below the test's folder."""

    def write_file(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text), encoding="utf-8")
        return file

    return write_file
