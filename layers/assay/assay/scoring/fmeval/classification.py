"""ClassificationAccuracy: each response by itself, and balanced accuracy, precision and recall of the catalog."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Hashable, Mapping

from assay.scoring.fmeval.deferred import imports_deferred
from assay.scoring.scorer import OneByOne, Sample, Scored, Scorer, ScorerRequest, Tally

with imports_deferred():
    from fmeval.eval_algorithms import classification_accuracy as fmeval


def scorer(request: ScorerRequest) -> Scorer:
    """The transform of ClassificationAccuracy; without `valid_labels` every expected answer of the catalog is one."""
    return _Classification(request)


def labels(request: ScorerRequest) -> list[str]:
    """The labels that count."""
    given = request.settings["valid_labels"]
    return list(given) if isinstance(given, list) else list(request.labels)


class _Classification(OneByOne):
    def __init__(self, request: ScorerRequest) -> None:
        self._strategy = str(request.settings["multiclass_average_strategy"])
        self._transform = fmeval.ClassificationAccuracyScores(valid_labels=labels(request))

    def score_one(self, sample: Sample) -> Scored:
        transform = self._transform
        expected = sample.record.target_output
        found = transform({transform.target_output_key: expected, transform.model_output_key: sample.text})
        value = found[fmeval.CLASSIFICATION_ACCURACY_SCORE]
        evidence = (expected, found[fmeval.CLASSIFIED_MODEL_OUTPUT_COLUMN_NAME])
        return Scored({fmeval.CLASSIFICATION_ACCURACY_SCORE: float(value)}, evidence)

    def tally(self) -> Tally:
        return Confusions(self._strategy)


class Confusions:
    """How often each label was taken for which; memory holds the pairs that occur.

    Args:
        strategy: scikit-learn's `average` of precision and recall.
    """

    def __init__(self, strategy: str) -> None:
        self._strategy = strategy
        self._pairs: Counter[Hashable] = Counter()

    def add(self, evidence: Hashable) -> None:
        """A pair of (expected, found)."""
        self._pairs[evidence] += 1

    def scores(self) -> Mapping[str, float]:
        """scikit-learn's scores, as fmeval takes them.

        Raises:
            ValueError: the strategy does not fit the labels.
        """
        pairs: list[tuple[str, str]] = list(self._pairs)  # type: ignore[arg-type]
        expected, found = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        weights = list(self._pairs.values())
        scores = {}
        with warnings.catch_warnings():
            # Labels that no response names are told of, and count as fmeval counts them.
            warnings.simplefilter("ignore")
            for name, function in fmeval.CLASSIFICATION_ACCURACY_SCORES_TO_FUNCS.items():
                more = {} if name == fmeval.BALANCED_ACCURACY_SCORE else {"average": self._strategy}
                scores[name] = float(function(expected, found, sample_weight=weights, **more))
        return scores
