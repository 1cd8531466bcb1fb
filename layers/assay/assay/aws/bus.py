"""Assay's own event bus."""

from __future__ import annotations

from typing import Any

import boto3

from assay.aws.faults import transient_faults
from assay.contracts.errors import TransientError
from assay.contracts.events import SOURCE, Detail


class Bus:
    """Announces what became of evaluations.

    Args:
        name: of the bus.
        client: a boto3 EventBridge client; one of its own by default.
    """

    def __init__(self, name: str, client: Any = None) -> None:
        self._name = name
        self._client = client if client is not None else boto3.client("events")

    @transient_faults()
    def emit(self, detail_type: str, detail: Detail) -> None:
        """Put one event on the bus.

        Raises:
            TransientError: the bus did not take it. PutEvents itself succeeds even then.
        """
        entry = {
            "Source": SOURCE,
            "DetailType": detail_type,
            "Detail": detail.model_dump_json(),
            "EventBusName": self._name,
        }
        reply = self._client.put_events(Entries=[entry])
        if reply["FailedEntryCount"]:
            refused = reply["Entries"][0]
            raise TransientError(
                f"{detail_type} was not taken: {refused.get('ErrorCode')}: {refused.get('ErrorMessage')}"
            )
