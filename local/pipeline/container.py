"""The room of one step: what a training container would hold, in a folder of its own.

A container's root cannot be had without privileges, so `/opt/ml` lies inside the folder, and the few places that name
it (the scripts that the definition ships, one constant of the image's SDK) are pointed there. The image is the step
interpreter's packages; a virtual environment of the step's own lies over them like a container's writable layer, so
that what a step installs is gone with it and no step sees another's.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = "/opt/ml"
_FAILURE_FILE_MODULE = "sagemaker.remote_function.errors"


@dataclass(frozen=True)
class Container:
    """A folder that stands for a container.

    Attributes:
        directory: the folder; it is also where the step's process starts.
        image_python: interpreter whose packages are the image.
    """

    directory: Path
    image_python: Path

    @property
    def opt_ml(self) -> Path:
        return self.directory / "opt/ml"

    @property
    def python(self) -> Path:
        return self.directory / "image/bin/python"

    @property
    def failure_file(self) -> Path:
        return self.opt_ml / "output/failure"

    def channel(self, name: str) -> Path:
        return self.opt_ml / "input/data" / name

    def relocate(self, text: str) -> str:
        """Point `/opt/ml` into the folder."""
        return text.replace(ROOT, str(self.opt_ml))

    def prepare(self, *, instance_type: str) -> None:
        """Lay out what SageMaker lays out before a training container starts."""
        for name in ("input/config", "input/data", "output/data", "model", "code"):
            (self.opt_ml / name).mkdir(parents=True, exist_ok=True)
        for name in ("home/.config/sagemaker", "tmp"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        opt_out = "SchemaVersion: '1.0'\nSageMaker:\n  PythonSDK:\n    Modules:\n      TelemetryOptOut: true\n"
        (self.directory / "home/.config/sagemaker/config.yaml").write_text(opt_out)
        resources = {
            "current_host": "algo-1",
            "current_instance_type": instance_type,
            "current_group_name": "homogeneousCluster",
            "hosts": ["algo-1"],
            "instance_groups": [
                {"instance_group_name": "homogeneousCluster", "instance_type": instance_type, "hosts": ["algo-1"]}
            ],
            "network_interface_name": "lo",
        }
        (self.opt_ml / "input/config/resourceconfig.json").write_text(json.dumps(resources))
        self._lay_writable_layer()

    def relocate_scripts(self, channel: Path) -> None:
        """Point the scripts of a channel that the definition shipped at this container's `/opt/ml`."""
        for script in (*channel.rglob("*.sh"), *channel.rglob("*.py")):
            text = script.read_text()
            if ROOT in text:
                script.write_text(self.relocate(text))

    def environment(self, given: Mapping[str, str], *, job_name: str, job_arn: str) -> dict[str, str]:
        """Return the whole environment of the step's process, PATH included."""
        path = (self.python.parent, self.image_python.parent, "/usr/local/bin", "/usr/bin", "/bin")
        return {
            **given,
            "TRAINING_JOB_NAME": job_name,
            "TRAINING_JOB_ARN": job_arn,
            "HOME": str(self.directory / "home"),
            "TMPDIR": str(self.directory / "tmp"),
            "PATH": ":".join(str(part) for part in path),
            # A container runs as root. Under any other name the SDK's bootstrap calls `sudo chmod -R 777 /tmp`.
            "LOGNAME": "root",
        }

    def _lay_writable_layer(self) -> None:
        image = self.image_python.parent.parent
        lines = [line.partition("=") for line in (image / "pyvenv.cfg").read_text().splitlines()]
        base = {key.strip(): value.strip() for key, _, value in lines}
        library = next((image / "lib").glob("python3.*"))
        layer = self.directory / "image"
        packages = layer / "lib" / library.name / "site-packages"
        packages.mkdir(parents=True, exist_ok=True)
        (layer / "bin").mkdir(exist_ok=True)
        (layer / "pyvenv.cfg").write_text(
            f"home = {base['home']}\ninclude-system-site-packages = false\nversion = {base['version']}\n"
        )
        for name in ("python", "python3"):
            if not (layer / "bin" / name).is_symlink():
                (layer / "bin" / name).symlink_to(self.image_python.resolve())
        for name in ("pip", "pip3"):
            command = layer / "bin" / name
            command.write_text(f'#!/bin/sh\nexec "{layer}/bin/python" -m pip "$@"\n')
            command.chmod(0o755)
        (packages / "image.pth").write_text(
            f"import site; site.addsitedir({str(library / 'site-packages')!r})\nimport container_root\n"
        )
        (packages / "container_root.py").write_text(self._failure_file_hook())

    def _failure_file_hook(self) -> str:
        """Code that sets the one constant of the installed SDK that names `/opt/ml`.

        The SDK writes its failure reason there; without the folder its error handler raises and the process exits 0.
        """
        return textwrap.dedent(f"""\
            import importlib.machinery
            import sys


            if {_FAILURE_FILE_MODULE!r} in sys.modules:
                sys.modules[{_FAILURE_FILE_MODULE!r}].FAILURE_REASON_PATH = {str(self.failure_file)!r}


            class FailureFile(importlib.machinery.PathFinder):
                @classmethod
                def find_spec(cls, name, path=None, target=None):
                    if name != {_FAILURE_FILE_MODULE!r}:
                        return None
                    spec = super().find_spec(name, path, target)
                    execute = spec.loader.exec_module

                    def exec_module(module):
                        execute(module)
                        module.FAILURE_REASON_PATH = {str(self.failure_file)!r}

                    spec.loader.exec_module = exec_module
                    return spec


            sys.meta_path.insert(0, FailureFile)
            """)
