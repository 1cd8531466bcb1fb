"""Event buses: an event is written down, matched against the rules of its bus, and sent to their targets."""

from __future__ import annotations

import json
import threading
import uuid
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError
from moto.events.exceptions import ResourceNotFoundException
from moto.events.models import events_backends

from local.cloud import ACCOUNT_ID, Cloud
from local.events.delivery import SENDERS, Delivery, deliver
from local.events.input import target_input
from local.events.pattern import matches
from local.faults import FAULTS
from local.timers import after

_LOG_LENGTH = 2_000
_log: deque[dict[str, Any]] = deque(maxlen=_LOG_LENGTH)
_log_lock = threading.Lock()


def emit(
    cloud: Cloud,
    *,
    source: str,
    detail_type: str,
    detail: dict[str, Any],
    resources: Sequence[str] = (),
    bus: str = "default",
) -> None:
    """Put an event on a bus, as an AWS service does; it is delivered in the background, at least once."""
    publish(cloud, envelope(cloud, source, detail_type, detail, resources), bus)


def envelope(
    cloud: Cloud,
    source: str,
    detail_type: str,
    detail: dict[str, Any],
    resources: Sequence[str] = (),
    time: datetime | None = None,
) -> dict[str, Any]:
    """Return a new event in EventBridge's own shape."""
    moment = (time or datetime.now(UTC)).astimezone(UTC)
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": ACCOUNT_ID,
        "time": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": cloud.settings.region,
        "resources": list(resources),
        "detail": json.loads(json.dumps(detail)),
    }


def publish(cloud: Cloud, event: dict[str, Any], bus: str) -> None:
    """Write `event` down and hand it to every enabled rule of `bus` (a name or an ARN) that takes it."""
    name = bus.rsplit("/", maxsplit=1)[-1]
    if FAULTS.waits_for("event", detail_type=event["detail-type"]):
        fault = FAULTS.take("event", json.dumps(event["detail"]), detail_type=event["detail-type"])
        if fault is not None and fault.does == "lose":
            return
        if fault is not None and fault.does == "delay":
            after(cloud, fault.seconds, publish, cloud, event, bus)
            return
        if fault is not None:
            after(cloud, fault.seconds, publish, cloud, event, bus)
    with _log_lock:
        _log.append({"bus": name, **event})
    for rule in list(event_bus(cloud, name).rules.values()):
        pattern = rule.event_pattern.get_pattern()
        if rule.state == "ENABLED" and pattern and matches(pattern, event):
            send(cloud, rule, event)


def send(cloud: Cloud, rule: Any, event: dict[str, Any]) -> None:
    """Hand `event` to every target of `rule` (moto's record), each on its own."""
    for target in list(rule.targets):
        payload = target_input(target, event, rule_name=rule.name, rule_arn=rule.arn)
        cloud.submit(deliver, cloud, Delivery(target, payload, rule.arn, event))


def seen() -> list[dict[str, Any]]:
    """Return the latest events of every bus, oldest first, each with the bus it was put on."""
    with _log_lock:
        return list(_log)


def forget() -> None:
    """Empty the list of events seen."""
    with _log_lock:
        _log.clear()


def event_bus(cloud: Cloud, name: str) -> Any:
    """Return moto's record of a bus; moto's own not-found error is a proper AWS error."""
    return events_backends[ACCOUNT_ID][cloud.settings.region].describe_event_bus(name)


def _to_bus(cloud: Cloud, delivery: Delivery) -> None:
    if delivery.event is None:
        parameters = delivery.target["EventBridgeParameters"]
        detail = json.loads(delivery.payload)
        event = envelope(cloud, parameters["Source"], parameters["DetailType"], detail)
    else:
        event = delivery.event
    try:
        publish(cloud, event, delivery.target["Arn"])
    except ResourceNotFoundException as error:
        raise ClientError({"Error": {"Code": error.error_type, "Message": error.message}}, "PutEvents") from error


SENDERS["events"] = _to_bus
