"""Functions and layers run from artefacts on disk, and keep every property that moto drops.

moto unzips code into Docker volumes and forgets DeadLetterConfig and LoggingConfig.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.awslambda import models

from local import artefacts
from local.cloud import Cloud, Settings, UnsupportedError, require

_LambdaFunction = require(models, "LambdaFunction")
_LayerVersion = require(models, "LayerVersion")
_function_init = require(_LambdaFunction, "__init__")
_function_configuration = require(_LambdaFunction, "get_configuration")
_update_configuration = require(_LambdaFunction, "update_configuration")
_layer_init = require(_LayerVersion, "__init__")
require(_LambdaFunction, "_set_function_code")
require(models, "_validate_s3_bucket_and_key")


def install(cloud: Cloud) -> None:
    """Let functions and layers be created from `{S3Bucket: assay-local-artefacts, S3Key: <artefact>}` only."""
    home = cloud.settings.home
    supported = runtime_of(cloud.settings)

    def set_function_code(self: Any, code: Mapping[str, Any]) -> None:
        key = _artefact_key(self.function_name, code)
        self.code = dict(code)
        self.code_bytes = b""
        self.code_size = artefacts.size(home, key)
        self.code_sha_256 = self.code_digest = key

    def function_init(self: Any, account_id: str, spec: dict[str, Any], region: str, version: str | int = 1) -> None:
        _check_runtime(spec["FunctionName"], spec.get("Runtime"), supported)
        _function_init(self, account_id, spec, region, version)
        self.dead_letter_config = spec.get("DeadLetterConfig")
        self.logging_config = spec.get("LoggingConfig") or {}

    def configuration(self: Any, on_create: bool = False) -> dict[str, Any]:
        described: dict[str, Any] = _function_configuration(self, on_create)
        if self.dead_letter_config:
            described["DeadLetterConfig"] = self.dead_letter_config
        described["LoggingConfig"] = {
            "LogFormat": "Text",
            "LogGroup": f"/aws/lambda/{self.function_name}",
            **self.logging_config,
        }
        return described

    def update_configuration(self: Any, updates: dict[str, Any]) -> dict[str, Any]:
        _check_runtime(self.function_name, updates.get("Runtime", self.run_time), supported)
        self.dead_letter_config = updates.get("DeadLetterConfig", self.dead_letter_config)
        self.logging_config = updates.get("LoggingConfig", self.logging_config)
        self.tracing_config = updates.get("TracingConfig", self.tracing_config)
        _update_configuration(self, updates)
        return configuration(self)

    def layer_init(self: Any, spec: dict[str, Any], account_id: str, region: str) -> None:
        _layer_init(self, spec, account_id, region)
        key = spec["Content"]["S3Key"]
        self.code_size = artefacts.size(home, key)
        self.code_sha_256 = self.code_digest = key

    def no_zip(_account_id: str, partition: str, data: Mapping[str, Any]) -> None:  # noqa: ARG001 - moto's signature
        _artefact_key("layer", data)

    _LambdaFunction._set_function_code = set_function_code
    _LambdaFunction.__init__ = function_init
    _LambdaFunction.get_configuration = configuration
    _LambdaFunction.update_configuration = update_configuration
    _LayerVersion.__init__ = layer_init
    models._validate_s3_bucket_and_key = no_zip


def runtime_of(settings: Settings) -> str:
    """Return the runtime identifier that the interpreter of the handlers stands for, such as 'python3.11'."""
    libraries = sorted((settings.lambda_python.parent.parent / "lib").glob("python3.*"))
    if not libraries:
        raise UnsupportedError(f"{settings.lambda_python} is not there: the Lambda runtime is not installed")
    return libraries[0].name


def _check_runtime(function: str, runtime: str | None, supported: str) -> None:
    if runtime != supported:
        raise UnsupportedError(f"function {function}: runtime {runtime!r}, but the local runtime is {supported!r}")


def _artefact_key(owner: str, code: Mapping[str, Any]) -> str:
    if code.get("S3Bucket") != artefacts.BUCKET or "S3Key" not in code:
        raise UnsupportedError(f"{owner}: code {sorted(code)} is not an artefact; deploy with local.deploy")
    return str(code["S3Key"])
