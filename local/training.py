"""One training job of the SageMaker API: its channels are fetched, its script trains, and what it made is uploaded.

What SageMaker's training toolkit does inside an image is done here: the script archive that the hyperparameters name is
unpacked and its program is run with the other hyperparameters as arguments and the folders in `SM_*` variables. The
image is the interpreter of the model servers; a folder of its own stands for `/opt/ml`.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.clients import client
from local.cloud import Cloud
from local.pipeline.job import LONGEST_REASON, bucket_and_key, download, last_lines

SUBMIT_DIRECTORY, PROGRAM = "sagemaker_submit_directory", "sagemaker_program"


class JobError(Exception):
    """The job failed; the message is its failure reason."""


@dataclass
class TrainingJob:
    """A training job, as it was asked for and as it goes. Times are UTC.

    Attributes:
        request: the parameters of CreateTrainingJob, hyperparameters and tags among them.
        status: InProgress, Stopping, Completed, Failed or Stopped.
        transitions: each secondary status with its start, end and message.
        metrics: the last value of each metric that the job's definitions found in its log.
    """

    name: str
    arn: str
    request: Mapping[str, Any]
    cloud: Cloud
    changed: Callable[[TrainingJob], None]
    tags: list[dict[str, str]] = field(default_factory=list)
    status: str = "InProgress"
    reason: str | None = None
    artefact: str | None = None
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: datetime | None = None
    ended: datetime | None = None
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))
    transitions: list[dict[str, Any]] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def secondary_status(self) -> str:
        return str(self.transitions[-1]["Status"]) if self.transitions else "Starting"

    @property
    def log(self) -> Path:
        return self.cloud.settings.home / "logs/training" / f"{self.name}.log"

    def run(self) -> None:
        """Train to the end; whatever goes wrong is the job's failure reason."""
        folder = self.cloud.settings.home / "training" / self.name
        try:
            self._end(*self._run(folder))
        except JobError as error:
            self._end("Failed", reason=str(error))
        except ClientError as error:
            self._end("Failed", reason=f"ClientError: {error}")
        except (OSError, EOFError, BotoCoreError, tarfile.TarError, ValueError) as error:
            self._end("Failed", reason=f"InternalServerError: {type(error).__name__}: {error}")
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def stop(self) -> bool:
        """Ask the job to end; False when it has ended already."""
        with self._lock:
            if self.status not in ("InProgress", "Stopping"):
                return False
            self.status = "Stopping"
            self._move("Stopping", "Stopping the training job")
            process = self._process
        if process:
            self.cloud.submit(self.cloud.terminate, process)
        return True

    def _run(self, folder: Path) -> tuple[str, str]:
        """Return the final status and secondary status of a job that did not fail.

        Raises:
            JobError: it failed; the message is the failure reason.
        """
        self._move("Starting", "Preparing the instances for training")
        s3 = client(self.cloud.settings, "s3")
        self._move("Downloading", "Downloading the training data and the script")
        channels = self._fetch(s3, folder / "input/data")
        hyperparameters = {name: _plain(value) for name, value in self.request["HyperParameters"].items()}
        unpack(s3, hyperparameters[SUBMIT_DIRECTORY], folder / "code")
        for name in ("model", "output"):
            (folder / name).mkdir(parents=True)
        with self._lock:
            if self.status == "Stopping":
                return "Stopped", "Stopped"
            process = self._process = self._start(folder, channels, hyperparameters)
        self._move("Training", "Training image download completed. Training in progress.")
        limit = float(self.request["StoppingCondition"]["MaxRuntimeInSeconds"])
        timed_out = False
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            timed_out = True
        self.cloud.terminate(process)  # nothing outlives a container
        self._read_metrics()
        stopped = self.status == "Stopping" or timed_out
        if not stopped and process.returncode != 0:
            raise JobError(self._cause(folder, process.returncode))
        self._upload(s3, folder / "model")
        if stopped:
            return "Stopped", "MaxRuntimeExceeded" if timed_out else "Stopped"
        return "Completed", "Completed"

    def _fetch(self, s3: Any, folder: Path) -> dict[str, Path]:
        channels = {}
        for channel in self.request["InputDataConfig"]:
            uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
            target = channels[channel["ChannelName"]] = folder / channel["ChannelName"]
            if not download(s3, uri, target):
                message = f"No S3 objects found under S3 URL {uri!r} given in input data source"
                raise JobError(f"ClientError: Data download failed: {message}")
        return channels

    def _start(
        self, folder: Path, channels: Mapping[str, Path], hyperparameters: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        settings = self.cloud.settings
        given = {name: value for name, value in hyperparameters.items() if not name.startswith("sagemaker_")}
        code = folder / "code"
        command = [str(settings.server_python), str(code / hyperparameters[PROGRAM])]
        command += [part for name, value in given.items() for part in (f"--{name}", value)]
        environment = {
            **settings.client_environment(),
            **{key: str(value) for key, value in self.request.get("Environment", {}).items()},
            **{f"SM_CHANNEL_{name.upper()}": str(path) for name, path in channels.items()},
            "SM_MODEL_DIR": str(folder / "model"),
            "SM_OUTPUT_DIR": str(folder / "output"),
            "SM_HPS": json.dumps(given),
            # Half the cores, as the model servers: two threads beside another busy process are slower than one.
            "SM_NUM_CPUS": str(max(1, (os.cpu_count() or 1) // 2)),
            "TRAINING_JOB_NAME": self.name,
            "TRAINING_JOB_ARN": self.arn,
            # The image: where its packages and its pre-trained weights lie.
            "PYTHONPATH": str(settings.project),
            "ASSAY_LOCAL_MODELS": str(settings.project / ".assay/cache/models"),
        }
        return self.cloud.spawn(command, environment=environment, directory=code, log=self.log)

    def _upload(self, s3: Any, model: Path) -> None:
        self._move("Uploading", "Uploading generated training model")
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            for path in sorted(model.iterdir()):
                tar.add(path, path.name)
        bucket, prefix = bucket_and_key(self.request["OutputDataConfig"]["S3OutputPath"])
        key = "/".join(part for part in (prefix, self.name, "output/model.tar.gz") if part)
        s3.put_object(Bucket=bucket, Key=key, Body=archive.getvalue())
        self.artefact = f"s3://{bucket}/{key}"

    def _read_metrics(self) -> None:
        """Find each metric as SageMaker does: by its regular expression in the log; the last value counts."""
        text = self.log.read_text(errors="replace")
        moment = datetime.now(UTC)
        for definition in self.request["AlgorithmSpecification"].get("MetricDefinitions", []):
            if found := re.findall(definition["Regex"], text):
                value = float(found[-1])
                self.metrics.append({"MetricName": definition["Name"], "Value": value, "Timestamp": moment})

    def _cause(self, folder: Path, exit_code: int) -> str:
        failure = folder / "output/failure"
        cause = failure.read_text(errors="replace") if failure.is_file() else " | ".join(last_lines(self.log))
        ending = f", exit code: {exit_code}"
        head = f"AlgorithmError: ExecuteUserScriptError: {cause.strip()}"
        return head[: LONGEST_REASON - len(ending)] + ending

    def _move(self, status: str, message: str) -> None:
        with self._lock:
            now = datetime.now(UTC)
            if self.transitions:
                self.transitions[-1]["EndTime"] = now
            self.transitions.append({"Status": status, "StartTime": now, "StatusMessage": message})
            self.modified = now
            if status == "Training":
                self.started = now
        self.changed(self)

    def _end(self, status: str, secondary: str | None = None, *, reason: str | None = None) -> None:
        with self._lock:
            if self.status == "Stopping":
                status, reason, secondary = "Stopped", None, secondary or "Stopped"
            self.reason = reason[:LONGEST_REASON] if reason else None
            self._process = None
            self.ended = datetime.now(UTC)
            self.status = status
        self._move(secondary or status, self.reason or f"Training job {status.lower()}")


def _plain(value: str) -> str:
    """A hyperparameter as its script gets it: the SDK writes each value as JSON."""
    try:
        decoded = json.loads(value)
    except ValueError:
        return value
    return decoded if isinstance(decoded, str) else str(decoded)


def unpack(s3: Any, uri: str, target: Path) -> None:
    """Unpack a `.tar.gz` in S3 into a new folder.

    Raises:
        ClientError: it is not there.
        tarfile.TarError, OSError, EOFError: it is no such archive, is not whole, or holds what would lie outside the
            folder.
    """
    bucket, key = bucket_and_key(uri)
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    target.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as tar:
        tar.extractall(target, filter="data")
