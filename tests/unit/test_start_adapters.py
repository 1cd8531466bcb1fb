"""The bucket's history, the table of suites and the schedules: each fake keeps what the real adapter keeps."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError
from urllib3 import HTTPResponse

from assay.aws.model_packages import ModelPackages
from assay.aws.schedules import Schedules
from assay.aws.storage import Storage
from assay.aws.suites import EXPIRES_SECONDS, SuiteTable
from assay.contracts.errors import ModelPackageRefusedError, ScheduleRefusedError, TransientError
from assay.contracts.evaluation import DatedVersion, ObjectVersion
from assay.contracts.events import DueEvent, StartEvent
from assay.contracts.suites import Description, Reader
from assay.pipeline.ports import SuiteBook
from tests.unit.start_world import BUCKET, Book, Bucket

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
FAQ = "catalogs/faq.jsonl"


def version(key: str, version_id: str | None = "v1") -> ObjectVersion:
    return ObjectVersion(BUCKET, key, version_id)


# ---- when versions met


def dated(since: int, until: int | None) -> DatedVersion:
    def at(second: int) -> datetime:
        return NOW.replace(second=second)

    return DatedVersion(version("k"), at(since), None if until is None else at(until))


@pytest.mark.parametrize(
    ("one", "other", "met"),
    [
        ((0, None), (0, None), True),
        ((0, 5), (5, None), False),
        ((0, 5), (4, None), True),
        ((0, 5), (1, 2), True),
        ((0, 1), (2, 3), False),
        ((5, 5), (5, None), True),
        ((5, 5), (0, None), True),
        ((5, 5), (0, 5), False),
        ((5, 5), (5, 5), True),
        ((5, 5), (5, 6), True),
        ((5, 5), (6, None), False),
        ((4, 3), (0, None), True),
    ],
)
def test_two_versions_met_when_both_were_current_at_one_time(
    one: tuple[int, int | None], other: tuple[int, int | None], met: bool
) -> None:
    assert dated(*one).met(dated(*other)) is met
    assert dated(*other).met(dated(*one)) is met


# ---- the bucket's history


class RealBucket:
    """moto's S3 with the fake's verbs."""

    def __init__(self) -> None:
        self.client = boto3.client("s3")
        location = {"LocationConstraint": "eu-west-1"}
        self.client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=location)
        self.client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        self.history = Storage(BUCKET, self.client).history

    def put(self, key: str, body: bytes) -> ObjectVersion:
        return version(key, self.client.put_object(Bucket=BUCKET, Key=key, Body=body)["VersionId"])

    def delete(self, key: str) -> ObjectVersion:
        return version(key, self.client.delete_object(Bucket=BUCKET, Key=key)["VersionId"])

    def purge(self, item: ObjectVersion) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=item.key, VersionId=item.version_id)


@pytest.fixture(params=["memory", "moto"])
def bucket(request: pytest.FixtureRequest, aws: None) -> Bucket | RealBucket:
    return Bucket() if request.param == "memory" else RealBucket()


def test_a_history_holds_the_versions_of_one_key_newest_first(bucket: Bucket | RealBucket) -> None:
    key = "configs/größe ☃ a+b.yaml"
    versions = [bucket.put(key, b"x") for _ in range(3)]
    bucket.put(f"{key}.old", b"x")
    found = bucket.history(key)
    assert [item.version for item in found] == versions[::-1]
    assert [item.deleted for item in found] == [False] * 3
    assert found[0].until is None
    assert [item.until for item in found[1:]] == [item.since for item in found[:-1]]
    assert bucket.history("configs/none.yaml") == []
    assert bucket.history("configs/größe") == []


def test_a_deleted_key_has_no_current_version_until_it_is_brought_back(bucket: Bucket | RealBucket) -> None:
    first = bucket.put("configs/a.yaml", b"x")
    marker = bucket.delete("configs/a.yaml")
    [item] = bucket.history("configs/a.yaml")
    assert (item.version, item.deleted) == (first, True)
    assert item.until is not None
    bucket.purge(marker)
    assert [(item.until, item.deleted) for item in bucket.history("configs/a.yaml")] == [(None, False)]


def test_a_version_that_was_deleted_for_good_is_not_in_the_history(bucket: Bucket | RealBucket) -> None:
    first, second = bucket.put("configs/a.yaml", b"x"), bucket.put("configs/a.yaml", b"y")
    bucket.purge(first)
    assert [item.version for item in bucket.history("configs/a.yaml")] == [second]


class Pages:
    """A client of an S3 that answers in pages of two, with the times and the markers that a test says, as AWS does."""

    def __init__(self, *items: tuple[str, int, bool]) -> None:
        self._items = items
        self.asked = 0
        self.client = boto3.client("s3", "eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
        self.client.meta.events.register("before-send.s3.ListObjectVersions", self._answer)

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        self.asked += 1
        names = [name for name, _, _ in self._items]
        marker = parse_qs(urlsplit(request.url).query).get("version-id-marker")
        start = names.index(marker[0]) + 1 if marker else 0
        listed = "".join(self._element(index) for index in range(start, min(start + 2, len(names))))
        if start + 2 < len(names):
            more = f"<NextKeyMarker>k</NextKeyMarker><NextVersionIdMarker>{names[start + 1]}</NextVersionIdMarker>"
            listed = f"<IsTruncated>true</IsTruncated>{more}{listed}"
        body = f'<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{listed}</ListVersionsResult>'
        raw = HTTPResponse(io.BytesIO(body.encode()), preload_content=False)
        return AWSResponse(request.url, 200, HTTPHeaders(), raw)

    def _element(self, index: int) -> str:
        name, second, is_marker = self._items[index]
        kind = "DeleteMarker" if is_marker else "Version"
        at = NOW.replace(second=second).isoformat().replace("+00:00", ".000Z")
        latest = "false" if index else "true"
        inner = (
            f"<Key>k</Key><VersionId>{name}</VersionId><IsLatest>{latest}</IsLatest><LastModified>{at}</LastModified>"
        )
        return f"<{kind}>{inner}</{kind}>"


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([("d", 9, True), ("b", 7, False), ("a", 5, False)], [("b", 9, True), ("a", 7, False)]),
        ([("b", 9, False), ("d", 7, True), ("a", 5, False)], [("b", None, False), ("a", 7, True)]),
        # All within a second: S3's own order counts, with a later version and without.
        ([("b", 5, False), ("d", 5, True), ("a", 5, False)], [("b", None, False), ("a", 5, True)]),
        ([("d", 5, True), ("b", 5, False), ("a", 5, False)], [("b", 5, True), ("a", 5, False)]),
        (
            [("e", 9, False), ("c", 8, False), ("b", 5, False), ("d", 5, True), ("a", 5, False)],
            [("e", None, False), ("c", 9, False), ("b", 8, False), ("a", 5, True)],
        ),
        (
            [("c", 9, False), ("d", 5, True), ("b", 5, False), ("a", 5, False)],
            [("c", None, False), ("b", 5, True), ("a", 5, False)],
        ),
        # Uploaded in parts: S3 tells when it began, and lists it where it was finished.
        ([("b", 3, False), ("a", 5, False)], [("b", None, False), ("a", 3, False)]),
    ],
)
def test_deletions_end_the_time_of_a_version_as_overwriting_does(
    items: list[tuple[str, int, bool]], expected: list[tuple[str, int | None, bool]]
) -> None:
    found = Storage(BUCKET, Pages(*items).client).history("k")
    shown = [(item.version.version_id, item.until and item.until.second, item.deleted) for item in found]
    assert shown == expected


def test_what_ended_before_is_not_listed_and_not_asked_for() -> None:
    pages = Pages(*((f"v{second}", second, False) for second in range(9, -1, -1)))
    found = Storage(BUCKET, pages.client).history("k", since=NOW.replace(second=8))
    assert [item.version.version_id for item in found] == ["v9", "v8", "v7"]
    assert pages.asked == 2


def test_an_object_from_before_versions_were_kept_has_no_version_id() -> None:
    [item] = Storage(BUCKET, Pages(("null", 1, False)).client).history("k")
    assert item.version == version("k", None)


# ---- the table of suites


def create_table() -> None:
    boto3.client("dynamodb").create_table(
        TableName="evaluations",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )


@pytest.fixture(params=["memory", "moto"])
def book(request: pytest.FixtureRequest, aws: None) -> SuiteBook:
    if request.param == "memory":
        return Book()
    create_table()
    return SuiteTable("evaluations", now=lambda: NOW)


def test_a_catalog_knows_the_configs_that_read_it(book: SuiteBook) -> None:
    book.note_reader(FAQ, version("configs/b.yaml", None))
    book.note_reader(FAQ, version("configs/a.yaml", "v1"))
    book.note_reader(FAQ, version("configs/a.yaml", "v2"))
    book.note_reader("catalogs/other.jsonl", version("configs/c.yaml"))
    assert book.readers(FAQ) == [Reader("configs/a.yaml", "v2"), Reader("configs/b.yaml", None)]
    assert book.readers("catalogs/nobody.jsonl") == []


def test_a_suite_is_described_by_the_last_that_was_written(book: SuiteBook) -> None:
    assert book.description("a") is None
    book.describe("a", version("configs/a.yaml", "v1"), ())
    book.describe("a", version("configs/b.yaml", None), ())
    book.describe("c", version("configs/b.yaml", "v3"), ["failed", "completed"])
    assert book.description("a") == Description("configs/b.yaml", None)
    assert book.suites_of("configs/a.yaml") == ["a"]
    assert book.suites_of("configs/b.yaml") == ["a", "c"]
    assert book.description("c") == Description("configs/b.yaml", "v3", frozenset({"failed", "completed"}))


def test_forgetting_leaves_a_suite_to_the_config_that_has_it(book: SuiteBook) -> None:
    book.describe("a", version("configs/a.yaml"), ())
    book.describe("a", version("configs/b.yaml"), ())
    book.forget("a", "configs/a.yaml")
    assert book.suites_of("configs/a.yaml") == []
    assert book.description("a") == Description("configs/b.yaml", "v1")
    book.forget("a", "configs/b.yaml")
    book.forget("a", "configs/b.yaml")
    assert book.description("a") is None
    assert book.suites_of("configs/b.yaml") == []


def test_claims_on_a_suite_are_kept_and_found_until_they_expired(book: SuiteBook) -> None:
    for key in ("configs/b.yaml", "configs/a.yaml", "configs/b.yaml"):
        book.claim("a", key)
    book.claim("c", "configs/d.yaml")
    for _ in range(2):
        book.let_claim_expire("a", "configs/b.yaml")
    assert book.claims("a") == ["configs/a.yaml", "configs/b.yaml"]
    assert book.description("a") is None
    assert book.suites_of("configs/a.yaml") == []


def test_a_suite_belongs_to_a_config_before_that_describes_it(book: SuiteBook) -> None:
    book.own("a", "configs/a.yaml")
    assert book.suites_of("configs/a.yaml") == ["a"]
    assert book.description("a") is None
    book.forget("a", "configs/a.yaml")
    assert book.suites_of("configs/a.yaml") == []


def test_a_claim_expires_when_no_late_event_could_ask_for_it_unless_it_is_made_again(aws: None) -> None:
    book = SuiteTable("evaluations", now=lambda: NOW)
    create_table()
    dynamodb = boto3.client("dynamodb")

    def expires() -> list[str | None]:
        return [item.get("expires_at", {}).get("N") for item in dynamodb.scan(TableName="evaluations")["Items"]]

    book.let_claim_expire("a", "configs/a.yaml")
    assert expires() == []
    book.claim("a", "configs/a.yaml")
    book.let_claim_expire("a", "configs/a.yaml")
    assert expires() == [str(int(NOW.timestamp()) + EXPIRES_SECONDS)]
    book.claim("a", "configs/a.yaml")
    assert expires() == [None]


def test_the_longest_keys_of_s3_are_kept_apart(book: SuiteBook) -> None:
    keys = [f"configs/{'ü' * 505}{letter}.yaml" for letter in "ab"]
    for key in keys:
        assert len(key.encode()) == 1024
        book.describe("a", version(key), ())
        book.claim("a", key)
        book.note_reader(key, version(key))
    assert book.claims("a") == keys
    assert [book.suites_of(key) for key in keys] == [["a"], ["a"]]
    assert [book.readers(key) for key in keys] == [[Reader(key, "v1")] for key in keys]


@pytest.mark.parametrize("noted", ["v1", None])
def test_a_reader_expires_when_nothing_could_ask_for_it_any_more_unless_it_reads_again(
    aws: None, noted: str | None
) -> None:
    book = SuiteTable("evaluations", now=lambda: NOW)
    dynamodb = boto3.client("dynamodb")
    dynamodb.create_table(
        TableName="evaluations",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )

    def expires() -> Any:
        [item] = dynamodb.scan(TableName="evaluations")["Items"]
        return item.get("expires_at", {}).get("N")

    book.note_reader(FAQ, version("configs/a.yaml", noted))
    [reader] = book.readers(FAQ)
    book.note_reader(FAQ, version("configs/a.yaml", "newer"))
    book.let_reader_expire(FAQ, reader)
    assert expires() is None
    [reader] = book.readers(FAQ)
    book.let_reader_expire(FAQ, reader)
    assert expires() == str(int(NOW.timestamp()) + EXPIRES_SECONDS)
    assert book.readers(FAQ) == [reader]
    book.note_reader(FAQ, version("configs/a.yaml", noted))
    assert expires() is None
    book.let_reader_expire(FAQ, Reader("configs/gone.yaml", "v1"))
    assert len(book.readers(FAQ)) == 1


def test_a_throttled_table_of_suites_is_a_transient_error() -> None:
    class Throttled:
        def __getattr__(self, name: str) -> Any:
            def refuse(**_: Any) -> Any:
                raise refused("ThrottlingException")

            return refuse

    table = SuiteTable("evaluations", client=Throttled(), now=itertools.repeat(NOW).__next__)
    config = version("configs/a.yaml")
    calls: list[Callable[[], object]] = [
        lambda: table.note_reader(FAQ, config),
        lambda: table.let_reader_expire(FAQ, Reader("configs/a.yaml", None)),
        lambda: table.description("a"),
        lambda: table.describe("a", config, ()),
        lambda: table.forget("a", "configs/a.yaml"),
        lambda: table.claim("a", "configs/a.yaml"),
        lambda: table.own("a", "configs/a.yaml"),
        lambda: table.let_claim_expire("a", "configs/a.yaml"),
    ]
    for call in calls:
        with pytest.raises(TransientError):
            call()


def refused(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


# ---- schedules


def schedules(client: Any = None) -> Schedules:
    return Schedules(
        group="assay",
        role_arn="arn:aws:iam::123456789012:role/scheduler",
        function_arn="arn:aws:lambda:eu-west-1:123456789012:function:start",
        dead_letters_arn="arn:aws:sqs:eu-west-1:123456789012:dead",
        client=client if client is not None else boto3.client("scheduler"),
    )


def test_a_schedule_calls_the_function_with_the_suite_and_the_time_that_is_due(aws: None) -> None:
    scheduler = boto3.client("scheduler")
    scheduler.create_schedule_group(Name="assay")
    for expression in ("rate(1 day)", "cron(0 6 ? * MON *)"):
        schedules().put("sums", expression, "Europe/Berlin")
    [summary] = scheduler.list_schedules(GroupName="assay")["Schedules"]
    found = scheduler.get_schedule(GroupName="assay", Name=summary["Name"])
    assert (found["ScheduleExpression"], found["ScheduleExpressionTimezone"]) == (
        "cron(0 6 ? * MON *)",
        "Europe/Berlin",
    )
    assert found["Target"]["Arn"].endswith(":function:start")
    assert found["Target"]["DeadLetterConfig"] == {"Arn": "arn:aws:sqs:eu-west-1:123456789012:dead"}
    sent = StartEvent.validate_python(json.loads(found["Target"]["Input"]))
    assert isinstance(sent, DueEvent)
    assert (sent.detail.suite, sent.detail.scheduled_time) == ("sums", "<aws.scheduler.scheduled-time>")


def test_a_schedule_is_removed_and_may_have_been_before(aws: None) -> None:
    scheduler = boto3.client("scheduler")
    scheduler.create_schedule_group(Name="assay")
    schedules().put("sums", "rate(1 day)", "UTC")
    schedules().remove("sums")
    schedules().remove("sums")
    assert scheduler.list_schedules(GroupName="assay")["Schedules"] == []


class Refusing:
    """Refuses everything with one error."""

    def __init__(self, error: ClientError) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        def refuse(**_: Any) -> Any:
            raise self._error

        return refuse


def test_an_expression_that_scheduler_does_not_take_is_told_in_its_words() -> None:
    refusing = Refusing(refused("ValidationException", "Invalid Schedule Expression x."))
    with pytest.raises(ScheduleRefusedError, match="Invalid Schedule Expression x"):
        schedules(refusing).put("sums", "x", "UTC")


def test_a_role_that_scheduler_cannot_assume_is_no_fault_of_the_config() -> None:
    message = "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
    with pytest.raises(ClientError):
        schedules(Refusing(refused("ValidationException", message))).put("sums", "rate(1 day)", "UTC")


@pytest.mark.parametrize(("code", "kind"), [("ThrottlingException", TransientError), ("AccessDenied", ClientError)])
def test_whatever_else_scheduler_says_is_no_fault_of_the_config(code: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        schedules(Refusing(refused(code))).put("sums", "rate(1 day)", "UTC")
    with pytest.raises(kind):
        schedules(Refusing(refused(code))).remove("sums")


# ---- what is written once


def test_an_object_is_created_once_whatever_comes_after(bucket: Bucket | RealBucket) -> None:
    store = bucket if isinstance(bucket, Bucket) else Storage(BUCKET, bucket.client)
    assert store.create("requests/r.json", b"first", "application/json")
    assert not store.create("requests/r.json", b"second", "application/json")
    assert store.read("requests/r.json") == b"first"
    bucket.delete("requests/r.json")
    assert store.create("requests/r.json", b"third", "application/json")


@pytest.mark.parametrize(
    ("code", "kind"), [("ConditionalRequestConflict", TransientError), ("AccessDenied", ClientError)]
)
def test_what_else_keeps_an_object_from_being_created_is_raised(code: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        Storage(BUCKET, Refusing(refused(code))).create("requests/r.json", b"x")


# ---- model packages


def test_a_package_is_known_by_what_was_written_about_it(aws: None) -> None:
    sagemaker = boto3.client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName="sums")
    arn = sagemaker.create_model_package(
        ModelPackageGroupName="sums", CustomerMetadataProperties={"suite": "sums", "model": "m"}
    )["ModelPackageArn"]
    assert ModelPackages().properties(arn) == {"suite": "sums", "model": "m"}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (("ValidationException", "ModelPackage arn does not exist."), None),
        (("ValidationException", "not an ARN"), ModelPackageRefusedError),
        (("AccessDeniedException", "not authorized"), ModelPackageRefusedError),
        (("ResourceNotFound", "what is this"), ClientError),
        (("ThrottlingException", "slow down"), TransientError),
    ],
)
def test_only_a_package_that_is_not_there_is_none(error: tuple[str, str], kind: type[Exception] | None) -> None:
    packages = ModelPackages(Refusing(refused(*error)))
    if kind is None:
        assert packages.properties("arn") is None
    else:
        with pytest.raises(kind):
            packages.properties("arn")
