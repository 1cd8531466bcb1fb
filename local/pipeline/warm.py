"""Python for steps that is warm: one process of the image has its heavy packages imported, and forks for each step."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path

from local.cloud import Cloud, LocalCloudError
from local.pipeline import zygote
from local.pipeline.container import Container

# What the SDK's own entry point imports, and what any step that works with SageMaker does.
MODULES = (
    "pandas",
    "pyarrow.parquet",
    "sagemaker.jumpstart.estimator",
    "sagemaker.jumpstart.model",
    "sagemaker.remote_function.client",
    "sagemaker.remote_function.errors",
    "pip._internal.cli.main",
)
START_SECONDS = 120.0
LONGEST_ADDRESS = 107


class WarmPython:
    """The warm process of one cloud, started when the first step needs it."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._socket: Path | None = None
        self._lock = threading.Lock()

    def lay(self, container: Container) -> None:
        """Make the container's `python` a client of the warm process.

        Raises:
            LocalCloudError: that process did not start.
        """
        with self._lock:
            if self._socket is None:
                self._socket = self._start()
        for name in ("python", "python3"):
            command = container.python.with_name(name)
            command.unlink()
            command.write_text(
                zygote.CLIENT.format(
                    python=container.image_python.resolve(), socket=str(self._socket), executable=str(command)
                )
            )
            command.chmod(0o755)

    def _start(self) -> Path:
        settings = self._cloud.settings
        # Emptied by the next daemon; its address has 107 characters at most.
        address = settings.home / "tmp" / "warm-python"
        if len(str(address)) > LONGEST_ADDRESS:
            address = Path(tempfile.mkdtemp(prefix="assay-warm-")) / "python"
        address.parent.mkdir(parents=True, exist_ok=True)
        address.unlink(missing_ok=True)
        log = settings.home / "logs/steps/warm.log"
        process = self._cloud.spawn(
            [settings.step_python, Path(zygote.__file__), address, *MODULES],
            environment={**settings.client_environment(), "HOME": str(address.parent)},
            directory=address.parent,
            log=log,
        )
        deadline = time.monotonic() + START_SECONDS
        while not address.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise LocalCloudError(f"the warm process of steps did not start: {log.read_text()[-2000:]}")
            time.sleep(0.05)
        return address
