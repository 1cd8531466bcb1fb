"""The evaluate step asks an asynchronous endpoint through its queue, and its outcome says so."""

from __future__ import annotations

import json

import pytest

from assay.aws import providers
from assay.aws.providers import Connection
from assay.aws.storage import Storage
from assay.contracts.catalog import Record
from assay.contracts.config import ModelSection
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import ModelOutcome
from assay.inference.runner import Answer
from assay.pipeline import step_results, steps
from tests.unit.evaluation_support import CONFIG, begun

PATHS = EvaluationPaths(bucket="drops", suite="sums", evaluation_id="0" * 32)


class Untimed:
    """A model whose service does not say how long it took."""

    def __init__(self) -> None:
        self.queues: list[str | None] = []

    def connect(self, _section: ModelSection, connection: Connection) -> Untimed:
        self.queues.append(connection.asynchronous_uri)
        return self

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
        return Answer(prompt, None)


@pytest.mark.parametrize("asynchronous", [True, False])
def test_an_outcome_says_whether_the_answers_came_through_a_queue(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, asynchronous: bool
) -> None:
    model = Untimed()
    monkeypatch.setitem(providers.PROVIDERS, "endpoint", model.connect)
    begun(storage, PATHS, CONFIG.encode(), [Record(id="r", model_input="1+1?", target_output="2")])
    deployed: step_results.Deployed = {
        "endpoint_name": "e",
        "instance_type": "ml.m5.xlarge",
        "model_version": None,
        "created": False,
        "asynchronous": asynchronous,
        "training": None,
        "failure": None,
    }
    steps.evaluate(PATHS.root, "new", {"records": 1}, deployed)
    assert model.queues == [PATHS.uri(PATHS.asynchronous) if asynchronous else None]
    outcome = ModelOutcome.model_validate_json(storage.read(PATHS.outcome("new")))
    assert (outcome.asynchronous, outcome.answered, outcome.latency) == (asynchronous, 1, None)


def test_an_outcome_of_before_it_was_told_is_still_read() -> None:
    assert not ModelOutcome.model_validate_json(json.dumps({"model": "m", "status": "evaluated"})).asynchronous
