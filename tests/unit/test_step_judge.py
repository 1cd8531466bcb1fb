"""The judge step: after the models' own, within its part of the budget, with scores beside theirs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from assay.aws import providers
from assay.aws.evaluation_files import EvaluationFiles
from assay.aws.storage import Storage
from assay.contracts.catalog import Record
from assay.contracts.config import load_config
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import ModelOutcome
from assay.inference.runner import Answer
from assay.pipeline import steps
from assay.scoring.score_files import ScoreColumn
from tests.unit.evaluation_support import begun

CONFIG = b"""\
pipeline: {name: sums}
dataset: {input_data_location: sums.jsonl}
models:
  - {name: wordy, provider: plugin, plugin_config: {name: any}}
  - {name: curt, provider: plugin, plugin_config: {name: any}}
algorithms: [FactualKnowledge, Judge, {algorithm: JudgePreference, parameters: {rival: curt}}]
judge:
  provider: plugin
  plugin_config: {name: any}
  concurrency: 1
  evaluation_config: {inference_parameters: {max_tokens: 10}}
pricing: {tokens: {judge: {input_usd: 0, output_usd: 1000}}}
"""
PATHS = EvaluationPaths(bucket="drops", suite="sums", evaluation_id="0" * 32)
RECORDS = [Record(id=str(number), model_input=f"{number}+1?", target_output=f"{number + 1}") for number in range(6)]


class Answering:
    def __init__(self, text: str) -> None:
        self.text = text

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
        return Answer(f"{self.text}{int(prompt.split('+', maxsplit=1)[0]) + 1}", 1.0)


class Judge:
    """Likes what is long; a judgement has 10 tokens, a cent."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
        self.asked.append(prompt)
        material = json.loads(prompt[prompt.index("{") : prompt.index("\n}") + 2])
        if "answer" in material:
            reply: dict[str, Any] = {"score": 5}
        else:
            reply = {"better": max("AB", key=lambda which: len(material[f"answer_{which.lower()}"]))}
        return Answer(json.dumps(reply), 1.0, input_tokens=100, output_tokens=10)


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Judge:
    found = Judge()
    there = {"wordy": Answering("it is, of course, "), "curt": Answering(""), "judge": found}
    monkeypatch.setitem(providers.PROVIDERS, "plugin", lambda section, _connection: there[section.name])
    return found


def begin(storage: Storage, *evaluated: str, **allotments: float) -> None:
    begun(storage, PATHS, CONFIG, RECORDS, judge_allotments=allotments)
    for model in evaluated:
        assert steps.evaluate(PATHS.root, model, {"records": 6}, None)["answered"] == 6


def outcome(storage: Storage, model: str) -> ModelOutcome:
    return ModelOutcome.model_validate_json(storage.read(PATHS.outcome(model)))


def column(storage: Storage, model: str, algorithm: str, score: str) -> ScoreColumn:
    found = EvaluationFiles(PATHS, storage).scores(load_config(CONFIG, ""))[model].column(algorithm, score)
    assert found is not None
    return found


def test_two_models_that_are_asked_are_compared_and_the_scores_stand_beside_the_others(
    storage: Storage, judge: Judge
) -> None:
    begin(storage, "wordy", "curt")
    assert judge.asked == []
    assert outcome(storage, "wordy").judge is None
    assert steps.judge(PATHS.root, "wordy") == {"model": "wordy", "asked": 6 + 12, "failed": 0}
    assert steps.judge(PATHS.root, "curt") == {"model": "curt", "asked": 6, "failed": 0}
    for model, preference in (("wordy", 1.0), ("curt", 0.5)):
        assert column(storage, model, "FactualKnowledge", "factual_knowledge").values.tolist() == [1.0] * 6
        assert column(storage, model, "Judge", "judge_score").values.tolist() == [1.0] * 6
        assert column(storage, model, "JudgePreference", "preference").values.tolist() == [preference] * 6
    found = outcome(storage, "wordy")
    assert found.answered == 6
    assert [score.score for score in found.dataset_scores] == ["disagreement_rate"]
    assert found.judge is not None
    assert found.judge.cost_usd == pytest.approx(0.18)


def test_a_restarted_step_asks_nothing_again_and_says_the_same(storage: Storage, judge: Judge) -> None:
    begin(storage, "wordy", "curt")
    steps.judge(PATHS.root, "wordy")
    before = outcome(storage, "wordy")
    steps.judge(PATHS.root, "wordy")
    assert len(judge.asked) == 18
    assert outcome(storage, "wordy") == before


def test_the_judge_stops_at_its_part_of_the_budget_and_a_restart_has_only_what_is_left(
    storage: Storage, judge: Judge
) -> None:
    begin(storage, "wordy", "curt", wordy=0.095, curt=0.5)
    for _ in range(2):
        # A judgement may take three replies, so it is asked for while three cents are left.
        assert steps.judge(PATHS.root, "wordy") == {"model": "wordy", "asked": 18, "failed": 11}
        assert len(judge.asked) == 7
    use = outcome(storage, "wordy").judge
    assert use is not None
    assert use.cost_usd == pytest.approx(0.07)
    assert column(storage, "wordy", "Judge", "judge_score").failed == 0
    assert column(storage, "wordy", "JudgePreference", "preference").failed == 6


def test_a_model_that_could_not_be_asked_is_left_as_it_is(storage: Storage, judge: Judge) -> None:
    begin(storage)
    failure = {"kind": "EndpointFailed", "reason": "no capacity"}
    lost = ModelOutcome.model_validate({"model": "wordy", "status": "failed", "records": 6, "failure": failure})
    storage.write(PATHS.outcome("wordy"), lost.model_dump_json().encode())
    assert steps.judge(PATHS.root, "wordy") == {"model": "wordy", "asked": 0, "failed": 0}
    assert outcome(storage, "wordy") == lost
    assert judge.asked == []


def test_answers_are_not_compared_with_a_rivals_that_are_not_there(storage: Storage, judge: Judge) -> None:
    begin(storage, "wordy")
    assert steps.judge(PATHS.root, "wordy") == {"model": "wordy", "asked": 6, "failed": 0}
    assert column(storage, "wordy", "JudgePreference", "preference").failed == 6
