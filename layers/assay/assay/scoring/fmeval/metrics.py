"""Stands for the library `evaluate` while fmeval is imported: the metrics that fmeval asks the Hugging Face hub for.

Each computes what the hub's module of that name computes, with the library that it wraps: bert_score, rouge-score,
jiwer. Nothing is fetched.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def load(path: str, *_args: Any, **_kwargs: Any) -> BertScore | Rouge | WordErrorRate:
    """The metric of this name.

    Raises:
        FileNotFoundError: fmeval asks for no other.
    """
    metrics: dict[str, BertScore | Rouge | WordErrorRate] = {
        "bertscore": BertScore(),
        "rouge": Rouge(),
        "wer": WordErrorRate(),
    }
    if path not in metrics:
        raise FileNotFoundError(f"no metric {path!r} is here")
    return metrics[path]


class Rouge:
    """F1 of ROUGE by its type."""

    def compute(
        self, *, predictions: Sequence[str], references: Sequence[str], rouge_types: Sequence[str], use_stemmer: bool
    ) -> dict[str, float]:
        """The mean over the pairs; fmeval gives one."""
        scorer = _rouge_scorer(tuple(rouge_types), use_stemmer)
        found = [scorer.score(target, text) for target, text in zip(references, predictions, strict=True)]
        return {name: sum(item[name].fmeasure for item in found) / len(found) for name in rouge_types}


class WordErrorRate:
    """Words to change, to leave out and to put in, for each word of the references (Levenshtein's distance)."""

    def compute(self, *, predictions: Sequence[str], references: Sequence[str]) -> float:
        """One rate over all pairs.

        Raises:
            ZeroDivisionError: the references hold no words.
        """
        import jiwer

        wrong = total = 0
        for target, text in zip(references, predictions, strict=True):
            found = jiwer.process_words(target, text)
            wrong += found.substitutions + found.deletions + found.insertions
            total += found.substitutions + found.deletions + found.hits
        return wrong / total


class BertScore:
    """F1 of BERTScore (Zhang et al., 2020, arXiv:1904.09675), neither rescaled nor weighted by idf.

    Args:
        layers: whose output is compared; see `bert_scorer`.
    """

    def __init__(self, layers: int | None = None) -> None:
        self._layers = layers
        self._known: dict[tuple[str, str], float] = {}

    def prepare(self, pairs: Iterable[tuple[str, str]], *, model_type: str, batch_size: int) -> None:
        """Compute many pairs of (expected, given) at once, for `compute` to find; those of before are forgotten.

        In a batch, bert_score fills the shorter texts up with words that are like no other, at 0: where each word of a
        text is unlike a given one, below 0, the filling wins, and the value moves, in the third digit of few pairs.
        Of the others single precision moves the seventh.
        """
        wanted = list(dict.fromkeys(pairs))
        scorer = bert_scorer(model_type, self._layers)
        self._known = {}
        if wanted:
            _, _, f1 = scorer.score(
                [text for _, text in wanted], [target for target, _ in wanted], batch_size=batch_size
            )
            self._known = dict(zip(wanted, f1.tolist(), strict=True))

    def compute(
        self, *, predictions: Sequence[str], references: Sequence[str], model_type: str
    ) -> dict[str, list[float]]:
        """`f1` of each pair."""
        pairs = list(zip(references, predictions, strict=True))
        if all(pair in self._known for pair in pairs):
            return {"f1": [self._known[pair] for pair in pairs]}
        _, _, f1 = bert_scorer(model_type, self._layers).score(list(predictions), list(references), batch_size=64)
        return {"f1": f1.tolist()}


@functools.cache
def bert_scorer(model_type: str, layers: int | None = None) -> Any:
    """The encoder, loaded once a process.

    Args:
        model_type: a folder, or a name that lies in the Hugging Face cache.
        layers: whose output is compared; bert_score's choice for a model of that name, else the last.
    """
    from bert_score import BERTScorer
    from bert_score.utils import model2layers

    folder = Path(model_type)
    if layers is None and folder.is_dir():
        config = json.loads((folder / "config.json").read_text())
        layers = model2layers.get(config.get("_name_or_path"), config.get("num_hidden_layers"))
    return BERTScorer(model_type=model_type, num_layers=layers, device="cpu")


@functools.cache
def _rouge_scorer(types: tuple[str, ...], use_stemmer: bool) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(types), use_stemmer=use_stemmer)
