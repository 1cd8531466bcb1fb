"""The daemon survives the command that started it, and `down` leaves nothing of it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local import daemon
from local.clients import client
from local.cloud import LocalCloudError, Settings
from local.deploy import deploy
from tests.local.conftest import PROJECT, RUNTIME

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Function:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: function, Runtime: %s, Handler: app.lambda_handler, Timeout: 20}
Outputs:
  Function: {Value: !Ref Function}
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A project of its own with the real environments and the real source."""
    for name in (".venv", "local"):
        (tmp_path / name).symlink_to(PROJECT / name)
    yield tmp_path
    daemon.reset(tmp_path)


def start_in_another_process(project: Path) -> Settings:
    """Start the daemon in a process that ends at once, as a command does."""
    code = f"from pathlib import Path; from local import daemon; daemon.up(Path({str(project)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, timeout=60)
    return daemon.settings_of(project)


def test_the_daemon_survives_its_command_and_down_leaves_no_process_and_no_port(project: Path) -> None:
    settings = start_in_another_process(project)
    status = daemon.status(project)
    assert status.healthy
    assert status.pid is not None
    server = psutil.Process(status.pid)
    assert os.getsid(server.pid) == server.pid
    function = project / "function"
    function.mkdir()
    (function / "app.py").write_text("import os\ndef lambda_handler(event, context):\n    return os.getpid()\n")
    template = project / "template.yaml"
    template.write_text(TEMPLATE % RUNTIME)
    name = deploy(settings, template, "daemon")["Function"]
    handler = json.loads(client(settings, "lambda").invoke(FunctionName=name)["Payload"].read())
    assert psutil.pid_exists(handler)

    assert daemon.down(project)

    assert not psutil.pid_exists(handler)
    assert not server.is_running()
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect((settings.host, settings.port))
    assert not daemon.status(project).healthy
    assert not daemon.down(project)


def test_a_second_start_is_refused_and_reset_deletes_the_state(project: Path) -> None:
    daemon.up(project)
    with pytest.raises(LocalCloudError, match="runs already"):
        daemon.up(project)
    assert daemon.log_files(project)
    assert daemon.reset(project)
    assert not (project / daemon.HOME).exists()


def test_a_stale_state_file_that_names_somebody_elses_process_is_not_believed(project: Path) -> None:
    home = project / daemon.HOME
    home.mkdir(parents=True)
    other = {"pid": os.getpid(), "port": 1, "region": "eu-west-1", "time_scale": 1.0, "started": 0.0}
    (home / "daemon.json").write_text(json.dumps(other))
    assert daemon.status(project).settings is None
    assert not daemon.down(project)
    assert psutil.Process().is_running()


def test_without_a_daemon_the_way_to_start_one_is_said(tmp_path: Path) -> None:
    with pytest.raises(LocalCloudError, match="assay local up"):
        daemon.settings_of(tmp_path)
