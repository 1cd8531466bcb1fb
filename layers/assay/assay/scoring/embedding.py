"""Cosine similarity of the sense of two texts, by a sentence encoder that lies in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.scoring.assets import MissingAssetError
from assay.scoring.scorer import Sample, Scored, Scorer, ScorerRequest, Unscored


def scorer(request: ScorerRequest) -> Scorer:
    """`embedding_similarity`: mean-pooled and normalised, as sentence encoders are trained (Reimers and Gurevych, 2019,
    arXiv:1908.10084); of several alternatives, the nearest.

    Raises:
        MissingAssetError: the folder holds no encoder that transformers loads.
    """
    return _Embedding(request)


class _Embedding:
    def __init__(self, request: ScorerRequest) -> None:
        folder = request.folder("embedding_model")
        self._delimiter = request.delimiter
        self._batch = int(str(request.settings["batch_size"]))
        self._tokens = int(str(request.settings["max_tokens"]))
        try:
            from transformers import AutoModel, AutoTokenizer

            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model: Any = AutoModel.from_pretrained(folder, local_files_only=True).eval()
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise MissingAssetError(
                f"`embedding_model` of {request.algorithm.name}: no encoder can be loaded from {folder} "
                f"({type(error).__name__})"
            ) from error

    def score(self, samples: Sequence[Sample]) -> Sequence[Scored | Unscored]:
        targets = [sample.record.target_output.split(self._delimiter) for sample in samples]
        texts = dict.fromkeys([sample.text for sample in samples] + [text for parts in targets for text in parts])
        vectors = dict(zip(texts, self._encoded(list(texts)), strict=True))
        return [
            Scored({"embedding_similarity": max(float(vectors[sample.text] @ vectors[part]) for part in parts)})
            for sample, parts in zip(samples, targets, strict=True)
        ]

    def tally(self) -> None:
        return None

    def _encoded(self, texts: list[str]) -> NDArray[np.float32]:
        """Unit vectors, one a row."""
        import torch

        # Texts of like length beside each other need the least padding.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        rows: list[Any] = [None] * len(texts)
        for start in range(0, len(order), self._batch):
            part = order[start : start + self._batch]
            tokens = self._tokenizer(
                [texts[index] for index in part],
                padding=True, truncation=True, max_length=self._tokens, return_tensors="pt",
            )  # fmt: skip
            with torch.inference_mode():
                states = self._model(**tokens).last_hidden_state
                mask = tokens["attention_mask"].unsqueeze(-1)
                means = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
                unit = torch.nn.functional.normalize(means, dim=1).numpy()
            for index, row in zip(part, unit, strict=True):
                rows[index] = row
        return np.stack(rows)
