"""Which evaluations use an endpoint that a config gave a name, so that the last one of them deletes it, and no other.

One item an endpoint in the table of evaluations: pk `ENDPOINT#<name in lower case>`, sk `USERS`, `users` (evaluation
ids), `creator` (the evaluation that creates it), `leaving` (the one that deletes it). Each step is one conditional
write: nobody joins what is being deleted, and nobody deletes what somebody has joined. An evaluation that died is still
written here; the reconciler lets those leave that have ended.
"""

from __future__ import annotations

from typing import Any

import boto3
from botocore.exceptions import ClientError

from assay.aws.faults import code_of, transient_faults


class EndpointUsers:
    """Users of the endpoints of one stack.

    Args:
        table_name: the table of evaluations.
        client: a boto3 DynamoDB client; one of its own by default.
    """

    def __init__(self, table_name: str, client: Any = None) -> None:
        self._table = table_name
        self._client = client if client is not None else boto3.client("dynamodb")

    @transient_faults()
    def join(self, name: str, evaluation_id: str) -> bool:
        """Use the endpoint; False while somebody deletes it."""
        return self._update(
            name, "ADD #users :me", {":me": {"SS": [evaluation_id]}}, "attribute_not_exists(leaving)", users=True
        )

    @transient_faults()
    def create(self, name: str, evaluation_id: str) -> bool:
        """Whether this evaluation is the one that creates the endpoint; of several that join at once it is one."""
        return self._update(
            name,
            "SET creator = :me",
            {":me": {"S": evaluation_id}},
            "attribute_not_exists(creator) OR creator = :me",
        )

    @transient_faults()
    def leave(self, name: str, evaluation_id: str) -> bool:
        """Use it no more; True for the last one, who is to delete it and then to `forget` it."""
        self._update(name, "DELETE #users :me", {":me": {"SS": [evaluation_id]}}, "attribute_exists(pk)", users=True)
        # Who waits for an endpoint that this one could not create may now create it.
        self._update(name, "REMOVE creator", {":me": {"S": evaluation_id}}, "creator = :me")
        return self._update(
            name,
            "SET leaving = :me",
            {":me": {"S": evaluation_id}},
            "attribute_not_exists(#users) AND (attribute_not_exists(leaving) OR leaving = :me)",
            users=True,
        )

    @transient_faults()
    def forget(self, name: str) -> None:
        """The endpoint is gone: whoever wants it next begins anew. What somebody uses is not forgotten."""
        try:
            self._client.delete_item(
                TableName=self._table,
                Key=_key(name),
                ConditionExpression="attribute_not_exists(#users)",
                ExpressionAttributeNames={"#users": "users"},
            )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise

    @transient_faults()
    def of(self, name: str) -> frozenset[str] | None:
        """The evaluations that use it; None for an endpoint that nobody shares."""
        found = self._client.get_item(TableName=self._table, Key=_key(name), ConsistentRead=True).get("Item")
        return None if found is None else frozenset(found.get("users", {}).get("SS", []))

    def _update(
        self, name: str, expression: str, values: dict[str, Any], condition: str, *, users: bool = False
    ) -> bool:
        names = {"ExpressionAttributeNames": {"#users": "users"}} if users else {}
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_key(name),
                UpdateExpression=expression,
                ExpressionAttributeValues=values,
                ConditionExpression=condition,
                **names,
            )
        except ClientError as error:
            if code_of(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True


def _key(name: str) -> dict[str, dict[str, str]]:
    # SageMaker tells no two endpoints apart by case, and its ARNs have names in lower case.
    return {"pk": {"S": f"ENDPOINT#{name.lower()}"}, "sk": {"S": "USERS"}}
