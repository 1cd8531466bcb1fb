"""Live progress on a terminal; a line a change elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from cli.follow import FINISHED, Activity, Snapshot

_STYLE = {"Succeeded": "green", "Failed": "bold red", "Stopped": "yellow", "Executing": "cyan"}
_MARK = {"Succeeded": "✓", "Failed": "✗", "Stopped": "■", "Executing": "…"}


class TimedOutError(Exception):
    """The evaluation did not end in the time that it was given."""


def watch(read: Callable[[], Snapshot], console: Console, *, seconds: float, poll_seconds: float = 1.0) -> Snapshot:
    """Show an evaluation until it has ended.

    Raises:
        TimedOutError: it has not after `seconds`.
    """
    started = time.monotonic()
    shown: dict[tuple[str, str], str] = {}
    with Live(console=console, refresh_per_second=8, transient=True, auto_refresh=console.is_terminal) as live:
        while True:
            snapshot = read()
            elapsed = time.monotonic() - started
            for activity in _changes(snapshot, shown):
                console.print(_line(activity, elapsed))
            if snapshot.ended:
                return snapshot
            if elapsed > seconds:
                raise TimedOutError(f"the evaluation had not ended after {seconds:.0f} s; it goes on")
            if console.is_terminal:
                live.update(_running(snapshot, elapsed))
            time.sleep(poll_seconds)


def _changes(snapshot: Snapshot, shown: dict[tuple[str, str], str]) -> list[Activity]:
    changed = []
    for activity in snapshot.activities:
        key = (activity.kind, activity.name)
        if shown.get(key) != activity.status and (activity.status in FINISHED or key not in shown):
            shown[key] = activity.status
            changed.append(activity)
    return changed


def _line(activity: Activity, elapsed: float) -> Text:
    style = _STYLE.get(activity.status, "")
    line = Text(f"{elapsed:6.1f} s  ", style="dim")
    line.append(f"{_MARK.get(activity.status, '?')} ", style=style)
    line.append(f"{activity.kind:<5} {activity.name:<32}")
    if activity.status in FINISHED:
        line.append(f"{activity.seconds:6.1f} s  ")
    line.append(activity.status.lower() if activity.status in FINISHED else "started", style=style)
    if activity.reason:
        line.append(f"  {activity.reason}", style="red")
    return line


def _running(snapshot: Snapshot, elapsed: float) -> Group:
    table = Table.grid(padding=(0, 2))
    for activity in snapshot.activities:
        if activity.status not in FINISHED:
            table.add_row("", activity.kind, activity.name, f"{activity.seconds:.0f} s")
    return Group(Spinner("dots", text=f"{elapsed:.0f} s, evaluation {snapshot.status or 'expected'}"), table)
