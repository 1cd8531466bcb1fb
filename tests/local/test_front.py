"""Failures inside the cloud reach clients as AWS errors, in the protocol of the service."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError
from werkzeug.wrappers import Request, Response

from local import adapters, front, server


def test_what_moto_does_not_have_is_an_error_of_the_api_and_not_a_page(running: Any) -> None:
    signing = "arn:aws:lambda:eu-west-1:123456789012:code-signing-config:csc-0123456789abcdef0"
    calls: list[tuple[str, str, dict[str, str]]] = [
        ("sagemaker", "list_labeling_jobs", {}),
        ("iam", "get_organizations_access_report", {"JobId": "0" * 36}),
        ("lambda", "list_functions_by_code_signing_config", {"CodeSigningConfigArn": signing}),
    ]
    for service, operation, arguments in calls:
        with pytest.raises(ClientError, match="not carried out by the local cloud") as caught:
            getattr(running.aws(service), operation)(**arguments)
        assert caught.value.response["Error"]["Code"] == "UnsupportedError"


def test_an_unexpected_error_names_itself(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from moto.sqs.models import SQSBackend

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(SQSBackend, "list_queues", broken)
    with pytest.raises(ClientError) as caught:
        running.aws("sqs").list_queues()
    error = caught.value.response
    assert error["Error"]["Code"] == "InternalFailure"
    assert "ZeroDivisionError: by zero" in error["Error"]["Message"]
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 500


def test_our_own_routes_come_before_moto(running: Any) -> None:
    def answer(_request: Request) -> Response:
        return Response("mine")

    front.route(lambda request: request.path.endswith("/invocations/own"), answer)
    assert requests.get(f"{running.settings.endpoint_url}/endpoints/x/invocations/own", timeout=5).text == "mine"
    health = requests.get(f"{running.settings.endpoint_url}/_local/health", timeout=5).json()
    assert health["status"] == "ok"


def test_deferred_work_runs_at_once_outside_of_a_request() -> None:
    done = threading.Event()
    front.defer(done.set)
    assert done.is_set()


def test_every_adapter_that_can_be_installed_is_installed(running: Any) -> None:
    folder = Path(adapters.__file__).parent
    installable = {file.stem for file in folder.glob("*.py") if "\ndef install(" in file.read_text(encoding="utf-8")}
    through_another = {"step_functions_responses"}
    assert set(server.ADAPTERS) == installable - through_another
