"""Which endpoint the deploy step reuses, waits for, creates, or refuses; and who of several users deletes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from assay.aws.endpoint_users import EndpointUsers
from assay.contracts.config import ModelSection
from assay.contracts.serving import Serving
from assay.pipeline.endpoint_lifecycle import identity_of
from assay.pipeline.sharing import EndpointRefusedError, is_shared, must_create, release_shared
from tests.unit.test_reconcile import Sharing

MINE, OTHER, THIRD = "0" * 32, "1" * 32, "2" * 32
NAME = "shared"
SERVING = Serving("InService", OTHER, "some-model:latest", "ml.m5.xlarge", 1)


def model(**keys: object) -> ModelSection:
    deployed = {"name": "m", "model_id": "some-model", "deployment_config": {"instance_type": "ml.m5.xlarge"}}
    return ModelSection.model_validate({**deployed, "endpoint_name": NAME, **keys})


class Account:
    """One endpoint; after some looks it changes to what comes next."""

    def __init__(self, *found: Serving | None) -> None:
        self.found = list(found) or [None]
        self.released: list[str] = []
        self.now = 0.0

    def look(self, _name: str) -> Serving | None:
        return self.found.pop(0) if len(self.found) > 1 else self.found[0]

    def release(self, name: str, evaluation_id: str) -> str:
        self.released.append(evaluation_id)
        return name

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(params=["in memory", "in the table"])
def users(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The same contract for what tests use and what runs."""
    if request.param == "in memory":
        yield Sharing()
        return
    for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x", "DEFAULT_REGION": "eu-west-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with mock_aws():
        boto3.client("dynamodb").create_table(
            TableName="evaluations",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        )
        yield EndpointUsers("evaluations")


def creates(account: Account, users: Any, section: ModelSection | None = None, evaluation_id: str = MINE) -> bool:
    wanted = section or model()
    return must_create(
        account,
        users,
        NAME,
        wanted,
        identity_of(wanted),
        evaluation_id,
        60,
        sleep=account.sleep,
        clock=lambda: account.now,
    )


def test_only_an_endpoint_with_a_name_of_its_own_is_shared() -> None:
    assert is_shared(model())
    assert not is_shared(model(endpoint_name=None))


def test_without_an_endpoint_one_is_created(users: Any) -> None:
    assert creates(Account(), users)


def test_of_two_evaluations_that_want_it_at_once_one_creates_it_and_the_other_waits_for_it(users: Any) -> None:
    assert creates(Account(), users)
    assert not creates(Account(None, None, replace(SERVING, evaluation_id=MINE)), users, evaluation_id=OTHER)


def test_when_the_one_that_creates_it_gives_up_the_other_creates_it(users: Any) -> None:
    assert creates(Account(), users)
    account = Account()
    with pytest.raises(EndpointRefusedError, match="was not free after 60 s"):
        creates(account, users, evaluation_id=OTHER)
    assert not users.leave(NAME, MINE)
    assert creates(Account(), users, evaluation_id=OTHER)


@pytest.mark.parametrize("evaluation_id", [None, OTHER])
def test_an_endpoint_that_serves_what_is_wanted_is_reused_whosever_it_is(users: Any, evaluation_id: str | None) -> None:
    assert not creates(Account(replace(SERVING, evaluation_id=evaluation_id)), users)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": "another:latest"}, "serves another:latest and not some-model:latest"),
        ({"model": "some-model:latest:a-training-job"}, "serves some-model:latest:a-training-job"),
        ({"model": ""}, "does not say which model it serves"),
        ({"instance_type": "ml.g5.xlarge"}, "runs on ml.g5.xlarge and not on ml.m5.xlarge"),
        ({"instances": 2}, "has 2 instances and not 1"),
        ({"asynchronous": True}, "is asynchronous"),
        ({"status": "Failed"}, "is Failed"),
        ({"evaluation_id": None, "model": "another:1.0.0"}, "is not ours and serves another:1.0.0"),
    ],
)
def test_an_endpoint_that_clashes_is_refused_with_the_reason(users: Any, change: dict[str, Any], reason: str) -> None:
    with pytest.raises(EndpointRefusedError, match=reason):
        creates(Account(replace(SERVING, **change)), users)


@pytest.mark.parametrize(
    ("served", "wanted", "fits"), [("1.2.0", "*", True), ("1.2.0", "1.*", True), ("1.2.0", "2.*", False)]
)
def test_a_version_that_was_resolved_is_what_a_pattern_wanted(users: Any, served: str, wanted: str, fits: bool) -> None:
    account = Account(replace(SERVING, model=f"some-model:{served}"))
    if fits:
        assert not creates(account, users, model(model_version=wanted))
    else:
        with pytest.raises(EndpointRefusedError, match=r"serves some-model:1\.2\.0"):
            creates(account, users, model(model_version=wanted))


@pytest.mark.parametrize("status", ["InService", "Creating"])
def test_a_step_that_runs_again_takes_its_own_endpoint_up(users: Any, status: str) -> None:
    assert not creates(Account(replace(SERVING, status=status, evaluation_id=MINE)), users)


def test_a_failed_endpoint_of_the_same_evaluation_is_replaced(users: Any) -> None:
    account = Account(replace(SERVING, status="Failed", evaluation_id=MINE))
    assert creates(account, users)
    assert account.released == [MINE]


def test_what_is_being_deleted_is_waited_out_and_created_anew(users: Any) -> None:
    users.join(NAME, OTHER)
    assert users.leave(NAME, OTHER)
    account = Account(replace(SERVING, status="Deleting"), replace(SERVING, status="Deleting"), None)
    assert creates(account, users)
    assert account.now > 0


def test_only_the_last_user_deletes_and_whoever_comes_later_begins_anew(users: Any) -> None:
    account = Account(replace(SERVING, evaluation_id=MINE))
    for evaluation_id in (MINE, OTHER, THIRD):
        assert users.join(NAME, evaluation_id)
    assert release_shared(account, users, NAME, MINE) is None
    assert release_shared(account, users, NAME, OTHER) is None
    assert account.released == []
    assert release_shared(account, users, NAME, THIRD) == NAME
    assert account.released == [MINE]  # by the tag of the one that created it
    assert users.of(NAME) is None
    assert users.join(NAME, MINE)


def test_names_that_differ_by_case_are_one_endpoint(users: Any) -> None:
    assert users.join("Support-Bot", MINE)
    assert users.create("Support-Bot", MINE)
    assert not users.create("support-bot", OTHER)
    assert users.of("support-bot") == {MINE}
    assert users.leave("support-bot", MINE)
    assert not users.join("Support-Bot", OTHER)
    users.forget("support-bot")
    assert users.of("Support-Bot") is None


def test_leaving_twice_is_no_fault(users: Any) -> None:
    users.join(NAME, MINE)
    users.join(NAME, OTHER)
    assert not users.leave(NAME, MINE)
    assert not users.leave(NAME, MINE)
    assert users.of(NAME) == {OTHER}
