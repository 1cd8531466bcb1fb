"""Time and peak memory of a decision: 20 models on 100,000 records with 3 scores each, and a bootstrap of 10,000 draws.

What runs is what the function CompareModels does: it reads the catalog for its ids, clusters and categories, reads the
score files of one model after the other, and compares. Files lie on a disk instead of in S3. Each run is a process of
its own; its peak memory is that of the whole process, interpreter and libraries included.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from assay.contracts.catalog import Record
from assay.contracts.config import SuiteConfig
from assay.contracts.results import Latency, ModelOutcome
from assay.decision.bootstrap import DRAWS
from assay.decision.compare import compare
from assay.decision.records import RecordIndex
from assay.scoring.score_files import SCHEMA, read_scores, write_score_tables
from benchmarks.measuring import peak_mb, spread, write_results

SCORES = (
    ("FactualKnowledge", "factual_knowledge", True),
    ("FactualKnowledge", "factual_knowledge_quasi_exact", True),
    ("Bleu", "bleu", False),
)
CATALOG = "catalog.jsonl"
FAILED = 0.01


class Folder:
    """A bucket on the disk."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def keys(self, prefix: str) -> list[str]:
        folder = self._root / prefix
        return [f"{prefix}{path.name}" for path in sorted(folder.iterdir())] if folder.is_dir() else []

    def read(self, key: str) -> bytes:
        return (self._root / key).read_bytes()

    def write(self, key: str, body: bytes) -> None:
        path = self._root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


def main() -> None:
    """Write the files, compare in processes of their own, and keep what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--print-only", action="store_true", help="leave the results file as it is")
    parser.add_argument("--decide", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--clustered", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.decide is not None:
        print(json.dumps(decide(arguments.decide, arguments.models, arguments.draws, clustered=arguments.clustered)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), arguments.models, arguments.records)
        for clustered in (False, True):
            runs = [_run(Path(folder), arguments, clustered=clustered) for _ in range(arguments.runs)]
            row = {
                "records": "in clusters of 10" if clustered else "independent",
                "seconds": spread([run["seconds"] for run in runs]),
                "cpu_seconds": spread([run["cpu_seconds"] for run in runs]),
                "peak_mb": spread([run["peak_mb"] for run in runs]),
                "pairs": runs[0]["pairs"],
            }
            rows.append(row)
            print(row, flush=True)
    if not arguments.print_only:
        write_results(
            "decision",
            {
                "models": arguments.models,
                "records": arguments.records,
                "scores": len(SCORES),
                "draws": arguments.draws,
                "runs": arguments.runs,
                "cores": os.cpu_count(),
                "failed": FAILED,
                "rows": rows,
            },
        )
    worst = statistics.median([max(row["seconds"]["median"] for row in rows)])
    print(f"at most {worst:.1f} s; required: 60 s and 1,500 MB")


def _run(folder: Path, arguments: argparse.Namespace, *, clustered: bool) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.decision", "--decide", str(folder)]
    command += ["--models", str(arguments.models), "--draws", str(arguments.draws)]
    command += ["--clustered"] if clustered else []
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def decide(folder: Path, models: int, draws: int, *, clustered: bool) -> dict[str, Any]:
    """Compare, as the function does; seconds, processor seconds, and this process's peak memory."""
    started, processor = time.perf_counter(), time.process_time()
    config = suite(models, clustered=clustered)
    objects = Folder(folder)
    records = RecordIndex.of(_records(folder), clustered=clustered)
    outcomes = [
        ModelOutcome(
            model=model.name,
            status="evaluated",
            records=len(records),
            answered=len(records),
            wall_seconds=3600.0,
            latency=Latency(n=len(records), mean=100, p50=90, p90=150, p95=200, p99=400),
        )
        for model in config.models
    ]
    tables = ((model.name, read_scores(objects, f"{model.name}/")) for model in config.models)
    found = compare(
        evaluation_id="0" * 32, config=config, records=records, outcomes=outcomes, scores=tables, draws=draws
    )
    size = len(found.model_dump_json())
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - processor,
        "peak_mb": peak_mb(),
        "pairs": len(found.differences),
        "comparison_kb": size // 1000,
    }


def suite(models: int, *, clustered: bool) -> SuiteConfig:
    """A config that uses what there is: a margin, constraints, and an objective of two criteria."""
    dataset: dict[str, Any] = {"input_data_location": "bench.jsonl", "category_key": "category"}
    if clustered:
        dataset["cluster_key"] = "cluster"
    return SuiteConfig.model_validate(
        {
            "pipeline": {"name": "bench"},
            "dataset": dataset,
            "models": [
                {"name": f"m{number:02}", "model_id": "m", "deployment_config": {"instance_type": "ml.g5.xlarge"}}
                for number in range(models)
            ],
            "algorithms": ["FactualKnowledge", "Bleu"],
            "gate": {"margin": 0.01},
            "selection": {"constraints": ["latency_p95_ms <= 2000"], "objective": ["quality", "cost"]},
        }
    )


def write(folder: Path, models: int, records: int) -> None:
    """A catalog with 20 categories and clusters of 10, and scores of which a hundredth are missing."""
    ids = [f"record-{number:07}" for number in range(records)]
    with (folder / CATALOG).open("w", encoding="utf-8") as file:
        for number, name in enumerate(ids):
            record = Record(
                id=name,
                model_input=f"What is {number} + {number}?",
                target_output=str(2 * number),
                category=f"category {number % 20}",
                cluster=f"document {number // 10}",
            )
            file.write(f"{record.model_dump_json()}\n")
    hard = np.random.default_rng(0).normal(0, 0.7, records)
    for model in range(models):
        generator = np.random.default_rng([1, model])
        latent = hard + generator.normal(model / 100, 0.7, records)
        write_score_tables(Folder(folder), f"m{model:02}/", _tables(ids, latent, generator))


def _tables(ids: list[str], latent: np.ndarray, generator: np.random.Generator) -> Iterator[pa.Table]:
    count = len(ids)
    lost = generator.random(count) < FAILED
    for algorithm, score, binary in SCORES:
        values = (latent > 0).astype(np.float64) if binary else 1 / (1 + np.exp(-latent))
        yield pa.table(
            {
                "record_id": ids,
                "algorithm": [algorithm] * count,
                "score": [score] * count,
                "value": pa.array(values, mask=lost),
                "direction": ["higher"] * count,
                "error": pa.array(np.where(lost, "ModelError: refused", ""), mask=~lost),
            },
            schema=SCHEMA,
        )


def _records(folder: Path) -> Iterator[Record]:
    with (folder / CATALOG).open(encoding="utf-8") as file:
        for line in file:
            yield Record.model_validate_json(line)


if __name__ == "__main__":
    main()
