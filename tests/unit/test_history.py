"""What `assay history` reads and shows: evaluations over time, champions, and drift told apart from other changes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from rich.console import Console

from assay.aws.evaluations import Evaluations
from assay.aws.history import EvaluationHistory
from assay.aws.storage import Storage
from assay.contracts.config import load_config
from assay.contracts.evaluation import EvaluationPaths
from assay.decision.drift import drift, what_changed
from cli.suite_history import Entry, as_values, print_history, read_history
from cli.target import Target
from tests.unit import gate_support
from tests.unit.evaluation_support import CONFIG, N, champion_of, evaluated
from tests.unit.template_support import load_template

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


@pytest.fixture
def table(storage: Storage) -> None:
    """The table as the template makes it."""
    properties = load_template()["Resources"]["EvaluationsTable"]["Properties"]
    keys = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
    boto3.client("dynamodb").create_table(TableName="evaluations", **{key: properties[key] for key in keys})


def paths_of(number: int) -> EvaluationPaths:
    return EvaluationPaths(bucket="drops", suite="sums", evaluation_id=f"{number}" * 32)


def written(number: int, suite: str = "sums", **attributes: str) -> None:
    """An evaluation in the table, an hour after the one before."""
    at = START + timedelta(hours=number)
    Evaluations("evaluations", now=lambda: at).begin(f"{number}" * 32, suite=suite, bucket="drops")
    for name, value in attributes.items():
        boto3.client("dynamodb").update_item(
            TableName="evaluations",
            Key={"pk": {"S": f"EVALUATION#{f'{number}' * 32}"}, "sk": {"S": "STATE"}},
            UpdateExpression="SET #name = :value",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues={":value": {"S": value}},
        )


def completed(storage: Storage, number: int, wrong: int = 0, package: str | None = None, **more: str) -> None:
    """A completed evaluation, in the table and in S3."""
    evaluated(storage, paths_of(number), wrong, **more)
    registered = {} if package is None else {"model_package_arn": package}
    written(number, status="completed", winner="new", gate="passed", **registered)


def read(limit: int = 10, *, all_models: bool = False) -> list[Entry]:
    client: Any = boto3.client
    target = Target("here", {"BucketName": "drops", "EvaluationsTable": "evaluations"}, {}, client)
    return read_history(target, "sums", limit, all_models=all_models)


def values(limit: int = 10, *, all_models: bool = False) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        json.dumps([as_values(entry) for entry in read(limit, all_models=all_models)])
    )
    return found


def printed(entries: list[Entry]) -> str:
    console = Console(width=240)
    with console.capture() as capture:
        print_history("sums", entries, console)
    return capture.get()


# ---- the table


def test_the_evaluations_of_a_suite_come_newest_first_and_no_others(table: None) -> None:
    for number, suite in enumerate(("sums", "other", "sums", "sums")):
        written(number, suite)
    Evaluations("evaluations").lock("sums", "somebody").__enter__()
    found = EvaluationHistory("evaluations").of_suite("sums", 2)
    assert [item.evaluation_id[0] for item in found] == ["3", "2"]
    assert (found[0].status, found[0].winner, found[0].requested_at) == ("requested", None, START + timedelta(hours=3))


def test_a_suite_that_was_never_evaluated_has_no_history(table: None) -> None:
    assert read() == []


# ---- drift


def test_a_model_that_answers_worse_than_last_time_has_drifted(storage: Storage, table: None) -> None:
    completed(storage, 1)
    completed(storage, 2, wrong=20)
    [now, first] = values()
    [moved] = now["against_last_on_this_catalog"]
    assert (now["catalog_changed"], moved["since"], moved["changed"]) == (False, "1" * 32, [])
    assert (moved["drift"]["verdict"], moved["drift"]["n"]) == ("worse", N)
    assert moved["drift"]["difference"] == pytest.approx(-0.2)
    assert (first["catalog_changed"], first["against_last_on_this_catalog"][0]["since"]) == (None, None)


def test_a_changed_catalog_is_told_and_is_no_drift(storage: Storage, table: None) -> None:
    completed(storage, 1)
    completed(storage, 2, wrong=20, sha="b")
    [now, _] = values()
    assert now["catalog_changed"] is True
    assert now["against_last_on_this_catalog"] == [{"model": "new", "since": None, "changed": [], "drift": None}]


def test_the_last_evaluation_on_the_same_catalog_counts_though_another_lies_between(
    storage: Storage, table: Any
) -> None:
    completed(storage, 1)
    completed(storage, 2, wrong=50, sha="b")
    completed(storage, 3, wrong=20)
    moved = values()[0]["against_last_on_this_catalog"][0]
    assert (moved["since"], moved["drift"]["verdict"]) == ("1" * 32, "worse")
    assert values()[0]["catalog_changed"] is True


def test_a_changed_model_is_no_drift(storage: Storage, table: None) -> None:
    completed(storage, 1)
    completed(storage, 2, wrong=20, text=CONFIG.replace("endpoint_name: e}", "endpoint_name: g}"))
    moved = values()[0]["against_last_on_this_catalog"][0]
    assert (moved["changed"], moved["drift"]) == (["model"], None)


def test_every_model_is_looked_at_when_that_is_asked_for(storage: Storage, table: None) -> None:
    completed(storage, 1)
    completed(storage, 2)
    moved = values(all_models=True)[0]["against_last_on_this_catalog"]
    assert {item["model"]: item["drift"]["verdict"] for item in moved} == {"new": "inconclusive", "old": "inconclusive"}


def test_the_oldest_that_is_shown_is_still_compared_with_the_one_before(storage: Storage, table: None) -> None:
    completed(storage, 1)
    completed(storage, 2, wrong=20)
    [only] = values(limit=1)
    assert only["against_last_on_this_catalog"][0]["drift"]["verdict"] == "worse"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("name: sums", "name: sums"), []),
        (("sums.jsonl", "sums.jsonl, seed: 9"), ["catalog"]),
        (("endpoint_name: e", "endpoint_name: g"), ["model"]),
        (("[FactualKnowledge]", "[{algorithm: FactualKnowledge, target_output_delimiter: '|'}]"), ["scoring"]),
        (("[FactualKnowledge]", "[FactualKnowledge, QAAccuracy]"), []),
    ],
)
def test_what_changed_between_two_evaluations_is_named(change: tuple[str, str], expected: list[str]) -> None:
    then, now = (load_config(text.encode(), "c") for text in (CONFIG, CONFIG.replace(*change)))
    assert what_changed("new", now, then, same_catalog=True) == expected


def test_another_file_is_another_catalog() -> None:
    same = gate_support.config()
    assert what_changed("new", same, same, same_catalog=False) == ["catalog"]


def test_drift_needs_the_score_both_times() -> None:
    there = gate_support.Scores(factual_knowledge=gate_support.right_but(50, 0))
    assert drift(there, gate_support.Scores(), gate_support.config()) is None
    assert drift(gate_support.Scores(), there, gate_support.config()) is None


# ---- what is shown


def test_packages_approvals_and_the_champion_are_shown(storage: Storage, table: None) -> None:
    first, second = champion_of(paths_of(1)), champion_of(paths_of(2))
    sagemaker = boto3.client("sagemaker")
    sagemaker.update_model_package(ModelPackageArn=second, ModelApprovalStatus="Rejected", ApprovalDescription="No.")
    completed(storage, 1, package=first)
    completed(storage, 2, package=second)
    found = values()
    assert [item["is_champion"] for item in found] == [False, True]
    assert (found[0]["package"]["approval_status"], found[0]["package"]["note"]) == ("Rejected", "No.")
    text = printed(read())
    assert "2 rejected" in text
    assert "1 approved" in text
    assert text.count("champion") == 1


def test_a_failed_evaluation_and_one_that_runs_are_shown_as_such(storage: Storage, table: None) -> None:
    written(1, status="failed", reason="the pipeline execution failed")
    written(2, status="started")
    found = values()
    assert [(item["status"], item["winner"], item["score"]) for item in found] == [
        ("started", None, None),
        ("failed", None, None),
    ]
    assert found[1]["reason"] == "the pipeline execution failed"
    assert "failed" in printed(read())


def test_an_evaluation_whose_objects_are_gone_is_shown_without_numbers(storage: Storage, table: None) -> None:
    written(1, status="completed", winner="new", gate="passed")
    [found] = values()
    assert (found["winner"], found["score"], found["catalog_sha256"]) == ("new", None, None)


def test_the_table_says_what_moved_and_why(storage: Storage, table: None) -> None:
    completed(storage, 1)
    completed(storage, 2, wrong=20)
    completed(storage, 3, wrong=20, sha="b")
    text = printed(read())
    assert "worse: -0.200" in text
    assert text.count("first on this catalog") == 2
    assert "bbbbbbbb*" in text
    assert "aaaaaaaa " in text
