"""Which drop starts what, and what is refused."""

from __future__ import annotations

import hashlib
import json

import pytest

from assay.contracts.config import load_config
from assay.contracts.errors import Fault, RejectedError, TransientError
from assay.contracts.evaluation import ObjectVersion, rejected_key
from assay.contracts.results import Manifest
from assay.pipeline.ports import Started
from tests.unit.start_world import BUCKET, CATALOG, CONFIG, World, named


@pytest.fixture
def world() -> World:
    return World()


def test_a_config_starts_its_suite_when_its_catalog_is_there(world: World) -> None:
    world.drop("catalogs/sums.jsonl", CATALOG)
    [result] = world.drop("configs/sums.yaml", CONFIG)
    assert result.outcome == "started"
    root = f"evaluations/sums/{result.evaluation_id}"
    assert world.pipelines.started == [("sums", f"s3://{BUCKET}/{root}")]
    assert world.bucket.read(f"{root}/config.yaml") == CONFIG
    manifest = Manifest.model_validate_json(world.bucket.read(f"{root}/manifest.json"))
    assert manifest.records == 2
    assert manifest.catalog.sha256 == hashlib.sha256(CATALOG).hexdigest()
    assert world.event("EvaluationStarted")["data"]["pipeline_execution_arn"] == result.execution_arn


def test_an_evaluation_that_would_cost_more_than_its_budget_is_refused_by_the_key(world: World) -> None:
    world.drop("catalogs/sums.jsonl", CATALOG)
    [result] = world.drop("configs/sums.yaml", CONFIG + b"limits: {budget_usd: 0.0001}\n")
    assert result.outcome == "rejected"
    [(error, _)] = world.announcements.mails
    [fault] = error.faults
    assert (error.subject, fault.key) == ("configs/sums.yaml", "limits.budget_usd")
    assert "the evaluation would cost about" in fault.message
    assert world.pipelines.started == []


PRICED = b"bedrock, model_id: x, evaluation_config: {inference_parameters: {maxTokens: 9}}"
LIMITS = b"limits: {budget_usd: 500}\npricing: {tokens: {m: {input_usd: 1.0, output_usd: 2.0}}}\n"


def test_a_budget_is_written_down_as_the_part_of_each_model(world: World) -> None:
    world.drop("catalogs/sums.jsonl", CATALOG)
    [result] = world.drop("configs/sums.yaml", CONFIG.replace(b"endpoint, endpoint_name: e", PRICED) + LIMITS)
    text = world.bucket.read(f"evaluations/sums/{result.evaluation_id}/manifest.json")
    allotments = Manifest.model_validate_json(text).allotments
    assert allotments.keys() == {"m"}
    assert 0 < allotments["m"] < 500


def test_each_prompt_template_makes_a_contender_of_each_model(world: World) -> None:
    world.drop("catalogs/sums.jsonl", CATALOG)
    templates = b'sums.jsonl, prompt_templates: {plain: "$model_input", polite: "Please: $model_input"}'
    [result] = world.drop("configs/sums.yaml", CONFIG.replace(b"sums.jsonl", templates))
    assert world.event("EvaluationStarted")["data"]["models"] == ["m--plain", "m--polite"]
    written = load_config(world.bucket.read(f"evaluations/sums/{result.evaluation_id}/config.yaml"), "config.yaml")
    assert [model.evaluation_config.prompt_template for model in written.models] == [
        "$model_input",
        "Please: $model_input",
    ]


def test_a_config_waits_for_its_catalog_and_starts_when_it_comes(world: World) -> None:
    [waiting] = world.drop("configs/sums.yaml", CONFIG)
    assert waiting == Started(outcome="waiting", suite="sums")
    [started] = world.drop("catalogs/sums.jsonl", CATALOG)
    assert (started.outcome, started.suite) == ("started", "sums")


def test_a_catalog_starts_every_suite_that_reads_it_and_no_other(world: World) -> None:
    world.drop("configs/one.yaml", CONFIG)
    world.drop("configs/two.yaml", CONFIG.replace(b"{name: sums}", b"{name: products}"))
    world.drop(
        "configs/three.yaml", CONFIG.replace(b"{name: sums}", b"{name: other}").replace(b"sums.jsonl", b"o.jsonl")
    )
    results = world.drop("catalogs/sums.jsonl", CATALOG)
    assert sorted(result.suite or "" for result in results) == ["products", "sums"]
    assert len({result.evaluation_id for result in results}) == 2


def test_the_same_event_twice_is_one_evaluation(world: World) -> None:
    world.drop("catalogs/sums.jsonl", CATALOG)
    drop = world.put("configs/sums.yaml", CONFIG)
    first, second = world.drops.handle(drop), world.drops.handle(drop)
    assert first[0].evaluation_id == second[0].evaluation_id
    assert second[0].outcome == "repeated"
    assert len(world.pipelines.started) == 1


def test_dropping_the_same_config_again_is_a_new_evaluation(world: World) -> None:
    world.drop("catalogs/sums.jsonl", CATALOG)
    first, second = world.drop("configs/sums.yaml", CONFIG), world.drop("configs/sums.yaml", CONFIG)
    assert first[0].evaluation_id != second[0].evaluation_id
    assert len(world.pipelines.started) == 2


def test_a_start_that_failed_half_way_is_taken_up_by_the_next_delivery(world: World) -> None:
    world.drop("catalogs/sums.jsonl", CATALOG)
    drop = world.put("configs/sums.yaml", CONFIG)
    world.pipelines.failures = 1
    with pytest.raises(TransientError):
        world.drops.handle(drop)
    assert world.drops.handle(drop)[0].outcome == "started"
    assert len(world.pipelines.started) == 1


@pytest.mark.parametrize(
    ("config", "catalog", "subject", "line"),
    [
        (b"pipeline: [", CATALOG, "configs/sums.yaml", 1),
        (CONFIG.replace(b"models:", b"model:"), CATALOG, "configs/sums.yaml", 1),
        (CONFIG.replace(b"FactualKnowledge", b"Guesswork"), CATALOG, "configs/sums.yaml", 4),
        (CONFIG, CATALOG + b"{broken\n", "catalogs/sums.jsonl", 3),
        (CONFIG.replace(b"sums.jsonl", b"'s3://elsewhere/x.jsonl'"), CATALOG, "configs/sums.yaml", None),
    ],
)
def test_what_is_refused_starts_nothing_and_is_told_three_ways(
    world: World, config: bytes, catalog: bytes, subject: str, line: int | None
) -> None:
    world.drop("catalogs/sums.jsonl", catalog)
    [result] = world.drop("configs/sums.yaml", config)
    assert result.outcome == "rejected"
    assert world.pipelines.started == []
    written = json.loads(world.bucket.read(f"rejected/{subject}.json"))
    assert written["faults"][0]["line"] == line
    data = world.event("EvaluationRejected")["data"]
    assert data["rejected_uri"] == f"s3://{BUCKET}/rejected/{subject}.json"
    assert data["faults"] == written["faults"]
    [(error, uri)] = world.announcements.mails
    assert (error.subject, uri) == (subject, data["rejected_uri"])


def test_one_suite_that_is_refused_does_not_stop_the_others(world: World) -> None:
    world.drop("configs/a.yaml", CONFIG.replace(b"sums.jsonl}", b"sums.jsonl, target_output_key: nothing}"))
    world.drop("configs/b.yaml", CONFIG.replace(b"{name: sums}", b"{name: products}"))
    results = world.drop("catalogs/sums.jsonl", CATALOG)
    assert sorted(result.outcome for result in results) == ["rejected", "started"]


def test_a_config_that_was_deleted_does_not_stop_the_others(world: World) -> None:
    world.drop("configs/a.yaml", CONFIG)
    world.drop("configs/b.yaml", named("products"))
    world.remove("configs/a.yaml")
    [result] = world.drop("catalogs/sums.jsonl", CATALOG)
    assert (result.outcome, result.suite) == ("started", "products")


def test_a_service_that_fails_for_one_suite_does_not_stop_the_others_and_is_tried_again(world: World) -> None:
    for suite in ("a", "b", "c"):
        world.drop(f"configs/{suite}.yaml", named(suite))
    world.pipelines.broken = {"a", "b"}
    event = world.put("catalogs/sums.jsonl", CATALOG)
    with pytest.raises(ExceptionGroup) as caught:
        world.drops.handle(event)
    assert [type(error) for error in caught.value.exceptions] == [TransientError, TransientError]
    assert [suite for suite, _ in world.pipelines.started] == ["c"]
    world.pipelines.broken = {"b"}
    with pytest.raises(TransientError):
        world.drops.handle(event)
    world.pipelines.broken = set()
    world.drops.handle(event)
    assert [suite for suite, _ in world.pipelines.started] == ["c", "a", "b"]


def test_a_faulty_catalog_is_told_once_for_all_the_suites_that_read_it(world: World) -> None:
    for suite in ("a", "b"):
        world.drop(f"configs/{suite}.yaml", named(suite))
    world.drop("configs/c.yaml", named("c").replace(b"sums.jsonl}", b"sums.jsonl, category_key: kind}"))
    results = world.drop("catalogs/sums.jsonl", CATALOG + b"{broken\n")
    assert [result.outcome for result in results] == ["rejected"] * 3
    [(error, uri)] = world.announcements.mails
    data = world.event("EvaluationRejected")["data"]
    assert data["suites"] == ["a", "b", "c"]
    assert world.announcements.suites_in_mails == [["a", "b", "c"]]
    assert data["total_faults"] == len(error.faults) == len(data["faults"])
    by_line = {fault["line"]: fault["message"] for fault in data["faults"]}
    assert "suite" not in by_line[3]
    assert by_line[1].endswith("(suite c)")
    assert json.loads(world.bucket.read(f"rejected/{error.subject}.json"))["faults"] == data["faults"]
    assert uri == data["rejected_uri"]


TUNED = CONFIG.replace(
    b"endpoint, endpoint_name: e",
    b"jumpstart, model_id: x, deployment_config: {instance_type: ml.m5.large}, finetuning: "
    b"{train_data_path: train, parameters: {instance_type: ml.m5.large}}",
)


def test_a_config_whose_training_data_come_after_it_is_evaluated_with_the_next_catalog(world: World) -> None:
    assert [item.outcome for item in world.drop("configs/sums.yaml", TUNED)] == ["rejected"]
    assert [item.outcome for item in world.drop("catalogs/sums.jsonl", CATALOG)] == ["rejected"]
    assert len(world.announcements.mails) == 2
    world.bucket.put("train/train.jsonl", b'{"prompt": "2+2?", "completion": "4"}\n')
    world.drop("catalogs/sums.jsonl", CATALOG)
    assert world.pairs() == [("configs/sums.yaml@v1", f"catalogs/sums.jsonl@v{n}") for n in (1, 2)]


def test_the_event_of_a_refusal_fits_the_bus_and_its_file_has_all_of_it(world: World) -> None:
    worst = "\x01" * 100_000  # each character is six bytes of JSON
    key = "configs/" + "\x01" * 1016
    suites = [f"{number:048}" for number in range(10_000)]
    error = RejectedError(key, [Fault(worst, line=line, key=worst) for line in range(1, 101)])
    world.refusals.tell(error, cause=ObjectVersion(BUCKET, key, "v" * 1024), suites=suites, correlation_id="文" * 256)
    [(_, detail)] = world.announcements.events
    assert len(detail.model_dump_json().encode()) < 240_000
    assert detail.data["suites"] == suites[:1000]
    assert detail.data["faults"][19]["message"] == "\x01" * 497 + "..."
    written = json.loads(world.bucket.read(rejected_key(key)))
    assert written["suites"] == suites
    assert [fault["key"] for fault in written["faults"]] == [worst] * 100


def test_a_config_that_is_one_long_word_is_refused_in_an_event_of_some_kilobytes(world: World) -> None:
    world.drop("configs/sums.yaml", CONFIG.replace(b"sums.jsonl", b"s3://" + b"x" * 100_000))
    [(_, detail)] = world.announcements.events
    assert len(detail.model_dump_json()) < 4_000


def test_a_key_of_any_letters_is_found_again(world: World) -> None:
    world.drop("catalogs/größe ☃/a+b.jsonl", CATALOG)
    config = CONFIG.replace(b"sums.jsonl", '"größe ☃/a+b.jsonl"'.encode())
    [result] = world.drop("configs/team a/größe 100%.yaml", config)
    assert result.outcome == "started"


def test_the_faults_of_a_file_with_the_longest_key_have_a_key_that_s3_takes(world: World) -> None:
    key = f"configs/{'ü' * 500}.yaml"
    assert len(key.encode()) <= 1024
    world.drop(key, b"pipeline: [")
    uri = world.event("EvaluationRejected")["data"]["rejected_uri"]
    written = uri.removeprefix(f"s3://{BUCKET}/")
    assert written == rejected_key(key)
    assert len(written.encode()) <= 1024
    assert json.loads(world.bucket.read(written))["subject"] == f"s3://{BUCKET}/{key}"
    assert rejected_key(key) != rejected_key(key.replace(".yaml", ".yml"))


@pytest.mark.parametrize("key", ["evaluations/sums/x/report.html", "configs/", "catalogs/2026/"])
def test_anything_else_in_the_bucket_concerns_nobody(world: World, key: str) -> None:
    assert world.drop(key, b"") == []
    assert world.announcements.mails == []
