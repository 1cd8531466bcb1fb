"""What the evaluate step does with a catalog and a model, its store a folder: ask, keep, join, score, write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from assay.contracts.catalog import Record
from assay.contracts.config import AlgorithmSection, LimitsSection
from assay.inference.kept import KeptResponses
from assay.inference.prompts import render_prompt
from assay.inference.runner import Model, ask_all
from assay.inference.store import PartStore
from assay.scoring.score_files import read_scores, write_score_tables
from assay.scoring.scoring import Scoring
from benchmarks.throughput import Folder


def evaluate(
    catalog: Sequence[Record], model: Model, algorithm: AlgorithmSection, concurrency: int, folder: Path
) -> Mapping[str, float]:
    """Answers and scores in an empty folder; the mean of each score, as the written files have it."""
    responses, scores = folder / "responses", folder / "scores"
    responses.mkdir()
    scores.mkdir()
    ask_all(
        iter(catalog),
        model=model,
        prompt_of=lambda record: render_prompt("$model_input", record),
        store=PartStore(Folder(), f"{responses}/"),
        limits=LimitsSection(concurrency=concurrency),
    )
    with (
        KeptResponses(Folder(), f"{responses}/", folder / "kept") as kept,
        Scoring([algorithm], records=len(catalog)) as scoring,
    ):
        tables = (scoring.score(pairs) for pairs in kept.joined(catalog))
        write_score_tables(Folder(), f"{scores}/", tables)
    found = read_scores(Folder(), f"{scores}/").columns
    return {score: float(column.values.mean()) for (_, score), column in found.items()}
