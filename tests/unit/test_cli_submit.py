"""Which refusal `assay submit` takes for an answer to its own drop, whatever order events are handled in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest

from assay.aws.storage import Storage
from assay.contracts.errors import Fault, RejectedError
from assay.contracts.evaluation import ObjectVersion
from assay.contracts.events import Detail
from assay.pipeline.refusals import Refusals
from cli.files import read_config
from cli.output import UNUSABLE, CommandError
from cli.submit import Drop, drop, rejection
from cli.target import Target
from tests.unit.start_world import CATALOG, CONFIG, Book, named

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def client(service: str) -> Any:
    return boto3.Session().client(service)  # type: ignore[call-overload]


class Silence:
    """Events and mails that nobody hears."""

    def emit(self, detail_type: str, detail: Detail) -> None: ...

    def mail_rejection(
        self, error: RejectedError, rejected_uri: str, suites: Sequence[str], audiences: Sequence[str]
    ) -> None: ...


class Stack:
    """A bucket into which a config and its catalog were dropped."""

    def __init__(self) -> None:
        self.storage = Storage("drops")
        self.target = Target("here", {"BucketName": "drops"}, {}, client)
        self._refusals = Refusals(self.storage, Silence(), Book(), lambda: NOW)
        self.catalog = self.put("catalogs/faq.jsonl")

    def put(self, key: str) -> ObjectVersion:
        self.storage.write(key, b"x")
        return self.storage.latest(key)

    def refuse(self, subject: str, cause: ObjectVersion, *suites: str) -> None:
        self._refusals.tell(RejectedError(subject, [Fault("no", key="k")]), cause=cause, suites=suites)

    def told(self, config: ObjectVersion) -> str | None:
        error = rejection(self.target, Drop("bot", config, self.catalog.key, self.catalog))
        return None if error is None else str(error)


@pytest.fixture
def stack(storage: Storage) -> Stack:
    client("s3").put_bucket_versioning(Bucket=storage.bucket, VersioningConfiguration={"Status": "Enabled"})
    return Stack()


@pytest.mark.parametrize("subject", ["configs/bot.yaml", "catalogs/faq.jsonl"])
def test_what_the_event_of_the_config_found_is_told(stack: Stack, subject: str) -> None:
    config = stack.put("configs/bot.yaml")
    assert stack.told(config) is None
    stack.refuse(subject, config)
    assert "refused, 1 fault" in str(stack.told(config))
    assert stack.told(stack.put("configs/bot.yaml")) is None


def test_what_the_event_of_the_catalog_found_is_told_when_it_names_the_suite(stack: Stack) -> None:
    config = stack.put("configs/bot.yaml")
    stack.refuse("catalogs/faq.jsonl", stack.catalog, "other")
    assert stack.told(config) is None
    stack.refuse("catalogs/faq.jsonl", stack.catalog, "bot", "other")
    assert "refused, 1 fault" in str(stack.told(config))


def test_what_was_found_before_the_config_came_is_none_of_its_faults(stack: Stack) -> None:
    stack.refuse("catalogs/faq.jsonl", stack.catalog, "bot")
    config = stack.put("configs/bot.yaml")
    head = {"LastModified": datetime(2099, 1, 1, tzinfo=UTC)}  # S3 tells whole seconds, and this took less

    class Later:
        def __init__(self, client: Any) -> None:
            self._client = client

        def head_object(self, **_: Any) -> dict[str, Any]:
            return head

        def __getattr__(self, name: str) -> Any:
            return getattr(self._client, name)

    stack.target = Target("here", {"BucketName": "drops"}, {}, lambda service: Later(client(service)))
    assert stack.told(config) is None


def test_a_longest_key_is_looked_for_where_its_faults_are_written(stack: Stack) -> None:
    config = stack.put(f"configs/{'ü' * 500}.yaml")
    stack.refuse(config.key, config)
    [written] = stack.storage.keys("rejected/")
    assert json.loads(stack.storage.read(written))["dropped"]["key"] == config.key
    assert "refused, 1 fault" in str(stack.told(config))


# ---- whose place a config takes


def on_disk(folder: Path, config: bytes) -> tuple[Path, Path]:
    config_path, catalog_path = folder / "bot.yaml", folder / "sums.jsonl"
    config_path.write_bytes(config)
    catalog_path.write_bytes(CATALOG)
    return config_path, catalog_path


def test_another_suites_config_of_the_same_name_is_not_replaced_and_nothing_is_dropped(
    stack: Stack, tmp_path: Path
) -> None:
    stack.storage.write("configs/bot.yaml", named("theirs"))
    path, catalog = on_disk(tmp_path, named("ours"))
    with pytest.raises(CommandError, match="describes the suite 'theirs', and this file 'ours': rename") as caught:
        drop(stack.target, read_config(path), catalog)
    assert caught.value.code == UNUSABLE
    assert stack.storage.read("configs/bot.yaml") == named("theirs")
    assert not stack.storage.exists("catalogs/sums.jsonl")


@pytest.mark.parametrize("there", [None, CONFIG, b"pipeline: [", b"pipeline: 7", b"- a"], ids=str)
def test_the_same_suites_config_or_one_that_names_none_is_replaced(
    stack: Stack, tmp_path: Path, there: bytes | None
) -> None:
    if there is not None:
        stack.storage.write("configs/bot.yaml", there)
    path, catalog = on_disk(tmp_path, CONFIG + b"# new\n")
    dropped = drop(stack.target, read_config(path), catalog)
    assert dropped.config == stack.storage.latest("configs/bot.yaml")
    assert stack.storage.read("configs/bot.yaml") == CONFIG + b"# new\n"
    assert stack.storage.exists("catalogs/sums.jsonl")
