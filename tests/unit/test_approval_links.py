"""A link in a mail asks when it is opened, decides when its form is sent, and works once and for a week."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import boto3
import pytest
from moto import mock_aws

from assay.aws import runtime
from assay.aws.approval_answer import Answer, answer
from assay.aws.approval_links import SECONDS, ApprovalLink, ApprovalLinks
from assay.aws.approvals import Approvals
from assay.contracts.link_request import LinkRequest
from tests.unit.function_support import handler
from tests.unit.test_approvals import Lock

NOW = datetime(2026, 11, 24, 10, 2, 11, tzinfo=UTC)
URL = "https://abc.lambda-url.eu-west-1.on.aws/"


class World:
    """A table, a package that waits, and one link to it."""

    def __init__(self) -> None:
        self.now = NOW
        keys = [("pk", "HASH"), ("sk", "RANGE")]
        boto3.client("dynamodb").create_table(
            TableName="evaluations",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
        )
        sagemaker = boto3.client("sagemaker")
        sagemaker.create_model_package_group(ModelPackageGroupName="sums")
        self.arn = sagemaker.create_model_package(
            ModelPackageGroupName="sums",
            ModelApprovalStatus="PendingManualApproval",
            CustomerMetadataProperties={"model": "<b>good</b>", "metric": "A.s"},
        )["ModelPackageArn"]
        self.links = ApprovalLinks("evaluations", now=lambda: self.now)
        self.link = self.links.make(URL, ApprovalLink("e" * 32, self.arn))
        [self.token] = parse_qs(urlsplit(self.link).query)["token"]

    def ask(self, method: str, token: str | None = None, **form: str) -> Answer:
        given = self.token if token is None else token
        request = LinkRequest(method=method, token=given, form=form)
        return answer(request, links=self.links, approvals=Approvals(Lock(), now=lambda: self.now))

    def status(self) -> str:
        return str(boto3.client("sagemaker").describe_model_package(ModelPackageName=self.arn)["ModelApprovalStatus"])


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    runtime.setting.cache_clear()
    with mock_aws():
        yield World()
    runtime.setting.cache_clear()


def test_a_link_cannot_be_guessed_and_the_table_does_not_hold_it(world: World) -> None:
    assert len(world.token) >= 43
    assert world.link.startswith(f"{URL}?token=")
    items = boto3.client("dynamodb").scan(TableName="evaluations")["Items"]
    assert world.token not in json.dumps(items)
    assert ApprovalLinks("evaluations").make(URL, ApprovalLink("e" * 32, world.arn)) != world.link


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_mail_scanner_that_opens_the_link_decides_nothing(world: World, method: str) -> None:
    for _ in range(3):
        found = world.ask(method)
        assert (found.status, found.decided) == (200, False)
    assert world.status() == "PendingManualApproval"
    assert world.ask("POST", decision="Approved", name="Ada").decided


def test_the_page_asks_and_takes_nothing_for_markup(world: World) -> None:
    page = world.ask("GET").page
    assert '<form method="post">' in page
    assert f'value="{world.token}"' in page
    assert "&lt;b&gt;good&lt;/b&gt;" in page
    assert "<b>good" not in page
    assert "<script" not in page


@pytest.mark.parametrize("decision", ["Approved", "Rejected"])
def test_the_form_decides_and_leaves_name_time_and_note(world: World, decision: str) -> None:
    found = world.ask("POST", decision=decision, name=" Ada  Lovelace ", note="Read\nthem.")
    assert (found.status, found.decided, world.status()) == (200, True, decision)
    described = boto3.client("sagemaker").describe_model_package(ModelPackageName=world.arn)
    assert described["ApprovalDescription"] == "Read them."
    assert described["CustomerMetadataProperties"]["decided_by"] == "Ada Lovelace by the link in the mail"
    assert described["CustomerMetadataProperties"]["decided_at"] == "2026-11-24T10:02:11Z"


def test_a_link_works_once(world: World) -> None:
    world.ask("POST", decision="Approved", name="Ada")
    for method, form in (("GET", {}), ("POST", {"decision": "Rejected", "name": "Grace"})):
        found = world.ask(method, **form)
        assert (found.status, found.decided) == (410, False)
    assert world.status() == "Approved"


def test_of_two_who_send_the_form_at_once_one_decides(world: World) -> None:
    class Slow(ApprovalLinks):
        """Somebody else sends the form between the look and the use."""

        def read(self, token: str) -> ApprovalLink | None:
            found = super().read(token)
            super().use(token)
            return found

    request = LinkRequest(method="POST", token=world.token, form={"decision": "Approved", "name": "Ada"})
    found = answer(request, links=Slow("evaluations", now=lambda: NOW), approvals=Approvals(Lock()))
    assert (found.status, found.decided, world.status()) == (410, False, "PendingManualApproval")


def test_a_link_is_good_for_a_week(world: World) -> None:
    world.now += timedelta(seconds=SECONDS - 1)
    assert world.ask("GET").status == 200
    world.now += timedelta(seconds=1)
    assert world.ask("POST", decision="Approved", name="Ada").status == 410
    assert world.status() == "PendingManualApproval"


@pytest.mark.parametrize("token", ["", "x", "0" * 43])
def test_a_link_that_was_never_made_opens_nothing(world: World, token: str) -> None:
    assert world.ask("GET", token=token).status == 410
    assert world.ask("POST", token=token, decision="Approved", name="Ada").status == 410
    assert world.status() == "PendingManualApproval"


@pytest.mark.parametrize(
    "form",
    [{}, {"decision": "Approved"}, {"decision": "Approved", "name": " "}, {"decision": "Maybe", "name": "Ada"},
     {"decision": "Approved", "name": "x" * 101}],
)  # fmt: skip
def test_a_form_without_name_or_decision_asks_again_and_spends_nothing(world: World, form: dict[str, str]) -> None:
    found = world.ask("POST", **form)
    assert (found.status, found.decided) == (400, False)
    assert "Your name and one of the two buttons are needed." in found.page
    assert world.ask("POST", decision="Rejected", name="Ada").decided


def test_what_somebody_decided_meanwhile_stands_and_is_told(world: World) -> None:
    Approvals(Lock(), now=lambda: NOW).decide(world.arn, "Rejected", by="grace", note="")
    found = world.ask("POST", decision="Approved", name="Ada")
    assert (found.status, found.decided, world.status()) == (409, False, "Rejected")
    assert "was rejected by grace at 2026-11-24T10:02:11Z" in found.page


def test_the_same_decision_again_is_told_and_changes_nothing(world: World) -> None:
    Approvals(Lock(), now=lambda: NOW).decide(world.arn, "Approved", by="grace", note="")
    found = world.ask("POST", decision="Approved", name="Ada")
    assert (found.status, found.decided) == (200, False)
    assert "before, by grace" in found.page


def test_the_page_tells_of_a_champion_that_the_gate_has_not_seen(world: World) -> None:
    boto3.client("sagemaker").create_model_package(ModelPackageGroupName="sums", ModelApprovalStatus="Approved")
    found = world.ask("POST", decision="Approved", name="Ada")
    assert "Version 2 was approved after the gate had looked" in found.page


def test_other_methods_are_refused(world: World) -> None:
    assert world.ask("DELETE").status == 405


# ---- the function behind the URL


def event(method: str, token: str, body: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "version": "2.0",
        "requestContext": {"http": {"method": method, "path": "/"}},
        "queryStringParameters": {"token": token},
        "isBase64Encoded": False,
    }
    if body is not None:
        found |= {"body": base64.b64encode(body.encode()).decode(), "isBase64Encoded": True}
    return found


def test_the_function_answers_with_a_page_that_nobody_keeps_or_frames(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALUATIONS_TABLE", "evaluations")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Assay")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "assay")
    world.link = ApprovalLinks("evaluations").make(URL, ApprovalLink("e" * 32, world.arn))
    [token] = parse_qs(urlsplit(world.link).query)["token"]
    decide = handler("decide_approval")
    asked = decide(event("GET", token))
    assert asked["statusCode"] == 200
    assert asked["headers"]["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in asked["headers"]["Content-Security-Policy"]
    assert asked["headers"]["Referrer-Policy"] == "no-referrer"
    body = urlencode({"token": token, "name": "Ada", "note": "ü", "decision": "Approved"})
    assert decide(event("POST", token, body))["statusCode"] == 200
    assert world.status() == "Approved"


@pytest.mark.parametrize(
    ("changes", "token", "form"),
    [
        ({}, "t", {}),
        ({"queryStringParameters": None}, "", {}),
        ({"body": "not base64!"}, "t", {}),
        ({"body": "x" * 20_000, "isBase64Encoded": False}, "t", {}),
        ({"body": base64.b64encode(b"\xff\xfe").decode()}, "t", {}),
        ({"body": "token=own&name=Ada", "isBase64Encoded": False}, "own", {"token": "own", "name": "Ada"}),
    ],
)
def test_a_request_is_read_however_it_is_written(changes: dict[str, Any], token: str, form: dict[str, str]) -> None:
    request = LinkRequest.from_url_event(event("POST", "t", "") | changes)
    assert (request.token, request.form) == (token, form)


def test_the_page_loads_nothing() -> None:
    source = (Path(__file__).resolve().parents[2] / "layers/assay/assay/report/approval.html.j2").read_text()
    assert not re.search(r"src=|<link|@import|url\(", source)
