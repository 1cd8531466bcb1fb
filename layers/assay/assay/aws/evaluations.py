"""What is known of evaluations, in the table that `aws.suites` shares.

pk                      sk              attributes
EVALUATION#<id>         STATE           suite, bucket, status (requested, started, completed, failed), requested_at,
                                        execution_arn, started_at; and, from the state machine: concluded_by,
                                        concluded_at, comparison_uri, report_uri, winner, model_package_arn, reason;
                                        correlation_id where a request gave one; from the reconciler: given_reason,
                                        why it will fail; of a registered winner approval_status, approval_changed_ms,
                                        approval_told_by: what was announced last, of which moment, by which execution
EVALUATION#<id>         APPROVAL#<when>#<status>    one announcement of its package: announced_by, approval_status,
                                        decided_by, decided_at, note, model_package_arn
ENDPOINT#<name, lower>  USERS           users, creator, leaving: see `assay.aws.endpoint_users`
LOCK#<suite>            LOCK            holder, expires_at (epoch seconds; the table's time to live)

The index `evaluations-by-status` finds evaluations by status, the oldest request first.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.exceptions import ClientError

from assay.aws.faults import code_of, transient_faults
from assay.contracts.errors import TransientError
from assay.contracts.reconciliation import EvaluationState

Item = dict[str, dict[str, str]]
STATUS_INDEX = "evaluations-by-status"


class Evaluations:
    """The table's evaluations, and the locks on suites.

    Args:
        table_name: its name.
        client: a boto3 DynamoDB client; one of its own by default.
        now: the time, with its zone.
        sleep: waiting, in seconds.
    """

    def __init__(
        self,
        table_name: str,
        client: Any = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._table = table_name
        self._client = client if client is not None else boto3.client("dynamodb")
        self._now = now
        self._sleep = sleep

    @transient_faults()
    def has_started(self, evaluation_id: str) -> bool:
        """Whether the evaluation's pipeline was started, or it was concluded without."""
        item = self._get(_evaluation_key(evaluation_id)) or {}
        return "execution_arn" in item or "concluded_by" in item

    @transient_faults()
    def begin(self, evaluation_id: str, *, suite: str, bucket: str, correlation_id: str | None = None) -> bool:
        """Write that an evaluation was asked for; False when its pipeline was started already.

        An evaluation whose start was interrupted begins again: starting is idempotent, and it would else be lost.
        """
        expression = (
            "SET suite = :suite, #bucket = :bucket, #status = if_not_exists(#status, :requested), "
            "requested_at = if_not_exists(requested_at, :now)"
        )
        values = {":suite": suite, ":bucket": bucket, ":requested": "requested", ":now": self._now().isoformat()}
        if correlation_id is not None:
            expression += ", correlation_id = :correlation"
            values[":correlation"] = correlation_id
        return self._update(
            _evaluation_key(evaluation_id),
            expression,
            values,
            condition="attribute_not_exists(execution_arn) AND attribute_not_exists(concluded_by)",
        )

    @transient_faults()
    def started(self, evaluation_id: str, execution_arn: str) -> None:
        """Write which pipeline execution runs the evaluation."""
        key = _evaluation_key(evaluation_id)
        values = {":arn": execution_arn, ":now": self._now().isoformat()}
        written = self._update(
            key,
            "SET execution_arn = :arn, started_at = :now, #status = :started",
            {**values, ":started": "started", ":requested": "requested"},
            condition="#status = :requested",
        )
        if not written:
            # The pipeline was quicker than this note: its end is recorded, and stays.
            self._update(key, "SET execution_arn = :arn, started_at = :now", values)

    @transient_faults()
    def get(self, evaluation_id: str) -> EvaluationState | None:
        """Where an evaluation stands, None when it is unknown."""
        item = self._get(_evaluation_key(evaluation_id))
        if item is None:
            return None
        return _state(item)

    def unfinished(self) -> Iterator[EvaluationState]:
        """Every evaluation that has not been concluded, the oldest first.

        Raises:
            TransientError: DynamoDB did not answer.
        """
        for status in ("requested", "started"):
            yield from self._with_status(status)

    def registered(self, since: datetime) -> Iterator[EvaluationState]:
        """Every concluded evaluation requested since then whose winner was registered; one may have failed after that.

        Raises:
            TransientError: DynamoDB did not answer.
        """
        # The attribute is NULL where nothing was registered.
        wanted = "attribute_type(model_package_arn, :package)"
        for status in ("completed", "failed"):
            values = {":package": "S", ":since": since.isoformat()}
            yield from self._with_status(status, " AND requested_at >= :since", values, FilterExpression=wanted)

    def _with_status(
        self, status: str, condition: str = "", values: dict[str, str] | None = None, **more: str
    ) -> Iterator[EvaluationState]:
        with transient_faults():
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                IndexName=STATUS_INDEX,
                KeyConditionExpression=f"#status = :status{condition}",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues=_item({":status": status, **(values or {})}),
                **more,
            )
            for page in pages:
                yield from map(_state, page["Items"])

    @transient_faults()
    def give_reason(self, evaluation_id: str, reason: str) -> None:
        """Write why an evaluation will fail, for whoever concludes it; the first reason stays."""
        self._update(
            _evaluation_key(evaluation_id),
            "SET given_reason = if_not_exists(given_reason, :reason)",
            {":reason": reason},
            condition="attribute_exists(pk)",
        )

    @contextlib.contextmanager
    def lock(self, suite: str, holder: str, *, seconds: int = 120, patience_seconds: int = 60) -> Iterator[None]:
        """Keep everybody else from the suite's pipeline.

        Args:
            holder: who asks; the same holder gets the lock again.
            seconds: when the lock opens by itself, since whoever took it may be dead.
            patience_seconds: how long to wait for it.

        Raises:
            TransientError: somebody else still holds it.
        """
        for attempt in range(patience_seconds + 1):
            if attempt:
                self._sleep(1)
            if self._take(suite, holder, seconds):
                break
        else:
            raise TransientError(f"the suite {suite} was locked by another evaluation for {patience_seconds} s")
        try:
            yield
        finally:
            self._release(suite, holder)

    @transient_faults()
    def _take(self, suite: str, holder: str, seconds: int) -> bool:
        now = int(self._now().timestamp())
        return self._written(
            self._client.put_item,
            Item=_key(f"LOCK#{suite}", "LOCK") | {"holder": {"S": holder}, "expires_at": {"N": str(now + seconds)}},
            ConditionExpression="attribute_not_exists(pk) OR expires_at <= :now OR holder = :holder",
            ExpressionAttributeValues={":now": {"N": str(now)}, ":holder": {"S": holder}},
        )

    @transient_faults()
    def _release(self, suite: str, holder: str) -> None:
        # Not ours any more when it opened by itself and another took it.
        self._written(
            self._client.delete_item,
            Key=_key(f"LOCK#{suite}", "LOCK"),
            ConditionExpression="holder = :holder",
            ExpressionAttributeValues=_item({":holder": holder}),
        )

    def _update(self, key: Item, expression: str, values: dict[str, str], condition: str | None = None) -> bool:
        request: dict[str, Any] = {"ConditionExpression": condition} if condition else {}
        # Words that DynamoDB keeps for itself.
        names = {f"#{name}": name for name in ("bucket", "status") if f"#{name}" in expression}
        if names:
            request["ExpressionAttributeNames"] = names
        return self._written(
            self._client.update_item,
            Key=key,
            UpdateExpression=expression,
            ExpressionAttributeValues=_item(values),
            **request,
        )

    def _written(self, operation: Callable[..., Any], **request: Any) -> bool:
        """Whether the condition of a write held."""
        try:
            operation(TableName=self._table, **request)
        except ClientError as error:
            if code_of(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def _get(self, key: Item) -> dict[str, Any] | None:
        item: dict[str, Any] | None = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get(
            "Item"
        )
        return item


def _key(pk: str, sk: str) -> Item:
    return _item({"pk": pk, "sk": sk})


def _evaluation_key(evaluation_id: str) -> Item:
    return _key(f"EVALUATION#{evaluation_id}", "STATE")


def _state(item: dict[str, Any]) -> EvaluationState:
    def moment(name: str) -> datetime | None:
        return datetime.fromisoformat(item[name]["S"]) if name in item else None

    return EvaluationState(
        evaluation_id=item["pk"]["S"].removeprefix("EVALUATION#"),
        suite=item["suite"]["S"],
        bucket=item["bucket"]["S"],
        status=item["status"]["S"],
        execution_arn=item.get("execution_arn", {}).get("S"),
        requested_at=moment("requested_at") or datetime.fromtimestamp(0, UTC),
        concluded_by=item.get("concluded_by", {}).get("S"),
        concluded_at=moment("concluded_at"),
        winner=item.get("winner", {}).get("S"),
        model_package_arn=item.get("model_package_arn", {}).get("S"),
        reason=item.get("reason", {}).get("S"),
        approval_told=item.get("approval_status", {}).get("S"),
        approval_told_by=item.get("approval_told_by", {}).get("S"),
    )


def _item(values: dict[str, str]) -> Item:
    return {name: {"S": value} for name, value in values.items()}
