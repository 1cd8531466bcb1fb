"""One local cloud for all end-to-end tests, with the template that `sam build` made deployed into it."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli import local_cloud
from cli.local_cloud import Stack

PROJECT = Path(__file__).resolve().parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.end_to_end)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A cloud of the tests' own, beside the one that a developer may have running."""
    project = tmp_path_factory.mktemp("project")
    (PROJECT / ".assay/cache").mkdir(parents=True, exist_ok=True)
    (project / ".assay").mkdir()
    for name in (".venv", ".aws-sam", ".assay/cache", "local"):
        (project / name).symlink_to(PROJECT / name)
    try:
        yield local_cloud.up(project)
    finally:
        local_cloud.down(project)


@pytest.fixture(scope="session", autouse=True)
def network_is_cut_when_it_is_said_to_be() -> None:
    if os.environ.get("ASSAY_NETWORK") == "cut":
        names = {name for _, name in socket.if_nameindex()}
        assert names == {"lo"}


class Cloud:
    """What a person, or another system, sees of the stack."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.bucket = stack.outputs["BucketName"]

    def drop(self, key: str, body: str | bytes) -> str:
        """Put an object into the bucket and return its version id."""
        body = body.encode() if isinstance(body, str) else body
        return str(self.stack.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body)["VersionId"])

    def read(self, key: str) -> bytes:
        return bytes(self.stack.client("s3").get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def keys(self, prefix: str) -> list[str]:
        found = self.stack.client("s3").list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for item in found.get("Contents", [])]

    def events(self, kind: str, **wanted: Any) -> list[dict[str, Any]]:
        """Assay's own events of one kind whose detail has the wanted values."""
        return [
            event["detail"]
            for event in self.stack.events()
            if event["detail-type"] == kind and wanted.items() <= event["detail"].items()
        ]

    def mails(self, *words: str) -> list[dict[str, Any]]:
        """Mails that hold all the words in subject or text."""
        return [mail for mail in self.stack.mails() if all(word in mail["subject"] + mail["text"] for word in words)]

    def request(self, **detail: Any) -> None:
        """What another pipeline does."""
        entry = {
            "Source": "com.example.training",
            "DetailType": "EvaluationRequested",
            "Detail": json.dumps({"schema_version": "1", **detail}),
            "EventBusName": self.stack.outputs["EventBusName"],
        }
        [put] = self.stack.client("events").put_events(Entries=[entry])["Entries"]
        assert "EventId" in put, put

    def endpoints(self) -> list[str]:
        return [item["EndpointName"] for item in self.stack.client("sagemaker").list_endpoints()["Endpoints"]]

    def executions(self, suite: str) -> list[dict[str, Any]]:
        """The executions of a suite's pipeline, none where it has no pipeline."""
        sagemaker = self.stack.client("sagemaker")
        names = [item["PipelineName"] for item in sagemaker.list_pipelines()["PipelineSummaries"]]
        if f"assay-{suite}" not in names:
            return []
        found = sagemaker.list_pipeline_executions(PipelineName=f"assay-{suite}")
        return list(found["PipelineExecutionSummaries"])

    def wait(self, found: Callable[[], Any], seconds: float = 400) -> Any:
        """What `found` gives as soon as it gives something."""
        deadline = time.monotonic() + seconds
        while not (value := found()):
            assert time.monotonic() < deadline, (
                f"nothing after {seconds:.0f} s; the logs are in {self.stack.settings.home}"
            )
            time.sleep(0.25)
        return value


@pytest.fixture(scope="session")
def cloud(stack: Stack) -> Cloud:
    return Cloud(stack)
