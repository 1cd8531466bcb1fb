"""The benchmarks measure what they say, on a few records; how fast, no test asks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import against_peers, measuring, scoring, table, throughput
from benchmarks.peers import sleeping
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


def test_a_side_is_timed_in_a_process_without_a_network() -> None:
    found = against_peers.run(against_peers.OURS, against_peers.Load(latency=0.001, records=40), workers=8)
    assert found["version"] == "0.1.0"
    assert found["seconds"] > 0.001 * 40 / 8
    assert found["cpu_seconds"] > 0


def test_a_peer_that_does_not_run_has_its_reason_and_no_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(against_peers, "ENVIRONMENTS", tmp_path)
    broken = tmp_path / "lm-eval" / "bin" / "python"
    broken.parent.mkdir(parents=True)
    broken.write_text("#!/bin/sh\necho it cannot be imported >&2\nexit 3\n")
    broken.chmod(0o755)
    missing: dict[str, str] = {}
    assert against_peers.best_workers(against_peers.Load(0, 4), [1], missing) == {}
    assert missing["lm-eval"] == "it cannot be imported"
    assert "no environment" in missing["deepeval"]
    monkeypatch.setattr(measuring, "RESULTS", tmp_path)
    run = {"seconds": 2.0, "cpu_seconds": 1.0, "peak_mb": 9.0}
    side = against_peers.summary([run], [{**run, "seconds": 1.0}], against_peers.Load(0, 4), 1)
    found = {"runs": 1, "concurrency": 64, "versions": {"assay": "1"}, "did_not_run": missing}
    model = {"latency_ms": 50.0, "records": 4, "sides": {"assay": side}}
    measuring.write_results("against_peers", {**found, "models": [model]})
    page = table.page(tmp_path)
    assert "| 50 | 4 | assay 1 | 1 | 2 | 2 | 4 | 9 | 2 | 1 |" in page
    assert "\nlm-eval did not run: it cannot be imported\n" in page


def test_a_side_whose_scores_are_not_the_true_ones_has_no_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["side", "--records=8", "--latency=0", "--workers=1"]
    monkeypatch.setattr("sys.argv", words)

    def true(task: sleeping.Task) -> float:
        return sum(sleeping.answer(item.question) == item.expected for item in task.records) / len(task.records)

    sleeping.main("pytest", true)
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["seconds"] >= 0
    with pytest.raises(RuntimeError, match="are right, and the score is 1"):
        sleeping.main("pytest", lambda _: 1.0)


def test_our_side_of_scoring_reads_scores_and_writes_every_record(tmp_path: Path) -> None:
    scoring.write(tmp_path / "records.jsonl", 40)
    found = scoring.measured("ours", "FactualKnowledge", tmp_path / "records.jsonl", tmp_path)
    assert found["rows"] == 2 * 40
    assert (tmp_path / "part-00000.parquet").exists()
