"""The evaluate step keeps to a model's part of the budget, over restarts too."""

from __future__ import annotations

import pytest

from assay.aws import providers
from assay.aws.storage import Storage
from assay.contracts.catalog import Record
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import ModelOutcome
from assay.inference.runner import Answer
from assay.inference.store import read_responses
from assay.pipeline import steps
from tests.unit.evaluation_support import begun

CONFIG = b"""\
pipeline: {name: sums}
dataset: {input_data_location: sums.jsonl}
models:
  - name: m
    provider: plugin
    plugin_config: {name: paid}
    evaluation_config: {inference_parameters: {max_tokens: 10}}
algorithms: [FactualKnowledge]
limits: {concurrency: 4, budget_usd: 1}
pricing: {tokens: {m: {input_usd: 0, output_usd: 1000}}}
"""
PATHS = EvaluationPaths(bucket="drops", suite="sums", evaluation_id="0" * 32)


class Paid:
    """An answer has 10 tokens: a cent."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
        self.asked.append(prompt)
        return Answer("4", 1.0, input_tokens=3, output_tokens=10)


def lay(storage: Storage, allotment: float) -> None:
    records = [Record(id=str(number), model_input=f"{number}+1?", target_output="4") for number in range(20)]
    begun(storage, PATHS, CONFIG, records, allotments={"m": allotment})


def test_asking_stops_at_the_models_part_and_a_restart_has_only_what_is_left(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Paid()
    monkeypatch.setitem(providers.PROVIDERS, "plugin", lambda _section, _connection: model)
    lay(storage, allotment=0.055)
    for _ in range(2):
        evaluated = steps.evaluate(PATHS.root, "m", {"records": 20}, None)
        assert (evaluated["answered"], evaluated["failed"]) == (5, 15)
    assert len(model.asked) == 5
    outcome = ModelOutcome.model_validate_json(storage.read(PATHS.outcome("m")))
    assert outcome.errors == {"BudgetExceeded": 15}
    costs = [response.cost_usd for response in read_responses(storage, PATHS.responses("m"))]
    assert sum(cost for cost in costs if cost is not None) == pytest.approx(0.05)
