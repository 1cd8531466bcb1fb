"""10,000 records of a model that throttles, fails, hangs and answers badly: every record ends, and in what time.

Of the requests 20 % are throttled and 5 % end with a server error, at once; 1 % hang until they are given up, and 1 %
bring a reply without text. Which ones is drawn by record and attempt, with a seed. The bound is that of the same model
without faults: records x latency / concurrency.
"""

from __future__ import annotations

import argparse
import collections
import random
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assay.contracts.catalog import Record
from assay.contracts.results import Response
from assay.inference.errors import MalformedReplyError, ThrottledError, UnavailableError
from assay.inference.runner import Answer, AskSummary, Limits, ask_all
from assay.inference.store import PartStore, read_responses
from benchmarks.measuring import spread, write_results
from benchmarks.throughput import Folder

SHARES = {"throttled": 0.20, "broken": 0.05, "hanging": 0.01, "malformed": 0.01}


@dataclass(frozen=True)
class RunLimits:
    """As a config's limits."""

    concurrency: int = 64
    request_seconds: float = 30.0
    evaluate_seconds: float = 3600.0


@dataclass
class FaultyModel:
    """A model whose faults are drawn by prompt and attempt.

    Attributes:
        seconds: that an answer takes.
        sent: requests so far by what became of them.
    """

    seconds: float
    seed: int
    sent: collections.Counter[str] = field(default_factory=collections.Counter)
    _attempts: collections.Counter[str] = field(default_factory=collections.Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
        fate = self._fate(prompt)
        if fate == "throttled":
            raise ThrottledError("too many requests")
        if fate == "broken":
            raise UnavailableError("internal failure")
        if fate == "hanging":
            time.sleep(deadline_seconds)
            raise UnavailableError("no answer in time")
        time.sleep(self.seconds)
        if fate == "malformed":
            raise MalformedReplyError("the reply has no text")
        return Answer(f"answer to {prompt}", self.seconds * 1000)

    def _fate(self, prompt: str) -> str:
        with self._lock:
            self._attempts[prompt] += 1
            drawn = random.Random(f"{self.seed}/{prompt}/{self._attempts[prompt]}").random()  # noqa: S311
            fate = "answered"
            for name, share in SHARES.items():
                drawn -= share
                if drawn < 0:
                    fate = name
                    break
            self.sent[fate] += 1
        return fate


def run(records: int, model: FaultyModel, limits: Limits) -> tuple[AskSummary, dict[str, Response]]:
    """Ask them all; the summary, and the response to each record as it was kept."""
    catalog = (Record(id=str(number), model_input=f"q{number}", target_output="a") for number in range(records))
    with tempfile.TemporaryDirectory() as folder:
        prefix = f"{Path(folder)}/"
        summary = ask_all(
            catalog,
            model=model,
            prompt_of=lambda record: record.model_input,
            store=PartStore(Folder(), prefix),
            limits=limits,
            rng=random.Random(model.seed),  # noqa: S311
        )
        kept = {response.record_id: response for response in read_responses(Folder(), prefix)}
    return summary, kept


def faults_in(summary: AskSummary, kept: dict[str, Response], model: FaultyModel, records: int) -> list[str]:
    """What does not add up; nothing when all does."""
    answered = sum(response.failure is None for response in kept.values())
    reasons = [response.failure for response in kept.values() if response.failure is not None]
    checks = {
        "every record has a response": len(kept) == records == summary.records,
        "answered and failed are all records": answered + len(reasons) == records,
        "the summary counts the same": (summary.answered, summary.failed) == (answered, len(reasons)),
        "each failure has a reason": all(reason.kind and reason.reason for reason in reasons),
        "each request is counted": summary.requests == model.sent.total(),
        "each attempt is counted": sum(response.attempts for response in kept.values()) == model.sent.total(),
        "each answer is the record's own": all(
            response.text == f"answer to q{record_id}" for record_id, response in kept.items() if not response.failure
        ),
    }
    return [name for name, holds in checks.items() if not holds]


def main() -> None:
    """Run with faults as often as asked, print what came of it, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    limits = RunLimits()
    bound = arguments.records * arguments.latency / limits.concurrency
    walls, rows = [], []
    for seed in range(1, arguments.runs + 1):
        model = FaultyModel(arguments.latency, seed)
        summary, kept = run(arguments.records, model, limits)
        if broken := faults_in(summary, kept, model, arguments.records):
            raise RuntimeError(f"seed {seed}: it does not hold that {', that '.join(broken)}")
        walls.append(summary.wall_seconds)
        row: dict[str, Any] = {
            "seed": seed,
            "wall_seconds": round(summary.wall_seconds, 2),
            "answered": summary.answered,
            "failed": summary.errors,
            "requests": dict(model.sent),
            "lowest_concurrency": summary.lowest_concurrency,
        }
        rows.append(row)
        print(f"{row}, {summary.wall_seconds / bound:.3f} of the bound of {bound:.1f} s", flush=True)
    found: dict[str, Any] = {
        "records": arguments.records,
        "latency_ms": arguments.latency * 1000,
        "concurrency": limits.concurrency,
        "shares": SHARES,
        "bound_seconds": bound,
        "wall_seconds": spread(walls),
        "share_of_bound": spread([wall / bound for wall in walls]),
        "requirement": 1.5,
        "met": sorted(walls)[len(walls) // 2] / bound < 1.5,
        "rows": rows,
    }
    write_results("faults", found)


if __name__ == "__main__":
    main()
