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
from tests.local.sagemaker_support import is_running

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
    settings = daemon.status(project).settings
    assert settings is not None
    return settings


def invoke_a_function(settings: Settings, project: Path) -> int:
    """Deploy a function, invoke it, and return the number of its process, which stays."""
    function = project / "function"
    function.mkdir()
    (function / "app.py").write_text("import os\ndef lambda_handler(event, context):\n    return os.getpid()\n")
    template = project / "template.yaml"
    template.write_text(TEMPLATE % RUNTIME)
    name = deploy(settings, template, "daemon")["Function"]
    return int(json.loads(client(settings, "lambda").invoke(FunctionName=name)["Payload"].read()))


def test_the_daemon_survives_its_command_and_down_leaves_no_process_and_no_port(project: Path) -> None:
    settings = start_in_another_process(project)
    status = daemon.status(project)
    assert status.healthy
    assert status.pid is not None
    server = psutil.Process(status.pid)
    assert os.getsid(server.pid) == server.pid
    handler = invoke_a_function(settings, project)
    assert psutil.pid_exists(handler)

    assert daemon.down(project)

    assert not psutil.pid_exists(handler)
    assert not server.is_running()
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect((settings.host, settings.port))
    assert not daemon.status(project).healthy
    assert not daemon.down(project)


def test_what_a_killed_daemon_left_running_is_ended_by_down(project: Path) -> None:
    settings = daemon.up(project)
    handler = invoke_a_function(settings, project)
    pid = daemon.status(project).pid
    assert pid is not None
    psutil.Process(pid).kill()
    psutil.Process(pid).wait(10)
    assert is_running(handler)
    assert daemon.status(project).settings is None
    assert daemon.down(project)
    assert not is_running(handler)
    assert not daemon.down(project)


def test_aws_settings_of_the_shell_do_not_reach_the_local_cloud(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "a-profile-that-is-gone")
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1")
    settings = daemon.up(project)
    assert invoke_a_function(settings, project)
    assert client(settings, "sqs").create_queue(QueueName="here")["QueueUrl"].startswith(settings.endpoint_url)


def test_what_a_killed_daemon_left_in_scratch_folders_is_deleted_at_the_next_start(project: Path) -> None:
    for name in ("tmp", "steps"):
        (project / daemon.HOME / name / "left").mkdir(parents=True)
    daemon.up(project)
    assert not [name for name in ("tmp", "steps") if (project / daemon.HOME / name / "left").exists()]


def test_a_path_with_spaces_is_refused_with_the_reason(tmp_path: Path) -> None:
    project = tmp_path / "my project"
    project.mkdir()
    with pytest.raises(LocalCloudError, match="path with spaces"):
        daemon.up(project)
    assert list(project.iterdir()) == []


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
