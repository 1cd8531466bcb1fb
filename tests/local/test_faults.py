"""What is asked to go wrong does, as often as it was asked, and to nothing else; quotas are met; tags find things."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from local.events import bus
from tests.local.conftest import Running, eventually
from tests.local.test_sagemaker_endpoints import create, settled

TYPE = "ml.c5.2xlarge"


def ask(running: Running, path: str, body: Any) -> requests.Response:
    url = f"{running.settings.endpoint_url}/_local/{path}"
    return requests.post(url, json=body, timeout=10, proxies={"http": ""})


@pytest.fixture(autouse=True)
def _forgotten(running: Running) -> Iterator[None]:
    yield
    requests.delete(f"{running.settings.endpoint_url}/_local/faults", timeout=10, proxies={"http": ""})


@pytest.fixture(scope="module")
def table(running: Running) -> str:
    running.aws("dynamodb").create_table(
        TableName="faults",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return "faults"


def test_a_call_about_the_named_thing_fails_as_often_as_it_was_asked_and_no_other(running: Running, table: str) -> None:
    fault = {"kind": "api", "api": "dynamodb:PutItem", "code": "ThrottlingException", "about": "mine", "times": 2}
    assert ask(running, "faults", [fault]).json()[0]["times"] == 2
    put = running.aws("dynamodb").put_item
    put(TableName=table, Item={"pk": {"S": "another"}})
    for _ in range(2):
        with pytest.raises(ClientError, match="ThrottlingException"):
            put(TableName=table, Item={"pk": {"S": "mine"}})
    put(TableName=table, Item={"pk": {"S": "mine"}})
    assert running.aws("dynamodb").scan(TableName=table)["Count"] == 2


def test_services_with_methods_in_place_of_actions_fail_too_and_keep_their_bodies(running: Running) -> None:
    s3 = running.aws("s3")
    s3.create_bucket(Bucket="faults", CreateBucketConfiguration={"LocationConstraint": running.settings.region})
    ask(running, "faults", [{"kind": "api", "api": "s3:PUT", "code": "SlowDown", "status": 503, "about": "/mine"}])
    s3.put_object(Bucket="faults", Key="another", Body=b"whole")
    assert s3.get_object(Bucket="faults", Key="another")["Body"].read() == b"whole"
    with pytest.raises(ClientError, match="SlowDown"):
        s3.put_object(Bucket="faults", Key="mine", Body=b"whole")


def test_an_event_can_be_lost_repeated_and_late(running: Running) -> None:
    faults = [
        {"kind": "event", "detail_type": "Faulty", "about": "lost", "does": "lose"},
        {"kind": "event", "detail_type": "Faulty", "about": "twice", "does": "repeat"},
        {"kind": "event", "detail_type": "Faulty", "about": "late", "does": "delay", "seconds": 0.3},
    ]
    ask(running, "faults", faults)
    for name in ("lost", "late", "twice", "plain"):
        bus.emit(running.cloud, source="test", detail_type="Faulty", detail={"name": name})

    def names() -> list[str]:
        return [event["detail"]["name"] for event in running.events("test")]

    eventually(lambda: len(names()) == 4)
    assert sorted(names()) == ["late", "plain", "twice", "twice"]
    assert names().index("late") > names().index("plain")


def test_an_endpoint_fails_with_the_reason_that_was_asked_for(running: Running) -> None:
    ask(running, "faults", [{"kind": "endpoint", "about": "unlucky", "reason": "InsufficientInstanceCapacity"}])
    create(running, "unlucky-one", "echo")
    description = settled(running, "unlucky-one")
    assert description["EndpointStatus"] == "Failed"
    assert "InsufficientInstanceCapacity" in description["FailureReason"]


@pytest.mark.parametrize("fault", [{"kind": "weather"}, {"kind": "api", "how": "badly"}])
def test_a_fault_that_is_not_understood_is_refused(running: Running, fault: dict[str, Any]) -> None:
    assert ask(running, "faults", [fault]).status_code == 400


# ---- quotas


def quotas(running: Running, operation: str) -> dict[str, float]:
    pages = running.aws("service-quotas").get_paginator(operation).paginate(ServiceCode="sagemaker")
    return {item["QuotaName"]: item["Value"] for page in pages for item in page["Quotas"]}


def test_a_quota_is_read_in_pages_and_holds(running: Running) -> None:
    assert ask(running, "quotas", {TYPE: 1}).status_code == 204
    applied = quotas(running, "list_service_quotas")
    assert applied[f"{TYPE} for endpoint usage"] == 1
    assert "ml.g5.xlarge for endpoint usage" not in applied
    defaults = quotas(running, "list_aws_default_service_quotas")
    assert defaults[f"{TYPE} for endpoint usage"] == defaults["ml.g5.xlarge for endpoint usage"] == 8
    assert len(defaults) > 100
    create(running, "first", "echo", TYPE)
    with pytest.raises(ClientError, match=r"ResourceLimitExceeded.*'ml.c5.2xlarge for endpoint usage' is 1 Instances"):
        create(running, "second", "echo", TYPE)
    assert settled(running, "first")["EndpointStatus"] == "InService"
    running.aws("sagemaker").delete_endpoint(EndpointName="first")
    running.aws("sagemaker").create_endpoint(EndpointName="second", EndpointConfigName="second")
    assert settled(running, "second")["EndpointStatus"] == "InService"
    running.aws("sagemaker").delete_endpoint(EndpointName="second")


# ---- tags


def test_what_has_a_tag_is_found_by_it(running: Running) -> None:
    create(running, "tagged", "echo")
    found = running.aws("resourcegroupstaggingapi").get_resources(
        TagFilters=[{"Key": "assay:evaluation", "Values": ["e1"]}],
        ResourceTypeFilters=["sagemaker:endpoint", "sagemaker:model"],
    )["ResourceTagMappingList"]
    [item] = [item for item in found if item["ResourceARN"].endswith("endpoint/tagged")]
    assert item["Tags"] == [{"Key": "assay:evaluation", "Value": "e1"}]
    assert not any(":model/" in item["ResourceARN"] for item in found)
