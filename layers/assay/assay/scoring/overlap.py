"""BLEU and chrF by sacrebleu, ROUGE by rouge-score. All from 0 to 1, as every other score: sacrebleu's by 100."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from assay.scoring.assets import MissingAssetError
from assay.scoring.scorer import ByFunction, OneByOne, Sample, Scored, Scorer, ScorerRequest, Tally

HUNDRED = 100.0


def bleu(request: ScorerRequest) -> Scorer:
    """`bleu` of each response (effective order, exponential smoothing), `corpus_bleu` of all (sacrebleu's default)."""
    made = {
        "tokenize": request.settings["tokenize"],
        "lowercase": request.settings["lowercase"],
    }
    metrics = _sacrebleu(request)
    return _Sacrebleu(request, "bleu", each=metrics.BLEU(effective_order=True, **made), whole=metrics.BLEU(**made))


def chrf(request: ScorerRequest) -> Scorer:
    """`chrf` of each response, `corpus_chrf` of all."""
    made = {"word_order": request.settings["word_order"], "lowercase": request.settings["lowercase"]}
    metrics = _sacrebleu(request)
    return _Sacrebleu(request, "chrf", each=metrics.CHRF(**made), whole=metrics.CHRF(**made))


def rouge(request: ScorerRequest) -> Scorer:
    """`rouge1`, `rouge2`, `rougeL`: of several alternatives, each takes the best."""
    from rouge_score.rouge_scorer import RougeScorer

    names = ["rouge1", "rouge2", "rougeL"]
    scorer = RougeScorer(names, use_stemmer=bool(request.settings["use_stemmer"]))
    delimiter = request.delimiter

    def score(target: str, text: str) -> dict[str, float]:
        found = [scorer.score(part, text) for part in target.split(delimiter)]
        return {name: max(item[name].fmeasure for item in found) for name in names}

    return ByFunction(score)


def _sacrebleu(request: ScorerRequest) -> Any:
    try:
        from sacrebleu import metrics
    except ImportError as error:
        raise MissingAssetError(f"{request.algorithm.name} needs the package sacrebleu in the image") from error
    return metrics


class _Sacrebleu(OneByOne):
    """sacrebleu adds up counts over a corpus, so a corpus need not lie in memory: its counts do, summed."""

    def __init__(self, request: ScorerRequest, name: str, *, each: Any, whole: Any) -> None:
        self._name = name
        self._delimiter = request.delimiter
        self._each = each
        self._whole = whole

    def score_one(self, sample: Sample) -> Scored:
        targets = sample.record.target_output.split(self._delimiter)
        counts = self._whole._extract_corpus_statistics([sample.text], [[target] for target in targets])[0]
        value = self._each.sentence_score(sample.text, targets).score / HUNDRED
        return Scored({self._name: value}, tuple(counts))

    def tally(self) -> Tally:
        return _Counts(f"corpus_{self._name}", self._whole)


class _Counts:
    def __init__(self, name: str, metric: Any) -> None:
        self._name = name
        self._metric = metric
        self._sums: list[Any] = []

    def add(self, evidence: Hashable) -> None:
        counts: list[Any] = list(evidence)  # type: ignore[call-overload]
        self._sums = [a + b for a, b in zip(self._sums, counts, strict=True)] if self._sums else counts

    def scores(self) -> Mapping[str, float]:
        return {self._name: float(self._metric._aggregate_and_compute([self._sums]).score) / HUNDRED}
