"""Schedule rules and EventBridge Scheduler fire by the clock, and by nothing else. moto fires neither."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from moto.events.models import events_backends
from moto.scheduler import models as scheduler_models

from local.cloud import ACCOUNT_ID, Cloud, UnsupportedError, require
from local.events import bus
from local.events.clock import Schedule, parse
from local.events.delivery import Delivery, deliver, sender
from local.events.input import fill

_SchedulerBackend = require(scheduler_models, "EventBridgeSchedulerBackend")
_scheduler_backends = require(scheduler_models, "scheduler_backends")
_create_schedule = require(_SchedulerBackend, "create_schedule")
_update_schedule = require(_SchedulerBackend, "update_schedule")
_TICK_SECONDS = 1.0
_logger = logging.getLogger("local.schedules")
_TARGET_KEYS = {
    "Arn",
    "RoleArn",
    "Input",
    "RetryPolicy",
    "DeadLetterConfig",
    "SqsParameters",
    "EventBridgeParameters",
}


class Clock:
    """Remembers when each schedule fired last; a schedule counts from the moment it is first seen enabled."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._last: dict[tuple[str, str], datetime] = {}

    def tick(self, now: datetime) -> int:
        """Fire what fell due since the last tick; return how many fired."""
        fired = 0
        current: set[tuple[str, str]] = set()
        for arn, expression, schedule, fire in self._schedules():
            key = (arn, expression)
            current.add(key)
            since = self._last.setdefault(key, now)
            for moment in schedule.due(since, now):
                self._last[key] = moment
                fire(moment)
                fired += 1
            if schedule.period is None:
                self._last[key] = now
        self._last = {key: moment for key, moment in self._last.items() if key in current}
        return fired

    def run(self) -> None:
        """Tick until the cloud stops, whatever a schedule comes to: the others go on."""
        while not self._cloud.stopping.wait(_TICK_SECONDS):
            try:
                self.tick(datetime.now(UTC))
            except Exception:  # a thread that ends would silently end every schedule with it
                _logger.exception("schedules were not looked at")

    def _schedules(self) -> Iterator[tuple[str, str, Schedule, Any]]:
        region = self._cloud.settings.region
        for rule in list(events_backends[ACCOUNT_ID][region].event_buses["default"].rules.values()):
            if rule.scheduled_expression and rule.state == "ENABLED":
                yield rule.arn, rule.scheduled_expression, parse(rule.scheduled_expression), self._rule(rule)
        for group in list(_scheduler_backends[ACCOUNT_ID][region].schedule_groups.values()):
            for record in list(group.schedules.values()):
                if record.state == "ENABLED":
                    schedule = parse(record.schedule_expression, record.schedule_expression_timezone)
                    yield record.arn, record.schedule_expression, schedule, self._schedule(record)

    def _rule(self, rule: Any) -> Any:
        def fire(moment: datetime) -> None:
            event = bus.envelope(self._cloud, "aws.events", "Scheduled Event", {}, [rule.arn], moment)
            bus.send(self._cloud, rule, event)

        return fire

    def _schedule(self, record: Any) -> Any:
        def fire(moment: datetime) -> None:
            payload = _scheduled_input(self._cloud, record, moment)
            self._cloud.submit(deliver, self._cloud, Delivery(dict(record.target), payload, record.arn))

        return fire


def install(cloud: Cloud) -> None:
    """Check schedules when they are made, and start the clock."""

    def create_schedule(self: Any, *positional: Any, **named: Any) -> Any:
        _check(named)
        return _create_schedule(self, *positional, **named)

    def update_schedule(self: Any, *positional: Any, **named: Any) -> Any:
        _check(named)
        return _update_schedule(self, *positional, **named)

    _SchedulerBackend.create_schedule = create_schedule
    _SchedulerBackend.update_schedule = update_schedule
    threading.Thread(target=Clock(cloud).run, name="schedules", daemon=True).start()


def _check(arguments: dict[str, Any]) -> None:
    name, target = arguments["name"], arguments["target"]
    parse(arguments["schedule_expression"], arguments.get("schedule_expression_timezone") or "UTC")
    sender(target["Arn"])
    unknown = set(target) - _TARGET_KEYS
    if unknown:
        raise UnsupportedError(f"schedule {name}: {', '.join(sorted(unknown))} of its target is not carried out")
    if (arguments.get("flexible_time_window") or {}).get("Mode", "OFF") != "OFF":
        raise UnsupportedError(f"schedule {name}: a flexible time window is not carried out; it fires on the minute")
    for field in ("start_date", "end_date"):
        if arguments.get(field):
            raise UnsupportedError(f"schedule {name}: {field} is not carried out")


def _scheduled_input(cloud: Cloud, record: Any, moment: datetime) -> str:
    if "Input" not in record.target:
        event = bus.envelope(cloud, "aws.scheduler", "Scheduled Event", {}, [record.arn], moment)
        return json.dumps({**event, "detail": "{}"})
    variables = {
        "aws.scheduler.schedule-arn": record.arn,
        "aws.scheduler.scheduled-time": moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws.scheduler.execution-id": f"{int(moment.timestamp() * 1000):x}",
        "aws.scheduler.attempt-number": "1",
    }
    return fill(record.target["Input"], variables)
