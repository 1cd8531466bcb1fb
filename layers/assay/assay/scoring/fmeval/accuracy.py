"""FactualKnowledge, QAAccuracy and SummarizationAccuracy."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import getclosurevars
from typing import Any

from assay.scoring.fmeval.deferred import SCIPY, imports_deferred
from assay.scoring.fmeval.normalizing import normalize_quickly
from assay.scoring.scorer import ByFunction, OneByOne, Sample, Scored, Scorer, ScorerRequest, Unscored


def factual_knowledge(request: ScorerRequest) -> Scorer:
    """The transform of FactualKnowledge."""
    with imports_deferred():
        from fmeval.eval_algorithms import factual_knowledge as theirs

    normalize_quickly(theirs)
    transform = theirs.FactualKnowledgeScores(
        target_output_delimiter=request.delimiter, logical_operator=request.settings["logical_operator"]
    )
    return ByFunction(_of_transform(transform))


def qa_accuracy(request: ScorerRequest) -> Scorer:
    """The transforms of QAAccuracy; BERTScore's only where the config asks for it."""
    with imports_deferred(first=SCIPY):
        from fmeval.eval_algorithms import qa_accuracy as theirs

    normalize_quickly(theirs)
    words = theirs.QAAccuracyScores(target_output_delimiter=request.delimiter)
    if "bertscore" not in request.algorithm.scores:
        return ByFunction(_of_transform(words))
    return _QaWithBertScore(request, words)


def summarization_accuracy(request: ScorerRequest) -> Scorer:
    """The pipeline of SummarizationAccuracy, without the metrics whose assets the config does not name."""
    return _Summarization(request)


def _of_transform(transform: Any) -> Any:
    target_key, output_key, names = transform.target_output_key, transform.model_output_key, transform.output_keys
    # What fmeval wraps its calls in looks for the keys that are given right here, and writes an error for each anyway.
    call = getclosurevars(type(transform).__call__).nonlocals["call_method"]

    def score(target_output: str, model_output: str) -> dict[str, float]:
        result = call(transform, {target_key: target_output, output_key: model_output})
        return {name: result[name] for name in names}

    return score


class _QaWithBertScore(OneByOne):
    def __init__(self, request: ScorerRequest, words: Any) -> None:
        from assay.scoring.fmeval import parts

        with imports_deferred():
            from fmeval.eval_algorithms.qa_accuracy import POSSIBLE_TARGETS
            from fmeval.transforms.common import SplitWithDelimiter
            from fmeval.transforms.transform_pipeline import TransformPipeline

        self._parts = parts
        self._delimiter = request.delimiter
        self._names = list(request.algorithm.scores)
        self._model = parts.BertScoreModel(request)
        self._pipeline = TransformPipeline(
            [
                words,
                SplitWithDelimiter(parts.TARGET_OUTPUT, POSSIBLE_TARGETS, request.delimiter),
                parts.metrics_of_summaries.BertScore(
                    target_output_keys=None,
                    model_output_keys=[parts.MODEL_OUTPUT],
                    output_keys=["bertscore"],
                    allow_duplicate_input_keys=True,
                    target_output_keys_provider=POSSIBLE_TARGETS,
                    bertscore_model=self._model,
                ),
            ]
        )

    def score(self, samples: Sequence[Sample]) -> Sequence[Scored | Unscored]:
        self._model.prepare(
            (target, sample.text) for sample in samples for target in sample.record.target_output.split(self._delimiter)
        )
        return super().score(samples)

    def score_one(self, sample: Sample) -> Scored:
        parts = self._parts
        record = {parts.TARGET_OUTPUT: sample.record.target_output, parts.MODEL_OUTPUT: sample.text}
        return Scored(parts.values_of(self._pipeline.execute_record(record), self._names))


class _Summarization(OneByOne):
    def __init__(self, request: ScorerRequest) -> None:
        from assay.scoring.fmeval import parts

        with imports_deferred():
            from fmeval.eval_algorithms.summarization_accuracy import SummarizationAccuracy
            from fmeval.transforms.transform_pipeline import TransformPipeline

        self._parts = parts
        self._names = list(request.algorithm.scores)
        self._model = parts.bertscore_of(request)
        transforms = SummarizationAccuracy._create_transforms(
            target_output_keys=[parts.TARGET_OUTPUT],
            model_output_keys=[parts.MODEL_OUTPUT],
            meteor_keys=["meteor"],
            rouge_keys=["rouge"],
            bertscore_keys=["bertscore"],
            rouge_type=request.settings["rouge_type"],
            use_stemmer_for_rouge=request.settings["use_stemmer_for_rouge"],
            bertscore_model=self._model,
        )
        self._pipeline = TransformPipeline(list(transforms))
        parts.left_out(self._pipeline, parts.unwanted(request, self._model))

    def score(self, samples: Sequence[Sample]) -> Sequence[Scored | Unscored]:
        if self._model is not None:
            self._model.prepare((sample.record.target_output, sample.text) for sample in samples)
        return super().score(samples)

    def score_one(self, sample: Sample) -> Scored:
        parts = self._parts
        record = {parts.TARGET_OUTPUT: sample.record.target_output, parts.MODEL_OUTPUT: sample.text}
        return Scored(parts.values_of(self._pipeline.execute_record(record), self._names))
