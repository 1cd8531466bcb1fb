"""When the cloud closes, nothing that it started goes on: no model server, no step."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.adapters.sagemaker_endpoints import endpoints_of
from tests.local.conftest import Running, eventually
from tests.local.sagemaker_support import Pipelines, as_step, is_running, processes_of
from tests.local.test_sagemaker_endpoints import NEAREST, create


def test_no_process_is_left_when_the_cloud_closes(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless() -> None:
        import time

        time.sleep(600)

    pipelines = Pipelines(running, tmp_path, monkeypatch)
    pipelines.create("left", [as_step(endless, "endless")()])
    arn = pipelines.start("left")
    create(running, "left", NEAREST)
    host = eventually(lambda: endpoints_of(running.cloud)._hosts.get("left"))
    assert eventually(lambda: processes_of(running, arn))
    assert is_running(host.process.pid)
    running.cloud.close()
    eventually(lambda: not is_running(host.process.pid) and not processes_of(running, arn))
