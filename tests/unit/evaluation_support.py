"""Evaluations in S3 and packages in the registry, as start_evaluation and conclude_evaluation leave them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import boto3

from assay.aws.evaluation_files import EvaluationFiles
from assay.aws.storage import Storage
from assay.contracts.catalog import Record
from assay.contracts.config import load_config
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Manifest, ModelOutcome, ScoreRow, SourceObject
from assay.decision.compare import compare
from assay.decision.records import RecordIndex
from tests.unit.scores_support import write_rows

CONFIG = """\
pipeline: {name: sums}
dataset: {input_data_location: sums.jsonl}
models: [{name: new, provider: endpoint, endpoint_name: e}, {name: old, provider: endpoint, endpoint_name: f}]
algorithms: [FactualKnowledge]
"""
N = 100


def begun(
    storage: Storage, paths: EvaluationPaths, config: bytes, records: Sequence[Record], *, sha: str = "0", **more: Any
) -> None:
    """Leave an evaluation in S3 that is about to begin.

    Args:
        sha: a character, 64 times the hash of config and catalog.
        more: of the manifest.
    """
    source = SourceObject(uri="s3://drops/catalogs/sums.jsonl", version_id="v", sha256=sha * 64)
    manifest = Manifest(
        evaluation_id=paths.evaluation_id,
        suite=paths.suite,
        requested_at=datetime(2026, 11, 24, tzinfo=UTC),
        config=source,
        catalog=source,
        records=len(records),
        versions={},
        **more,
    )
    storage.write(paths.config, config)
    storage.write(paths.manifest, manifest.model_dump_json().encode())
    storage.write(paths.catalog, "".join(f"{record.model_dump_json()}\n" for record in records).encode())


def evaluated(
    storage: Storage, paths: EvaluationPaths, wrong: int = 0, *, sha: str = "a", text: str = CONFIG, **words: str
) -> None:
    """Leave an evaluation in S3 in which `new` got the first `wrong` records wrong, and `old` all of them."""
    config = load_config(text.encode(), "configs/sums.yaml")
    records = [
        Record(id=f"r{number}", model_input=f"{number}?{words.get(f'r{number}', '')}", target_output="x", category="c")
        for number in range(N)
    ]
    begun(storage, paths, text.encode(), records, sha=sha)
    for model, lost in (("new", wrong), ("old", N)):
        rows = [
            ScoreRow(
                record_id=record.id,
                algorithm="FactualKnowledge",
                score=score,
                value=float(number >= lost),
                direction="higher",
            )
            for number, record in enumerate(records)
            for score in ("factual_knowledge", "factual_knowledge_quasi_exact")
        ]
        write_rows(storage, paths.scores(model), rows)
        outcome = ModelOutcome(model=model, status="evaluated", records=N, answered=N)
        storage.write(paths.outcome(model), outcome.model_dump_json().encode())
    files = EvaluationFiles(paths, storage)
    files.write_comparison(
        compare(
            evaluation_id=paths.evaluation_id,
            config=config,
            records=RecordIndex.of(files.records(), clustered=False),
            outcomes=files.outcomes(config),
            scores=files.score_tables(config),
        )
    )


def registered(group: str = "sums", status: str = "Approved", **properties: str) -> str:
    """A model package of a group, which is created where it is missing."""
    sagemaker = boto3.client("sagemaker")
    groups = [
        item["ModelPackageGroupName"] for item in sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"]
    ]
    if group not in groups:
        sagemaker.create_model_package_group(ModelPackageGroupName=group)
    metadata: dict[str, Any] = {"CustomerMetadataProperties": properties} if properties else {}
    answer = sagemaker.create_model_package(ModelPackageGroupName=group, ModelApprovalStatus=status, **metadata)
    return str(answer["ModelPackageArn"])


def champion_of(paths: EvaluationPaths, **more: str) -> str:
    properties = {
        "evaluation_id": paths.evaluation_id,
        "suite": paths.suite,
        "model": "new",
        "comparison_uri": paths.uri(paths.comparison),
    }
    return registered(**(properties | more))
