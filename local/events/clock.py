"""When `rate(...)`, `cron(...)` and `at(...)` of EventBridge and EventBridge Scheduler are due."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from local.cloud import UnsupportedError

_RATE = re.compile(r"rate\((?:1 (minute|hour|day)|([2-9]|[1-9]\d+) (minute|hour|day)s)\)")
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_CRON = re.compile(r"cron\((\S+ \S+ \S+ \S+ \S+ \S+)\)")
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {name.upper(): (number + 1) % 7 + 1 for number, name in enumerate(calendar.day_abbr)}
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, _MONTHS),
    (1, 7, _DAYS),
    (1970, 2199, {}),
)


@dataclass(frozen=True)
class Schedule:
    """A parsed expression; `period` for a rate, `moment` for a single time, `fields` (sets of values) for a cron."""

    zone: ZoneInfo
    period: timedelta | None = None
    moment: datetime | None = None
    fields: tuple[frozenset[int] | None, ...] = ()

    def due(self, since: datetime, until: datetime) -> list[datetime]:
        """Return the moments in (`since`, `until`] at which a schedule that last fired at `since` fires."""
        if self.period is not None:
            count = int((until - since) / self.period)
            return [since + self.period * number for number in range(1, count + 1)]
        if self.moment is not None:
            return [self.moment] if since < self.moment <= until else []
        minute = since.replace(second=0, microsecond=0) + timedelta(minutes=1)
        found = []
        while minute <= until:
            if self._has(minute.astimezone(self.zone)):
                found.append(minute)
            minute += timedelta(minutes=1)
        return found

    def _has(self, moment: datetime) -> bool:
        day_of_week = moment.isoweekday() % 7 + 1
        values = (moment.minute, moment.hour, moment.day, moment.month, day_of_week, moment.year)
        return all(allowed is None or value in allowed for allowed, value in zip(self.fields, values, strict=True))


def parse(expression: str, timezone: str = "UTC") -> Schedule:
    """Parse a schedule expression.

    Raises:
        UnsupportedError: it is none of the three forms, a cron uses L, W or #, or there is no such time zone.
    """
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise UnsupportedError(f"{timezone!r} is no time zone that this machine knows") from error
    if rate := _RATE.fullmatch(expression):
        return Schedule(zone, period=timedelta(**{f"{rate[1] or rate[3]}s": int(rate[2] or 1)}))
    if at := _AT.fullmatch(expression):
        return Schedule(zone, moment=datetime.fromisoformat(at[1]).replace(tzinfo=zone).astimezone(UTC))
    if cron := _CRON.fullmatch(expression):
        parts = cron[1].split(" ")
        if (parts[2] == "?") == (parts[4] == "?"):
            raise UnsupportedError(f"schedule {expression!r}: one of day of month and day of week is ?, and only one")
        return Schedule(zone, fields=tuple(_field(part, *limits) for part, limits in zip(parts, _FIELDS, strict=True)))
    raise UnsupportedError(f"schedule {expression!r} is no rate(...), cron(...) or at(...) of EventBridge")


def _field(text: str, low: int, high: int, names: dict[str, int]) -> frozenset[int] | None:
    if text in ("*", "?"):
        return None
    allowed: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        start = low if first == "*" else _number(first, names)
        end = _number(last, names) if last else (high if step or first == "*" else start)
        every = _number(step, {}) if step else 1
        if not low <= start <= end <= high or every < 1:
            raise UnsupportedError(f"cron field {text!r} is outside of {low} to {high}")
        allowed.update(range(start, end + 1, every))
    return frozenset(allowed)


def _number(text: str, names: dict[str, int]) -> int:
    if text in names:
        return names[text]
    if not text.isdecimal():
        raise UnsupportedError(f"cron value {text!r} is not carried out by the local cloud")
    return int(text)
