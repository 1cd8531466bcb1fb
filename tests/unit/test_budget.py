"""What a budget allows to start, and what it leaves for asking each model."""

from __future__ import annotations

import pytest

from assay.contracts.catalog import Record
from assay.contracts.config import SuiteConfig, load_config
from assay.contracts.prices import Prices, TokenPrice
from assay.inference.model import Answer
from assay.pipeline.budget import allotments, judge_allotments, over_budget, tariff_of
from assay.pipeline.estimate import estimate, workload
from assay.pipeline.prediction import Estimate

PRICES = Prices(
    "2026-11",
    "us-east-1",
    "a page",
    {"ml.g5.2xlarge": 1.5, "ml.m5.large": 0.1},
    tokens={"anthropic.some-model": TokenPrice(3.0, 15.0)},
)
CONFIG = """\
pipeline: {name: bot}
dataset: {input_data_location: faq.jsonl}
models:
  - name: ours
    model_id: some-model
    deployment_config: {instance_type: ml.g5.2xlarge, num_instances: 2}
  - name: theirs
    provider: bedrock
    model_id: anthropic.some-model
    evaluation_config: {inference_parameters: {maxTokens: 100}}
  - name: live
    provider: endpoint
    endpoint_name: in-production
algorithms: [FactualKnowledge]
limits: {budget_usd: 100}
"""
HUNDRED = [Record(id=str(number), model_input="x" * 400, target_output="y") for number in range(100)]


def config(text: str = CONFIG) -> SuiteConfig:
    return load_config(text.encode(), "configs/bot.yaml")


def predicted(text: str = CONFIG) -> Estimate:
    suite = config(text)
    return estimate(suite, workload(suite, HUNDRED), PRICES, step_instance_type="ml.m5.large")


def test_tokens_are_part_of_what_an_evaluation_costs() -> None:
    prediction = predicted()
    [tokens] = prediction.token_costs
    assert (tokens.model, tokens.input_tokens, tokens.output_tokens_at_most) == ("theirs", 10_000, 10_000)
    assert tokens.usd == pytest.approx(0.03 + 0.15)
    assert prediction.usd == pytest.approx(sum(cost.usd or 0 for cost in prediction.costs) + 0.18)


def test_what_keeps_its_budget_may_start_and_what_has_none_may_too() -> None:
    assert over_budget(predicted()) is None
    assert over_budget(predicted(CONFIG.replace("limits: {budget_usd: 100}", ""))) is None


def test_what_would_cost_more_may_not() -> None:
    fault = over_budget(predicted(CONFIG.replace("100}\n", "0.5}\n")))
    assert fault is not None
    assert fault.key == "limits.budget_usd"
    assert "the budget is 0.5 USD" in fault.message


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("ml.g5.2xlarge", "ml.g6.xlarge", "there is none of ml.g6.xlarge"),
        ("model_id: anthropic.some-model", "model_id: other.model", "there is none of the tokens of theirs"),
        ("{inference_parameters: {maxTokens: 100}}", "{}", "how long an answer may be: set 'max_tokens'"),
    ],
)
def test_what_cannot_be_held_to_a_budget_may_not_start_with_one(old: str, new: str, words: str) -> None:
    fault = over_budget(predicted(CONFIG.replace(old, new)))
    assert fault is not None
    assert words in fault.message


def test_prices_of_the_config_count() -> None:
    text = CONFIG.replace("model_id: anthropic.some-model", "model_id: other.model")
    text += "pricing: {tokens: {theirs: {input_usd: 1.0, output_usd: 2.0}}}\n"
    assert over_budget(predicted(text)) is None
    tariff = tariff_of(config(text), config(text).model("theirs"), PRICES)
    assert tariff is not None
    assert tariff.usd(Answer("", 1.0, input_tokens=1_000_000, output_tokens=1_000_000)) == 3.0


def test_the_parts_of_the_models_are_as_their_predicted_costs_and_less_than_the_budget() -> None:
    prediction = predicted()
    found = allotments(config(), prediction)
    assert found.keys() == {"ours", "theirs"}
    assert found["theirs"] == pytest.approx(0.18 * 100 / prediction.known_usd)
    assert sum(found.values()) < 100
    assert allotments(config(CONFIG.replace("limits: {budget_usd: 100}", "")), prediction) == {}


def test_a_tariff_knows_hours_tokens_and_the_longest_answer() -> None:
    ours, theirs, live = (tariff_of(config(), config().model(name), PRICES) for name in ("ours", "theirs", "live"))
    assert ours is not None
    assert (ours.hourly_usd, ours.input_usd) == (3.0, 0.0)
    assert theirs is not None
    assert (theirs.hourly_usd, theirs.input_usd, theirs.output_usd, theirs.longest_output) == (0.0, 3.0, 15.0, 100)
    assert theirs.worst_usd("x") >= (1 * 3.0 + 100 * 15.0) / 1e6
    assert live is None


JUDGED = """\
pipeline: {name: bot}
dataset: {input_data_location: faq.jsonl}
models:
  - name: ours
    provider: bedrock
    model_id: anthropic.some-model
    evaluation_config: {inference_parameters: {maxTokens: 100}}
  - {name: old, provider: responses, response_key: old}
algorithms: [Judge, {algorithm: JudgePreference, parameters: {rival: old}}]
judge:
  provider: bedrock
  model_id: anthropic.some-model
  rubric: "5: right. 1: wrong."
  evaluation_config: {inference_parameters: {maxTokens: 50}}
limits: {budget_usd: 100}
"""


def test_a_judge_is_part_of_what_an_evaluation_costs() -> None:
    prediction = predicted(JUDGED)
    ours, old = prediction.judgings
    assert (ours.model, ours.calls, ours.output_tokens_at_most) == ("ours", 3 * 100, 3 * 100 * 50)
    assert (old.model, old.calls, old.output_tokens_at_most) == ("old", 100, 100 * 50)
    # 100 records of 400 characters, and an answer of 100 tokens each time: at least that much is told.
    assert 3 * 100 * (400 / 4 + 100) < ours.input_tokens < 3 * 100 * (2000 / 4 + 100)
    assert old.input_tokens < ours.input_tokens / 3 - 100 * 100 + 1
    _, cost = prediction.token_costs
    assert (cost.model, cost.input_tokens) == ("judge", ours.input_tokens + old.input_tokens)
    assert cost.usd == pytest.approx((cost.input_tokens * 3 + 4 * 100 * 50 * 15) / 1e6)
    judging = {step.name: step for step in prediction.steps if step.kind == "judge"}
    assert judging["judge-ours"].after == ("evaluate-ours", "evaluate-old")
    assert judging["judge-old"].after == ("evaluate-old",)
    assert any("the judge takes" in told for told in prediction.assumptions)


def test_the_judges_parts_are_as_their_predicted_costs() -> None:
    prediction = predicted(JUDGED)
    assert over_budget(prediction) is None
    parts = judge_allotments(config(JUDGED), prediction)
    assert parts.keys() == {"ours", "old"}
    everything = sum(parts.values()) + sum(allotments(config(JUDGED), prediction).values())
    cost = sum(item.usd or 0 for item in prediction.token_costs)
    assert everything == pytest.approx(cost * 100 / prediction.known_usd)
    assert judge_allotments(config(), predicted()) == {}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("maxTokens: 50", "temperature: 0", "how long an answer may be: set 'max_tokens' or its like of the section"),
        ("  model_id: anthropic.some-model\n  rubric", "  model_id: other\n  rubric", "none of the tokens of judge"),
    ],
)
def test_a_judge_that_cannot_be_held_to_a_budget_may_not_be_asked_with_one(old: str, new: str, words: str) -> None:
    fault = over_budget(predicted(JUDGED.replace(old, new)))
    assert fault is not None
    assert words in fault.message


def test_a_judge_that_is_there_anyway_costs_nothing_but_what_the_config_says() -> None:
    text = JUDGED.replace(
        "  provider: bedrock\n  model_id: anthropic.some-model\n  rubric", "  endpoint_name: e\n  rubric"
    )
    assert [cost.model for cost in predicted(text).token_costs] == ["ours"]
    text += "pricing: {tokens: {judge: {input_usd: 1.0, output_usd: 2.0}}}\n"
    assert [cost.model for cost in predicted(text).token_costs] == ["ours", "judge"]
