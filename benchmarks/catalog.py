"""How fast a catalog of a million records is checked, and in how much memory: `make bench`.

Each run is a process of its own, which reads a file as a function reads an object in S3: in pieces of 256 KiB. Its peak
memory is that of the whole process, interpreter and libraries included.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from assay.contracts.catalog import read_catalog
from assay.contracts.catalog_needs import Need, Needs
from assay.contracts.dataset import DatasetSection
from benchmarks.measuring import peak_mb, write_results

FORMS = ("jsonl", "csv", "jsonl.gz", "csv.gz")
PIECE = 262_144
DATASET = DatasetSection(
    input_data_location="bench",
    model_input_key="question",
    target_output_key="answer",
    category_key="category",
)
# Columns of a template are looked for as well, as they are when an evaluation starts.
NEEDS = Needs(columns=(Need("context", "model"),))
FILLER = "The quick brown fox, who had read the manual, jumps over the lazy dog and 12 others. "


def main() -> None:
    """Run every form, print a table, and write the results beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--check", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.check is not None:
        print(json.dumps(check(arguments.check)))
        return
    rows = []
    print(f"{'form':10}{'file MB':>9}{'records/s':>12}{'spread':>18}{'seconds':>9}{'peak MB':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for form in FORMS:
            path = Path(folder) / f"bench.{form}"
            write(path, arguments.records)
            rows.append(measured(path, form, arguments.runs))
            path.unlink()
            row = rows[-1]
            spread = f"{row['records_per_second_low']:,}-{row['records_per_second_high']:,}"
            print(
                f"{form:10}{row['file_mb']:>9,}{row['records_per_second']:>12,}{spread:>18}"
                f"{row['seconds']:>9}{row['peak_mb']:>9}",
                flush=True,
            )
    write_results("catalog", {"records": arguments.records, "runs": arguments.runs, "forms": rows})


def measured(path: Path, form: str, runs: int) -> dict[str, Any]:
    """Medians over the runs, with the slowest and the fastest."""
    command = [sys.executable, "-m", "benchmarks.catalog", "--check", str(path)]
    found = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(runs)]  # noqa: S603
    speeds = [item["records"] / item["seconds"] for item in found]
    return {
        "form": form,
        "file_mb": round(path.stat().st_size / 1e6),
        "records_per_second": round(statistics.median(speeds)),
        "records_per_second_low": round(min(speeds)),
        "records_per_second_high": round(max(speeds)),
        "seconds": round(statistics.median(item["seconds"] for item in found), 2),
        "peak_mb": round(statistics.median(item["peak_mb"] for item in found)),
        "peak_mb_high": round(max(item["peak_mb"] for item in found)),
    }


def check(path: Path) -> dict[str, float]:
    """Read a catalog as a function does; records, seconds and this process's peak memory in MB of 10^6 bytes."""
    started = time.perf_counter()
    with path.open("rb") as file:
        records = sum(1 for _ in read_catalog(pieces(file), DATASET, path.name, NEEDS))
    seconds = time.perf_counter() - started
    return {"records": records, "seconds": seconds, "peak_mb": peak_mb()}


def pieces(file: IO[bytes]) -> Iterator[bytes]:
    """A file as S3 gives it."""
    while piece := file.read(PIECE):
        yield piece


def write(path: Path, records: int) -> None:
    """A catalog with records of about 300 bytes."""
    packed = path.suffix == ".gz"
    with gzip.open(path, "wb", compresslevel=6) if packed else path.open("wb") as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
        writer = csv.writer(text, lineterminator="\n")
        for number in range(records):
            record = {
                "id": f"record-{number:07}",
                "question": f'What is "{number} + {number}", in words and in figures?',
                "answer": f"{2 * number}<OR>twice {number}",
                "category": f"category {number % 12}",
                "context": FILLER[number % 40 :] + FILLER,
            }
            if ".csv" in path.name:
                if number == 0:
                    writer.writerow(record)
                writer.writerow(record.values())
            else:
                text.write(json.dumps(record, ensure_ascii=False) + "\n")
        text.flush()
        text.detach()


if __name__ == "__main__":
    main()
