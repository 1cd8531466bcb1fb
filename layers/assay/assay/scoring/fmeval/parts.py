"""What several of fmeval's algorithms share: BERTScore and METEOR, computed only where their assets are given."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from assay.scoring.assets import MissingAssetError
from assay.scoring.fmeval.deferred import SCIPY, imports_deferred
from assay.scoring.fmeval.metrics import BertScore, bert_scorer
from assay.scoring.scorer import ScorerRequest, UnscorableError

with imports_deferred(first=SCIPY):
    from fmeval.constants import DatasetColumns
    from fmeval.eval_algorithms.helper_models.helper_model import BertscoreHelperModel
    from fmeval.transforms import summarization_accuracy_metrics

MODEL_INPUT = DatasetColumns.MODEL_INPUT.value.name
MODEL_OUTPUT = DatasetColumns.MODEL_OUTPUT.value.name
PROMPT = DatasetColumns.PROMPT.value.name
TARGET_OUTPUT = DatasetColumns.TARGET_OUTPUT.value.name

metrics_of_summaries: Any = summarization_accuracy_metrics
# It would fetch NLTK's data; ours comes from a folder.
metrics_of_summaries.MeteorScore._load_modules = staticmethod(lambda: None)


class BertScoreModel(BertscoreHelperModel):  # type: ignore[misc]
    """fmeval's BERTScore on an encoder that lies here.

    Raises:
        MissingAssetError: the encoder is not there.
    """

    def __init__(self, request: ScorerRequest) -> None:
        settings = request.settings
        folder = request.folder("bertscore_model")
        layers = settings["bertscore_layers"]
        self._bertscore = BertScore(layers if isinstance(layers, int) else None)
        self._model_type = folder or str(settings["model_type_for_bertscore"])
        self._batch = int(str(settings["bertscore_batch_size"]))
        try:
            bert_scorer(self._model_type, layers if isinstance(layers, int) else None)
        except (OSError, ValueError, KeyError) as error:
            raise MissingAssetError(
                f"BERTScore of {request.algorithm.name}: no encoder can be loaded from {self._model_type} "
                f"({type(error).__name__}); `bertscore_model` names a folder or an s3:// URI with one, in the format "
                "of transformers"
            ) from error

    def prepare(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Compute these pairs of (expected, given) at once, where the config says so."""
        if self._batch > 1:
            self._bertscore.prepare(pairs, model_type=self._model_type, batch_size=self._batch)


def bertscore_of(request: ScorerRequest) -> BertScoreModel | None:
    """The encoder for BERTScore, None where the config asks for none."""
    wanted = request.settings["bertscore_model"] or request.settings["model_type_for_bertscore"]
    return BertScoreModel(request) if wanted else None


def meteor_is_ready(request: ScorerRequest) -> bool:
    """Make NLTK find what METEOR needs. Whether the config asks for it.

    Raises:
        MissingAssetError: the folder lacks something.
    """
    folder = request.folder("nltk_data")
    if folder is None:
        return False
    import nltk

    if folder not in nltk.data.path:
        nltk.data.path.insert(0, folder)
    for name in ("tokenizers/punkt_tab/english", "corpora/wordnet"):
        try:
            nltk.data.find(name, [folder])
        except LookupError as error:
            raise MissingAssetError(
                f"`nltk_data` of {request.algorithm.name}: {folder} has no {name}; `python -m nltk.downloader -d "
                "FOLDER wordnet punkt_tab` fetches both, and `corpora/wordnet.zip` must be unpacked"
            ) from error
    return True


def left_out(pipeline: Any, kinds: Iterable[Any]) -> None:
    """Keep the metrics of these kinds in a pipeline from computing: they give NaN, which is no score."""
    unwanted = tuple(kinds)
    for transform in pipeline.transforms:
        if isinstance(transform, unwanted):
            transform.compute_metric = _nothing


def _nothing(_target: str, _output: str) -> float:
    return math.nan


def values_of(record: Mapping[str, Any], names: Iterable[str]) -> dict[str, float]:
    """The scores in a record that went through a pipeline.

    Raises:
        UnscorableError: one is missing.
    """
    found = {name: record.get(name) for name in names}
    if missing := [name for name, value in found.items() if value is None]:
        raise UnscorableError(f"fmeval gave no {missing[0]}")
    return {name: float(value) for name, value in found.items() if value is not None}


def unwanted(request: ScorerRequest, bertscore: BertScoreModel | None) -> list[Any]:
    """The metrics of summaries whose assets the config does not name.

    Raises:
        MissingAssetError: what it names is not there.
    """
    kinds = [] if meteor_is_ready(request) else [metrics_of_summaries.MeteorScore]
    return kinds if bertscore is not None else [*kinds, metrics_of_summaries.BertScore]
