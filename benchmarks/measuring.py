"""What every benchmark needs: the machine, medians with their spread, and where results lie."""

from __future__ import annotations

import json
import platform
import resource
import statistics
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
        if names:
            model = f"{len(names)} x {names[0].partition(':')[2].strip()}"
    return {"processor": model, "system": platform.system(), "python": platform.python_version()}


def spread(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Median, lowest and highest of the runs, to so many significant digits."""
    found = {"median": statistics.median(values), "low": min(values), "high": max(values)}
    return {name: float(f"{value:.{digits}g}") for name, value in found.items()}


def peak_mb() -> float:
    """This process's peak memory so far in MB of 10^6 bytes, interpreter and libraries included."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def write_results(name: str, found: dict[str, Any]) -> None:
    """Write results beside this file, with the machine and the time."""
    RESULTS.mkdir(exist_ok=True)
    measured_at = datetime.now(UTC).isoformat(timespec="seconds")
    body = json.dumps({"measured_at": measured_at, "machine": machine(), **found}, indent=1)
    (RESULTS / f"{name}.json").write_text(f"{body}\n", encoding="utf-8")
