"""The fmeval algorithms that a config may name, and the scores that each gives. Nothing is imported from a config.

Names, modules and score names are those of fmeval 1.2.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["higher", "lower"]


@dataclass(frozen=True)
class Algorithm:
    """A known algorithm.

    Attributes:
        name: the class name that a config writes, such as `FactualKnowledge`.
        module: fmeval's module; a config that repeats it must repeat this one.
        config: the class of its parameters; likewise.
        scores: name of each score and the direction in which it is better.
        binary: the scores that are only ever 0 or 1.
        delimited: whether expected answers may hold alternatives, parted by `target_output_delimiter`.
    """

    name: str
    module: str
    config: str
    scores: dict[str, Direction]
    binary: frozenset[str] = frozenset()
    delimited: bool = False


_ALL = (
    Algorithm(
        name="FactualKnowledge",
        module="fmeval.eval_algorithms.factual_knowledge",
        config="FactualKnowledgeConfig",
        scores={"factual_knowledge": "higher", "factual_knowledge_quasi_exact": "higher"},
        binary=frozenset({"factual_knowledge", "factual_knowledge_quasi_exact"}),
        delimited=True,
    ),
    Algorithm(
        name="QAAccuracy",
        module="fmeval.eval_algorithms.qa_accuracy",
        config="QAAccuracyConfig",
        scores={
            "f1_score": "higher",
            "exact_match_score": "higher",
            "quasi_exact_match_score": "higher",
            "precision_over_words": "higher",
            "recall_over_words": "higher",
        },
        binary=frozenset({"exact_match_score", "quasi_exact_match_score"}),
        delimited=True,
    ),
)

ALGORITHMS: dict[str, Algorithm] = {algorithm.name: algorithm for algorithm in _ALL}
