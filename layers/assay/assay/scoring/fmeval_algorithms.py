"""The one module that knows fmeval 1.2.3: its algorithms on responses that are there already, one record at a time.

fmeval computes every number. What is left out is its driver: no Ray is started, no model is called, and no record is
dropped or sampled. An algorithm is imported when it is first used, since an import takes seconds.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from assay.contracts.algorithms import Algorithm
from assay.contracts.catalog import Record
from assay.contracts.config import AlgorithmSection
from assay.contracts.results import Response, ScoreRow

Scorer = Callable[[str, str], Mapping[str, float]]
"""Scores by name, of an expected answer and a response."""


def score_responses(
    records: Iterable[Record],
    responses: Iterable[Response],
    algorithms: Sequence[AlgorithmSection],
    scorer_of: Callable[[AlgorithmSection], Scorer] | None = None,
) -> Iterator[ScoreRow]:
    """Score every record with every algorithm; memory holds the expected answers.

    Each record gets one row for each score of each algorithm. The row holds a value, or an error: `NoAnswer` when the
    model did not answer, `ScoringFailed` when the algorithm raised. Rows come in the order of the responses, and those
    of records without a response last.

    Args:
        responses: at most one for a record.
        scorer_of: makes the function that scores; fmeval's own by default.

    Raises:
        ValueError: a response belongs to no record, or is the second to one.
    """
    expected = {record.id: record.target_output for record in records}
    scorers = [(section.known, (scorer_of or fmeval_scorer)(section)) for section in algorithms]
    for response in responses:
        target = expected.pop(response.record_id, None)
        if target is None:
            raise ValueError(f"a response to {response.record_id!r}, which is no record or has a response already")
        for algorithm, scorer in scorers:
            yield from _rows(algorithm, scorer, response, target)
    for record_id in expected:
        for algorithm, _ in scorers:
            yield from _errors(algorithm, record_id, "NoAnswer: the record was not asked")


def fmeval_scorer(section: AlgorithmSection) -> Scorer:
    """fmeval's per-sample function of an algorithm. The config's delimiter parts alternatives, else `<OR>` does."""
    return _MAKERS[section.algorithm](section.target_output_delimiter or "<OR>")


def _factual_knowledge(delimiter: str) -> Scorer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fmeval.eval_algorithms.factual_knowledge import FactualKnowledge, FactualKnowledgeConfig

    algorithm = FactualKnowledge(FactualKnowledgeConfig(target_output_delimiter=delimiter))

    def score(target_output: str, model_output: str) -> dict[str, float]:
        found = algorithm.evaluate_sample(target_output=target_output, model_output=model_output)
        return {item.name: item.value for item in found}

    return score


def _qa_accuracy(delimiter: str) -> Scorer:
    # `QAAccuracy.evaluate_sample` runs this transform and then BERTScore's, which needs a model of 0.7 to 3 GB.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from assay.scoring.offline_metrics import metrics_not_loaded

        with metrics_not_loaded():
            from fmeval.eval_algorithms.qa_accuracy import QAAccuracyScores

    transform = QAAccuracyScores(target_output_delimiter=delimiter)

    def score(target_output: str, model_output: str) -> dict[str, float]:
        sample = {transform.target_output_key: target_output, transform.model_output_key: model_output}
        result = transform(sample)
        return {name: result[name] for name in transform.output_keys}

    return score


_MAKERS: dict[str, Callable[[str], Scorer]] = {
    "FactualKnowledge": _factual_knowledge,
    "QAAccuracy": _qa_accuracy,
}


def _rows(algorithm: Algorithm, scorer: Scorer, response: Response, target: str) -> Iterator[ScoreRow]:
    if response.text is None:
        failure = response.failure
        reason = "no reason is known" if failure is None else f"{failure.kind}: {failure.reason}"
        yield from _errors(algorithm, response.record_id, f"NoAnswer: {reason}")
        return
    try:
        values = scorer(target, response.text)
    except Exception as error:  # noqa: BLE001 - whatever a scorer raises is the failure of this record alone
        # The type alone: what a scorer says may quote the response.
        yield from _errors(algorithm, response.record_id, f"ScoringFailed: {type(error).__name__}")
        return
    for name, direction in algorithm.scores.items():
        value = values.get(name)
        found = value is not None and math.isfinite(value)
        yield ScoreRow(
            record_id=response.record_id,
            algorithm=algorithm.name,
            score=name,
            value=value if found else None,
            direction=direction,
            error=None if found else f"ScoringFailed: {algorithm.name} gave {value} for {name}",
        )


def _errors(algorithm: Algorithm, record_id: str, error: str) -> Iterator[ScoreRow]:
    for name, direction in algorithm.scores.items():
        yield ScoreRow(
            record_id=record_id, algorithm=algorithm.name, score=name, value=None, direction=direction, error=error
        )
