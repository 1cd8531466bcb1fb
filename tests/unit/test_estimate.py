"""What is predicted of an evaluation, and that nothing unknown is taken for nothing."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

import pytest

from assay.contracts.catalog import Record
from assay.contracts.config import SuiteConfig, load_config
from assay.contracts.errors import RejectedError
from assay.contracts.prices import Prices, bundled_prices, load_prices
from assay.pipeline.estimate import estimate, workload
from assay.pipeline.prediction import Assumptions, Estimate, Measured, PredictedStep

PRICES = Prices("2026-11", "us-east-1", "a page", {"ml.g5.2xlarge": 1.5, "ml.m5.large": 0.1})
CONFIG = """\
pipeline: {name: bot}
dataset: {input_data_location: faq.jsonl}
models:
  - name: plain
    model_id: some-model
    endpoint_name: shared
    deployment_config: {instance_type: ml.g5.2xlarge, num_instances: 2}
    evaluation_config: {inference_parameters: {max_new_tokens: 20}}
  - name: wordy
    model_id: some-model
    endpoint_name: shared
    deployment_config: {instance_type: ml.g5.2xlarge, num_instances: 2}
    evaluation_config: {prompt_template: "Answer: $model_input"}
  - name: live
    provider: endpoint
    endpoint_name: in-production
algorithms: [FactualKnowledge]
limits: {concurrency: 4}
"""
TUNED = CONFIG.replace(
    "algorithms:",
    """\
  - name: tuned
    model_id: some-model
    deployment_config: {instance_type: ml.g5.2xlarge}
    finetuning_config:
      train_data_path: train/
      parameters: {instance_type: ml.g5.2xlarge, num_instances: 4, epoch: 1}
algorithms:""",
)
GIVEN_ANSWERS = CONFIG.replace(
    "algorithms:", "  - {name: last-year, provider: responses, response_key: old}\nalgorithms:"
)
TEN = [Record(id=str(number), model_input="twelve chars", target_output="x") for number in range(10)]
GIVEN = Assumptions(
    job_start_seconds=100,
    preprocess_seconds=10,
    cleanup_seconds=20,
    finetune_seconds=1000,
    deploy_seconds=400,
    existing_seconds=3,
    latency_seconds=2,
    scoring_seconds=0.1,
    output_tokens=256,
    characters_per_token=4,
)


def config(text: str = CONFIG) -> SuiteConfig:
    return load_config(text.encode(), "configs/bot.yaml")


def predicted(
    text: str = CONFIG, *, prices: Prices = PRICES, measured: Mapping[str, Measured] | None = None
) -> Estimate:
    suite = config(text)
    return estimate(
        suite,
        workload(suite, TEN),
        prices,
        step_instance_type="ml.m5.large",
        measured=measured,
        assumptions=GIVEN,
    )


def steps(prediction: Estimate) -> dict[str, PredictedStep]:
    return {step.name: step for step in prediction.steps}


def test_each_record_is_one_call_to_each_model() -> None:
    assert [(model.name, model.calls) for model in predicted().models] == [("plain", 10), ("wordy", 10), ("live", 10)]


def test_robustness_asks_about_each_record_again_and_costs_as_much_more() -> None:
    robust = """algorithms:
  - {algorithm: QAAccuracySemanticRobustness, parameters: {num_perturbations: 3}}
  - {algorithm: GeneralSemanticRobustness, parameters: {num_perturbations: 3, num_baseline_samples: 4}}
"""
    plain, again = predicted(), predicted(re.sub(r"algorithms:.*\n(  - .*\n)*", robust, CONFIG))
    for before, after in zip(plain.models, again.models, strict=True):
        # Both algorithms share the perturbed inputs; three repetitions are asked of a model that changes its mind.
        assert after.calls == before.calls * (1 + 3 + 3)
        assert after.output_tokens_at_most == before.output_tokens_at_most * 7
        assert after.input_tokens > before.input_tokens * 6


def test_input_tokens_are_those_of_the_rendered_prompts() -> None:
    tokens = {model.name: model.input_tokens for model in predicted().models}
    assert tokens == {"plain": 30, "wordy": 50, "live": 30}  # 12 and 20 characters, ten times, by four


def test_output_tokens_are_bounded_by_the_config_or_else_by_what_is_told() -> None:
    prediction = predicted()
    assert [(model.output_tokens_at_most, model.output_limit_from) for model in prediction.models] == [
        (200, "config"),
        (2560, "assumption"),
        (2560, "assumption"),
    ]
    assert any("256 tokens" in sentence and "wordy, live" in sentence for sentence in prediction.assumptions)


@pytest.mark.parametrize("value", ["0", "true", "many", "-3"])
def test_a_maximum_that_is_no_number_of_tokens_is_not_believed(value: str) -> None:
    text = CONFIG.replace("max_new_tokens: 20", f"max_new_tokens: {value}")
    assert predicted(text).models[0].output_limit_from == "assumption"


def test_models_that_name_one_endpoint_share_it_and_its_lane() -> None:
    first, second = predicted().endpoints
    assert (first.name, first.models, first.lane) == ("shared", ("plain", "wordy"), 1)
    assert (second.name, second.models, second.lane) == ("in-production", ("live",), None)


def test_steps_depend_on_each_other_as_the_pipeline_s_do() -> None:
    after = {name: step.after for name, step in steps(predicted()).items()}
    assert after == {
        "preprocess": (),
        "deploy-shared": ("preprocess",),
        "evaluate-plain": ("deploy-shared", "preprocess"),
        "evaluate-wordy": ("deploy-shared", "preprocess"),
        "cleanup-shared": ("evaluate-plain", "evaluate-wordy"),
        "deploy-in-production": ("preprocess",),
        "evaluate-live": ("deploy-in-production", "preprocess"),
        "cleanup-in-production": ("evaluate-live",),
    }


def test_calls_go_in_rounds_of_the_concurrency_and_are_scored_one_by_one() -> None:
    # a job's start, three rounds of at most four calls, ten responses to score
    assert steps(predicted())["evaluate-plain"].seconds == pytest.approx(100 + 3 * 2 + 10 * 0.1)


def test_time_is_that_of_the_longest_chain_of_steps() -> None:
    assert predicted().seconds == pytest.approx(110 + 500 + 107 + 120)


def test_a_step_begins_when_the_last_that_it_waits_for_has_ended() -> None:
    prediction = steps(predicted(measured={"wordy": Measured(20.0, "abc", "AWS")}))
    assert prediction["cleanup-shared"].begins == prediction["evaluate-wordy"].ends
    assert prediction["evaluate-wordy"].ends > prediction["evaluate-plain"].ends


def test_a_measured_latency_takes_the_place_of_the_assumed_one_and_is_told() -> None:
    prediction = predicted(measured={"plain": Measured(0.5, "0123abcd", "the local cloud")})
    plain, wordy, _ = prediction.models
    assert (plain.latency_seconds, plain.latency_from) == (0.5, "0123abcd")
    assert (wordy.latency_seconds, wordy.latency_from) == (2, "assumption")
    assert any("measured in the local cloud, 0123abcd: plain" in sentence for sentence in prediction.assumptions)
    assert any("not measured yet: wordy, live" in sentence for sentence in prediction.assumptions)


def test_an_endpoint_costs_each_instance_from_deploy_to_cleanup() -> None:
    endpoint, jobs = predicted().costs
    assert endpoint.usd == pytest.approx((500 + 107 + 120) / 3600 * 1.5 * 2)
    total = sum(step.seconds for step in predicted().steps)
    assert jobs.usd == pytest.approx(total / 3600 * 0.1)


def test_an_endpoint_that_exists_already_costs_this_evaluation_nothing_and_waits_for_nothing() -> None:
    prediction = predicted()
    assert prediction.endpoints[1].instance_type is None
    assert [cost.what for cost in prediction.costs] == ["endpoint shared", "steps"]
    assert steps(prediction)["deploy-in-production"].seconds == 103


def test_an_unknown_instance_type_makes_the_cost_unknown_and_not_nothing() -> None:
    prediction = predicted(CONFIG.replace("ml.g5.2xlarge", "ml.x9.huge"))
    assert prediction.costs[0].usd is None
    assert prediction.usd is None
    assert prediction.unpriced == ("ml.x9.huge",)
    assert prediction.known_usd == prediction.costs[1].usd


def test_a_kept_endpoint_is_marked_as_kept() -> None:
    text = CONFIG.replace("endpoint_name: shared\n", "endpoint_name: shared\n    cleanup_endpoint: false\n")
    assert [endpoint.kept for endpoint in predicted(text).endpoints] == [True, False]


def test_a_model_that_is_tuned_waits_for_its_training_job_and_pays_for_its_instances() -> None:
    prediction = predicted(TUNED)
    named = steps(prediction)
    assert named["deploy-tuned"].begins == named["finetune-tuned"].ends
    assert named["finetune-tuned"].seconds == 100 + 1000
    [cost] = [cost for cost in prediction.costs if cost.what == "finetune-tuned"]
    assert cost.usd == pytest.approx(1100 / 3600 * 1.5 * 4)


def test_the_time_of_training_is_that_of_the_suites_last_evaluation_where_it_trained() -> None:
    prediction = predicted(TUNED, measured={"tuned": Measured(2.0, "0123abcd", "AWS", training_seconds=77)})
    assert steps(prediction)["finetune-tuned"].seconds == 100 + 77
    assert "fine-tuning takes 77 s of its instances, measured in AWS, 0123abcd: tuned" in prediction.assumptions
    assert not any("not measured yet" in told and "fine-tuning" in told for told in prediction.assumptions)
    untrained = predicted(TUNED, measured={"tuned": Measured(2.0, "0123abcd", "AWS")})
    assert steps(untrained)["finetune-tuned"].seconds == 100 + 1000


def test_the_time_of_training_is_known_where_no_latency_is() -> None:
    queued = {"tuned": Measured(None, "0123abcd", "AWS", training_seconds=77)}
    prediction = predicted(TUNED, measured=queued)
    assert steps(prediction)["finetune-tuned"].seconds == 100 + 77
    tuned = next(model for model in prediction.models if model.name == "tuned")
    assert (tuned.latency_seconds, tuned.latency_from) == (2, "assumption")
    assert any("not measured yet" in told and "tuned" in told for told in prediction.assumptions)


def test_answers_that_the_catalog_holds_are_scored_and_no_model_is_called() -> None:
    prediction = predicted(GIVEN_ANSWERS)
    given = prediction.models[-1]
    assert (given.name, given.endpoint, given.calls, given.input_tokens) == ("last-year", None, 0, 0)
    assert steps(prediction)["evaluate-last-year"].seconds == pytest.approx(100 + 10 * 0.1)
    assert [endpoint.name for endpoint in prediction.endpoints] == ["shared", "in-production"]
    assert not any("last-year" in sentence for sentence in prediction.assumptions)


def test_a_sample_of_the_records_is_asked_and_its_tokens_are_its_share() -> None:
    prediction = predicted(CONFIG.replace("faq.jsonl", "faq.jsonl, num_records: 5"))
    assert (prediction.records, prediction.asked) == (10, 5)
    assert prediction.models[0].calls == 5
    assert prediction.models[0].input_tokens == 15
    assert any("5 of 10 records" in sentence for sentence in prediction.assumptions)


def test_a_sample_larger_than_the_catalog_asks_every_record_once() -> None:
    assert predicted(CONFIG.replace("faq.jsonl", "faq.jsonl, num_records: 99")).asked == 10


def test_every_assumed_number_is_told() -> None:
    told = " ".join(predicted(TUNED).assumptions)
    for value in dataclasses.asdict(GIVEN).values():
        assert f" {value:g} " in told.replace("(", " ")


def test_the_prices_that_come_with_assay_are_dated_and_name_their_source() -> None:
    prices = bundled_prices()
    assert (prices.as_of, prices.region) == ("2026-11", "us-east-1")
    assert prices.source.startswith("https://aws.amazon.com/")
    assert all(price > 0 for price in prices.hourly.values())
    assert prices.of("ml.x9.huge") is None
    assert all(price.input_usd > 0 and price.output_usd > 0 for price in prices.tokens.values())
    assert prices.of_tokens("mine", "no-such-model") is None


def test_a_config_s_own_prices_come_first_and_are_named() -> None:
    own = "pricing: {instances: {ml.m5.large: 7.5}, tokens: {live: {input_usd: 2.0, output_usd: 8.0}}}\n"
    pricing = load_config((CONFIG + own).encode(), "x").pricing
    prices = bundled_prices().overridden(pricing)
    assert (prices.of("ml.m5.large"), prices.of("ml.m5.xlarge")) == (7.5, 0.23)
    found = prices.of_tokens("live", "gpt-4o")
    assert found is not None
    assert found.usd(1_000_000, 500_000) == 6.0
    assert prices.of_tokens("b", "gpt-4o") == bundled_prices().tokens["gpt-4o"]
    assert prices.own == {"ml.m5.large", "live"}
    assert bundled_prices().overridden(None) == bundled_prices()


@pytest.mark.parametrize(
    ("line", "number", "key"),
    [
        ("instances: {ml.m5.large: cheap}", 4, "instances.ml.m5.large"),
        ("instances: {ml.m5.large: -1.0}", 4, "instances.ml.m5.large"),
        ("instances: {}", 4, "instances"),
        ("instances: {ml.m5.large: 1.0}\nextra: 1", 5, "extra"),
        ("instances: {ml.m5.large: 1.0}\ncurrency: EUR", 5, "currency"),
        ("instances: {ml.m5.large: 1.0}\ntokens: {m: {input_usd: -1.0, output_usd: 1.0}}", 5, "tokens.m.input_usd"),
    ],
)
def test_a_price_file_at_fault_names_line_and_key(line: str, number: int, key: str) -> None:
    with pytest.raises(RejectedError) as caught:
        load_prices(f"as_of: '2026'\nregion: eu-west-1\nsource: ours\n{line}\n".encode(), "prices.yaml")
    assert [(fault.line, fault.key) for fault in caught.value.faults] == [(number, key)]


@pytest.mark.parametrize(
    "model_id",
    [
        "amazon.nova-lite-v1:0",
        "eu.amazon.nova-lite-v1:0",
        "us-gov.amazon.nova-lite-v1:0",
        "arn:aws:bedrock:eu-west-1::foundation-model/amazon.nova-lite-v1:0",
        "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-lite-v1:0",
    ],
)
def test_a_model_costs_the_same_through_an_inference_profile(model_id: str) -> None:
    prices = bundled_prices()
    assert prices.of_tokens("m", model_id) == prices.tokens["amazon.nova-lite-v1:0"]


@pytest.mark.parametrize(
    "model_id", ["eu.no-such.model", "arn:aws:bedrock:eu-west-1:123456789012:provisioned-model/abcdefabcdef", "eu."]
)
def test_the_price_of_another_model_is_not_guessed(model_id: str) -> None:
    assert bundled_prices().of_tokens("m", model_id) is None


BATCH = """\
pipeline: {name: bot}
dataset: {input_data_location: faq.jsonl}
models:
  - {name: one-by-one, provider: bedrock, model_id: amazon.nova-lite-v1:0}
  - {name: batch, provider: bedrock, model_id: amazon.nova-lite-v1:0, bedrock_config: {batch_from_records: 100}}
algorithms: [FactualKnowledge]
"""


def test_a_plan_says_that_a_batch_job_is_used_what_it_costs_and_that_it_takes_hours() -> None:
    suite = config(BATCH)
    many = [TEN[0].model_copy(update={"id": str(number)}) for number in range(100)]
    prediction = estimate(suite, workload(suite, many), bundled_prices(), step_instance_type="ml.m5.large")
    assert {model.name: model.by_batch for model in prediction.models} == {"one-by-one": False, "batch": True}
    single, batch = (cost.usd for cost in prediction.token_costs)
    assert single is not None
    assert batch == pytest.approx(single / 2)
    assert steps(prediction)["evaluate-batch"].seconds > 86_400 > steps(prediction)["evaluate-one-by-one"].seconds
    [told] = [sentence for sentence in prediction.assumptions if "batch inference jobs ask batch" in sentence]
    assert "50% of the price on demand" in told
    assert not any("a call takes" in sentence and " batch" in sentence for sentence in prediction.assumptions)


@pytest.mark.parametrize(("shards", "by_batch"), [(1, True), (2, False)])
def test_of_a_catalog_that_is_split_each_part_must_be_large_enough_for_a_batch_job(shards: int, by_batch: bool) -> None:
    suite = config(BATCH + f"limits: {{shards: {shards}}}\n")
    many = [TEN[0].model_copy(update={"id": str(number)}) for number in range(199)]
    prediction = estimate(suite, workload(suite, many), bundled_prices(), step_instance_type="ml.m5.large")
    assert prediction.models[1].by_batch is by_batch


def test_a_config_s_own_price_of_tokens_is_that_of_the_batch_job_too() -> None:
    prices = bundled_prices()
    on_demand = prices.of_tokens("m", "amazon.nova-lite-v1:0")
    halved = prices.of_tokens("m", "eu.amazon.nova-lite-v1:0", by_batch=True)
    assert on_demand is not None
    assert halved is not None
    assert (halved.input_usd, halved.output_usd) == (on_demand.input_usd / 2, on_demand.output_usd / 2)
    own = config("pricing: {tokens: {batch: {input_usd: 2.0, output_usd: 8.0}}}\n" + BATCH)
    found = prices.overridden(own.pricing).of_tokens("batch", "amazon.nova-lite-v1:0", by_batch=True)
    assert found is not None
    assert (found.input_usd, found.output_usd) == (2.0, 8.0)
