"""Which endpoint the deploy step reuses, waits for, creates, or refuses."""

from __future__ import annotations

import pytest

from assay.aws.endpoints import EndpointFailedError
from assay.contracts.config import ModelSection
from assay.pipeline.steps import _identity, _must_create

MINE, OTHER = "0" * 32, "1" * 32


class Found:
    """An endpoint as it is found: whose it is, what it serves, and whether it goes away when one waits."""

    def __init__(
        self, owner: str | None, status: str | None = "InService", served: str = "", goes: bool = True
    ) -> None:
        self.owner, self.state, self.served, self.goes = owner, status, served, goes
        self.released = False

    def status(self, _name: str) -> str | None:
        return self.state

    def owner_evaluation(self, _name: str) -> str | None:
        return self.owner

    def served_model(self, _name: str) -> str:
        return self.served

    def release(self, _name: str, _evaluation_id: str) -> None:
        self.released = True

    def wait_gone(self, _name: str, _seconds: float) -> bool:
        return self.goes


def model(**keys: object) -> ModelSection:
    deployed = {"name": "m", "model_id": "some-model", "deployment_config": {"instance_type": "ml.m5.xlarge"}}
    return ModelSection.model_validate({**deployed, **keys})


def must_create(found: Found, section: ModelSection) -> bool:
    return _must_create(found, "e", section, _identity(section), MINE, 60)


def test_without_an_endpoint_one_is_created() -> None:
    assert must_create(Found(None, status=None), model())


def test_an_endpoint_that_is_not_ours_is_reused() -> None:
    assert not must_create(Found(None), model())


@pytest.mark.parametrize("status", ["InService", "Creating"])
def test_a_step_that_runs_again_takes_its_own_endpoint_up(status: str) -> None:
    assert not must_create(Found(MINE, status=status), model())


def test_a_failed_endpoint_of_the_same_evaluation_is_replaced() -> None:
    found = Found(MINE, status="Failed")
    assert must_create(found, model())
    assert found.released


def test_an_endpoint_of_another_evaluation_is_waited_out() -> None:
    assert must_create(Found(OTHER), model())
    with pytest.raises(EndpointFailedError, match=f"still held by evaluation {OTHER}"):
        must_create(Found(OTHER, goes=False), model())


def test_a_kept_endpoint_is_reused_when_it_serves_the_same_model() -> None:
    kept = model(cleanup_endpoint=False)
    assert not must_create(Found(OTHER, served=_identity(kept), goes=False), kept)


@pytest.mark.parametrize("served", ["", "another-model:latest", "some-model:1.0.0"])
def test_a_kept_endpoint_that_serves_another_model_is_refused_at_once(served: str) -> None:
    with pytest.raises(EndpointFailedError, match="and not some-model:latest"):
        must_create(Found(OTHER, served=served, goes=False), model(cleanup_endpoint=False))
