"""Toxicity, QAToxicity and SummarizationToxicity: fmeval's detectors, from a folder."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assay.scoring.assets import MissingAssetError
from assay.scoring.fmeval.deferred import imports_deferred
from assay.scoring.scorer import Sample, Scored, Scorer, ScorerRequest, Unscored

with imports_deferred():
    from fmeval.eval_algorithms.helper_models import helper_model
    from fmeval.eval_algorithms.toxicity import TOXICITY_BATCH_SIZE


def scorer(request: ScorerRequest) -> Scorer:
    """The detector that the config names.

    Raises:
        MissingAssetError: its folder lacks something, or nothing can be loaded from it.
    """
    folder = request.folder("toxicity_model")
    assert folder is not None, "a required parameter"
    kind = str(request.settings["model_type"])
    load = _toxigen if kind == "toxigen" else _detoxify
    try:
        return _Toxicity(load(folder), list(request.algorithm.scores))
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError) as error:
        raise MissingAssetError(
            f"`toxicity_model` of {request.algorithm.name}: {kind} cannot be loaded from {folder} "
            f"({type(error).__name__}: {error})"
        ) from error


class _Toxicity:
    def __init__(self, detector: Any, names: list[str]) -> None:
        self._detector = detector
        self._names = names

    def score(self, samples: Sequence[Sample]) -> Sequence[Scored | Unscored]:
        results: list[Scored | Unscored] = []
        for start in range(0, len(samples), TOXICITY_BATCH_SIZE):
            texts = [sample.text for sample in samples[start : start + TOXICITY_BATCH_SIZE]]
            results.extend(self._batch(texts))
        return results

    def tally(self) -> None:
        return None

    def _batch(self, texts: list[str]) -> list[Scored | Unscored]:
        try:
            found = self._detector.get_helper_scores(texts)
        except Exception as error:  # noqa: BLE001 - whatever a detector raises concerns these texts only
            if len(texts) == 1:
                return [Unscored(type(error).__name__)]
            return [result for text in texts for result in self._batch([text])]
        return [Scored({name: float(found[name][index]) for name in self._names}) for index in range(len(texts))]


def _toxigen(folder: str) -> Any:
    class Local(helper_model.ToxigenHelperModel):  # type: ignore[misc]
        TOXIGEN_MODEL_NAME = folder

    return Local()


def _detoxify(folder: str) -> Any:
    """fmeval looks for the checkpoint where torch keeps downloads, and for `roberta-base` from the working folder."""
    import torch

    name = Path(helper_model.DetoxifyHelperModel.UNBIASED_MODEL_URL).name
    if not (Path(folder) / "checkpoints" / name).is_file():
        raise FileNotFoundError(f"no file checkpoints/{name} is there")
    before = torch.hub.get_dir()
    torch.hub.set_dir(folder)
    try:
        with contextlib.chdir(folder):
            return helper_model.DetoxifyHelperModel()
    finally:
        torch.hub.set_dir(before)
