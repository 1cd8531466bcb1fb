"""A local cloud with nothing but moto and the Step Functions adapter, and functions that are plain Python."""

from __future__ import annotations

import io
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from local.adapters import step_functions
from local.clients import client
from local.cloud import Cloud, Settings
from local.front import Front

ROLE = "arn:aws:iam::123456789012:role/machine"
FUNCTION = "arn:aws:states:::lambda:invoke"
_FINAL = {"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"}


class FunctionError(Exception):
    """What a stand-in for a Lambda function raises: the runtime reports `name` as the errorType."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} was raised")
        self.name = name


class Machines:
    """State machines of one cloud, made and run through boto3."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.functions: dict[str, Callable[[Any], Any]] = {}
        self.sfn = self.client("stepfunctions")
        self._names = (f"machine-{number}" for number in itertools.count())

    def client(self, service: str) -> Any:
        return client(self.cloud.settings, service)

    def create(self, states: dict[str, Any], **fields: Any) -> str:
        """Make a state machine of `states`, the first of which is its start; return its ARN."""
        definition = json.dumps(machine(states, **fields))
        made = self.sfn.create_state_machine(name=next(self._names), definition=definition, roleArn=ROLE)
        return str(made["stateMachineArn"])

    def start(self, arn: str, data: Any = None, **parameters: Any) -> str:
        text = json.dumps({} if data is None else data)
        return str(self.sfn.start_execution(stateMachineArn=arn, input=text, **parameters)["executionArn"])

    def run(self, states: dict[str, Any], data: Any = None, **fields: Any) -> dict[str, Any]:
        """Make a state machine, run it once, and return DescribeExecution with the output parsed."""
        return self.end(self.start(self.create(states, **fields), data))

    def output(self, states: dict[str, Any], data: Any = None) -> Any:
        """Output of a state machine that is expected to succeed."""
        description = self.run(states, data)
        assert description["status"] == "SUCCEEDED", (description.get("error"), description.get("cause"))
        return description["output"]

    def end(self, execution_arn: str, seconds: float = 15.0) -> dict[str, Any]:
        """Wait for the end of an execution and describe it."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            description: dict[str, Any] = self.sfn.describe_execution(executionArn=execution_arn)
            if description["status"] in _FINAL:
                if "output" in description:
                    description["output"] = json.loads(description["output"])
                return description
            time.sleep(0.01)
        raise AssertionError(f"{execution_arn} did not end")

    def history(self, execution_arn: str) -> list[dict[str, Any]]:
        return list(self.sfn.get_execution_history(executionArn=execution_arn)["events"])


def machine(states: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A JSONata state machine of `states`, the first of which is its start."""
    return {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states, **fields}


def invoke(name: str, payload: Any = None, **fields: Any) -> dict[str, Any]:
    """A Task that calls a function and ends the machine with what it returned."""
    arguments = {"FunctionName": name, "Payload": {} if payload is None else payload}
    ending = {} if "Next" in fields else {"End": True}
    task = {"Type": "Task", "Resource": FUNCTION, "Arguments": arguments, **ending, **fields}
    return {"Output": "{% $states.result.Payload %}", **task}


@contextmanager
def running(folder: Path, time_scale: float = 0.02) -> Iterator[Machines]:
    """A served cloud; waiting times of states are scaled so that a test need not wait them out."""
    machines: list[Machines] = []
    moto = Front(DomainDispatcherApplication(create_backend_app))

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        if path.startswith("/2015-03-31/functions/") and path.endswith("/invocations"):
            return _invocation(machines[0].functions, path.split("/")[3], environ, start_response)
        return moto(environ, start_response)

    server = make_server("127.0.0.1", 0, application, threaded=True)
    server.daemon_threads = True
    server.block_on_close = False
    cloud = Cloud(Settings(Path.cwd(), folder, server.server_port, time_scale=time_scale))
    step_functions.install(cloud)
    machines.append(Machines(cloud))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield machines[0]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        cloud.close()


def _invocation(
    functions: dict[str, Callable[[Any], Any]], name: str, environ: dict[str, Any], start_response: Any
) -> list[bytes]:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    headers = [("Content-Type", "application/json"), ("X-Amz-Executed-Version", "$LATEST")]
    if name not in functions:
        headers.append(("X-Amzn-ErrorType", "TooManyRequestsException"))
        start_response("429 Too Many Requests", headers)
        return [json.dumps({"message": "Rate Exceeded."}).encode()]
    try:
        answer = functions[name](json.load(io.BytesIO(body)))
    except FunctionError as error:
        headers.append(("X-Amz-Function-Error", "Unhandled"))
        answer = {"errorMessage": str(error), "errorType": error.name, "stackTrace": []}
    start_response("200 OK", headers)
    return [json.dumps(answer).encode()]
