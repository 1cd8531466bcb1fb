"""The four robustness algorithms: how a model's answers change when its inputs do.

fmeval perturbs, asks and scores in one pipeline. Here the runner has asked already: the pipeline is fmeval's own, its
perturbation leaves the input as it is, and its model plays back the answers in the order in which fmeval asks for them.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from assay.scoring.fmeval import parts
from assay.scoring.fmeval.classification import labels
from assay.scoring.fmeval.deferred import SCIPY, imports_deferred
from assay.scoring.scorer import OneByOne, Sample, Scored, Scorer, ScorerRequest, Unscored

with imports_deferred(first=SCIPY):
    from fmeval.eval_algorithms import classification_accuracy_semantic_robustness as of_classification
    from fmeval.eval_algorithms import general_semantic_robustness as of_anything
    from fmeval.eval_algorithms import qa_accuracy_semantic_robustness as of_answers
    from fmeval.eval_algorithms import summarization_accuracy_semantic_robustness as of_summaries
    from fmeval.eval_algorithms.semantic_robustness_utils import SemanticRobustnessConfig, get_perturbation_transform
    from fmeval.transforms.semantic_perturbations import SemanticPerturbation

_TEMPLATE = "$model_input"
_PERTURBATION = (
    "perturbation_type",
    "num_perturbations",
    "butter_finger_perturbation_prob",
    "random_uppercase_corrupt_proportion",
    "whitespace_add_prob",
    "whitespace_remove_prob",
)
_Targets = Callable[[Sample], Iterator[tuple[str, str]]]


class Perturbations:
    """fmeval's perturbations of inputs, each record with a seed of its own.

    fmeval goes through a catalog with one stream of random numbers for each of its processes, so that what becomes of a
    record depends on those before it. Here it depends on the record's id and the config's seed alone: it is the same
    for every model, after a restart, in each part of a catalog, and when a record is added.
    """

    def __init__(self, settings: Any) -> None:
        self._seed = int(settings["seed"])
        self._transform = get_perturbation_transform(
            SemanticRobustnessConfig(**{name: settings[name] for name in _PERTURBATION})
        )

    def of(self, record_id: str, model_input: str) -> tuple[str, ...]:
        """The perturbed inputs of a record, in order."""
        self._transform.rng = np.random.default_rng(seed_of(record_id, self._seed))
        return tuple(str(text) for text in self._transform.perturb(model_input))


def seed_of(record_id: str, seed: int) -> int:
    """Seed of one record's perturbations: 64 bits of a hash."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{record_id}".encode()).digest()[:8])


def general(request: ScorerRequest) -> Scorer:
    """GeneralSemanticRobustness. A sample with `again` is of a model that does not always say the same."""
    names = _fields(request, "num_baseline_samples")
    algorithm = of_anything.GeneralSemanticRobustness(of_anything.GeneralSemanticRobustnessConfig(**names))
    return _Robustness(request, algorithm, _general_pairs)


def classification(request: ScorerRequest) -> Scorer:
    """ClassificationAccuracySemanticRobustness."""
    algorithm = of_classification.ClassificationAccuracySemanticRobustness(
        of_classification.ClassificationAccuracySemanticRobustnessConfig(**_fields(request))
    )
    algorithm.valid_labels = labels(request)
    return _Robustness(request, algorithm, None)


def qa(request: ScorerRequest) -> Scorer:
    """QAAccuracySemanticRobustness."""
    algorithm = of_answers.QAAccuracySemanticRobustness(
        of_answers.QAAccuracySemanticRobustnessConfig(**_fields(request), target_output_delimiter=request.delimiter)
    )

    def pairs(sample: Sample) -> Iterator[tuple[str, str]]:
        for target in sample.record.target_output.split(request.delimiter):
            yield from ((target, text) for text in (sample.text, *sample.perturbed))

    return _Robustness(request, algorithm, pairs)


def summarization(request: ScorerRequest) -> Scorer:
    """SummarizationAccuracySemanticRobustness."""
    algorithm = of_summaries.SummarizationAccuracySemanticRobustness(
        of_summaries.SummarizationAccuracySemanticRobustnessConfig(
            **_fields(request, "rouge_type", "use_stemmer_for_rouge")
        )
    )

    def pairs(sample: Sample) -> Iterator[tuple[str, str]]:
        return ((sample.record.target_output, text) for text in (sample.text, *sample.perturbed))

    return _Robustness(request, algorithm, pairs)


def _fields(request: ScorerRequest, *more: str) -> dict[str, Any]:
    return {name: request.settings[name] for name in (*_PERTURBATION, *more)}


def _general_pairs(sample: Sample) -> Iterator[tuple[str, str]]:
    yield from ((sample.text, text) for text in sample.perturbed)
    said = (*sample.again, sample.text)
    yield from ((said[i], said[j]) for i in range(len(said)) for j in range(i + 1, len(said)) if sample.again)


class _Playback:
    """A model that says what it said before. Answers are in the order in which fmeval's pipeline asks."""

    def __init__(self) -> None:
        self.answers: deque[str] = deque()

    def predict(self, _prompt: str) -> tuple[str, None]:
        return self.answers.popleft(), None


class _Unchanged(SemanticPerturbation):  # type: ignore[misc]
    """Stands for the perturbation whose outputs were asked already."""

    def __init__(self, like: Any) -> None:
        super().__init__(like.input_key, like.output_keys, like.num_perturbations, 0)

    def perturb(self, text: str) -> list[str]:
        return [text] * self.num_perturbations


class _Robustness(OneByOne):
    def __init__(self, request: ScorerRequest, algorithm: Any, pairs: _Targets | None) -> None:
        self._names = list(request.algorithm.scores)
        self._pairs = pairs
        self._playback = _Playback()
        self._bertscore = parts.bertscore_of(request) if pairs is not None else None
        algorithm.bertscore_model = self._bertscore
        algorithm.perturbation_transform = _Unchanged(algorithm.perturbation_transform)
        self._pipelines = {steady: self._pipeline(request, algorithm, steady) for steady in (True, False)}

    def score(self, samples: Sequence[Sample]) -> Sequence[Scored | Unscored]:
        if self._bertscore is not None and self._pairs is not None:
            self._bertscore.prepare(pair for sample in samples for pair in self._pairs(sample))
        return super().score(samples)

    def score_one(self, sample: Sample) -> Scored:
        self._playback.answers = deque((*sample.perturbed, *sample.again))
        record = {
            parts.MODEL_INPUT: sample.record.model_input,
            parts.PROMPT: sample.record.model_input,
            parts.MODEL_OUTPUT: sample.text,
            parts.TARGET_OUTPUT: sample.record.target_output,
        }
        return Scored(parts.values_of(self._pipelines[not sample.again].execute_record(record), self._names))

    def _pipeline(self, request: ScorerRequest, algorithm: Any, steady: bool) -> Any:
        match algorithm:
            case of_anything.GeneralSemanticRobustness():
                pipeline = algorithm._build_pipeline(self._playback, _TEMPLATE, steady)
            case of_classification.ClassificationAccuracySemanticRobustness():
                return algorithm._build_pipeline(self._playback, _TEMPLATE, algorithm.valid_labels)
            case _:
                pipeline = algorithm._build_pipeline(self._playback, _TEMPLATE, self._bertscore)
        if isinstance(algorithm, of_summaries.SummarizationAccuracySemanticRobustness):
            parts.left_out(pipeline, parts.unwanted(request, self._bertscore))
        elif self._bertscore is None:
            parts.left_out(pipeline, [parts.metrics_of_summaries.BertScore])
        return pipeline
