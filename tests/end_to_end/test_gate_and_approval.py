"""From a registered winner to a decision: gate, approval, announcement and history, without asking any model.

The catalog holds the answers of its models, so that each evaluation takes as long as its steps take to start.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Comparison
from cli import target
from cli.main import app
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
        [mail] = self._cloud.wait(lambda: self._cloud.mails(paths.evaluation_id, "Ranking by"))
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
    first = Suite(cloud, "approved").evaluate()
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


def test_a_rejected_winner_is_announced(cloud: Cloud, command: Any) -> None:
    first = Suite(cloud, "rejected").evaluate()
    result = command("reject", first.identifier, "--note", "Too blunt.")
    assert result.exit_code == 0, result.output
    assert "no version of rejected is approved now" in result.stdout
    [rejected] = cloud.wait(lambda: cloud.events("ModelRejected", suite="rejected"))
    assert rejected["data"]["note"] == "Too blunt."
    [mail] = cloud.wait(lambda: cloud.mails(first.identifier, "was rejected"))
    assert "has no champion to be held against" in mail["text"]


def test_an_evaluation_that_nobody_knows_is_not_decided(command: Any) -> None:
    result = command("approve", "f" * 32)
    assert result.exit_code == 1
    assert "has no evaluation" in result.stderr
