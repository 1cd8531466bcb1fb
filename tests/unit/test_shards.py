"""`limits.shards`: parallel steps ask a model, each about a part of the catalog, and one step scores what they kept."""

from __future__ import annotations

import threading
from collections import Counter

import boto3
import pytest

from assay.aws import providers
from assay.aws.providers import Connection
from assay.aws.storage import Storage
from assay.contracts.catalog import Record
from assay.contracts.config import ModelSection, SuiteConfig, load_config
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import ModelOutcome
from assay.inference.errors import ModelAnswerError
from assay.inference.runner import Answer
from assay.inference.store import read_responses
from assay.pipeline import step_results, steps
from assay.pipeline.plan import PREPROCESS, dependencies
from tests.unit.evaluation_support import begun

CONFIG = b"""\
pipeline: {name: sums}
dataset: {input_data_location: sums.jsonl}
models:
  - {name: m, provider: plugin, plugin_config: {name: x}}
  - {name: old, provider: responses, response_key: old}
  - {name: served, provider: endpoint, endpoint_name: e}
algorithms: [FactualKnowledge]
limits: {concurrency: 8, shards: 3}
"""
PATHS = EvaluationPaths(bucket="drops", suite="sums", evaluation_id="0" * 32)
RECORDS = 50


class Recorded:
    """A model that refuses every seventh record, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.connections: list[int] = []
        self._lock = threading.Lock()

    def connect(self, _section: ModelSection, connection: Connection) -> Recorded:
        self.connections.append(connection.connections)
        return self

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
        with self._lock:
            self.asked[prompt] += 1
        if int(prompt) % 7 == 0:
            raise ModelAnswerError("refused")
        return Answer(f"It is {prompt}.", 1.0)


@pytest.fixture
def storage(storage: Storage) -> Storage:
    """With an evaluation in it that is about to begin."""
    records = [Record(id=f"r{n}", model_input=str(n), target_output=str(n)) for n in range(RECORDS)]
    begun(storage, PATHS, CONFIG, records)
    return storage


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    model = Recorded()
    monkeypatch.setitem(providers.PROVIDERS, "plugin", model.connect)
    return model


def config() -> SuiteConfig:
    return load_config(CONFIG, "configs/sums.yaml")


def test_each_part_has_a_step_and_scoring_waits_for_all_of_them() -> None:
    waits = dependencies(config())
    asking = tuple(f"ask-m-{number}-of-3" for number in (1, 2, 3))
    assert [waits[name] for name in asking] == [(PREPROCESS,)] * 3
    assert waits["evaluate-m"] == (*asking, PREPROCESS)
    assert waits["evaluate-old"] == (PREPROCESS,)
    assert waits["ask-served-2-of-3"] == ("deploy-e", PREPROCESS)
    assert waits["cleanup-e"] == ("evaluate-served",)


def test_parts_are_asked_once_each_with_their_part_of_the_concurrency(storage: Storage, model: Recorded) -> None:
    asked = [steps.ask(PATHS.root, "m", shard, 3, {"records": RECORDS}, None) for shard in range(3)]
    assert model.connections == [3, 3, 3]
    assert model.asked == Counter({str(n): 1 for n in range(RECORDS)})
    evaluated = steps.evaluate(PATHS.root, "m", {"records": RECORDS}, None, *asked)
    assert (evaluated["answered"], evaluated["failed"]) == (42, 8)
    assert model.asked == Counter({str(n): 1 for n in range(RECORDS)})
    assert len(list(read_responses(storage, PATHS.responses("m")))) == RECORDS
    outcome = ModelOutcome.model_validate_json(storage.read(PATHS.outcome("m")))
    assert outcome.wall_seconds is not None
    assert outcome.wall_seconds >= max(item["wall_seconds"] or 0.0 for item in asked)


def test_scores_are_those_of_one_step(storage: Storage, model: Recorded) -> None:
    steps.evaluate(PATHS.root, "m", {"records": RECORDS}, None)
    [key] = storage.keys(PATHS.scores("m"))
    whole = storage.read(key)
    for part in storage.keys(PATHS.responses("m")):
        boto3.client("s3").delete_object(Bucket="drops", Key=part)
    asked = [steps.ask(PATHS.root, "m", shard, 3, {"records": RECORDS}, None) for shard in (2, 0, 1)]
    steps.evaluate(PATHS.root, "m", {"records": RECORDS}, None, *asked)
    assert storage.read(key) == whole


def test_a_part_that_is_asked_again_leaves_its_answers_alone(storage: Storage, model: Recorded) -> None:
    for _ in range(2):
        steps.ask(PATHS.root, "m", 1, 3, {"records": RECORDS}, None)
    assert {prompt: count for prompt, count in model.asked.items() if count > 1} == {"21": 2, "28": 2}


def test_what_a_part_left_without_a_response_is_asked_before_scoring(storage: Storage, model: Recorded) -> None:
    asked = [steps.ask(PATHS.root, "m", shard, 3, {"records": RECORDS}, None) for shard in (0, 2)]
    missing: step_results.Asked = {"shard": 1, "wall_seconds": None}
    evaluated = steps.evaluate(PATHS.root, "m", {"records": RECORDS}, None, asked[0], missing, asked[1])
    assert (evaluated["answered"], evaluated["failed"]) == (42, 8)
    assert set(model.asked.values()) == {1}


def test_a_part_of_a_model_that_was_not_deployed_asks_nobody(storage: Storage, model: Recorded) -> None:
    failed: step_results.Deployed = {
        "endpoint_name": "e",
        "instance_type": None,
        "model_version": None,
        "created": False,
        "training": None,
        "failure": {"kind": "EndpointFailed", "reason": "no capacity"},
    }
    assert steps.ask(PATHS.root, "m", 0, 3, {"records": RECORDS}, failed) == {"shard": 0, "wall_seconds": None}
    assert model.asked == {}
