"""The model card of a registered winner keeps to SageMaker's schema."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from assay.aws.model_card import PROVIDERS, model_card
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.model_section import Provider
from assay.contracts.results import Comparison, Latency, Manifest, SourceObject
from assay.decision.gate import check_gate
from tests.unit.gate_support import ID, Scores, catalog, compared, config, right_but

PATHS = EvaluationPaths(bucket="b", suite="sums", evaluation_id=ID)


def card(comparison: Comparison) -> dict[str, Any]:
    source = SourceObject(uri="s3://b/catalogs/sums.jsonl", version_id="v", sha256="a" * 64)
    manifest = Manifest(
        evaluation_id=ID,
        suite="sums",
        requested_at=datetime(2026, 11, 24, tzinfo=UTC),
        config=source,
        catalog=source,
        records=200,
        versions={},
    )
    scores = Scores(factual_knowledge=right_but(200, 20))
    gate = check_gate(comparison, config=config(), catalog=catalog(200), scores=scores, baseline=None)
    text = model_card(comparison, config=config(), manifest=manifest, gate=gate, paths=PATHS)
    assert len(text) <= 100_000
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_card_holds_the_scores_with_their_intervals_and_where_everything_lies() -> None:
    found = card(compared())
    [job] = found["evaluation_details"]
    assert job["datasets"] == ["s3://b/catalogs/sums.jsonl"]
    assert job["evaluation_observation"].startswith("new is the best. There is no champion yet")
    [scores] = job["metric_groups"]
    [score] = scores["metric_data"]
    assert (score["name"], score["value"]) == ("FactualKnowledge.factual_knowledge", 0.9)
    assert "200 records" in score["notes"]
    details = found["additional_information"]["custom_details"]
    assert details["report"] == f"s3://b/evaluations/sums/{ID}/report.html"
    assert details["catalog_sha256"] == "a" * 64


def test_latencies_stand_in_the_card_where_there_are_some() -> None:
    comparison = compared()
    latency = Latency(n=200, mean=10.0, p50=9.0, p90=14.0, p95=15.0, p99=20.0)
    first = comparison.models[0]
    timed = first.model_copy(update={"outcome": first.outcome.model_copy(update={"latency": latency})})
    found = card(comparison.model_copy(update={"models": [timed, *comparison.models[1:]]}))
    [_, timing] = found["evaluation_details"][0]["metric_groups"]
    assert {item["name"]: item["value"] for item in timing["metric_data"]}["latency_p95_ms"] == 15.0


@pytest.mark.filterwarnings("ignore")  # the SDK's word about its own next version
def test_the_sdk_reads_the_card() -> None:
    """Its classes check keys and the type of every metric."""
    from sagemaker.model_card import AdditionalInformation, EvaluationJob, Metric, MetricGroup

    found = card(compared())
    for job in found["evaluation_details"]:
        groups = [
            MetricGroup(name=group["name"], metric_data=[Metric(**item) for item in group["metric_data"]])
            for group in job["metric_groups"]
        ]
        EvaluationJob(**job | {"metric_groups": groups})
    AdditionalInformation(**found["additional_information"])
    # The schema for model packages knows two keys of the overview, and these sections.
    assert set(found["model_overview"]) <= {"model_creator", "model_artifact"}
    assert set(found) <= {
        "model_overview",
        "intended_uses",
        "business_details",
        "training_details",
        "evaluation_details",
        "additional_information",
    }


def test_a_card_has_words_for_every_provider() -> None:
    assert set(PROVIDERS) == set(get_args(Provider))


def test_a_long_explanation_is_cut_to_what_a_card_takes() -> None:
    found = card(compared().model_copy(update={"explanation": "word " * 5000}))
    assert len(found["evaluation_details"][0]["evaluation_observation"]) <= 2096
