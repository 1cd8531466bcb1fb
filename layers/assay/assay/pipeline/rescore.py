"""Scores the stored responses of an evaluation anew, by other algorithms. No model is asked, nothing is replaced."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from assay.contracts.config import AlgorithmSection, SuiteConfig
from assay.contracts.errors import Fault, RejectedError
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Comparison, ModelOutcome
from assay.decision.compare import compare
from assay.decision.records import RecordIndex
from assay.inference.kept import KeptResponses
from assay.pipeline.workfiles import Workfiles
from assay.scoring.assets import Folders
from assay.scoring.score_files import read_scores, write_score_tables
from assay.scoring.scoring import Scoring, labels_of, needs_catalog

if TYPE_CHECKING:
    import pyarrow as pa

ASKING = frozenset({"second_answers", "log_probabilities", "judge"})


class Bucket(Protocol):
    """What is asked of the evaluation's bucket."""

    def keys(self, prefix: str, /) -> list[str]: ...
    def read(self, key: str, /) -> bytes: ...
    def write(self, key: str, body: bytes, /) -> None: ...
    def download(self, key: str, path: str, /) -> None: ...


def rescore_name(algorithms: Sequence[AlgorithmSection]) -> str:
    """The folder of a rescoring: 12 hexadecimal digits, the same for the same algorithms and parameters."""
    told = [item.model_dump(mode="json", exclude={"module", "config"}) for item in algorithms]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def rescore(
    bucket: Bucket,
    paths: EvaluationPaths,
    config: SuiteConfig,
    algorithms: Sequence[AlgorithmSection],
    *,
    assets: Folders | None = None,
    told: Callable[[str], None] = lambda _model: None,
) -> Comparison:
    """Score every model's stored responses, keep scores, outcomes and comparison below `rescored/`, and compare.

    The same algorithms again replace what they gave before. The comparison ranks by the first algorithm's first score.

    Args:
        config: the evaluation's.
        algorithms: what scores; the evaluation's own are left as they are.
        assets: finds the folders that they name.
        told: hears the name of each model that is scored.

    Raises:
        RejectedError: an algorithm would have to ask a model.
        MissingAssetError: a folder or package that an algorithm needs is not there.
        ValueError: the evaluation has no responses.
    """
    asking = [item.algorithm for item in algorithms if not ASKING.isdisjoint(item.known.needs)]
    if asking:
        faults = [Fault(f"{name} asks a model, and rescoring asks none", key="algorithms") for name in asking]
        raise RejectedError("the algorithms", faults)
    folders = assets or Folders()
    prefix = f"{paths.prefix}/rescored/{rescore_name(algorithms)}"
    outcomes: list[ModelOutcome] = []
    with Workfiles(bucket, paths.catalog) as files:
        labels = labels_of(files.records()) if needs_catalog(algorithms) else ()
        index = RecordIndex.of(files.records(), clustered=config.dataset.cluster_key is not None)
        for model in config.models:
            if not bucket.keys(paths.responses(model.name)):
                continue
            told(model.name)
            below = f"{prefix}/models/{model.name}/"
            before = ModelOutcome.model_validate_json(bucket.read(paths.outcome(model.name)))
            outcome = _scored(bucket, paths, files, before, algorithms, folders, labels, len(index), f"{below}scores/")
            bucket.write(f"{below}outcome.json", outcome.model_dump_json(indent=1).encode())
            outcomes.append(outcome)
    if not outcomes:
        raise ValueError(f"evaluation {paths.evaluation_id} of {paths.suite} has no responses")
    comparison = compare(
        evaluation_id=paths.evaluation_id,
        config=config.model_copy(update={"algorithms": list(algorithms), "selection": None}),
        records=index,
        outcomes=outcomes,
        scores=((item.model, read_scores(bucket, f"{prefix}/models/{item.model}/scores/")) for item in outcomes),
    )
    bucket.write(f"{prefix}/comparison.json", comparison.model_dump_json(indent=1).encode())
    sections = [item.model_dump(mode="json", exclude_none=True) for item in algorithms]
    bucket.write(f"{prefix}/algorithms.json", f"{json.dumps(sections, indent=1)}\n".encode())
    return comparison


def _scored(
    bucket: Bucket,
    paths: EvaluationPaths,
    files: Workfiles,
    before: ModelOutcome,
    algorithms: Sequence[AlgorithmSection],
    folders: Folders,
    labels: Sequence[str],
    records: int,
    prefix: str,
) -> ModelOutcome:
    """The outcome of one model: as it was asked, with the new scores of the catalog."""
    file = Path(tempfile.mkdtemp(dir=files.path(""))) / "responses.jsonl"
    with (
        KeptResponses(bucket, paths.responses(before.model), file) as kept,
        Scoring(algorithms, assets=folders, labels=labels, records=records) as scoring,
    ):

        def tables() -> Iterator[pa.Table]:
            for pairs in kept.joined(files.records()):
                yield scoring.score(pairs)

        write_score_tables(bucket, prefix, tables())
        return before.model_copy(
            update={"dataset_scores": scoring.dataset_scores(), "assets": folders.used()},
        )
