"""One training job: its channels are fetched, its container's entry point runs, and its outcome is read."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.clients import client
from local.cloud import Cloud
from local.faults import FAULTS
from local.pipeline.container import Container
from local.pipeline.warm import WarmPython
from local.timers import after

LONGEST_REASON = 1024
RESULT_FILES = ("payload.pkl", "results.json")


@dataclass(frozen=True)
class Completed:
    """The job ended with exit code 0 and left its result in S3."""


@dataclass(frozen=True)
class Failed:
    """The job failed; `internal` when the local cloud and not the step's code is the cause."""

    reason: str
    internal: bool = False


@dataclass(frozen=True)
class Stopped:
    """The job was ended because somebody stopped its execution."""


Outcome = Completed | Failed | Stopped


@dataclass
class Job:
    """A training job that can be run once, and stopped from another thread while it runs."""

    name: str
    arn: str
    arguments: Mapping[str, Any]
    directory: Path
    log: Path
    cloud: Cloud
    step: str = ""
    execution: str = ""
    warm: WarmPython | None = None
    _stopped: threading.Event = field(default_factory=threading.Event)
    _process: subprocess.Popen[bytes] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> Outcome:
        """Run to the end; a failure is a value, whoever caused it."""
        try:
            return self._run()
        except ClientError as error:
            return Failed(f"ClientError: {error}")
        except (OSError, BotoCoreError) as error:
            return Failed(f"InternalServerError: {error}", internal=True)
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def stop(self) -> None:
        """End the job's processes: SIGTERM, then SIGKILL."""
        with self._lock:
            self._stopped.set()
            process = self._process
        if process:
            self.cloud.terminate(process)

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        """End the process as a machine that is out of memory does, and nobody asked for it."""
        if process.poll() is None:
            self.cloud.terminate(process, grace_seconds=0.0)

    def _run(self) -> Outcome:
        container = Container(self.directory, self.cloud.settings.step_python)
        container.prepare(instance_type=str(self.arguments["ResourceConfig"]["InstanceType"]))
        if self.warm is not None:
            self.warm.lay(container)
        s3 = client(self.cloud.settings, "s3")
        for channel in self.arguments.get("InputDataConfig", []):
            uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
            target = container.channel(channel["ChannelName"])
            if not download(s3, uri, target):
                return Failed(f"ClientError: No S3 objects found under S3 URL {uri!r} given in input data source")
            container.relocate_scripts(target)
        limit = float(self.arguments["StoppingCondition"].get("MaxRuntimeInSeconds", 86_400))
        with self._lock:
            if self._stopped.is_set() or self.cloud.stopping.is_set():
                return Stopped()
            process = self._process = self._start(container)
        if (fault := FAULTS.take("step", self.execution, step=self.step)) is not None:
            after(self.cloud, fault.seconds, self._kill, process)
        timed_out = False
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            timed_out = True
        self.cloud.terminate(process)  # nothing outlives a container: what its processes left running ends as well
        if self._stopped.is_set() or self.cloud.stopping.is_set():
            return Stopped()
        if timed_out:
            return Failed(f"ClientError: MaxRuntimeExceeded: the job ran longer than its {limit:g} seconds")
        return self._read_outcome(container, process.returncode, s3)

    def _start(self, container: Container) -> subprocess.Popen[bytes]:
        algorithm = self.arguments["AlgorithmSpecification"]
        command = [container.relocate(part) for part in algorithm["ContainerEntrypoint"]]
        command += [str(part) for part in algorithm.get("ContainerArguments", [])]
        given = {key: str(value) for key, value in self.arguments.get("Environment", {}).items()}
        environment = container.environment(
            {**self.cloud.settings.client_environment(), **given}, job_name=self.name, job_arn=self.arn
        )
        return self.cloud.spawn(command, environment=environment, directory=container.directory, log=self.log)

    def _read_outcome(self, container: Container, exit_code: int, s3: Any) -> Outcome:
        if exit_code:
            if container.failure_file.is_file():
                cause = container.failure_file.read_text(errors="replace").strip()
            else:
                cause = "last lines of the log: " + " | ".join(last_lines(self.log))
            ending = f", exit code: {exit_code}"
            return Failed(f"AlgorithmError: {cause}"[: LONGEST_REASON - len(ending)] + ending)
        if any((container.opt_ml / "model").iterdir()):
            return Failed("ClientError: the local cloud does not upload what a step leaves in the model directory")
        bucket, prefix = bucket_and_key(self.arguments["OutputDataConfig"]["S3OutputPath"])
        found = s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/").get("Contents", [])
        names = {item["Key"].rpartition("/")[2] for item in found}
        if not names.intersection(RESULT_FILES):
            return Failed(f"AlgorithmError: the step ended without a result in s3://{bucket}/{prefix}, exit code: 0")
        return Completed()


def bucket_and_key(uri: str) -> tuple[str, str]:
    # No URL to S3: what follows a # or a ? is a part of the key.
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key.strip("/")


def download(s3: Any, uri: str, target: Path) -> int:
    """Fetch everything under an S3 prefix into `target`; return how many objects there were."""
    bucket, prefix = bucket_and_key(uri)
    count = 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            key = item["Key"]
            if key.endswith("/") or not (key == prefix or key.startswith(f"{prefix}/")):
                continue
            path = target / (key.removeprefix(f"{prefix}/") if key != prefix else key.rpartition("/")[2])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
            count += 1
    return count


def last_lines(log: Path, count: int = 5) -> list[str]:
    if not log.is_file():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8192))
        lines = file.read().decode(errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip()][-count:]
