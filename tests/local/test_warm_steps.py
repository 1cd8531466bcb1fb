"""Steps that are forked from a warm process see, leave and end as those that are started one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.local.conftest import Running, eventually, serving
from tests.local.sagemaker_support import Pipelines, as_step, processes_of


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("warm"), warm_steps=True) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def pipelines(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipelines]:
    with pytest.MonkeyPatch.context() as patch:
        yield Pipelines(running, tmp_path_factory.mktemp("sdk"), patch)


def test_a_warm_step_sees_the_image_and_its_own_environment_and_nothing_of_the_project(
    running: Running, pipelines: Pipelines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look() -> dict[str, Any]:
        import importlib
        import os
        import pathlib
        import sys

        found = []
        for name in ("local", "assay", "cli", "moto"):
            try:
                importlib.import_module(name)
            except ModuleNotFoundError:
                continue
            found.append(name)
        return {
            "found": found,
            "environment": dict(os.environ),
            "path": sys.path,
            "prefix": sys.prefix,
            "executable": sys.executable,
            "directory": str(pathlib.Path.cwd()),
        }

    monkeypatch.setenv("SECRET_OF_THE_DAEMON", "x")
    pipelines.create("look", [as_step(look, "look", environment_variables={"GIVEN": "by the definition"})()])
    arn = pipelines.start("look")
    assert pipelines.finish(arn) == "Succeeded", pipelines.log(arn, "look")
    seen = pipelines.result(arn, "look", "look")
    room = str(running.settings.home / "steps" / arn.rpartition("/")[2])
    assert seen["found"] == []
    assert seen["environment"]["GIVEN"] == "by the definition"
    assert "SECRET_OF_THE_DAEMON" not in seen["environment"]
    assert "PYTHONPATH" not in seen["environment"]
    for place in ("prefix", "executable", "directory"):
        assert seen[place].startswith(room), place
    assert not any(str(running.settings.project / "layers") in entry for entry in seen["path"])


def test_a_warm_step_that_raises_fails_with_its_reason(pipelines: Pipelines) -> None:
    def fail() -> None:
        raise ValueError("the catalog is empty")

    pipelines.create("fail", [as_step(fail, "fail")()])
    arn = pipelines.start("fail")
    assert pipelines.finish(arn) == "Failed"
    assert "the catalog is empty" in pipelines.steps(arn)["fail"]["FailureReason"]


def test_a_warm_step_that_is_stopped_ends_with_its_processes(running: Running, pipelines: Pipelines) -> None:
    def linger() -> None:
        import subprocess
        import time

        subprocess.Popen(["sleep", "300"])
        time.sleep(300)

    pipelines.create("linger", [as_step(linger, "linger")()])
    arn = pipelines.start("linger")
    eventually(lambda: len(processes_of(running, arn)) >= 3, timeout=60)
    running.aws("sagemaker").stop_pipeline_execution(PipelineExecutionArn=arn)
    assert pipelines.finish(arn) == "Stopped"
    eventually(lambda: processes_of(running, arn) == [])
