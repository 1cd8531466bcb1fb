"""How the evaluation of a model ended, from its responses."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assay.contracts.results import DatasetScore, JudgeUse, Latency, ModelOutcome, Response, Tokens, UsedAsset


class OutcomeTally:
    """Counts answers, failures and tokens, and keeps latencies: 8 bytes an answer."""

    def __init__(self) -> None:
        self._records = 0
        self._answered = 0
        self._errors: Counter[str] = Counter()
        self._latencies = array("d")
        self._counted = _Counted()

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
            self._counted.add(response)

    def outcome(
        self,
        model: str,
        *,
        endpoint_name: str | None = None,
        instance_type: str | None = None,
        model_version: str | None = None,
        wall_seconds: float | None = None,
        dataset_scores: Sequence[DatasetScore] = (),
        assets: Sequence[UsedAsset] = (),
        deploy_seconds: float | None = None,
        judge: JudgeUse | None = None,
    ) -> ModelOutcome:
        """How it ended.

        Args:
            model: the model's name.
            wall_seconds: how long it took to ask the records.
            dataset_scores, assets, judge: of the scoring.
            deploy_seconds: how long its endpoint took to be in service; None where it was there already.
        """
        return ModelOutcome(
            model=model,
            status="evaluated",
            endpoint_name=endpoint_name,
            instance_type=instance_type,
            model_version=model_version,
            records=self._records,
            answered=self._answered,
            failed=self._errors.total(),
            errors=dict(self._errors.most_common()),
            latency=_latency(self._latencies),
            wall_seconds=wall_seconds,
            dataset_scores=list(dataset_scores),
            assets=list(assets),
            tokens=self._counted.tokens(),
            deploy_seconds=deploy_seconds,
            judge=judge,
        )


@dataclass
class _Counted:
    """Tokens of the answers that have both counts; time and money only while each of those has them."""

    n: int = 0
    input: int = 0
    output: int = 0
    seconds: float | None = 0.0
    usd: float | None = 0.0

    def add(self, response: Response) -> None:
        if response.input_tokens is None or response.output_tokens is None:
            return
        self.n += 1
        self.input += response.input_tokens
        self.output += response.output_tokens
        took, cost = response.latency_ms, response.cost_usd
        self.seconds = None if self.seconds is None or took is None else self.seconds + took / 1000
        self.usd = None if self.usd is None or cost is None else self.usd + cost

    def tokens(self) -> Tokens | None:
        if not self.n:
            return None
        return Tokens(n=self.n, input=self.input, output=self.output, seconds=self.seconds, usd=self.usd)


def _latency(milliseconds: array[float]) -> Latency | None:
    """Percentiles by linear interpolation (numpy's default; type 7 of Hyndman and Fan, 1996)."""
    if not milliseconds:
        return None
    values = np.frombuffer(milliseconds)
    p50, p90, p95, p99 = (float(value) for value in np.percentile(values, [50, 90, 95, 99]))
    return Latency(n=len(values), mean=float(np.mean(values)), p50=p50, p90=p90, p95=p95, p99=p99)
