"""DynamoDB's writes are atomic: what a condition saw is still so when the item is written.

moto checks and writes without a lock, so two handlers at the same moment could both claim an evaluation.
"""

from __future__ import annotations

import threading
from typing import Any

from moto.dynamodb import responses

from local.cloud import Cloud, require

_DynamoHandler = require(responses, "DynamoHandler")
_call_action = require(_DynamoHandler, "call_action")


def install(_cloud: Cloud) -> None:
    """Carry out one DynamoDB request at a time."""
    lock = threading.RLock()

    def call_action(self: Any) -> Any:
        with lock:
            return _call_action(self)

    _DynamoHandler.call_action = call_action
