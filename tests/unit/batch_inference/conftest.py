"""A wire of its own for the tests of batch inference, empty before each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from assay.inference import batch
from tests.unit.provider_contract import wire as wires
from tests.unit.provider_contract.wire import Wire


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    with pytest.MonkeyPatch.context() as patch, wires.wire(tmp_path_factory.mktemp("home")) as running:
        for name, value in running.cloud.settings.client_environment().items():
            patch.setenv(name, value)
        yield running


@pytest.fixture(autouse=True)
def _nothing_is_left(running: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    running.faults.clear()
    running.requests.clear()
    running.model.prompts.clear()
    running.buckets.objects.clear()
    running.forget_jobs()
    monkeypatch.setattr(batch, "POLL_SECONDS", (0.02, 0.02))
