"""Links by which whoever reads the mail decides: unguessable, for a week, and once.

A link holds 256 random bits; the table keeps only their hash. Nobody can make a link without writing to the table,
which is what a signature would prove, and there is no key to keep.

pk                  sk      attributes
LINK#<sha256>       LINK    evaluation_id, model_package_arn, expires_at (epoch seconds; the time to live), used_at
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import boto3
from botocore.exceptions import ClientError

from assay.aws.faults import code_of, transient_faults

SECONDS = 7 * 24 * 3600


@dataclass(frozen=True)
class ApprovalLink:
    """What a link is about."""

    evaluation_id: str
    model_package_arn: str


class ApprovalLinks:
    """Makes links, and knows which are still good.

    Args:
        table_name: the table of evaluations.
        client: a boto3 DynamoDB client; one of its own by default.
        now: the time, with its zone.
        new_token: makes the secret part of a link.
    """

    def __init__(
        self,
        table_name: str,
        client: Any = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_token: Callable[[], str] = lambda: secrets.token_urlsafe(32),
    ) -> None:
        self._table = table_name
        self._client = client if client is not None else boto3.client("dynamodb")
        self._now = now
        self._new_token = new_token

    @transient_faults()
    def make(self, url: str, link: ApprovalLink) -> str:
        """A new link below `url`."""
        token = self._new_token()
        expires = int(self._now().timestamp()) + SECONDS
        self._client.put_item(
            TableName=self._table,
            Item=_key(token)
            | {
                "evaluation_id": {"S": link.evaluation_id},
                "model_package_arn": {"S": link.model_package_arn},
                "expires_at": {"N": str(expires)},
            },
        )
        return f"{url.rstrip('/')}/?{urlencode({'token': token})}"

    @transient_faults()
    def read(self, token: str) -> ApprovalLink | None:
        """What a link is about; None when there is no such link, when it is too old, and when it was used."""
        item = self._client.get_item(TableName=self._table, Key=_key(token), ConsistentRead=True).get("Item")
        # The table deletes what is too old within days, not at once.
        if item is None or "used_at" in item or int(item["expires_at"]["N"]) <= self._now().timestamp():
            return None
        return ApprovalLink(item["evaluation_id"]["S"], item["model_package_arn"]["S"])

    @transient_faults()
    def use(self, token: str) -> bool:
        """Spend a link; False when somebody else was quicker."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_key(token),
                UpdateExpression="SET used_at = :now",
                ConditionExpression="attribute_exists(pk) AND attribute_not_exists(used_at)",
                ExpressionAttributeValues={":now": {"S": self._now().isoformat()}},
            )
        except ClientError as error:
            if code_of(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True


def _key(token: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": f"LINK#{hashlib.sha256(token.encode()).hexdigest()}"}, "sk": {"S": "LINK"}}
