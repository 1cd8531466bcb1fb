"""What `assay local` says to somebody for whom it does not work."""

from __future__ import annotations

import io
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from botocore.exceptions import EndpointConnectionError
from rich.console import Console

from cli import local_cloud, main
from local import daemon
from local.cloud import LocalCloudError
from tests.local.conftest import PROJECT


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[Path]:
    """A project whose daemon runs and does not answer."""
    for name in (".venv", "local", ".aws-sam"):
        (tmp_path / name).symlink_to(PROJECT / name)
    daemon.up(tmp_path)
    process = psutil.Process(daemon.status(tmp_path).pid)
    process.send_signal(signal.SIGSTOP)
    yield tmp_path
    process.send_signal(signal.SIGCONT)
    daemon.reset(tmp_path)


def test_a_daemon_that_does_not_answer_is_said_to_and_not_waited_for(hanging: Path) -> None:
    with pytest.raises(LocalCloudError, match=r"does not answer.*assay local down"):
        local_cloud.up(hanging)
    console = Console(file=io.StringIO(), width=120)
    local_cloud.print_status(hanging, console)
    assert isinstance(console.file, io.StringIO)
    assert "not answering at http://127.0.0.1:" in console.file.getvalue()


def test_without_a_build_nothing_is_started_and_what_builds_is_said(tmp_path: Path) -> None:
    with pytest.raises(LocalCloudError, match="make build"):
        local_cloud.up(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_cloud_that_ends_under_a_command_is_an_error_of_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ended(_project: Path) -> None:
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")

    monkeypatch.setattr(local_cloud, "up", ended)
    monkeypatch.setattr("sys.argv", ["assay", "local", "up"])
    with pytest.raises(SystemExit) as left:
        main.main()
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: Could not connect to the endpoint URL")
    assert "assay local status" in line
