"""From a registered winner to a decision: gate, approval, announcement and history, without asking any model.

The catalog holds the answers of its models, so that each evaluation takes as long as its steps take to start.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from typer.testing import CliRunner, Result

from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.gate import GateResult
from assay.contracts.results import Comparison
from cli import target
from cli.main import app
from local import deploy
from tests.end_to_end.conftest import Cloud

RECORDS = 120
CONFIG = """\
pipeline: {{name: {suite}}}
dataset: {{input_data_location: {suite}.jsonl, model_input_key: question, target_output_key: answer}}
models:
  - {{name: house, provider: responses, response_key: house}}
algorithms: [FactualKnowledge]
{more}
"""


@dataclass(frozen=True)
class Evaluated:
    """One evaluation that has ended."""

    paths: EvaluationPaths
    completed: dict[str, Any]
    comparison: Comparison
    mail: dict[str, Any]

    @property
    def identifier(self) -> str:
        return self.paths.evaluation_id

    def gate(self, cloud: Cloud) -> GateResult:
        return GateResult.model_validate_json(cloud.read(self.paths.gate))


def catalog(wrong: set[int]) -> str:
    """Sums, whose answers in the column `house` are right but for some."""
    rows = [
        {
            "id": f"sum-{number:03}",
            "question": f"What is {number} + {number}?",
            "answer": str(2 * number),
            "house": "no idea" if number in wrong else f"It is {2 * number}.",
        }
        for number in range(100, 100 + RECORDS)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


class Suite:
    """A suite that is evaluated again and again."""

    def __init__(self, cloud: Cloud, name: str, more: str = "") -> None:
        self._cloud, self.name = cloud, name
        self._config = CONFIG.format(suite=name, more=more)
        self._ended = 0

    def evaluate(self, wrong: set[int] = frozenset()) -> Evaluated:  # type: ignore[assignment]
        """Drop the catalog with these answers, and wait for what comes of it."""
        self._cloud.drop(f"catalogs/{self.name}.jsonl", catalog(set(wrong)))
        if not self._ended:
            self._cloud.drop(f"configs/{self.name}.yaml", self._config)
        self._ended += 1
        completed = self._cloud.wait(
            lambda: self._cloud.events("EvaluationCompleted", suite=self.name)[self._ended - 1 :], 240
        )[0]
        paths = EvaluationPaths(self._cloud.bucket, self.name, completed["evaluation_id"])
        # The stack's own topic is the first that is told.
        mail = self._cloud.wait(lambda: self._cloud.mails(paths.evaluation_id, "Ranking by"))[0]
        comparison = Comparison.model_validate_json(self._cloud.read(paths.comparison))
        return Evaluated(paths, completed, comparison, mail)


@pytest.fixture
def command(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(target, "PROJECT", cloud.stack.settings.project)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    return run


def package(cloud: Cloud, arn: str) -> dict[str, Any]:
    described: dict[str, Any] = cloud.stack.client("sagemaker").describe_model_package(ModelPackageName=arn)
    return described


def test_a_first_winner_is_registered_approved_and_announced(cloud: Cloud, command: Any) -> None:
    sns, topic = cloud.stack.client("sns"), cloud.stack.outputs["TopicArn"]
    wanted = {"occasion": ["approval"], "suite": ["approved"]}
    for address, policy in (("approver@example.org", wanted), ("other@example.org", {"suite": ["another"]})):
        attributes = {"FilterPolicy": json.dumps(policy)}
        sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=address, Attributes=attributes)

    first = Suite(cloud, "approved").evaluate()
    assert first.mail["to"] == ["approver@example.org"]
    arn = first.completed["data"]["model_package_arn"]
    [registered] = cloud.wait(lambda: cloud.events("ModelRegistered", suite="approved"))
    assert registered["data"]["model_package_arn"] == arn
    assert registered["data"]["approval_status"] == "PendingManualApproval"
    assert f"assay approve {first.identifier}" in first.mail["text"]

    result = command("approve", first.identifier, "--note", "Every sum is right.")
    assert result.exit_code == 0, result.output
    assert "it is the champion" in result.stdout
    [approved] = cloud.wait(lambda: cloud.events("ModelApproved", suite="approved"))
    assert approved["data"]["champion_arn"] == arn
    assert approved["data"]["note"] == "Every sum is right."
    [mail] = cloud.wait(lambda: cloud.mails(first.identifier, "was approved"))
    assert mail["subject"] == "Assay: approved: house is approved"
    assert package(cloud, arn)["ModelApprovalStatus"] == "Approved"

    refused = command("reject", first.identifier)
    assert refused.exit_code == 1
    assert re.search("was approved by .* Every sum is right", refused.stderr)
    assert package(cloud, arn)["ModelApprovalStatus"] == "Approved"


def test_an_equivalent_challenger_is_told_so_and_a_worse_one_is_stopped(cloud: Cloud, command: Any) -> None:
    suite = Suite(cloud, "champion")
    first = suite.evaluate({100, 101})
    assert first.completed["data"]["gate"] == "not_applicable"
    assert command("approve", first.identifier).exit_code == 0
    champion = first.completed["data"]["model_package_arn"]

    equivalent = suite.evaluate({100, 102})
    assert equivalent.completed["data"]["gate"] == "passed"
    assert equivalent.gate(cloud).verdict == "equivalent"
    assert "house is as good as the champion house (version 1)" in " ".join(equivalent.mail["text"].split())
    waiting = package(cloud, equivalent.completed["data"]["model_package_arn"])
    assert waiting["ModelApprovalStatus"] == "PendingManualApproval"
    assert waiting["CustomerMetadataProperties"]["champion_arn"] == champion

    lost = set(range(110, 150))
    worse = suite.evaluate(lost)
    assert (worse.completed["data"]["gate"], worse.completed["data"]["model_package_arn"]) == ("failed", None)
    gate = worse.gate(cloud)
    assert gate.baseline is not None
    # The catalog holds the answers, so that another version of it is another catalog with the same questions.
    assert (gate.baseline.catalog, gate.baseline.model_package_arn, gate.common) == ("changed", champion, RECORDS)
    assert {item.record_id for item in gate.regressed} == {f"sum-{number}" for number in lost}
    assert worse.mail["subject"] == "Assay: champion: house is stopped by the gate"
    assert "40 records got worse:" in worse.mail["text"]
    assert "sum-110: 100.0 -> 0.0" in worse.mail["text"]
    assert "and 30 more" in worse.mail["text"]
    versions = cloud.stack.client("sagemaker").list_model_packages(ModelPackageGroupName="champion")
    assert len(versions["ModelPackageSummaryList"]) == 2

    shown = command("history", "champion", "--json")
    assert shown.exit_code == 0, shown.output
    newest, middle, oldest = json.loads(shown.stdout)
    assert [entry["evaluation_id"] for entry in (newest, middle, oldest)] == [
        evaluated.identifier for evaluated in (worse, equivalent, first)
    ]
    assert [entry["is_champion"] for entry in (newest, middle, oldest)] == [False, False, True]
    assert (newest["gate"], newest["package"], newest["catalog_changed"]) == ("failed", None, True)
    assert oldest["package"]["approval_status"] == "Approved"
    assert "champion" in command("history", "champion").stdout

    nothing = command("approve", worse.identifier)
    assert nothing.exit_code == 1
    assert "registered no model" in nothing.stderr


def test_an_evaluation_again_on_the_same_catalog_shows_whether_the_model_drifted(cloud: Cloud, command: Any) -> None:
    suite = Suite(cloud, "drift")
    first = suite.evaluate({100})
    again = suite.evaluate({100})
    newest, oldest = json.loads(command("history", "drift", "--json").stdout)
    assert newest["catalog_changed"] is False
    [moved] = newest["against_last_on_this_catalog"]
    assert (moved["model"], moved["since"], moved["changed"]) == ("house", first.identifier, [])
    assert (moved["drift"]["n"], moved["drift"]["difference"]) == (RECORDS, 0.0)
    assert oldest["against_last_on_this_catalog"][0]["since"] is None
    assert again.completed["data"]["gate"] == "not_applicable"


def test_a_suite_without_evaluations_has_no_history(command: Any) -> None:
    result = command("history", "never-evaluated")
    assert result.exit_code == 1
    assert "has no evaluation of the suite never-evaluated" in result.stderr


def test_a_winner_below_a_threshold_is_not_registered_on_the_first_run(cloud: Cloud) -> None:
    gate = "gate: {thresholds: [{metric: factual_knowledge, at_least: 0.99}]}"
    first = Suite(cloud, "threshold", gate).evaluate({100, 101})
    assert first.completed["data"]["gate"] == "failed"
    assert "at least 99.0 was asked for" in " ".join(first.mail["text"].split())
    groups = cloud.stack.client("sagemaker").list_model_package_groups()["ModelPackageGroupSummaryList"]
    assert "threshold" not in [group["ModelPackageGroupName"] for group in groups]


def test_a_winner_that_passes_surely_enough_is_approved_where_nobody_is_to_be_asked(cloud: Cloud, command: Any) -> None:
    suite = Suite(cloud, "by-itself", "gate: {approve_at_confidence: 0.99}")
    first = suite.evaluate(set(range(100, 140)))
    assert command("approve", first.identifier).exit_code == 0
    better = suite.evaluate()
    arn = better.completed["data"]["model_package_arn"]
    approved = cloud.wait(
        lambda: [
            event
            for event in cloud.events("ModelApproved", suite="by-itself")
            if event["data"]["model_package_arn"] == arn
        ]
    )
    assert approved[0]["data"]["decided_by"] == "gate.approve_at_confidence 0.99"
    assert package(cloud, arn)["ModelApprovalStatus"] == "Approved"
    assert "is approved: the config asks nobody" in " ".join(better.mail["text"].split())


def reconcile(cloud: Cloud) -> dict[str, Any]:
    """Invoke the reconciler as an operator does who waits for nothing; what it answers."""
    answer = cloud.stack.client("lambda").invoke(
        FunctionName=cloud.stack.outputs["ReconcileEvaluationsFunctionName"], Payload=b'{"grace_seconds": 0}'
    )
    done: dict[str, Any] = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, done
    return done


def test_a_rejected_winner_is_announced_once_to_the_suites_own_people_too_though_its_event_is_lost(
    cloud: Cloud, command: Any
) -> None:
    first = Suite(cloud, "rejected", "notify: {emails: [team@example.org], occasions: [approval, rejected]}").evaluate()
    arn = first.completed["data"]["model_package_arn"]
    cloud.wait(lambda: cloud.events("ModelRegistered", suite="rejected"))
    lost = {"kind": "event", "about": arn, "detail_type": "SageMaker Model Package State Change", "does": "lose"}
    faults = f"{cloud.stack.settings.endpoint_url}/_local/faults"
    requests.post(faults, json=[lost], timeout=60, proxies={"http": ""}).raise_for_status()
    result = command("reject", first.identifier, "--note", "Too blunt.")
    assert result.exit_code == 0, result.output
    assert "no version of rejected is approved now" in result.stdout
    assert cloud.events("ModelRejected", suite="rejected") == []

    assert first.identifier in reconcile(cloud)["announced"]
    [rejected] = cloud.wait(lambda: cloud.events("ModelRejected", suite="rejected"))
    assert rejected["data"]["note"] == "Too blunt."
    team = ["team@example.org"]
    [own] = cloud.wait(lambda: [mail for mail in cloud.mails(first.identifier, "was rejected") if mail["to"] == team])
    [mail] = [mail for mail in cloud.mails(first.identifier, "was rejected") if mail["to"] != team]
    assert "has no champion to be held against" in mail["text"]
    assert (own["subject"], own["text"]) == (mail["subject"], mail["text"])
    assert [mail["to"] for mail in cloud.mails(first.identifier, "Ranking by")].count(team) == 1

    # An event of the same decision, as SageMaker sends one for every change of the package.
    cloud.stack.client("sagemaker").update_model_package(ModelPackageArn=arn, CustomerMetadataProperties={"a": "b"})
    assert first.identifier not in reconcile(cloud)["announced"]

    cloud.drop("configs/rejected.yaml", "pipeline: {name: rejected}\n")
    cloud.wait(lambda: [mail for mail in cloud.mails("configs/rejected.yaml") if mail["to"] == team])
    cloud.drop("configs/rejected.yaml", CONFIG.format(suite="rejected", more=""))
    sns = cloud.stack.client("sns")
    cloud.wait(lambda: not any(topic["TopicArn"].endswith("-suite-rejected") for topic in sns.list_topics()["Topics"]))
    assert len(cloud.events("ModelRejected", suite="rejected")) == 1
    assert len(cloud.mails(first.identifier, "was rejected")) == 2


def test_an_evaluation_that_nobody_knows_is_not_decided(command: Any) -> None:
    result = command("approve", "f" * 32)
    assert result.exit_code == 1
    assert "has no evaluation" in result.stderr


def test_a_link_in_the_mail_asks_first_and_decides_once(cloud: Cloud) -> None:
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    deploy.deploy(cloud.stack.settings, parameters={"PythonVersion": python, "ApprovalLinks": "on"})
    first = Suite(cloud, "by-link").evaluate()
    arn = first.completed["data"]["model_package_arn"]
    [link] = re.findall(r"^  (http://\S+/\?token=\S+)$", first.mail["text"], re.MULTILINE)

    opened = requests.get(link, timeout=60)
    assert (opened.status_code, requests.head(link, timeout=60).status_code) == (200, 200)
    assert "house, version 1 of by-link" in opened.text
    assert package(cloud, arn)["ModelApprovalStatus"] == "PendingManualApproval"

    token = link.partition("token=")[2]
    form = {"token": token, "name": "Ada", "note": "Every sum is right.", "decision": "Approved"}
    decided = requests.post(link, data=form, timeout=60)
    assert decided.status_code == 200, decided.text
    [approved] = cloud.wait(lambda: cloud.events("ModelApproved", suite="by-link"))
    assert (approved["data"]["decided_by"], approved["data"]["note"]) == (
        "Ada by the link in the mail",
        "Every sum is right.",
    )
    again = requests.post(link, data={**form, "decision": "Rejected"}, timeout=60)
    assert again.status_code == 410
    assert package(cloud, arn)["ModelApprovalStatus"] == "Approved"
