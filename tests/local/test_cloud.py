"""The processes of a cloud end with what they started, and nobody else's does."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local.cloud import Cloud, LocalCloudError, Settings
from local.processes import end_left_over, write_down
from tests.local.conftest import eventually
from tests.local.sagemaker_support import is_running

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('x', flush=True); time.sleep(600)"
# Starts a process that ignores SIGTERM, says its number, and waits.
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    cloud = Cloud(Settings(tmp_path, tmp_path, 1))
    yield cloud
    cloud.close()


def start(cloud: Cloud, seconds: float) -> tuple[subprocess.Popen[bytes], int]:
    """Start the parent, which ends after `seconds`; return it and the number of its stubborn child."""
    log = cloud.settings.home / f"{seconds}.log"
    command = [sys.executable, "-c", PARENT, STUBBORN, str(seconds)]
    parent = cloud.spawn(command, environment={}, directory=cloud.settings.home, log=log)
    eventually(lambda: log.read_text().strip())
    return parent, int(log.read_text())


def test_a_process_that_is_ended_takes_what_it_started_along_even_what_ignores_the_signal(cloud: Cloud) -> None:
    parent, child = start(cloud, 600)
    cloud.terminate(parent)
    assert parent.returncode is not None
    eventually(lambda: not is_running(child))


def test_what_a_process_left_when_it_ended_by_itself_is_ended_as_well(cloud: Cloud) -> None:
    parent, child = start(cloud, 0)
    parent.wait(10)
    assert is_running(child)
    cloud.terminate(parent)
    eventually(lambda: not is_running(child))


def test_a_process_that_was_given_the_number_of_an_ended_one_is_left_alone(cloud: Cloud) -> None:
    ended = cloud.spawn(
        [sys.executable, "-c", ""], environment={}, directory=Path("/"), log=cloud.settings.home / "log"
    )
    ended.wait(10)
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(command, start_new_session=True) as stranger:
        ended.pid = stranger.pid
        cloud.terminate(ended)
        alive = stranger.poll() is None
        stranger.kill()
    assert alive


def test_all_processes_are_ended_at_once_and_none_is_started_any_more(tmp_path: Path) -> None:
    cloud = Cloud(Settings(tmp_path, tmp_path, 1))
    for number in range(3):
        log = tmp_path / f"{number}.log"
        cloud.spawn([sys.executable, "-c", STUBBORN], environment={}, directory=tmp_path, log=log)
        eventually(log.read_text)
    processes = [int(file.name) for file in (tmp_path / "processes").iterdir()]
    assert len(processes) == 3
    began = time.monotonic()
    cloud.close(grace_seconds=1.0)
    assert time.monotonic() - began < 2.5  # one after the other they would take 3
    assert not any(is_running(process) for process in processes)
    assert list((tmp_path / "processes").iterdir()) == []
    with pytest.raises(LocalCloudError, match="closing"):
        cloud.spawn([sys.executable, "-c", ""], environment={}, directory=tmp_path, log=tmp_path / "late.log")


def test_what_a_killed_cloud_left_is_ended_and_a_stranger_with_its_number_is_not(cloud: Cloud, tmp_path: Path) -> None:
    parent, child = start(cloud, 600)
    parent.kill()
    parent.wait(10)
    write_down(tmp_path, psutil.Process().pid)
    (tmp_path / "processes" / str(psutil.Process().pid)).write_text("1.0")
    assert end_left_over(tmp_path) == 1
    assert not is_running(child)
    assert list((tmp_path / "processes").iterdir()) == []
