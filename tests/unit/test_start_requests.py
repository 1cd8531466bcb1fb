"""What another pipeline may ask for, and what it hears of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from assay.contracts.config import load_config
from assay.contracts.results import Manifest
from assay.pipeline.ports import Started
from assay.report.mail import rejection_mail
from tests.unit.start_world import BUCKET, CATALOG, CONFIG, World, named

DEPLOYED = CONFIG.replace(
    b"{name: m, provider: endpoint, endpoint_name: e}",
    b"{name: m, model_id: x, deployment_config: {instance_type: ml.m5.large}, "
    b"evaluation_config: {output: answer}, register_config: {model_package_group_name: g}}, "
    b"{name: n, provider: endpoint, endpoint_name: f}",
)
PACKAGE = "arn:aws:sagemaker:x:123456789012:model-package/g/1"
PLACE = "dataset.input_data_location"


@pytest.fixture
def world() -> World:
    world = World()
    world.drop("catalogs/sums.jsonl", CATALOG)
    world.drop("configs/sums.yaml", DEPLOYED)
    world.announcements.events.clear()
    return world


def manifest(world: World, result: Started) -> Manifest:
    return Manifest.model_validate_json(
        world.bucket.read(f"evaluations/{result.suite}/{result.evaluation_id}/manifest.json")
    )


def faults(world: World) -> dict[str, str]:
    """What is told of each key."""
    told: dict[str, str] = {}
    for item in world.event("EvaluationRejected")["data"]["faults"]:
        told[item["key"]] = f"{told.get(item['key'], '')}{item['message']}\n"
    return told


def test_a_suite_is_evaluated_on_request_and_what_was_sent_along_comes_back(world: World) -> None:
    result = world.request(suite="sums", correlation_id="build 17")
    assert result.outcome == "started"
    told = world.event("EvaluationStarted")
    assert (told["evaluation_id"], told["correlation_id"]) == (result.evaluation_id, "build 17")
    assert world.log.correlations[str(result.evaluation_id)] == "build 17"
    found = manifest(world, result)
    assert found.config.uri == f"s3://{BUCKET}/configs/sums.yaml"
    assert found.requested_by["source"] == "training"
    kept = world.bucket.read(found.requested_by["uri"].removeprefix(f"s3://{BUCKET}/"))
    assert json.loads(kept)["detail"]["suite"] == "sums"


def test_the_same_request_is_one_evaluation_and_another_one_another(world: World) -> None:
    first = world.request("event-1", suite="sums", request_id="r")
    assert world.request("event-2", suite="sums", request_id="r").outcome == "repeated"
    assert world.request("event-2", suite="sums", request_id="s").evaluation_id != first.evaluation_id


def test_an_id_that_named_another_request_is_refused_and_that_request_is_kept(world: World) -> None:
    first = world.request("event-1", suite="sums", request_id="r")
    assert world.request("event-2", suite="sums", request_id="r", correlation_id="x").outcome == "rejected"
    assert "names another request" in faults(world)["request_id"]
    kept = json.loads(world.bucket.read("requests/r.json"))
    assert "correlation_id" not in kept["detail"]
    assert world.request("event-3", suite="sums", request_id="r") == Started("repeated", "sums", first.evaluation_id)


def test_of_two_requests_that_come_at_once_with_one_id_the_later_one_is_refused(world: World) -> None:
    create = world.bucket.create

    def create_second(key: str, body: bytes, content_type: str = "") -> bool:
        """The other request comes between whatever was looked at before and the writing."""
        world.bucket.create = create  # type: ignore[method-assign]
        assert world.request("event-2", suite="sums", request_id="r").outcome == "started"
        return create(key, body, content_type)

    world.bucket.create = create_second  # type: ignore[method-assign]
    assert world.request("event-1", suite="sums", request_id="r", correlation_id="x").outcome == "rejected"
    assert "names another request" in faults(world)["request_id"]
    assert world.event("EvaluationRejected")["correlation_id"] == "x"
    assert "correlation_id" not in json.loads(world.bucket.read("requests/r.json"))["detail"]


def test_without_an_id_of_its_own_a_request_goes_by_its_event(world: World) -> None:
    first = world.request("event-1", suite="sums")
    assert world.request("event-1", suite="sums") == Started("repeated", "sums", first.evaluation_id)
    assert world.request("event-2", suite="sums").outcome == "started"


@pytest.mark.parametrize("carried", [named("once").decode(), yaml.safe_load(named("once"))], ids=["text", "mapping"])
def test_a_request_may_carry_a_config_which_is_evaluated_once_and_describes_no_suite(
    world: World, carried: Any
) -> None:
    result = world.request(config=carried)
    assert (result.outcome, result.suite) == ("started", "once")
    assert world.book.description("once") is None
    found = manifest(world, result)
    key = f"evaluations/once/{result.evaluation_id}/config.yaml"
    assert found.config.uri == f"s3://{BUCKET}/{key}"
    assert load_config(world.bucket.read(key), key) == load_config(named("once"), "once.yaml")


def test_a_request_may_put_an_endpoint_in_the_place_of_a_model(world: World) -> None:
    result = world.request(suite="sums", model={"name": "m", "endpoint_name": "tuned-17"})
    key = f"evaluations/sums/{result.evaluation_id}/config.yaml"
    first, second = load_config(world.bucket.read(key), key).models
    assert (first.name, first.provider, first.endpoint_name) == ("m", "endpoint", "tuned-17")
    assert (first.model_id, first.deployment_config) == (None, None)
    assert first.evaluation_config.output == "answer"
    assert first.register_config is not None
    assert second.endpoint_name == "f"
    assert b"tuned-17" not in world.bucket.read("configs/sums.yaml")


def test_a_request_may_put_weights_in_the_place_of_a_model_which_its_instances_serve(world: World) -> None:
    weights = "s3://bucket/training/17/model.tar.gz"
    result = world.request(suite="sums", model={"name": "m", "model_data": weights})
    key = f"evaluations/sums/{result.evaluation_id}/config.yaml"
    first, _ = load_config(world.bucket.read(key), key).models
    assert (first.provider, first.model_id, first.huggingface_config.model_data) == ("huggingface", None, weights)
    assert first.deployment_config is not None
    assert first.deployment_config.instance_type == "ml.m5.large"
    assert first.evaluation_config.output == "answer"


def registered(world: World, config: bytes, model: str) -> str:
    """A suite's winner that was registered; its package."""
    [result] = world.drop("configs/won.yaml", named("won", config))
    properties = {"suite": "won", "evaluation_id": str(result.evaluation_id), "model": model, "model_version": "2.1.0"}
    world.packages.registered[PACKAGE] = properties
    world.announcements.events.clear()
    return PACKAGE


def test_a_request_may_put_a_registered_model_in_the_place_of_one_as_it_was_evaluated_then(world: World) -> None:
    winner = DEPLOYED.replace(b"model_id: x", b"model_id: winner").replace(b"output: answer", b"output: other")
    arn = registered(world, winner, "m")
    world.drop("configs/won.yaml", named("won"))
    world.announcements.events.clear()
    result = world.request(suite="sums", model={"name": "m", "model_package_arn": arn})
    key = f"evaluations/sums/{result.evaluation_id}/config.yaml"
    first, _ = load_config(world.bucket.read(key), key).models
    assert (first.name, first.provider, first.model_id, first.model_version) == ("m", "jumpstart", "winner", "2.1.0")
    assert first.evaluation_config.output == "answer"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            DEPLOYED.replace(
                b"{name: m,",
                b"{name: m, finetuning: {train_data_path: 's3://elsewhere/train', "
                b"parameters: {instance_type: ml.m5.large}},",
            ),
            "it was fine-tuned",
        ),
        (CONFIG.replace(b"endpoint, endpoint_name: e", b"responses, response_key: target_output"), "lay in a catalog"),
    ],
)
def test_a_registered_model_that_cannot_be_asked_again_is_refused(world: World, config: bytes, words: str) -> None:
    arn = registered(world, config, "m")
    assert world.request(suite="sums", model={"name": "m", "model_package_arn": arn}).outcome == "rejected"
    assert words in faults(world)["model.model_package_arn"]


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({}, "did not register it"),
        ({"suite": "won", "evaluation_id": "0" * 32, "model": "m"}, "is not there"),
    ],
)
def test_a_package_that_leads_to_no_evaluation_of_this_stack_is_refused(
    world: World, properties: dict[str, str], words: str
) -> None:
    world.packages.registered[PACKAGE] = properties
    assert world.request(suite="sums", model={"name": "m", "model_package_arn": PACKAGE}).outcome == "rejected"
    assert words in faults(world)["model.model_package_arn"]


def test_a_package_of_another_account_is_refused_in_the_words_of_the_registry(world: World) -> None:
    world.packages.refused[PACKAGE] = "User: assay is not authorized to perform: sagemaker:DescribeModelPackage"
    assert world.request(suite="sums", model={"name": "m", "model_package_arn": PACKAGE}).outcome == "rejected"
    assert "cannot be seen from this account and region: User: assay" in faults(world)["model.model_package_arn"]


def test_an_override_reaches_every_contender_of_its_model(world: World) -> None:
    templates = b'sums.jsonl, prompt_templates: {plain: "$model_input", polite: "Please: $model_input"}'
    world.drop("configs/sums.yaml", DEPLOYED.replace(b"sums.jsonl", templates))
    result = world.request(suite="sums", model={"name": "m", "endpoint_name": "tuned-17"})
    key = f"evaluations/sums/{result.evaluation_id}/config.yaml"
    written = load_config(world.bucket.read(key), key)
    assert {model.name: model.endpoint_name for model in written.models} == {
        "m--plain": "tuned-17",
        "m--polite": "tuned-17",
        "n--plain": "f",
        "n--polite": "f",
    }


@pytest.mark.parametrize(
    ("detail", "key", "words"),
    [
        ({}, "", "either `suite` or `config` must be given, found none"),
        ({"suite": "sums", "config": "x"}, "", "found both"),
        ({"suite": "unknown"}, "suite", "no config of the suite 'unknown'"),
        ({"suite": 7}, "suite", "must be text"),
        ({"suit": "sums"}, "suit", "did you mean `suite`?"),
        ({"suite": "sums", "schema_version": "2"}, "schema_version", "must be `1`"),
        ({"suite": "sums", "request_id": "../x"}, "request_id", "must be text like"),
        ({"suite": "sums", "correlation_id": "a\nb"}, "correlation_id", "printable"),
        ({"suite": "sums", "correlation_id": ""}, "correlation_id", "at least 1 character"),
        ({"suite": "sums", "model": {"endpoint_name": "e"}}, "model.name", "missing"),
        ({"suite": "sums", "model": {"name": "m"}}, "model", "found none"),
        ({"suite": "sums", "model": {"name": "o", "endpoint_name": "e"}}, "model.name", "no model 'o', but m, n"),
        (
            {"suite": "sums", "model": {"name": "n", "model_data": "s3://bucket/model.tar.gz"}},
            "model",
            "needs `deployment_config`",
        ),
        (
            {"suite": "sums", "model": {"name": "m", "model_package_arn": PACKAGE}},
            "model.model_package_arn",
            "there is no such model package",
        ),
        (
            {"suite": "sums", "model": {"name": "m", "model_package_arn": "arn:aws:iam::123456789012:role/r"}},
            "model.model_package_arn",
            "must be text like",
        ),
        ({"config": 7}, "config", "must be the text of a config, or a mapping, found int"),
        ({"config": "pipeline: ["}, "config", ""),
        ({"config": named("x").replace(b"models:", b"model:").decode()}, "config.model", "did you mean `models`?"),
        ({"config": {"pipeline": {"name": "x"}}}, "config.models", "missing"),
        ({"config": (CONFIG + b"schedule: {expression: rate(1 day)}").decode()}, "config.schedule", "has no place"),
        (
            {"config": CONFIG.replace(b"sums.jsonl", b"s3://x/y").decode()},
            f"config.{PLACE}",
            "below",
        ),
        (
            {"config": CONFIG.replace(b"sums.jsonl", b"none.jsonl").decode()},
            f"config.{PLACE}",
            "catalogs/none.jsonl is not there",
        ),
        ({"suite": "sums", "config": "\ud800"}, "", "surrogate"),
        (
            {"config": (CONFIG + b"limits: {budget_usd: 0.0001}").decode()},
            "config.limits.budget_usd",
            "would cost about",
        ),
    ],
)
def test_a_bad_request_starts_nothing_and_every_fault_of_it_is_told_by_its_key(
    world: World, detail: dict[str, Any], key: str, words: str
) -> None:
    before = len(world.pipelines.started)
    assert world.request("event-1", **detail).outcome == "rejected"
    assert len(world.pipelines.started) == before
    assert words in faults(world)[key]


def test_what_is_wrong_with_a_request_is_told_three_ways_with_what_was_sent_along(world: World) -> None:
    world.request("event-1", request_id="r-1", suit="sums", correlation_id="build 17")
    told = world.event("EvaluationRejected")
    data = told["data"]
    assert told["correlation_id"] == "build 17"
    assert data["rejected_uri"] == f"s3://{BUCKET}/rejected/requests/r-1.json.json"
    assert data["subject"] == f"s3://{BUCKET}/requests/r-1.json"
    assert data["dropped"] == {"key": "requests/r-1.json", "version_id": None}
    assert json.loads(world.bucket.read("rejected/requests/r-1.json.json"))["faults"] == data["faults"]
    assert json.loads(world.bucket.read("requests/r-1.json"))["source"] == "training"
    [(error, uri)] = world.announcements.mails
    mail = rejection_mail(error.subject, error.faults, error.total, uri)
    assert "send the request again" in mail.text
    assert uri in mail.text


def test_a_line_is_told_of_a_config_that_is_text_and_none_of_one_that_is_a_mapping(world: World) -> None:
    broken = CONFIG.replace(b"FactualKnowledge", b"Guesswork")
    world.request("event-1", config=broken.decode())
    world.request("event-2", config=yaml.safe_load(broken))
    lines = [detail.data["faults"][0]["line"] for _, detail in world.announcements.events]
    assert lines == [4, None]


def test_a_fault_in_the_config_of_a_requested_suite_names_the_file_and_reaches_the_requester(world: World) -> None:
    world.put("configs/sums.yaml", b"pipeline: [")
    world.request("event-1", suite="sums", correlation_id="build 17")
    told = world.event("EvaluationRejected")
    assert told["correlation_id"] == "build 17"
    assert told["data"]["subject"] == f"s3://{BUCKET}/configs/sums.yaml"
    assert told["data"]["rejected_uri"] == f"s3://{BUCKET}/rejected/requests/event-1.json.json"


def test_a_requested_suite_whose_catalog_is_not_there_is_refused_since_somebody_waits_for_an_answer(
    world: World,
) -> None:
    world.delete("catalogs/sums.jsonl")
    assert world.request(suite="sums").outcome == "rejected"
    assert "catalogs/sums.jsonl is not there" in faults(world)["suite"]


def test_a_requested_suite_whose_config_was_deleted_is_refused(world: World) -> None:
    world.delete("configs/sums.yaml")
    assert world.request(suite="sums").outcome == "rejected"


@pytest.mark.parametrize("identifier", ["a/b", "", "x" * 129, 7, None, "..", "ü"])
def test_an_id_that_could_not_name_an_object_is_not_taken_for_one(world: World, identifier: Any) -> None:
    world.request("event-1", request_id=identifier, nothing=True)
    assert world.event("EvaluationRejected")["data"]["dropped"]["key"] == "requests/event-1.json"
