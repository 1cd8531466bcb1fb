"""How near the runner comes to what a model's latency and the concurrency allow, in one process and over HTTP.

In one process the model sleeps; the bound is concurrency / latency. Over HTTP a bare pool of as many threads calls
boto3's `invoke_endpoint` on the same endpoint with the same records and keeps nothing: that is what boto3 reaches on
this machine. The sides take turns. The runner writes every response to disk in each of its runs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from assay.aws.endpoint_model import EndpointModel
from assay.contracts.catalog import Record
from assay.contracts.config import EvaluationSection, LimitsSection
from assay.inference.prompts import encoded, render_prompt, request_body
from assay.inference.runner import Answer, Model, ask_all
from assay.inference.store import PartStore
from benchmarks.measuring import spread, write_results
from benchmarks.servers import aws_environment, slow_endpoint

CONCURRENCY = 64
LATENCIES = (0.2, 0.05)
SECONDS = 6.0
TEMPLATE = "Answer in one sentence. $model_input"


class Folder:
    """Objects as files."""

    def keys(self, prefix: str) -> list[str]:
        return sorted(str(path) for path in Path(prefix).iterdir())

    def read(self, key: str) -> bytes:
        return Path(key).read_bytes()

    def write(self, key: str, body: bytes) -> None:
        Path(key).write_bytes(body)


class Sleeping:
    """A model that takes its time and no processor."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:  # noqa: ARG002 - the protocol's
        time.sleep(self._seconds)
        return Answer("The capital is Paris.", self._seconds * 1000)


def main() -> None:
    """Run both ways at each latency, print a table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    os.environ.update(aws_environment())
    rows = []
    print(f"{'model':12}{'latency ms':>11}{'records':>9}{'runner/s':>10}{'reference':>11}{'share':>7}")
    for seconds in LATENCIES:
        rows += [in_process(seconds, runs), over_http(seconds, runs)]
        for row in rows[-2:]:
            runner, reference = row["records_per_second"]["median"], row["reference"]["median"]
            print(
                f"{row['model']:12}{row['latency_ms']:>11.0f}{row['records']:>9,}{runner:>10.0f}{reference:>11.0f}"
                f"{row['share']['median']:>7.3f}",
                flush=True,
            )
    write_results("throughput", {"runs": runs, "concurrency": CONCURRENCY, "rows": rows})


def in_process(seconds: float, runs: int) -> dict[str, Any]:
    """Against the bound."""
    records = records_of(seconds)
    bound = CONCURRENCY / seconds
    rates = [len(records) / timed(lambda: ask(records, Sleeping(seconds))) for _ in range(runs)]
    shares = [rate / bound for rate in rates]
    return row("in process", seconds, len(records), rates, [bound], shares)


def over_http(seconds: float, runs: int) -> dict[str, Any]:
    """Against a bare pool of threads. A share is of the bare run beside it."""
    records = records_of(seconds)
    with slow_endpoint(seconds) as url, endpoint_at(url):
        model = EndpointModel("bench", EvaluationSection(), CONCURRENCY)
        settings = Config(max_pool_connections=CONCURRENCY, retries={"total_max_attempts": 1})
        client = boto3.client("sagemaker-runtime", config=settings)
        bare_rates, rates = [], []
        # Both sides have their connections before the clock runs.
        bare(records[: 2 * CONCURRENCY], client)
        ask(records[: 2 * CONCURRENCY], model)
        for _ in range(runs):
            bare_rates.append(len(records) / timed(lambda: bare(records, client)))
            rates.append(len(records) / timed(lambda: ask(records, model)))
    shares = [rate / reference for rate, reference in zip(rates, bare_rates, strict=True)]
    return row("over HTTP", seconds, len(records), rates, bare_rates, shares)


def row(
    model: str, seconds: float, records: int, rates: list[float], reference: list[float], shares: list[float]
) -> dict[str, Any]:
    return {
        "model": model,
        "latency_ms": seconds * 1000,
        "records": records,
        "records_per_second": spread(rates),
        "reference": spread(reference),
        "share": {name: round(value, 3) for name, value in spread(shares).items()},
        "requirement": 0.9,
        "met": statistics.median(shares) >= 0.9,
    }


def records_of(seconds: float) -> list[Record]:
    count = int(SECONDS / seconds) * CONCURRENCY
    return [
        Record(id=f"{number:016x}", model_input=f"What is the capital of country {number}?", target_output="Paris")
        for number in range(count)
    ]


def ask(records: list[Record], model: Model) -> None:
    """The runner, with what a step gives it."""
    with tempfile.TemporaryDirectory() as folder:
        summary = ask_all(
            iter(records),
            model=model,
            prompt_of=lambda record: render_prompt(TEMPLATE, record),
            store=PartStore(Folder(), f"{folder}/"),
            limits=LimitsSection(concurrency=CONCURRENCY),
        )
    if summary.answered != len(records):
        raise RuntimeError(f"of {len(records)} records {summary.answered} were answered: {summary.errors}")


def bare(records: list[Record], client: Any) -> None:
    """boto3 in a pool of threads, and nothing else: the prompts are rendered, the replies are read."""
    section = EvaluationSection()

    def call(record: Record) -> bytes:
        body = encoded(request_body(section, render_prompt(TEMPLATE, record)))
        response = client.invoke_endpoint(EndpointName="bench", ContentType="application/json", Body=body)
        reply: bytes = response["Body"].read()
        return reply

    with ThreadPoolExecutor(CONCURRENCY) as pool:
        if not all(pool.map(call, records)):
            raise RuntimeError("a call brought nothing")


def timed(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@contextmanager
def endpoint_at(url: str) -> Iterator[None]:
    """New clients speak to this server."""
    name = "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"
    os.environ[name] = url
    try:
        yield
    finally:
        del os.environ[name]


if __name__ == "__main__":
    main()
