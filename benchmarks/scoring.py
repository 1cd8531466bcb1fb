"""How fast responses are scored, beside `fmeval.evaluate()` on the same records: `python -m benchmarks.scoring`.

Both sides get the same file of records with answers, and run in the evaluation image's interpreter, one process a run,
by turns. Ours reads the records, scores them and writes the scores as Parquet; fmeval loads the file, scores and
aggregates, and writes nothing. Two times are taken of each run: that of the work alone (for fmeval the call of
`evaluate()` with Ray started beforehand, for ours reading, scoring and writing), and that of the whole process,
imports and start-up included.

BERTScore is left out on both sides: Assay computes it only on request, and fmeval's gets a metric that answers at once.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measuring import spread, write_results

ROOT = Path(__file__).resolve().parents[1]
IMAGE = ROOT / ".venv" / "envs" / "step" / "bin" / "python"
ALGORITHMS = ("FactualKnowledge", "QAAccuracy")
SIDES = ("ours", "fmeval")

OURS = """
import gc, json, sys, time
algorithm, path, folder = sys.argv[1:]
import pandas  # pyarrow would load it with its first array, in the time of the work
from assay.contracts.catalog import Record
from assay.contracts.config import AlgorithmSection
from assay.contracts.results import Response
from assay.scoring.score_files import write_score_tables
from assay.inference.kept import JOINED_RECORDS
from assay.scoring.scoring import Scoring
from pathlib import Path

class Folder:
    def keys(self, prefix):
        return []
    def read(self, key):
        raise KeyError(key)
    def write(self, key, body):
        (Path(folder) / key).write_bytes(body)

scoring = Scoring([AlgorithmSection(algorithm=algorithm)])
gc.freeze()  # as the evaluate step does
began, cpu = time.perf_counter(), time.process_time()

def pairs():
    with open(path, "rb") as lines:
        for number, line in enumerate(lines):
            row = json.loads(line)
            record = Record(id=str(number), model_input=row["model_input"], target_output=row["target_output"])
            text = row["model_output"]
            yield record, Response(record_id=record.id, text=text, latency_ms=1.0, attempts=1, prompt="")

def tables():
    batch = []
    for pair in pairs():
        batch.append(pair)
        if len(batch) == JOINED_RECORDS:
            yield scoring.score(batch)
            batch = []
    if batch:
        yield scoring.score(batch)

rows = write_score_tables(Folder(), "", tables())
seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "rows": rows}))
"""

THEIRS = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
algorithm, path, folder = sys.argv[1:]
import evaluate
class Instant:
    def compute(self, predictions, references, **settings):
        return {"f1": [0.5] * len(predictions)}
evaluate.load = lambda *args, **kwargs: Instant()
import ray
from fmeval.data_loaders.data_config import DataConfig
if algorithm == "FactualKnowledge":
    from fmeval.eval_algorithms.factual_knowledge import FactualKnowledge as Algorithm, FactualKnowledgeConfig as Config
else:
    from fmeval.eval_algorithms.qa_accuracy import QAAccuracy as Algorithm, QAAccuracyConfig as Config
ray.init(log_to_driver=False)
config = DataConfig("bench", path, "application/jsonlines", model_input_location="model_input",
                    target_output_location="target_output", model_output_location="model_output")
began = time.perf_counter()
[output] = Algorithm(Config("<OR>")).evaluate(dataset_config=config, num_records=-1)
seconds = time.perf_counter() - began
print(json.dumps({"seconds": seconds, "scores": {item.name: item.value for item in output.dataset_scores}}))
"""

# BERTScore's metric is asked for in Ray's own processes too, where nothing is patched: they find this before the
# library.
STAND_IN = "class Instant:\n    def compute(self, predictions, **_):\n        return {'f1': [0.5] * len(predictions)}\n"
STAND_IN += "def load(*_args, **_kwargs):\n    return Instant()\n"


def main() -> None:
    """Run both sides by turns, print a table, and write the results beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--no-results", action="store_true", help="print only")
    arguments = parser.parse_args()
    found: dict[str, dict[str, list[dict[str, Any]]]] = {name: {side: [] for side in SIDES} for name in ALGORITHMS}
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        path = Path(folder) / "records.jsonl"
        write(path, arguments.records)
        (Path(folder) / "evaluate.py").write_text(STAND_IN)
        for run in range(arguments.runs):
            for name in ALGORITHMS:
                for side in SIDES:
                    found[name][side].append(measured(side, name, path, Path(folder)))
                    print(f"run {run + 1}: {name} {side} {found[name][side][-1]}", file=sys.stderr)
    rows = [summary(name, sides, arguments.records) for name, sides in found.items()]
    for row in rows:
        print(json.dumps(row))
    if not arguments.no_results:
        about = {"cores": os.cpu_count(), "records": arguments.records, "runs": arguments.runs, "rows": rows}
        write_results("scoring", about)


def write(path: Path, records: int) -> None:
    """Records with answers of a few words, of which about half are right."""
    rng = random.Random(1)  # noqa: S311
    words = [f"word{number}" for number in range(500)]
    with path.open("w", encoding="utf-8") as file:
        for number in range(records):
            target = " ".join(rng.sample(words, 3))
            other = " ".join(rng.sample(words, 6))
            answer = f"The answer is {target}, of course." if rng.random() < 0.5 else other
            row = {"model_input": f"{number}: {other}?", "target_output": target, "model_output": answer}
            file.write(json.dumps(row) + "\n")


def measured(side: str, algorithm: str, path: Path, folder: Path) -> dict[str, Any]:
    """One run, in a process of its own."""
    program, first = (OURS, str(ROOT / "layers" / "assay")) if side == "ours" else (THEIRS, str(folder))
    environment = os.environ | {
        "PYTHONPATH": first,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "eu-west-1",
        "EVAL_RESULTS_PATH": str(folder / "results"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "PARALLELIZATION_FACTOR": str(max(1, (os.cpu_count() or 2) - 1)),
    }
    began = time.perf_counter()
    done = subprocess.run(  # noqa: S603
        [str(IMAGE), "-c", program, algorithm, str(path), str(folder)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    whole = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result | {"process_seconds": whole}


def summary(algorithm: str, sides: dict[str, list[dict[str, Any]]], records: int) -> dict[str, Any]:
    """Medians with their spread, and how many times as fast."""

    work = {side: spread([run["seconds"] for run in runs]) for side, runs in sides.items()}
    whole = {side: spread([run["process_seconds"] for run in runs]) for side, runs in sides.items()}
    cpu = spread([run["cpu_seconds"] for run in sides["ours"]])
    return {
        "algorithm": algorithm,
        "work_seconds": work,
        "process_seconds": whole,
        "times_as_fast_at_work": work["fmeval"]["median"] / work["ours"]["median"],
        "times_as_fast_with_imports": whole["fmeval"]["median"] / whole["ours"]["median"],
        "records_per_cpu_second": records / cpu["median"],
    }


if __name__ == "__main__":
    main()
