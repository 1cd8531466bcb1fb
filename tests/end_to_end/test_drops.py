"""Which drop, request or moment starts what: each way through the local cloud, with events that repeat and are late.

The catalogs hold the answers of their models, so that an evaluation takes as long as its steps take to start. What a
test does not need to see the end of, it stops.
"""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from assay.contracts.config import load_config
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Comparison, Manifest
from tests.end_to_end.conftest import PROJECT, Cloud

RECORDS = [("France", "Paris"), ("Japan", "Tokyo"), ("Egypt", "Cairo")]
CATALOG = "".join(
    json.dumps({"model_input": f"Capital of {name}?", "target_output": capital, "house": f"It is {capital}."}) + "\n"
    for name, capital in RECORDS
)
CONFIG = """\
pipeline: {{name: {suite}}}
dataset: {{input_data_location: "{location}"}}
models: [{{name: house, provider: responses, response_key: house}}]
algorithms: [FactualKnowledge]
"""


def config(suite: str, location: str | None = None) -> str:
    return CONFIG.format(suite=suite, location=location or f"{suite}.jsonl")


class Bench:
    """The stack, and the events on their way to it."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.s3 = cloud.stack.client("s3")
        resources = cloud.stack.client("cloudformation").describe_stack_resources(StackName="assay")["StackResources"]
        self._ids = {item["LogicalResourceId"]: item["PhysicalResourceId"] for item in resources}

    @contextlib.contextmanager
    def events_held_back(self) -> Iterator[None]:
        """S3's events are lost, as far as the stack can tell."""
        events, rule = self.cloud.stack.client("events"), self._ids["StartEvaluationFunctionObjectDropped"]
        events.disable_rule(Name=rule)
        try:
            yield
        finally:
            events.enable_rule(Name=rule)

    def sent(self, key: str, version_id: str | None = None, kind: str = "Object Created") -> dict[str, Any]:
        """The event that S3 sent of a version, or the last one of a key."""

        def found() -> list[dict[str, Any]]:
            return [
                event
                for event in self.cloud.stack.events()
                if (event["source"], event["detail-type"], event["detail"].get("object", {}).get("key"))
                == ("aws.s3", kind, key)
                and version_id in (None, event["detail"]["object"].get("version-id"))
            ]

        events: list[dict[str, Any]] = self.cloud.wait(found)
        return events[-1]

    def deliver(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        """Deliver an event (again); what came of it."""
        answer = self.cloud.stack.client("lambda").invoke(
            FunctionName=self._ids["StartEvaluationFunction"], Payload=json.dumps(event).encode()
        )
        payload = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, payload
        results: list[dict[str, Any]] = payload["results"]
        return results

    def forget_events(self) -> None:
        """As after a week: what the function was told before, it is told for the first time."""
        dynamodb, table = self.cloud.stack.client("dynamodb"), self._ids["IdempotencyTable"]
        for item in dynamodb.scan(TableName=table)["Items"]:
            dynamodb.delete_item(TableName=table, Key={"id": item["id"]})

    def outcomes(self, event: dict[str, Any]) -> list[tuple[str, str | None]]:
        return [(item["outcome"], item["suite"]) for item in self.deliver(event)]

    def again_and_out_of_order(self, *events: dict[str, Any]) -> None:
        """Deliver events that were handled: as they are given, and the other way round, each as if it were new."""
        for event in (*events, *reversed(events)):
            self.forget_events()
            self.deliver(event)

    def started(self, count: int = 1, **wanted: Any) -> list[dict[str, Any]]:
        """The EvaluationStarted of so many evaluations, and of no more."""
        found = self.cloud.wait(lambda: self.cloud.events("EvaluationStarted", **wanted)[count - 1 :] and True)
        assert found
        events = self.cloud.events("EvaluationStarted", **wanted)
        assert len(events) == count
        return events

    def refused(self, subject: str) -> dict[str, Any]:
        """The only refusal of a file or request."""
        uri = f"s3://{self.cloud.bucket}/{subject}"
        [event] = self.cloud.wait(
            lambda: [item for item in self.cloud.events("EvaluationRejected") if item["data"]["subject"] == uri]
        )
        return dict(event)

    def completed(self, evaluation_id: str) -> tuple[dict[str, Any], Comparison]:
        [event] = self.cloud.wait(lambda: self.cloud.events("EvaluationCompleted", evaluation_id=evaluation_id))
        paths = EvaluationPaths(self.cloud.bucket, event["suite"], evaluation_id)
        return event, Comparison.model_validate_json(self.cloud.read(paths.comparison))

    def manifest(self, started: dict[str, Any]) -> Manifest:
        paths = EvaluationPaths(self.cloud.bucket, started["suite"], started["evaluation_id"])
        return Manifest.model_validate_json(self.cloud.read(paths.manifest))

    def catalog_versions(self, started: list[dict[str, Any]]) -> list[str | None]:
        return [self.manifest(item).catalog.version_id for item in started]

    def config_versions(self, started: list[dict[str, Any]]) -> list[str | None]:
        return [self.manifest(item).config.version_id for item in started]

    def described(self, suite: str) -> str | None:
        """The version of the config that describes a suite."""
        key = {"pk": {"S": f"SUITE#{suite}"}, "sk": {"S": "CONFIG"}}
        item = self.cloud.stack.client("dynamodb").get_item(
            TableName=self.cloud.stack.outputs["EvaluationsTable"], Key=key, ConsistentRead=True
        )
        return str(item["Item"]["config_version_id"]["S"]) if "Item" in item else None

    def stop(self, *suites: str) -> None:
        sagemaker = self.cloud.stack.client("sagemaker")
        for suite in suites:
            for execution in self.cloud.executions(suite):
                if execution["PipelineExecutionStatus"] == "Executing":
                    sagemaker.stop_pipeline_execution(PipelineExecutionArn=execution["PipelineExecutionArn"])


@pytest.fixture(scope="module")
def bench(cloud: Cloud) -> Bench:
    return Bench(cloud)


def test_a_config_starts_its_suite_once_however_often_its_event_comes(bench: Bench) -> None:
    bench.cloud.drop("catalogs/plain.jsonl", CATALOG)
    version = bench.cloud.drop("configs/plain.yaml", config("plain"))
    [started] = bench.started(suite="plain")
    event = bench.sent("configs/plain.yaml", version)
    assert [item["evaluation_id"] for item in bench.deliver(event)] == [started["evaluation_id"]]
    bench.forget_events()
    [again] = bench.deliver(event)
    assert (again["outcome"], again["evaluation_id"]) == ("repeated", started["evaluation_id"])
    completed, comparison = bench.completed(started["evaluation_id"])
    assert (completed["correlation_id"], started["correlation_id"]) == (None, None)
    assert (comparison.winner, comparison.models[0].outcome.answered) == ("house", len(RECORDS))
    assert len(bench.cloud.executions("plain")) == len(bench.started(suite="plain")) == 1


def test_a_catalog_starts_each_suite_that_reads_it_once_and_no_other(bench: Bench) -> None:
    for suite in ("shared-a", "shared-b"):
        bench.cloud.drop(f"configs/{suite}.yaml", config(suite, "shared.jsonl"))
    bench.cloud.drop("configs/shared-not.yaml", config("shared-not", "another.jsonl"))
    for suite in ("shared-a", "shared-b", "shared-not"):
        bench.cloud.wait(functools.partial(bench.described, suite))
    version = bench.cloud.drop("catalogs/shared.jsonl", CATALOG)
    for suite in ("shared-a", "shared-b"):
        assert bench.catalog_versions(bench.started(suite=suite)) == [version]
    bench.forget_events()
    again = bench.outcomes(bench.sent("catalogs/shared.jsonl", version))
    assert again == [("repeated", "shared-a"), ("repeated", "shared-b")]
    for suite in ("shared-a", "shared-b"):
        assert len(bench.cloud.executions(suite)) == 1
    assert bench.cloud.executions("shared-not") == []
    bench.stop("shared-a", "shared-b")


def test_a_faulty_catalog_is_told_in_one_mail_for_all_the_suites_that_read_it(bench: Bench) -> None:
    for suite in ("faulty-a", "faulty-b"):
        bench.cloud.drop(f"configs/{suite}.yaml", config(suite, "faulty.jsonl"))
        bench.cloud.wait(functools.partial(bench.described, suite))
    bench.cloud.drop("catalogs/faulty.jsonl", f"{CATALOG}{{broken\n")
    told = bench.refused("catalogs/faulty.jsonl")
    assert told["data"]["suites"] == ["faulty-a", "faulty-b"]
    assert [fault["line"] for fault in told["data"]["faults"]] == [4]
    bench.cloud.wait(lambda: bench.cloud.mails("catalogs/faulty.jsonl"))
    assert len(bench.cloud.mails("catalogs/faulty.jsonl")) == 1


def test_a_config_waits_for_its_catalog_though_the_catalog_s_event_comes_first_and_both_come_twice(
    bench: Bench,
) -> None:
    with bench.events_held_back():
        first = bench.cloud.drop("configs/waits.yaml", config("waits"))
        second = bench.cloud.drop("catalogs/waits.jsonl", CATALOG)
    config_event = bench.sent("configs/waits.yaml", first)
    catalog_event = bench.sent("catalogs/waits.jsonl", second)
    assert bench.outcomes(catalog_event) == []
    assert bench.outcomes(config_event) == [("started", "waits")]
    bench.forget_events()
    for event in (catalog_event, config_event):
        assert bench.outcomes(event) == [("repeated", "waits")]
    assert len(bench.cloud.executions("waits")) == 1
    bench.stop("waits")


def test_versions_that_are_overwritten_quickly_are_each_evaluated_and_the_newest_is_what_is_known(
    bench: Bench,
) -> None:
    bench.cloud.drop("catalogs/quick.jsonl", CATALOG)
    with bench.events_held_back():
        versions = [bench.cloud.drop("configs/quick.yaml", config("quick")) for _ in range(3)]
    events = [bench.sent("configs/quick.yaml", version) for version in versions]
    for index in (2, 0, 2, 1, 0):
        bench.forget_events()
        bench.deliver(events[index])
    assert sorted(map(str, bench.config_versions(bench.started(3, suite="quick")))) == sorted(versions)
    assert bench.described("quick") == versions[2]
    bench.stop("quick")


def test_a_deleted_config_starts_nothing_and_its_events_may_come_in_any_order(bench: Bench) -> None:
    with bench.events_held_back():
        version = bench.cloud.drop("configs/gone.yaml", config("gone"))
        bench.s3.delete_object(Bucket=bench.cloud.bucket, Key="configs/gone.yaml")
    created, deleted = bench.sent("configs/gone.yaml", version), bench.sent("configs/gone.yaml", kind="Object Deleted")
    assert bench.outcomes(deleted) == []
    assert bench.outcomes(created) == [("waiting", "gone")]
    assert bench.described("gone") is None
    time.sleep(1.1)  # S3 tells whole seconds: what was there within one second counts as having met
    with bench.events_held_back():
        bench.cloud.drop("catalogs/gone.jsonl", CATALOG)
    assert bench.outcomes(bench.sent("catalogs/gone.jsonl")) == []
    assert bench.cloud.executions("gone") == []


def test_a_config_is_deleted_and_brought_back(bench: Bench) -> None:
    version = bench.cloud.drop("configs/back.yaml", config("back"))
    bench.cloud.wait(lambda: bench.described("back") == version)
    marker = bench.s3.delete_object(Bucket=bench.cloud.bucket, Key="configs/back.yaml")["VersionId"]
    bench.cloud.wait(lambda: bench.described("back") is None)
    bench.cloud.drop("catalogs/back.jsonl", CATALOG)
    bench.s3.delete_object(Bucket=bench.cloud.bucket, Key="configs/back.yaml", VersionId=marker)
    assert bench.config_versions(bench.started(suite="back")) == [version]
    assert bench.described("back") == version
    bench.stop("back")


def test_a_config_is_moved_by_copying_and_deleting_it(bench: Bench) -> None:
    bench.cloud.drop("catalogs/moved.jsonl", CATALOG)
    bench.cloud.drop("configs/moved.yaml", config("moved"))
    bench.started(suite="moved")
    source = {"Bucket": bench.cloud.bucket, "Key": "configs/moved.yaml"}
    copy = bench.s3.copy_object(Bucket=bench.cloud.bucket, Key="configs/team/moved.yaml", CopySource=source)
    assert bench.sent("configs/team/moved.yaml")["detail"]["reason"] == "CopyObject"
    told = bench.refused("configs/team/moved.yaml")
    assert "configs/moved.yaml" in told["data"]["faults"][0]["message"]
    bench.s3.delete_object(Bucket=bench.cloud.bucket, Key="configs/moved.yaml")
    started = bench.started(2, suite="moved")
    assert bench.config_versions(started)[1] == copy["VersionId"] == bench.described("moved")
    bench.again_and_out_of_order(
        bench.sent("configs/moved.yaml", kind="Object Deleted"),
        bench.sent("configs/team/moved.yaml"),
        bench.sent("catalogs/moved.jsonl"),
        bench.sent("configs/moved.yaml"),
    )
    assert bench.started(2, suite="moved") == started
    assert bench.described("moved") == copy["VersionId"]
    bench.stop("moved")


def test_a_copied_catalog_starts_the_suite_that_reads_the_copy(bench: Bench) -> None:
    bench.cloud.drop("configs/copied.yaml", config("copied"))
    bench.cloud.wait(lambda: bench.described("copied"))
    bench.cloud.drop("catalogs/original.jsonl", CATALOG)
    source = {"Bucket": bench.cloud.bucket, "Key": "catalogs/original.jsonl"}
    copy = bench.s3.copy_object(Bucket=bench.cloud.bucket, Key="catalogs/copied.jsonl", CopySource=source)
    started = bench.started(suite="copied")
    assert bench.catalog_versions(started) == [copy["VersionId"]]
    bench.again_and_out_of_order(bench.sent("catalogs/copied.jsonl"), bench.sent("configs/copied.yaml"))
    assert bench.started(suite="copied") == started
    bench.stop("copied")


def test_a_catalog_that_is_uploaded_in_parts_is_evaluated_whole_under_a_key_of_any_letters(bench: Bench) -> None:
    key, bucket = "catalogs/über uns/fragen & antworten + 100%.jsonl", bench.cloud.bucket
    name = "configs/team ä/größe 100% ☃.yaml"
    bench.cloud.drop(name, config("parts", key.removeprefix("catalogs/")))
    bench.cloud.wait(lambda: bench.described("parts"))
    upload = bench.s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    # All parts but the last have five MiB at least; empty lines are passed over.
    bodies = [CATALOG.encode() + b"\n" * 5 * 1024 * 1024, CATALOG.replace("Capital of", "Seat of").encode()]
    parts = [
        {
            "PartNumber": number,
            "ETag": bench.s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body)["ETag"],
        }
        for number, body in enumerate(bodies, 1)
    ]
    assert bench.cloud.events("EvaluationStarted", suite="parts") == []
    bench.s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})
    [started] = bench.started(suite="parts")
    assert bench.sent(key)["detail"]["reason"] == "CompleteMultipartUpload"
    assert started["data"]["records"] == 2 * len(RECORDS)
    assert started["data"]["config_uri"] == f"s3://{bucket}/{name}"
    _, comparison = bench.completed(started["evaluation_id"])
    assert comparison.models[0].outcome.answered == 2 * len(RECORDS)
    bench.again_and_out_of_order(bench.sent(key), bench.sent(name))
    assert bench.started(suite="parts") == [started]


def test_what_is_wrong_with_a_file_of_any_key_is_told(bench: Bench) -> None:
    key = f"configs/{'ü' * 500} ☃.yaml"
    bench.cloud.drop(key, "pipeline: [\n")
    told = bench.refused(key)
    written = told["data"]["rejected_uri"].removeprefix(f"s3://{bench.cloud.bucket}/")
    assert json.loads(bench.cloud.read(written))["faults"] == told["data"]["faults"]


# ---- requests


def test_a_suite_is_evaluated_on_request_and_its_correlation_id_comes_back_in_every_event(bench: Bench) -> None:
    bench.cloud.drop("configs/asked.yaml", config("asked"))
    bench.cloud.wait(lambda: bench.described("asked"))
    bench.cloud.drop("catalogs/asked.jsonl", CATALOG)
    bench.started(suite="asked")
    bench.stop("asked")
    for _ in range(2):
        bench.cloud.request(suite="asked", request_id="asked-1", correlation_id="build 17")
    [started] = bench.started(suite="asked", correlation_id="build 17")
    manifest = bench.manifest(started)
    assert manifest.requested_by["source"] == "com.example.training"
    kept = json.loads(bench.cloud.read(manifest.requested_by["uri"].removeprefix(f"s3://{bench.cloud.bucket}/")))
    assert kept["detail"]["suite"] == "asked"
    completed, _ = bench.completed(started["evaluation_id"])
    assert completed["correlation_id"] == "build 17"
    assert len(bench.cloud.executions("asked")) == 2
    for event in bench.cloud.stack.events():
        if event["detail"].get("evaluation_id") == started["evaluation_id"]:
            assert event["detail"]["correlation_id"] == "build 17"


def test_a_request_may_carry_its_config_and_hears_of_its_failure_too(bench: Bench) -> None:
    bench.cloud.drop("catalogs/carried.jsonl", CATALOG)
    carried = yaml.safe_load(config("carried"))
    bench.cloud.request(config=carried, correlation_id="build 18")
    [started] = bench.started(suite="carried")
    paths = EvaluationPaths(bench.cloud.bucket, "carried", started["evaluation_id"])
    assert started["data"]["config_uri"] == f"s3://{bench.cloud.bucket}/{paths.config}"
    assert bench.described("carried") is None
    bench.stop("carried")
    [failed] = bench.cloud.wait(lambda: bench.cloud.events("EvaluationFailed", suite="carried"))
    assert (failed["evaluation_id"], failed["correlation_id"]) == (started["evaluation_id"], "build 18")


@pytest.fixture
def endpoint(cloud: Cloud) -> Iterator[str]:
    """An endpoint that somebody else made, and that serves a real small model."""
    name, sagemaker = "trained-17", cloud.stack.client("sagemaker")
    role = cloud.stack.outputs["PipelineRoleArn"]
    container = {"Image": "image", "Environment": {"ASSAY_LOCAL_MODEL": "nearest-neighbour-minilm"}}
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)
    variant = {"VariantName": "all", "ModelName": name, "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    cloud.wait(lambda: sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "InService")
    yield name
    sagemaker.delete_endpoint(EndpointName=name)
    sagemaker.delete_endpoint_config(EndpointConfigName=name)
    sagemaker.delete_model(ModelName=name)


def test_a_request_may_have_a_model_of_its_own_evaluated_in_the_place_of_one(bench: Bench, endpoint: str) -> None:
    bench.cloud.drop("configs/swapped.yaml", config("swapped"))
    version = bench.cloud.wait(lambda: bench.described("swapped"))
    with bench.events_held_back():
        bench.cloud.drop("catalogs/swapped.jsonl", CATALOG)
    bench.cloud.request(suite="swapped", model={"name": "house", "endpoint_name": endpoint}, correlation_id="build 19")
    [started] = bench.started(suite="swapped")
    manifest = bench.manifest(started)
    assert manifest.config.version_id == version
    paths = EvaluationPaths(bench.cloud.bucket, "swapped", started["evaluation_id"])
    [model] = load_config(bench.cloud.read(paths.config), paths.config).models
    assert (model.name, model.provider, model.endpoint_name) == ("house", "endpoint", endpoint)
    completed, comparison = bench.completed(started["evaluation_id"])
    assert completed["correlation_id"] == "build 19"
    outcome = comparison.models[0].outcome
    assert (outcome.endpoint_name, outcome.answered) == (endpoint, len(RECORDS))
    assert endpoint in bench.cloud.endpoints()


def test_a_request_that_cannot_be_met_is_answered_with_its_correlation_id(bench: Bench) -> None:
    bench.cloud.request(suite="nobody-s", request_id="refused-1", correlation_id="build 20")
    told = bench.refused("requests/refused-1.json")
    assert told["correlation_id"] == "build 20"
    assert [fault["key"] for fault in told["data"]["faults"]] == ["suite"]
    [mail] = bench.cloud.wait(lambda: bench.cloud.mails("requests/refused-1.json"))
    assert "send the request again" in " ".join(mail["text"].split())


# ---- the clock


def test_a_schedule_evaluates_its_suite_when_it_is_due_and_goes_with_its_config(bench: Bench) -> None:
    with bench.events_held_back():
        bench.cloud.drop("catalogs/clock.jsonl", CATALOG)
    # Late enough that the schedule is there before it, however busy the machine is.
    moment = (datetime.now(UTC) + timedelta(seconds=40)).strftime("%Y-%m-%dT%H:%M:%S")
    bench.cloud.drop("configs/clock.yaml", f'{config("clock")}schedule: {{expression: "at({moment})"}}\n')
    scheduler = bench.cloud.stack.client("scheduler")
    [schedule] = bench.cloud.wait(
        lambda: [item for item in scheduler.list_schedules()["Schedules"] if item["Name"] == "clock"]
    )
    asked_by = {
        asked["kind"]: (asked, item)
        for item in bench.started(2, suite="clock")
        for asked in [bench.manifest(item).requested_by]
    }
    assert set(asked_by) == {"drop", "schedule"}
    asked, due = asked_by["schedule"]
    assert asked == {"kind": "schedule", "scheduled_time": f"{moment}Z"}
    told = {
        "source": "assay",
        "detail-type": "EvaluationDue",
        "detail": {"suite": "clock", "scheduled_time": f"{moment}Z"},
    }
    assert [item["evaluation_id"] for item in bench.deliver(told)] == [due["evaluation_id"]]
    bench.stop("clock")
    bench.s3.delete_object(Bucket=bench.cloud.bucket, Key="configs/clock.yaml")
    bench.cloud.wait(lambda: schedule["Name"] not in [item["Name"] for item in scheduler.list_schedules()["Schedules"]])
    late = {**told, "detail": {"suite": "clock", "scheduled_time": "2099-01-01T00:00:00Z"}}
    assert bench.outcomes(late) == [("forgotten", "clock")]
    assert len(bench.cloud.executions("clock")) == 2


def test_every_sample_of_an_event_that_starts_something_is_one_that_the_function_reads(bench: Bench) -> None:
    suite = "general-knowledge"
    assert bench.described(suite) is None
    outcomes = {
        name: bench.outcomes(json.loads((PROJECT / "events" / f"{name}.json").read_text()))
        for name in ("s3_object_created", "s3_object_deleted", "evaluation_due.v1", "evaluation_requested.v1")
    }
    assert outcomes == {
        "s3_object_created": [],  # the version that it names is not in this bucket
        "s3_object_deleted": [],  # and nothing was described by what is deleted
        "evaluation_due.v1": [("forgotten", suite)],
        "evaluation_requested.v1": [("rejected", None)],
    }
