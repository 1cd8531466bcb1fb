"""A slice of `benchmarks/faults.py`: every record ends, whatever the model does, and the counts add up."""

from __future__ import annotations

import pytest

from assay.inference import pacing
from benchmarks.faults import SHARES, FaultyModel, RunLimits, faults_in, run

RECORDS = 600


@pytest.mark.parametrize("seed", [1, 2])
def test_every_record_ends_as_answered_or_failed_and_the_counts_add_up(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(pacing, "BACKOFF_BASE_SECONDS", 0.001)
    monkeypatch.setattr(pacing, "PATIENCE_LEAST_SECONDS", 0.05)
    model = FaultyModel(0.001, seed)
    summary, kept = run(RECORDS, model, RunLimits(request_seconds=3.0))
    assert faults_in(summary, kept, model, RECORDS) == []
    assert all(model.sent[fate] > 0 for fate in SHARES)
    assert summary.answered > 0.97 * RECORDS
    assert set(summary.errors) <= {"MalformedReply", "Unavailable", "Throttled"}
    assert summary.errors["MalformedReply"] == model.sent["malformed"]


def test_a_lost_response_would_be_told() -> None:
    model = FaultyModel(0.0, 1)
    summary, kept = run(50, model, RunLimits(concurrency=8, request_seconds=3.0))
    assert faults_in(summary, kept, model, 50) == []
    del kept["7"]
    assert "every record has a response" in faults_in(summary, kept, model, 50)
