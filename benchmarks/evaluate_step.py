"""Time, processor time and peak memory of the evaluate step by size of the catalog, with a model that answers at once.

What runs is the step itself: it fetches the catalog, asks, keeps every response in S3, scores by FactualKnowledge and
writes scores and outcome. S3 is moto's server in another process, whose time and memory are not counted. Each run is a
process of its own; its peak memory is that of the whole process, interpreter and libraries included.
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
from datetime import UTC, datetime
from typing import Any

import boto3

from assay.contracts.catalog import Record
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Manifest, ModelOutcome, SourceObject
from assay.inference.runner import Answer
from benchmarks.measuring import peak_mb, spread, write_results
from benchmarks.servers import aws_environment, moto_server

BUCKET = "bench"
URI = f"s3://{BUCKET}/evaluations/bench/{'0' * 32}"
CONFIG = """
pipeline: {name: bench}
dataset: {input_data_location: catalogs/bench.jsonl}
models:
  - {name: instant, provider: plugin, plugin_config: {name: instant}}
algorithms: [FactualKnowledge]
limits: {concurrency: 64}
"""


class Instant:
    """A model that answers at once, with an answer of ordinary length."""

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:  # noqa: ARG002 - the protocol's
        text = f"Twice {prompt[9:16]} is a number, and I am glad to tell you which one; it is {len(prompt)}."
        return Answer(text=text, latency_ms=0.1, input_tokens=20, output_tokens=24, finish_reason="stop")


def main() -> None:
    """Run every size, print a table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 300_000, 1_000_000])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--evaluate", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.evaluate is not None:
        sys.stdout.write(f"\n{json.dumps(evaluate(arguments.evaluate))}")
        return
    rows = []
    print(f"{'records':>10}{'wall s':>9}{'CPU s':>9}{'records/CPU s':>15}{'peak MB':>9}")
    for size in arguments.sizes:
        found = [run(size) for _ in range(arguments.runs)]
        rows.append(
            {
                "records": size,
                "wall_seconds": spread([item["wall_seconds"] for item in found]),
                "cpu_seconds": spread([item["cpu_seconds"] for item in found]),
                "records_per_cpu_second": spread([size / item["cpu_seconds"] for item in found]),
                "peak_mb": spread([item["peak_mb"] for item in found]),
                "before_mb": spread([item["before_mb"] for item in found]),
            }
        )
        wall, cpu = (statistics.median(item[name] for item in found) for name in ("wall_seconds", "cpu_seconds"))
        peak = max(item["peak_mb"] for item in found)
        print(f"{size:>10,}{wall:>9.1f}{cpu:>9.1f}{size / cpu:>15,.0f}{peak:>9.0f}", flush=True)
    write_results("evaluate_step", {"runs": arguments.runs, "sizes": rows})


def run(records: int) -> dict[str, float]:
    """One run, with an S3 of its own."""
    with moto_server() as url:
        environment = os.environ | aws_environment() | {"AWS_ENDPOINT_URL": url}
        os.environ.update(environment)
        prepare(records)
        command = [sys.executable, "-m", "benchmarks.evaluate_step", "--evaluate", str(records)]
        found = subprocess.run(command, check=False, capture_output=True, env=environment)  # noqa: S603
    if found.returncode:
        raise RuntimeError(found.stderr.decode()[-2000:])
    # Libraries greet on standard output when they are imported.
    return dict(json.loads(found.stdout.splitlines()[-1]))


def prepare(records: int) -> None:
    """Lay an evaluation's manifest, config and normalised catalog into the bucket; a record has about 300 bytes."""
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    paths = EvaluationPaths.from_uri(URI)
    source = SourceObject(uri="s3://bench/x", version_id=None, sha256="0" * 64)
    manifest = Manifest(
        evaluation_id="0" * 32,
        suite="bench",
        requested_at=datetime.now(UTC),
        config=source,
        catalog=source,
        records=records,
        versions={},
    )
    client.put_object(Bucket=BUCKET, Key=paths.manifest, Body=manifest.model_dump_json().encode())
    client.put_object(Bucket=BUCKET, Key=paths.config, Body=CONFIG.encode())
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
        for number in range(records):
            record = Record(
                id=f"record-{number:07}",
                model_input=f"What is {number:07} + {number:07}, in words and in figures? {'Think well. ' * 8}",
                target_output=f"{2 * number}<OR>number",
                category=f"category {number % 12}",
            )
            file.write(f"{record.model_dump_json()}\n")
        file.flush()
        client.upload_file(file.name, BUCKET, paths.catalog)


def evaluate(records: int) -> dict[str, float]:
    """Evaluate in this process; seconds and MB. Imports are done before the clock runs."""
    import fmeval.eval_algorithms.factual_knowledge  # noqa: F401 - its import is not the step's work

    from assay.aws import providers
    from assay.pipeline import steps

    providers.PROVIDERS["plugin"] = lambda _section, _connection: Instant()
    before = peak_mb()
    wall, cpu = time.perf_counter(), time.process_time()
    steps.evaluate(URI, "instant", {"records": records}, None)
    found = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    paths = EvaluationPaths.from_uri(URI)
    body: Any = boto3.client("s3").get_object(Bucket=BUCKET, Key=paths.outcome("instant"))["Body"]
    outcome = ModelOutcome.model_validate_json(body.read())
    if (outcome.records, outcome.answered) != (records, records):
        raise RuntimeError(f"of {records} records {outcome.answered} were answered")
    return {**found, "peak_mb": peak_mb(), "before_mb": before}


if __name__ == "__main__":
    main()
