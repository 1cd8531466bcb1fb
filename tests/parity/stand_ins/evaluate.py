"""Stands for the library `evaluate` in fmeval's own processes: its metrics come from a hub, and none is reached here.

Written apart from the product's, after what the hub's modules are documented to compute. Every process of fmeval's
imports it before it loads a model: with that it gets double precision.
"""

import os

import numpy as np
import torch
from rouge_score import rouge_scorer, scoring

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


class BertScore:
    """F1 by the encoder that the environment names, whatever model fmeval asks for."""

    scorer = None

    def compute(self, predictions, references, model_type):
        from bert_score import BERTScorer

        if BertScore.scorer is None:
            BertScore.scorer = BERTScorer(model_type=os.environ["PARITY_ENCODER"], num_layers=1)
        _, _, f1 = BertScore.scorer.score(predictions, references)
        return {"f1": f1.tolist()}


class Rouge:
    """F1 of the middle of a bootstrap over the pairs."""

    def compute(self, predictions, references, rouge_types, use_stemmer):
        scorer = rouge_scorer.RougeScorer(rouge_types=rouge_types, use_stemmer=use_stemmer)
        aggregator = scoring.BootstrapAggregator()
        for prediction, reference in zip(predictions, references, strict=True):
            aggregator.add_scores(scorer.score(reference, prediction))
        return {name: found.mid.fmeasure for name, found in aggregator.aggregate().items()}


class WordErrorRate:
    """Levenshtein's distance over words, by the textbook's table, for the words of the references."""

    def compute(self, predictions, references):
        wrong = sum(self._distance(p.split(), r.split()) for p, r in zip(predictions, references, strict=True))
        return wrong / sum(len(reference.split()) for reference in references)

    def _distance(self, a, b):
        table = np.zeros((len(a) + 1, len(b) + 1), int)
        table[:, 0], table[0] = np.arange(len(a) + 1), np.arange(len(b) + 1)
        for i, x in enumerate(a, start=1):
            for j, y in enumerate(b, start=1):
                table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (x != y))
        return int(table[-1, -1])


def load(name, *_args, **_kwargs):
    """The metric of this name."""
    return {"bertscore": BertScore, "rouge": Rouge, "wer": WordErrorRate}[name]()
