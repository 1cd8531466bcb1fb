"""Asking and scoring against `fmeval.evaluate()`: the same records, the same model of 200 ms, FactualKnowledge.

fmeval asks from as many Ray actors as it is told (`PARALLELIZATION_FACTOR`); each number given is tried, and the
fastest stands. Each side of each run is a process of its own, which evaluates twice: the first time counts with what
starts up (Ray, the pool of threads), and the second without. Imports count for neither. The sides take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.measuring import spread, write_results
from benchmarks.servers import aws_environment

LATENCY_SECONDS = 0.2
CONCURRENCY = 64


def main() -> None:
    """Run both sides in turn, print a table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side is not None:
        evaluate = with_fmeval if arguments.side == "fmeval" else with_assay
        # Ray writes on standard output whenever it likes.
        arguments.into.write_text(json.dumps(evaluate(arguments.records)), encoding="utf-8")
        return
    best = min(arguments.actors, key=lambda actors: run("fmeval", arguments.records, actors)["again_seconds"])
    found: dict[str, list[dict[str, float]]] = {"fmeval": [], "assay": []}
    for _ in range(arguments.runs):
        for side, runs in found.items():
            runs.append(run(side, arguments.records, best))
    rows: dict[str, Any] = {}
    print(f"{'side':8}{'first s':>10}{'again s':>10}{'records/s':>11}")
    for side, runs in found.items():
        rates = [arguments.records / item["again_seconds"] for item in runs]
        rows[side] = {
            "first_seconds": spread([item["first_seconds"] for item in runs]),
            "again_seconds": spread([item["again_seconds"] for item in runs]),
            "records_per_second": spread(rates),
        }
        first, again = (rows[side][name]["median"] for name in ("first_seconds", "again_seconds"))
        print(f"{side:8}{first:>10}{again:>10}{statistics.median(rates):>11.1f}")
    times = [theirs["again_seconds"] / ours["again_seconds"] for theirs, ours in zip(*found.values(), strict=True)]
    print(f"{statistics.median(times):.1f} times as fast")
    results = {
        "runs": arguments.runs,
        "records": arguments.records,
        "latency_ms": LATENCY_SECONDS * 1000,
        "fmeval_actors": best,
        "concurrency": CONCURRENCY,
        "sides": rows,
        "times_as_fast": spread(times),
        "requirement": 20,
        "met": statistics.median(times) >= 20,
    }
    write_results("against_fmeval", results)


def run(side: str, records: int, actors: int) -> dict[str, float]:
    """One side in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            **aws_environment(),
            "EVAL_RESULTS_PATH": folder,
            "PARALLELIZATION_FACTOR": str(actors),
            "RAY_USAGE_STATS_ENABLED": "0",
            "HF_HUB_OFFLINE": "1",
        }
        figures = Path(folder) / "figures.json"
        command = [sys.executable, "-m", "benchmarks.against_fmeval", f"--side={side}", f"--records={records}"]
        found = subprocess.run(  # noqa: S603
            [*command, f"--into={figures}"], check=False, capture_output=True, env=environment
        )
        if found.returncode:
            raise RuntimeError(found.stderr.decode()[-3000:])
        return dict(json.loads(figures.read_text(encoding="utf-8")))


def rows_of(records: int) -> list[dict[str, str]]:
    return [
        {"model_input": f"What is the capital of country {number}?", "target_output": "Paris<OR>Lutetia"}
        for number in range(records)
    ]


def with_fmeval(records: int) -> dict[str, float]:
    """fmeval, as its documentation shows it."""
    from fmeval.constants import MIME_TYPE_JSONLINES
    from fmeval.data_loaders.data_config import DataConfig
    from fmeval.eval_algorithms.factual_knowledge import FactualKnowledge, FactualKnowledgeConfig
    from fmeval.model_runners.model_runner import ModelRunner

    class Sleeping(ModelRunner):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(content_template='{"inputs": $prompt}', output="generated_text")

        def predict(self, prompt: str) -> tuple[str | None, float | None]:  # noqa: ARG002 - fmeval's protocol
            time.sleep(LATENCY_SECONDS)
            return "The capital is Paris.", None

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.jsonl"
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows_of(records)), encoding="utf-8")
        data = DataConfig(
            dataset_name="bench",
            dataset_uri=str(path),
            dataset_mime_type=MIME_TYPE_JSONLINES,
            model_input_location="model_input",
            target_output_location="target_output",
        )
        seconds = []
        for _ in range(2):
            started = time.perf_counter()
            [output] = FactualKnowledge(FactualKnowledgeConfig("<OR>")).evaluate(
                model=Sleeping(), dataset_config=data, prompt_template="$model_input", save=False, num_records=records
            )
            seconds.append(time.perf_counter() - started)
    return _seconds(seconds, {score.name: score.value for score in output.dataset_scores})


def with_assay(records: int) -> dict[str, float]:
    """What the evaluate step does: ask, keep, join, score, write."""
    from assay.contracts.catalog import Record
    from assay.contracts.config import AlgorithmSection
    from assay.scoring.scoring import Scoring
    from benchmarks import ours
    from benchmarks.throughput import Sleeping

    algorithm = AlgorithmSection(algorithm="FactualKnowledge", target_output_delimiter="<OR>")
    with Scoring([algorithm]):  # imports fmeval, as the other side has by now
        pass
    catalog = [Record(id=str(number), **row) for number, row in enumerate(rows_of(records))]
    seconds = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            scores = ours.evaluate(catalog, Sleeping(LATENCY_SECONDS), algorithm, CONCURRENCY, Path(folder))
            seconds.append(time.perf_counter() - started)
    return _seconds(seconds, scores)


def _seconds(seconds: list[float], scores: Mapping[str, float]) -> dict[str, float]:
    if any(value != 1.0 for value in scores.values()) or not scores:
        raise RuntimeError(f"every answer is right, and the scores are {scores}")
    return {"first_seconds": seconds[0], "again_seconds": seconds[1]}


if __name__ == "__main__":
    main()
