"""The benchmarks measure what they say, on a few records; how fast, no test asks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import measuring, table, throughput
from benchmarks.servers import aws_environment


@pytest.fixture(autouse=True)
def _few_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "CONCURRENCY", 8)
    monkeypatch.setattr(throughput, "SECONDS", 0.04)
    for name, value in aws_environment().items():
        monkeypatch.setenv(name, value)


def test_both_sides_ask_an_endpoint_over_http_about_the_same_records() -> None:
    row = throughput.over_http(0.01, runs=1)
    assert row["records"] == 32
    assert row["share"]["median"] > 0
    assert row["records_per_second"]["median"] > 0


def test_a_run_is_held_against_what_latency_and_concurrency_allow() -> None:
    row = throughput.in_process(0.01, runs=1)
    assert row["reference"]["median"] == 800.0
    assert row["met"] == (row["share"]["median"] >= 0.9)


def test_a_spread_has_the_median_and_both_ends() -> None:
    assert measuring.spread([3.0, 1.0, 2.00049]) == {"median": 2.0, "low": 1.0, "high": 3.0}


def test_the_page_shows_the_results_that_are_there_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "RESULTS", tmp_path)
    row = throughput.in_process(0.01, runs=1)
    measuring.write_results("throughput", {"runs": 1, "concurrency": 8, "rows": [row]})
    page = table.page(tmp_path)
    assert "## Asking as fast as the model allows" in page
    assert "| in process | 10 | 32 |" in page
    assert "fmeval" not in page
    assert json.loads((tmp_path / "throughput.json").read_text())["machine"]["python"] in page


def test_the_page_of_the_repository_is_that_of_its_results() -> None:
    assert table.PAGE.read_text(encoding="utf-8") == table.page(measuring.RESULTS)
