"""How the evaluation of a model ended, from its responses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from assay.contracts.results import Latency, ModelOutcome, Response


def summarize(
    model: str,
    records: int,
    responses: Iterable[Response],
    *,
    endpoint_name: str | None = None,
    model_version: str | None = None,
    wall_seconds: float | None = None,
) -> ModelOutcome:
    """Count answers and failures, and measure latency.

    Args:
        model: the model's name.
        records: records in the catalog. One that has no response counts as failed, with the kind `NotAsked`.
        responses: at most one for a record.
        wall_seconds: how long it took to ask them.

    Raises:
        ValueError: there are more responses than records.
    """
    errors: Counter[str] = Counter()
    latencies: list[float] = []
    answered = 0
    for response in responses:
        if response.failure is not None:
            errors[response.failure.kind] += 1
            continue
        answered += 1
        if response.latency_ms is not None:
            latencies.append(response.latency_ms)
    missing = records - answered - errors.total()
    if missing < 0:
        raise ValueError(f"{answered + errors.total()} responses to {records} records")
    if missing:
        errors["NotAsked"] += missing
    return ModelOutcome(
        model=model,
        status="evaluated",
        endpoint_name=endpoint_name,
        model_version=model_version,
        records=records,
        answered=answered,
        failed=errors.total(),
        errors=dict(errors.most_common()),
        latency=_latency(latencies),
        wall_seconds=wall_seconds,
    )


def _latency(milliseconds: list[float]) -> Latency | None:
    """Percentiles by linear interpolation (numpy's default; type 7 of Hyndman and Fan, 1996)."""
    if not milliseconds:
        return None
    p50, p90, p95, p99 = (float(value) for value in np.percentile(milliseconds, [50, 90, 95, 99]))
    return Latency(n=len(milliseconds), mean=float(np.mean(milliseconds)), p50=p50, p90=p90, p95=p95, p99=p99)
