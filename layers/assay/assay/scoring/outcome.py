"""How the evaluation of a model ended, from its responses."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from assay.contracts.results import DatasetScore, Latency, ModelOutcome, Response, UsedAsset


class OutcomeTally:
    """Counts answers and failures, and keeps latencies: 8 bytes an answer."""

    def __init__(self) -> None:
        self._records = 0
        self._answered = 0
        self._errors: Counter[str] = Counter()
        self._latencies = array("d")

    def add(self, response: Response | None) -> None:
        """Count one record. One that has no response counts as failed, with the kind `NotAsked`."""
        self._records += 1
        if response is None:
            self._errors["NotAsked"] += 1
        elif response.failure is not None:
            self._errors[response.failure.kind] += 1
        else:
            self._answered += 1
            if response.latency_ms is not None:
                self._latencies.append(response.latency_ms)

    def outcome(
        self,
        model: str,
        *,
        endpoint_name: str | None = None,
        model_version: str | None = None,
        wall_seconds: float | None = None,
        dataset_scores: Sequence[DatasetScore] = (),
        assets: Sequence[UsedAsset] = (),
    ) -> ModelOutcome:
        """How it ended.

        Args:
            model: the model's name.
            wall_seconds: how long it took to ask the records.
            dataset_scores, assets: of the scoring.
        """
        return ModelOutcome(
            model=model,
            status="evaluated",
            endpoint_name=endpoint_name,
            model_version=model_version,
            records=self._records,
            answered=self._answered,
            failed=self._errors.total(),
            errors=dict(self._errors.most_common()),
            latency=_latency(self._latencies),
            wall_seconds=wall_seconds,
            dataset_scores=list(dataset_scores),
            assets=list(assets),
        )


def summarize(
    model: str,
    records: int,
    responses: Iterable[Response],
    *,
    endpoint_name: str | None = None,
    model_version: str | None = None,
    wall_seconds: float | None = None,
) -> ModelOutcome:
    """The outcome of so many records, of which some have a response.

    Args:
        records: records in the catalog.
        responses: at most one for a record.
        wall_seconds: how long it took to ask them.

    Raises:
        ValueError: there are more responses than records.
    """
    tally = OutcomeTally()
    found = 0
    for response in responses:
        found += 1
        tally.add(response)
    if found > records:
        raise ValueError(f"{found} responses to {records} records")
    for _ in range(records - found):
        tally.add(None)
    return tally.outcome(model, endpoint_name=endpoint_name, model_version=model_version, wall_seconds=wall_seconds)


def _latency(milliseconds: array[float]) -> Latency | None:
    """Percentiles by linear interpolation (numpy's default; type 7 of Hyndman and Fan, 1996)."""
    if not milliseconds:
        return None
    values = np.frombuffer(milliseconds)
    p50, p90, p95, p99 = (float(value) for value in np.percentile(values, [50, 90, 95, 99]))
    return Latency(n=len(values), mean=float(np.mean(values)), p50=p50, p90=p90, p95=p95, p99=p99)
