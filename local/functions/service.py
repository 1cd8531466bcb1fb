"""What it means to invoke a function here, for every caller: the API, EventBridge, SNS, Step Functions."""

from __future__ import annotations

from typing import Any

from local.cloud import ACCOUNT_ID, Cloud, LocalCloudError
from local.functions.pool import Pool
from local.functions.worker import FunctionSpec, Invocation, Outcome


class LambdaService:
    """The functions of moto's backend, run by a pool of processes."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.pool = Pool(cloud)

    def function(self, name_or_arn: str, qualifier: str | None = None) -> Any:
        """Return moto's record of a function; moto's own not-found error is a proper AWS error."""
        return self._backend().get_function(name_or_arn, qualifier)

    def run(self, function: Any, invocation: Invocation) -> Outcome:
        """Run one invocation to its end.

        Raises:
            ThrottledError: the function's reserved concurrency is used up.
        """
        return self.pool.invoke(self.spec(function), invocation, function.reserved_concurrency)

    def _backend(self) -> Any:
        from moto.awslambda.models import lambda_backends

        return lambda_backends[ACCOUNT_ID][self.cloud.settings.region]

    def spec(self, function: Any) -> FunctionSpec:
        """Return what a process of `function` (moto's record) is made from."""
        backend = self._backend()
        layers = [backend.layers_versions_by_arn(layer["Arn"]) for layer in function.layers]
        logging_config = function.logging_config
        return FunctionSpec(
            name=function.function_name,
            arn=function.function_arn,
            handler=function.handler,
            runtime=function.run_time,
            code=function.code["S3Key"],
            layers=tuple(layer.content["S3Key"] for layer in layers),
            environment=tuple(sorted((key, str(value)) for key, value in function.environment_vars.items())),
            timeout=float(function.timeout),
            memory=int(function.memory_size),
            log_group=logging_config.get("LogGroup", f"/aws/lambda/{function.function_name}"),
            log_format=logging_config.get("LogFormat", "Text"),
            log_level=logging_config.get("ApplicationLogLevel", ""),
        )


_current: list[LambdaService] = []


def start(cloud: Cloud) -> LambdaService:
    """Make the service of `cloud` the one of this process."""
    _current[:] = [LambdaService(cloud)]
    return _current[0]


def service() -> LambdaService:
    """Return the service of this process."""
    if not _current:
        raise LocalCloudError("the Lambda adapter is not installed")
    return _current[0]
