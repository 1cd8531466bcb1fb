"""Asking and scoring against deepeval, lm-eval and inspect-ai: the same records and model, exact match, no network.

Each side runs in a process of its own, in an environment of its own (`make bench` installs those of the peers from
`benchmarks/environments`), with its answers and scores kept on disk; `benchmarks/peers` holds what each is told to do.
A model of 200 ms, one of 50 ms and one that answers at once: no side has more than 64 requests in flight. A peer may
do better with less at once: each number given is tried first, and the fastest stands. Then the sides take turns.
A peer that does not run here is named with its reason, and has no figures.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring import spread, write_results
from benchmarks.peers.sleeping import CONCURRENCY

ROOT = Path(__file__).resolve().parents[1]
LOCKED, ENVIRONMENTS = ROOT / "benchmarks" / "environments", ROOT / ".assay" / "bench-envs"
RECORDS = {0.2: 2_000, 0.05: 4_000, 0.0: 4_000}
OURS = "assay"
# No side may tell anybody of its use, or look for a newer version, a model or a data set. inspect-ai does so only when
# it is asked to.
QUIET = {
    "DEEPEVAL_TELEMETRY_OPT_OUT": "1",
    "DEEPEVAL_DISABLE_DOTENV": "1",
    "DEEPEVAL_UPDATE_WARNING_OPT_IN": "0",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TQDM_DISABLE": "1",
}


class SideError(Exception):
    """A side did not run; its last words."""


@dataclass(frozen=True)
class Load:
    """What every side is given: a model of this latency in seconds, and so many records."""

    latency: float
    records: int


def main() -> None:
    """Run every side at each latency, print a table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, help="the same number for every model")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[16, CONCURRENCY], help="what each peer is tried with"
    )
    parser.add_argument("--no-results", action="store_true", help="print only")
    arguments = parser.parse_args()
    missing: dict[str, str] = {}
    versions: dict[str, str] = {}
    models = []
    print(
        f"{'ms':>5} {'side':12}{'at once':>8}{'seconds':>9}{'records/s':>11}{'per CPU s':>11}{'peak MB':>9}{'times':>8}"
    )
    for latency, records in RECORDS.items():
        load = Load(latency, arguments.records or records)
        workers = {OURS: CONCURRENCY} | best_workers(load, arguments.workers, missing)
        found: dict[str, list[dict[str, Any]]] = {side: [] for side in workers}
        for _ in range(arguments.runs):
            for side, runs in found.items():
                runs.append(run(side, load, workers[side]))
        versions |= {side: runs[0]["version"] for side, runs in found.items()}
        sides = {side: summary(runs, found[OURS], load, workers[side]) for side, runs in found.items()}
        models.append({"latency_ms": latency * 1000, "records": load.records, "sides": sides})
        for side, row in sides.items():
            medians = (row[name]["median"] for name in ("seconds", "records_per_second", "records_per_cpu_second"))
            seconds, rate, cpu_rate = medians
            print(
                f"{latency * 1000:>5.0f} {side:12}{row['workers']:>8}{seconds:>9.3g}{rate:>11,.0f}{cpu_rate:>11,.0f}"
                f"{row['peak_mb']['median']:>9.0f}{row['times_as_long']['median']:>8.3g}",
                flush=True,
            )
    for side, reason in missing.items():
        print(f"{side} did not run: {reason}")
    if not arguments.no_results:
        about = {"runs": arguments.runs, "concurrency": CONCURRENCY, "versions": versions, "did_not_run": missing}
        write_results("against_peers", {**about, "models": models})


def best_workers(load: Load, tried: list[int], missing: dict[str, str]) -> dict[str, int]:
    """The number that each peer is fastest with; one that does not run is put to those that are missing."""
    best = {}
    for side in sorted(file.stem for file in LOCKED.glob("*.txt")):
        if side in missing:
            continue
        try:
            best[side] = min(tried, key=lambda workers: float(run(side, load, workers)["seconds"]))
        except SideError as error:
            missing[side] = str(error)
    return best


def run(side: str, load: Load, workers: int) -> dict[str, Any]:
    """One side in a process of its own.

    Raises:
        SideError: it has no environment, or fails.
    """
    interpreter = Path(sys.executable) if side == OURS else ENVIRONMENTS / side / "bin" / "python"
    if not interpreter.exists():
        raise SideError("it has no environment: `make bench` installs it")
    module = f"benchmarks.peers.ask_{side.replace('-', '_')}"
    settings = {"records": load.records, "latency": load.latency, "workers": workers}
    words = [f"--{name}={value}" for name, value in settings.items()]
    offline = [sys.executable, str(ROOT / "tools" / "offline.py")]
    with tempfile.TemporaryDirectory() as home:
        found = subprocess.run(  # noqa: S603
            [*offline, str(interpreter), "-m", module, *words],
            cwd=ROOT, env={**os.environ, **QUIET, "HOME": home}, check=False, capture_output=True, text=True,
        )  # fmt: skip
    if found.returncode:
        raise SideError((found.stderr.strip().splitlines() or ["it said nothing"])[-1])
    return dict(json.loads(found.stdout.splitlines()[-1]))


def summary(runs: list[dict[str, Any]], ours: list[dict[str, Any]], load: Load, workers: int) -> Mapping[str, Any]:
    """Medians with their spread; `times_as_long` is against our run of the same turn."""
    return {
        "workers": workers,
        "seconds": spread([item["seconds"] for item in runs]),
        "records_per_second": spread([load.records / item["seconds"] for item in runs]),
        "records_per_cpu_second": spread([load.records / item["cpu_seconds"] for item in runs]),
        "peak_mb": spread([item["peak_mb"] for item in runs]),
        "times_as_long": spread([item["seconds"] / our["seconds"] for item, our in zip(runs, ours, strict=True)]),
        "times_as_much_cpu": spread(
            [item["cpu_seconds"] / our["cpu_seconds"] for item, our in zip(runs, ours, strict=True)]
        ),
    }


if __name__ == "__main__":
    main()
