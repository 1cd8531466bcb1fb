"""The evaluations of a suite over time, by the table's index `evaluations-by-suite`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import boto3

from assay.aws.faults import transient_faults

INDEX = "evaluations-by-suite"


@dataclass(frozen=True)
class PastEvaluation:
    """One evaluation as the table knows it.

    Attributes:
        status: `requested`, `started`, `completed` or `failed`.
        winner, gate, model_package_arn: of a completed one; None where there is none.
        reason: why a failed one failed.
    """

    evaluation_id: str
    suite: str
    bucket: str
    status: str
    requested_at: datetime
    winner: str | None
    gate: str | None
    model_package_arn: str | None
    reason: str | None


class EvaluationHistory:
    """Reads the table of evaluations.

    Args:
        table_name: its name.
        client: a boto3 DynamoDB client; one of its own by default.
    """

    def __init__(self, table_name: str, client: Any = None) -> None:
        self._table = table_name
        self._client = client if client is not None else boto3.client("dynamodb")

    @transient_faults()
    def of_suite(self, suite: str, limit: int) -> list[PastEvaluation]:
        """The last evaluations of a suite, the newest first; one of this very moment may not be among them yet."""
        return list(islice(self._of_suite(suite), limit))

    def _of_suite(self, suite: str) -> Iterator[PastEvaluation]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            IndexName=INDEX,
            KeyConditionExpression="suite = :suite",
            ExpressionAttributeValues={":suite": {"S": suite}},
            ScanIndexForward=False,
        )
        for page in pages:
            for item in page["Items"]:
                values = {name: value["S"] for name, value in item.items() if "S" in value}
                yield PastEvaluation(
                    evaluation_id=values["pk"].removeprefix("EVALUATION#"),
                    suite=values["suite"],
                    bucket=values["bucket"],
                    status=values["status"],
                    requested_at=datetime.fromisoformat(values["requested_at"]),
                    winner=values.get("winner"),
                    gate=values.get("gate"),
                    model_package_arn=values.get("model_package_arn"),
                    reason=values.get("reason"),
                )
