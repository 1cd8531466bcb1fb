"""What is known of suites, in the table that `aws.evaluations` shares.

pk                      sk                      attributes
SUITE#<suite>           CONFIG                  config_key, config_version_id: what describes the suite; notify_on: of
                                                which occasions its own addresses are told
SUITE#<suite>           CLAIM#<config key>      config_key: of a config that names it; expires_at once it does not
CONFIG#<config key>     SUITE#<suite>           suite: what the config describes, or described until lately
CATALOG#<catalog key>   CONFIG#<config key>     config_key, config_version_id: a reader; expires_at once it is none
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import boto3
from botocore.exceptions import ClientError

from assay.aws.faults import code_of, transient_faults
from assay.contracts.evaluation import ObjectVersion, shortened
from assay.contracts.suites import Description, Reader

# Longer than any event is on its way: a day in EventBridge, two weeks in a queue of dead letters.
EXPIRES_SECONDS = 30 * 24 * 3600
_LONGEST_PARTITION_KEY, _LONGEST_SORT_KEY = 2048, 1024


class SuiteTable:
    """The table's suites.

    Args:
        table_name: its name.
        client: a boto3 DynamoDB client; one of its own by default.
        now: the time, with its zone.
    """

    def __init__(
        self, table_name: str, client: Any = None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._table = table_name
        self._client = client if client is not None else boto3.client("dynamodb")
        self._now = now

    @transient_faults()
    def note_reader(self, catalog_key: str, config: ObjectVersion) -> None:
        """Write that a version of a config reads a catalog."""
        self._put(f"CATALOG#{catalog_key}", f"CONFIG#{config.key}", _version(config))

    @transient_faults()
    def readers(self, catalog_key: str) -> list[Reader]:
        """The configs that read a catalog, or did until lately, by key."""
        items = self._query(f"CATALOG#{catalog_key}", "CONFIG#")
        found = [Reader(item["config_key"], item.get("config_version_id")) for item in items]
        return sorted(found, key=lambda reader: reader.config_key)

    @transient_faults()
    def let_reader_expire(self, catalog_key: str, reader: Reader) -> None:
        """Let DynamoDB delete a reader in time, unless a newer version of its config reads the catalog again."""
        condition = "attribute_exists(pk) AND attribute_not_exists(expires_at) AND "
        values: dict[str, Any] = {":expires": {"N": self._expiry()}}
        if reader.noted_version is None:
            condition += "attribute_not_exists(config_version_id)"
        else:
            condition += "config_version_id = :noted"
            values[":noted"] = {"S": reader.noted_version}
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_key(f"CATALOG#{catalog_key}", f"CONFIG#{reader.config_key}"),
                UpdateExpression="SET expires_at = :expires",
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
            )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise

    @transient_faults()
    def description(self, suite: str) -> Description | None:
        """The version of the config that describes a suite; None for an unknown one."""
        reply = self._client.get_item(TableName=self._table, Key=_key(f"SUITE#{suite}", "CONFIG"), ConsistentRead=True)
        found = reply.get("Item", {})
        item = _texts(found)
        notify_on = frozenset(found.get("notify_on", {}).get("SS", []))
        return Description(item["config_key"], item.get("config_version_id"), notify_on) if item else None

    @transient_faults()
    def suites_of(self, config_key: str) -> list[str]:
        """The suites that a config describes, or described and was not forgotten for yet, by name."""
        return sorted(item["suite"] for item in self._query(f"CONFIG#{config_key}", "SUITE#"))

    @transient_faults()
    def describe(self, suite: str, config: ObjectVersion, notify_on: Collection[str]) -> None:
        """Write that a version of a config describes a suite, in place of what did.

        Args:
            notify_on: of which occasions the config's own addresses are told.
        """
        # First the way back from the config: whatever happens in between, its deletion finds the suite.
        self.own(suite, config.key)
        self._put(f"SUITE#{suite}", "CONFIG", _version(config), sets={"notify_on": notify_on})

    @transient_faults()
    def own(self, suite: str, config_key: str) -> None:
        """Write that a suite belongs to a config, so that its deletion finds the suite."""
        self._put(f"CONFIG#{config_key}", f"SUITE#{suite}", {"suite": suite})

    @transient_faults()
    def forget(self, suite: str, config_key: str) -> None:
        """Write that a config does not describe a suite any more; another that does stays."""
        try:
            self._client.delete_item(
                TableName=self._table,
                Key=_key(f"SUITE#{suite}", "CONFIG"),
                ConditionExpression="config_key = :key",
                ExpressionAttributeValues={":key": {"S": config_key}},
            )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise
        self._client.delete_item(TableName=self._table, Key=_key(f"CONFIG#{config_key}", f"SUITE#{suite}"))

    @transient_faults()
    def claim(self, suite: str, config_key: str) -> None:
        """Write that a config names a suite, which it describes, or would describe if no other did."""
        self._put(f"SUITE#{suite}", f"CLAIM#{config_key}", {"config_key": config_key})

    @transient_faults()
    def claims(self, suite: str) -> list[str]:
        """The keys of the configs that name a suite, or did until lately, sorted."""
        return sorted(item["config_key"] for item in self._query(f"SUITE#{suite}", "CLAIM#"))

    @transient_faults()
    def let_claim_expire(self, suite: str, config_key: str) -> None:
        """Let DynamoDB delete a claim in time: its config does not name the suite any more, but late events ask."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_key(f"SUITE#{suite}", f"CLAIM#{config_key}"),
                UpdateExpression="SET expires_at = :expires",
                ConditionExpression="attribute_exists(pk) AND attribute_not_exists(expires_at)",
                ExpressionAttributeValues={":expires": {"N": self._expiry()}},
            )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise

    def _expiry(self) -> str:
        return str(int(self._now().timestamp()) + EXPIRES_SECONDS)

    def _put(
        self, pk: str, sk: str, values: dict[str, str], sets: Mapping[str, Collection[str]] = MappingProxyType({})
    ) -> None:
        item: dict[str, Any] = _key(pk, sk) | {name: {"S": value} for name, value in values.items()}
        # DynamoDB knows no empty set.
        item |= {name: {"SS": sorted(members)} for name, members in sets.items() if members}
        self._client.put_item(TableName=self._table, Item=item)

    def _query(self, pk: str, prefix: str) -> list[dict[str, str]]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={
                ":pk": {"S": shortened(pk, _LONGEST_PARTITION_KEY)},
                ":prefix": {"S": prefix},
            },
            ConsistentRead=True,
        )
        return [_texts(item) for page in pages for item in page["Items"]]


def _key(pk: str, sk: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": shortened(pk, _LONGEST_PARTITION_KEY)}, "sk": {"S": shortened(sk, _LONGEST_SORT_KEY)}}


def _version(config: ObjectVersion) -> dict[str, str]:
    values = {"config_key": config.key}
    if config.version_id is not None:
        values["config_version_id"] = config.version_id
    return values


def _texts(item: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: value["S"] for name, value in item.items() if "S" in value}
