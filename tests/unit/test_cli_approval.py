"""Which model package `assay approve` and `assay reject` decide about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from assay.contracts.reconciliation import EvaluationState
from cli.approval import registered_package
from cli.output import CommandError

ID = "0123456789abcdef" * 2
PACKAGE = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/sums/3"


class Table:
    """What is known of one evaluation."""

    def __init__(self, **state: Any) -> None:
        known: dict[str, Any] = {"suite": "sums", "bucket": "drops", "requested_at": datetime(2026, 11, 24, tzinfo=UTC)}
        self._state = EvaluationState(evaluation_id=ID, execution_arn=None, **known, **state)

    def get(self, evaluation_id: str) -> EvaluationState | None:
        return self._state if evaluation_id == ID else None


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_what_was_registered_is_decided_about_though_its_evaluation_failed_afterwards(status: str) -> None:
    table: Any = Table(status=status, model_package_arn=PACKAGE)
    assert registered_package("here", table, ID) == PACKAGE


@pytest.mark.parametrize(
    ("status", "words"),
    [("started", "is not completed but started"), ("failed", "but failed"), ("completed", "registered no model")],
)
def test_without_a_package_there_is_nothing_to_decide(status: str, words: str) -> None:
    table: Any = Table(status=status)
    with pytest.raises(CommandError, match=words):
        registered_package("here", table, ID)


def test_an_evaluation_that_nobody_knows_is_named() -> None:
    table: Any = Table(status="completed")
    with pytest.raises(CommandError, match="here has no evaluation other"):
        registered_package("here", table, "other")
