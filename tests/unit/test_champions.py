"""Which model is the champion, and what can be read of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from assay.aws.champions import Champions, check_evaluation
from assay.aws.evaluation_files import EvaluationFiles
from assay.aws.registry import registration
from assay.aws.storage import Storage
from assay.contracts.config import load_config
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.gate import GateResult
from tests.unit.evaluation_support import CONFIG, N, champion_of, evaluated, registered

THEN, NOW = (EvaluationPaths(bucket="drops", suite="sums", evaluation_id=digit * 32) for digit in "12")


def gate(storage: Storage) -> GateResult:
    return check_evaluation(EvaluationFiles(NOW, storage))


def champion(text: str = CONFIG) -> str | None:
    found = Champions().of(load_config(text.encode(), "configs/sums.yaml"))
    return None if found is None else found.arn


# ---- who is the champion


def test_without_a_group_or_an_approved_package_there_is_no_champion(storage: Storage) -> None:
    assert champion() is None
    registered(status="PendingManualApproval", suite="sums")
    registered(status="Rejected", suite="sums")
    assert champion() is None


def test_the_newest_approved_version_is_the_champion(storage: Storage) -> None:
    registered(suite="sums")
    newest = registered(suite="sums")
    registered(status="Rejected", suite="sums")
    assert champion() == newest


def test_a_rejected_champion_gives_way_to_the_one_before(storage: Storage) -> None:
    first, second = registered(suite="sums"), registered(suite="sums")
    boto3.client("sagemaker").update_model_package(ModelPackageArn=second, ModelApprovalStatus="Rejected")
    assert champion() == first


def test_a_package_of_another_suite_in_the_same_group_is_not_the_champion(storage: Storage) -> None:
    own = registered(suite="sums")
    registered(suite="products")
    assert champion() == own


def test_a_model_that_registers_in_a_group_of_its_own_may_be_the_champion(storage: Storage) -> None:
    registered(suite="sums")
    elsewhere = registered(group="own", suite="sums")
    text = CONFIG.replace("endpoint_name: e}", "endpoint_name: e, register_config: {model_package_group_name: own}}")
    assert champion(text) == elsewhere


def test_what_the_registry_refuses_is_no_absence_of_a_champion() -> None:
    class Forbidden:
        def get_paginator(self, name: str) -> Any:
            assert name == "list_model_packages"
            return self

        def paginate(self, **_: Any) -> Any:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "ListModelPackages")

    with pytest.raises(ClientError, match="AccessDenied"):
        Champions(Forbidden()).of(load_config(CONFIG.encode(), "c"))


# ---- the gate over S3


def test_the_first_winner_meets_no_champion(storage: Storage) -> None:
    evaluated(storage, NOW)
    assert gate(storage).outcome == "not_applicable"


def test_a_winner_is_held_against_the_stored_scores_of_the_champion(storage: Storage) -> None:
    evaluated(storage, THEN)
    evaluated(storage, NOW, wrong=20)
    arn = champion_of(THEN)
    result = gate(storage)
    assert (result.outcome, result.verdict, result.common, result.regressed_total) == ("failed", "worse", N, 20)
    assert result.baseline is not None
    assert (result.baseline.model_package_arn, result.baseline.catalog) == (arn, "same")
    assert result.regressed[0].category == "c"
    assert result.responses["baseline"] == THEN.uri(THEN.responses("new"))


def test_a_changed_catalog_leaves_out_records_whose_content_changed(storage: Storage) -> None:
    evaluated(storage, THEN, sha="b", r0=" Really?", r1=" Really?")
    evaluated(storage, NOW, wrong=2)
    champion_of(THEN)
    result = gate(storage)
    assert (result.outcome, result.common, result.regressed_total) == ("passed", N - 2, 0)
    assert "2 with a changed input or answer do not" in result.explanation


def test_the_same_file_read_by_other_fields_is_another_catalog(storage: Storage) -> None:
    other = CONFIG.replace("input_data_location: sums.jsonl", "input_data_location: sums.jsonl, model_input_key: q")
    evaluated(storage, THEN, text=other)
    evaluated(storage, NOW)
    champion_of(THEN)
    result = gate(storage)
    assert result.baseline is not None
    assert result.baseline.catalog == "changed"


def test_a_champion_that_assay_did_not_register_cannot_be_passed(storage: Storage) -> None:
    evaluated(storage, NOW)
    registered()
    result = gate(storage)
    assert result.outcome == "failed"
    assert "it was not registered by Assay" in result.explanation
    assert "name a model of the config as `gate.baseline`" in result.explanation


def test_a_champion_whose_evaluation_was_deleted_cannot_be_passed(storage: Storage) -> None:
    evaluated(storage, NOW)
    champion_of(THEN)
    result = gate(storage)
    assert result.outcome == "failed"
    assert f"no longer at {THEN.root}" in result.explanation


def test_a_champion_in_another_bucket_cannot_be_passed(storage: Storage) -> None:
    evaluated(storage, NOW)
    champion_of(THEN, comparison_uri=f"s3://gone/{THEN.comparison}")
    assert "cannot be read" in gate(storage).explanation


def test_a_champion_whose_config_says_what_is_no_longer_understood_cannot_be_passed(storage: Storage) -> None:
    evaluated(storage, THEN)
    storage.write(THEN.config, CONFIG.replace("algorithms", "algorithmen").encode())
    evaluated(storage, NOW)
    champion_of(THEN)
    assert "its config can no longer be read" in gate(storage).explanation


def test_a_champion_without_scores_cannot_be_passed(storage: Storage) -> None:
    evaluated(storage, THEN)
    evaluated(storage, NOW)
    champion_of(THEN, model="never-evaluated")
    assert "it has no scores" in gate(storage).explanation


def test_the_model_that_the_config_names_stands_in_for_the_champion(storage: Storage) -> None:
    evaluated(storage, NOW, text=CONFIG + "gate: {baseline: old}\n")
    registered()
    result = gate(storage)
    assert result.baseline is not None
    assert (result.outcome, result.verdict, result.baseline.model) == ("passed", "better", "old")


def test_every_score_that_weighs_in_the_choice_is_held_against_the_champion(storage: Storage) -> None:
    weighed = CONFIG + "selection: {weights: {factual_knowledge: 3, factual_knowledge_quasi_exact: 1}}\n"
    evaluated(storage, THEN, text=weighed)
    evaluated(storage, NOW, wrong=20, text=weighed)
    champion_of(THEN)
    result = gate(storage)
    assert [check.metric for check in result.checks if check.kind == "non_inferiority"] == [
        "FactualKnowledge.factual_knowledge",
        "FactualKnowledge.factual_knowledge_quasi_exact",
    ]
    assert result.outcome == "failed"


def test_a_winner_by_weights_is_registered_with_its_weighted_mean(storage: Storage) -> None:
    weighed = CONFIG + "selection: {weights: {factual_knowledge: 3, factual_knowledge_quasi_exact: 1}}\n"
    evaluated(storage, NOW, wrong=20, text=weighed)
    files = EvaluationFiles(NOW, storage)
    item = registration(
        files.comparison(),
        config=files.config(),
        manifest=files.manifest(),
        gate=gate(storage),
        paths=NOW,
        now=datetime(2026, 11, 24, tzinfo=UTC),
    )
    assert (item.properties["metric"], item.properties["metric_value"]) == ("selection.weighted", "0.8")
