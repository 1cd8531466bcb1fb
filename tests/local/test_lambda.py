"""Handlers run in processes of their own, and Invoke answers as Lambda does."""

from __future__ import annotations

import base64
import itertools
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from local import artefacts
from local.cloud import LocalCloudError
from local.functions.pool import Pool, ThrottledError
from local.functions.service import service
from local.functions.worker import FunctionSpec, Invocation
from tests.local.conftest import RUNTIME, eventually

Create = Callable[..., str]
_numbers = itertools.count()


@pytest.fixture(scope="module")
def role(running: Any) -> str:
    """Lambda refuses a role that does not exist."""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    created = running.aws("iam").create_role(RoleName="handler", AssumeRolePolicyDocument=document)
    return str(created["Role"]["Arn"])


@pytest.fixture
def create(running: Any, role: str, tmp_path: Path, request: pytest.FixtureRequest) -> Create:
    """Create a function from the text of its `app.py`, and layers from the text of their modules."""

    def create_function(source: str, layers: tuple[dict[str, str], ...] = (), **arguments: Any) -> str:
        home, functions = running.settings.home, running.aws("lambda")
        name = f"{request.node.originalname[:40]}-{next(_numbers)}"
        code = tmp_path / "code"
        code.mkdir()
        (code / "app.py").write_text(source, encoding="utf-8")
        arns = []
        for number, modules in enumerate(layers):
            folder = tmp_path / f"layer-{number}"
            for file, text in modules.items():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).write_text(text, encoding="utf-8")
            content = {"S3Bucket": artefacts.BUCKET, "S3Key": artefacts.store(home, folder)}
            published = functions.publish_layer_version(LayerName=f"{name}-{number}", Content=content)
            arns.append(published["LayerVersionArn"])
        functions.create_function(
            FunctionName=name,
            Role=role,
            Runtime=RUNTIME,
            Handler="app.lambda_handler",
            Code={"S3Bucket": artefacts.BUCKET, "S3Key": artefacts.store(home, code)},
            Layers=arns,
            **{"Timeout": 20, **arguments},
        )
        return name

    return create_function


def invoke(running: Any, name: str, payload: Any = None, **arguments: Any) -> tuple[Any, str | None]:
    answer = running.aws("lambda").invoke(FunctionName=name, Payload=json.dumps(payload), **arguments)
    return json.loads(answer["Payload"].read()), answer.get("FunctionError")


def test_a_handler_sees_its_folder_its_layers_and_boto3_and_nothing_else(running: Any, create: Create) -> None:
    source = """
import json, os, sys
def lambda_handler(event, context):
    import boto3, layered
    found = []
    for name in ("local", "assay", "moto", "sagemaker", "powertools", "pytest"):
        try:
            __import__(name)
        except ImportError:
            continue
        found.append(name)
    return {
        "found": found, "layered": layered.NAME, "cwd": os.getcwd(), "root": os.environ["LAMBDA_TASK_ROOT"],
        "name": os.environ["AWS_LAMBDA_FUNCTION_NAME"], "own": os.environ["OWN"], "path": sys.path,
        "function": context.function_name, "arn": context.invoked_function_arn,
        "client": context.client_context and context.client_context.custom,
        "left": context.get_remaining_time_in_millis(), "memory": context.memory_limit_in_mb,
        "identity": boto3.client("sts").get_caller_identity()["Account"], "event": event,
        "environment": sorted(os.environ),
    }
"""
    layers = ({"python/layered.py": "NAME = 'first'"}, {"python/layered.py": "NAME = 'last'"})
    name = create(source, layers, Environment={"Variables": {"OWN": "mine"}}, MemorySize=512)
    context = base64.b64encode(b'{"custom": {"who": "me"}}').decode()
    seen, error = invoke(running, name, {"a": [1, "ü"]}, ClientContext=context)
    assert error is None, seen
    assert seen["found"] == []
    assert seen["layered"] == "last"
    assert seen["cwd"] == seen["root"]
    assert seen["name"] == seen["function"] == name
    assert seen["own"] == "mine"
    assert seen["memory"] == "512"
    assert seen["client"] == {"who": "me"}
    assert 0 < seen["left"] <= 20_000
    assert seen["identity"] == "123456789012"
    assert seen["event"] == {"a": [1, "ü"]}
    assert not any(entry.startswith(str(Path.cwd())) and "envs/lambda" not in entry for entry in seen["path"])
    assert not {"VIRTUAL_ENV", "PYTEST_CURRENT_TEST", "MOTO_PORT"} & set(seen["environment"])


def test_a_warm_process_is_used_again_and_concurrent_invocations_get_one_each(running: Any, create: Create) -> None:
    source = """
import os, time
count = 0
def lambda_handler(event, context):
    global count
    count += 1
    time.sleep(event)
    return [os.getpid(), count]
"""
    name = create(source)
    (first, one), _ = invoke(running, name, 0)
    (second, two), _ = invoke(running, name, 0)
    assert first == second
    assert (one, two) == (1, 2)
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(invoke(running, name, 0.5)[0][0])) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 3


def test_an_exception_is_an_unhandled_error_with_type_message_and_trace(running: Any, create: Create) -> None:
    name = create(
        "class OddError(Exception): pass\ndef lambda_handler(event, context):\n    raise OddError('no luck')\n"
    )
    payload, error = invoke(running, name)
    assert error == "Unhandled"
    assert payload["errorType"] == "OddError"
    assert payload["errorMessage"] == "no luck"
    assert "app.py" in payload["stackTrace"][0]


def test_a_timeout_ends_the_process_and_the_next_invocation_gets_a_new_one(running: Any, create: Create) -> None:
    source = "import os, time\ndef lambda_handler(event, context):\n    time.sleep(event)\n    return os.getpid()\n"
    name = create(source, Timeout=1)
    first, _ = invoke(running, name, 0)
    payload, error = invoke(running, name, 30)
    assert error == "Unhandled"
    assert payload["errorType"] == "Sandbox.Timedout"
    assert payload["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert not psutil.pid_exists(first)
    second, _ = invoke(running, name, 0)
    assert second != first


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("import not_there\n", "Runtime.ImportModuleError", "No module named 'not_there'"),
        ("def other(): pass\n", "Runtime.HandlerNotFound", "Handler 'lambda_handler' missing"),
        ("def lambda_handler(:\n", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app'"),
        ("import os\ndef lambda_handler(e, c): os._exit(3)\n", "Runtime.ExitError", "exit status 3"),
        ("def lambda_handler(e, c): return object()\n", "Runtime.MarshalError", "Unable to marshal response"),
        ("def lambda_handler(e, c): return 'x' * 6_400_000\n", "Function.ResponseSizeTooLarge", "6291556 bytes"),
    ],
)
def test_what_fails_around_the_handler_has_lambdas_error_type(
    running: Any, create: Create, source: str, kind: str, message: str
) -> None:
    payload, error = invoke(running, create(source))
    assert error == "Unhandled"
    assert payload["errorType"] == kind
    assert message in payload["errorMessage"]


def test_what_a_handler_prints_is_in_its_log_and_in_the_tail(running: Any, create: Create) -> None:
    name = create("def lambda_handler(event, context):\n    print('hello from here')\n")
    answer = running.aws("lambda").invoke(FunctionName=name, LogType="Tail")
    request = answer["ResponseMetadata"]["RequestId"]
    tail = base64.b64decode(answer["LogResult"]).decode()
    for line in ("hello from here", f"START RequestId: {request}", f"REPORT RequestId: {request}"):
        assert line in tail
    assert "hello from here" in (running.settings.home / f"logs/functions/{name}.log").read_text()


def test_requests_that_lambda_refuses_are_refused_in_the_same_way(running: Any, create: Create) -> None:
    name = create("def lambda_handler(event, context):\n    return len(event)\n")
    functions = running.aws("lambda")
    assert invoke(running, name, "x" * 5_000_000)[0] == 5_000_000
    refused = (
        ({"Payload": json.dumps("x" * 6_291_460)}, "RequestTooLargeException"),
        ({"Payload": json.dumps("x" * 262_150), "InvocationType": "Event"}, "RequestTooLargeException"),
        ({"Payload": b"{not json"}, "InvalidRequestContentException"),
        ({"FunctionName": "nobody"}, "ResourceNotFoundException"),
    )
    for arguments, code in refused:
        with pytest.raises(ClientError) as caught:
            functions.invoke(**{"FunctionName": name, **arguments})
        assert caught.value.response["Error"]["Code"] == code
    assert functions.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204


def test_reserved_concurrency_throttles(running: Any, create: Create) -> None:
    name = create("import time\ndef lambda_handler(event, context):\n    time.sleep(event)\n")
    functions = running.aws("lambda")
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    busy = threading.Thread(target=lambda: invoke(running, name, 1.5))
    busy.start()
    eventually(lambda: service().pool.running(name) == 1)
    with pytest.raises(ClientError) as caught:
        functions.invoke(FunctionName=name, Payload="0")
    assert caught.value.response["Error"]["Code"] == "TooManyRequestsException"
    busy.join()
    assert invoke(running, name, 0) == (None, None)


def test_an_idle_process_ends_after_some_time(running: Any, create: Create) -> None:
    name = create("import os\ndef lambda_handler(event, context):\n    return os.getpid()\n")
    pool = Pool(running.cloud, idle_seconds=0.2)
    spec: FunctionSpec = service().spec(service().function(name))
    process = json.loads(pool.invoke(spec, Invocation(b"{}")).payload)
    eventually(lambda: not psutil.pid_exists(process))
    with pytest.raises(ThrottledError):
        pool.invoke(spec, Invocation(b"{}"), reserved=0)


def test_an_asynchronous_event_is_tried_three_times_and_then_recorded_and_buried(running: Any, create: Create) -> None:
    sqs = running.aws("sqs")
    urls = {kind: sqs.create_queue(QueueName=f"async-{kind}")["QueueUrl"] for kind in ("failed", "dead")}
    arns = {kind: f"arn:aws:sqs:eu-west-1:123456789012:async-{kind}" for kind in urls}
    name = create(
        "def lambda_handler(event, context):\n    raise ValueError('never ' + context.aws_request_id)\n",
        DeadLetterConfig={"TargetArn": arns["dead"]},
    )
    functions = running.aws("lambda")
    destinations = {"OnFailure": {"Destination": arns["failed"]}}
    functions.put_function_event_invoke_config(FunctionName=name, DestinationConfig=destinations)
    answer = functions.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"order": 7}')
    assert answer["StatusCode"] == 202
    record = json.loads(running.messages(urls["failed"])[0]["Body"])
    assert record["requestPayload"] == {"order": 7}
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert record["requestContext"]["functionArn"].endswith(f"{name}:$LATEST")
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert record["responsePayload"]["errorMessage"] == f"never {record['requestContext']['requestId']}"
    letter = running.messages(urls["dead"])[0]
    assert json.loads(letter["Body"]) == {"order": 7}
    assert letter["MessageAttributes"]["RequestID"]["StringValue"] == record["requestContext"]["requestId"]
    assert letter["MessageAttributes"]["ErrorMessage"]["StringValue"].startswith("never")


def test_a_success_destination_gets_the_result(running: Any, create: Create) -> None:
    url = running.aws("sqs").create_queue(QueueName="async-succeeded")["QueueUrl"]
    name = create("def lambda_handler(event, context):\n    return {'doubled': event * 2}\n")
    destination = {"OnSuccess": {"Destination": "arn:aws:sqs:eu-west-1:123456789012:async-succeeded"}}
    functions = running.aws("lambda")
    functions.put_function_event_invoke_config(FunctionName=name, DestinationConfig=destination)
    functions.invoke(FunctionName=name, InvocationType="Event", Payload=b"21")
    record = json.loads(running.messages(url)[0]["Body"])
    assert record["requestContext"]["condition"] == "Success"
    assert record["responsePayload"] == {"doubled": 42}


def test_code_that_is_no_artefact_is_refused(running: Any, role: str) -> None:
    with pytest.raises(ClientError, match="is not an artefact"):
        running.aws("lambda").create_function(
            FunctionName="zipped", Role=role, Runtime=RUNTIME, Handler="app.h", Code={"ZipFile": b"PK"}
        )
    with pytest.raises(LocalCloudError, match="does not exist"):
        artefacts.store(running.settings.home, Path("not-there"))


def test_the_merged_layers_are_what_opt_would_be(tmp_path: Path) -> None:
    for name, files in {
        "a": {"python/x.py": "1", "python/p/a.py": "2"},
        "b": {"python/x.py": "3", "b.txt": "4"},
    }.items():
        for file, text in files.items():
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_text(text)
    home = tmp_path / "home"
    keys = [artefacts.store(home, tmp_path / name) for name in ("a", "b")]
    root = artefacts.layer_root(home, keys)
    found = {str(file.relative_to(root)): file.read_text() for file in root.rglob("*") if file.is_file()}
    assert found == {"python/x.py": "3", "python/p/a.py": "2", "b.txt": "4"}
    assert (artefacts.path(home, keys[0]) / "python/x.py").read_text() == "1"
    assert artefacts.store(home, tmp_path / "a") == keys[0]
