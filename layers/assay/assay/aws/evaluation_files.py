"""The objects of one evaluation as values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from assay.aws.faults import transient_faults
from assay.aws.storage import Storage
from assay.contracts.catalog import Record
from assay.contracts.config import SuiteConfig, load_config
from assay.contracts.errors import ObjectNotFoundError
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.gate import GateResult
from assay.contracts.results import Comparison, Manifest, ModelOutcome, Response
from assay.contracts.served_model import ServedModel

if TYPE_CHECKING:
    from assay.scoring.score_files import ScoreTable


class EvaluationFiles:
    """Reads and writes what lies below `evaluations/<suite>/<evaluation id>/`.

    Every method raises TransientError for a passing fault of S3.

    Args:
        paths: which evaluation.
        storage: its bucket; one over boto3 by default.
    """

    def __init__(self, paths: EvaluationPaths, storage: Storage | None = None) -> None:
        self._paths = paths
        self._storage = storage if storage is not None else Storage(paths.bucket)

    @property
    def paths(self) -> EvaluationPaths:
        """Where they lie."""
        return self._paths

    @transient_faults()
    def config(self) -> SuiteConfig:
        """The config as it was when the evaluation was asked for."""
        return load_config(self._storage.read(self._paths.config), self._paths.config)

    @transient_faults()
    def manifest(self) -> Manifest:
        """What was evaluated."""
        return Manifest.model_validate_json(self._storage.read(self._paths.manifest))

    def records(self) -> Iterator[Record]:
        """The records that every model was asked."""
        with transient_faults():
            for line in self._storage.lines(self._paths.catalog):
                yield Record.model_validate_json(line)

    @transient_faults()
    def outcomes(self, config: SuiteConfig) -> list[ModelOutcome]:
        """How each model's evaluation ended; one whose step left nothing is not among them."""
        found = []
        for model in config.models:
            try:
                body = self._storage.read(self._paths.outcome(model.name))
            except ObjectNotFoundError:
                continue
            found.append(ModelOutcome.model_validate_json(body))
        return found

    @transient_faults()
    def scores(self, config: SuiteConfig) -> dict[str, ScoreTable]:
        """The scores of each model; an empty table for one that has none. Needs the statistics layer."""
        from assay.scoring.score_files import read_scores

        return {model.name: read_scores(self._storage, self._paths.scores(model.name)) for model in config.models}

    def score_tables(self, config: SuiteConfig) -> Iterator[tuple[str, ScoreTable]]:
        """As `scores`, one model in memory."""
        from assay.scoring.score_files import read_scores

        for model in config.models:
            with transient_faults():
                table = read_scores(self._storage, self._paths.scores(model.name))
            yield model.name, table

    @transient_faults()
    def scores_of(self, model: str) -> ScoreTable:
        """The scores of one model; an empty table when it has none. Needs the statistics layer."""
        from assay.scoring.score_files import read_scores

        return read_scores(self._storage, self._paths.scores(model))

    def responses(self, config: SuiteConfig) -> dict[str, Iterator[Response]]:
        """What each model answered, read as it is asked for, and once."""
        return {model.name: self._responses(model.name) for model in config.models}

    def _responses(self, model: str) -> Iterator[Response]:
        from assay.inference.store import read_responses

        with transient_faults():
            yield from read_responses(self._storage, self._paths.responses(model))

    @transient_faults()
    def comparison(self) -> Comparison:
        """The decision."""
        return Comparison.model_validate_json(self._storage.read(self._paths.comparison))

    @transient_faults()
    def write_comparison(self, comparison: Comparison) -> str:
        """Keep the decision; its URI."""
        body = comparison.model_dump_json(indent=1).encode()
        self._storage.write(self._paths.comparison, body, "application/json")
        return self._paths.uri(self._paths.comparison)

    @transient_faults()
    def gate(self) -> GateResult | None:
        """What the gate found; None when there was no winner to hold against anything."""
        try:
            return GateResult.model_validate_json(self._storage.read(self._paths.gate))
        except ObjectNotFoundError:
            return None

    @transient_faults()
    def served(self, endpoint: str) -> ServedModel | None:
        """What an endpoint of the evaluation served, None where that is not known."""
        try:
            return ServedModel.model_validate_json(self._storage.read(self._paths.endpoint(endpoint)))
        except ObjectNotFoundError:
            return None

    @transient_faults()
    def write_gate(self, result: GateResult) -> str:
        """Keep what the gate found; its URI."""
        self._storage.write(self._paths.gate, result.model_dump_json(indent=1).encode(), "application/json")
        return self._paths.uri(self._paths.gate)

    @transient_faults()
    def write_report(self, page: str) -> str:
        """Keep the report; its URI."""
        self._storage.write(self._paths.report, page.encode(), "text/html; charset=utf-8")
        return self._paths.uri(self._paths.report)
