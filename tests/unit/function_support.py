"""A stack's functions, loaded as Lambda does, and an evaluation that conclude_evaluation is to conclude."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from assay.aws.storage import Storage
from assay.contracts.catalog import Record
from assay.contracts.config import SuiteConfig, load_config
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Comparison, Failure, Manifest, ModelOutcome, Response, ScoreRow, SourceObject
from assay.inference.store import PartStore
from tests.unit.scores_support import write_rows

PROJECT = Path(__file__).resolve().parents[2]
ID = "0123456789abcdef" * 2
PATHS = EvaluationPaths(bucket="drops", suite="sums", evaluation_id=ID)
REQUEST = {"evaluation_id": ID, "bucket": "drops", "suite": "sums"}
CONFIG = b"""\
pipeline: {name: sums}
dataset: {input_data_location: sums.jsonl}
models:
  - {name: good, model_id: m1, deployment_config: {instance_type: ml.m5.large}, endpoint_name: shared}
  - {name: bad, model_id: m1, deployment_config: {instance_type: ml.m5.large}, endpoint_name: shared}
  - {name: lost, model_id: m2, deployment_config: {instance_type: ml.m5.large}}
  - {name: found, provider: endpoint, endpoint_name: theirs}
algorithms: [FactualKnowledge]
model_registry: {model_package_group_name: sums-group, model_package_group_description: Models that add.}
"""
RECORDS = [
    Record(id=f"r{number}", model_input=f"{number}+{number}?", target_output=str(2 * number)) for number in range(8)
]
SETTINGS = {
    "POWERTOOLS_SERVICE_NAME": "assay",
    "POWERTOOLS_METRICS_NAMESPACE": "Assay",
    "OWNER": "assay-stack",
    "EVALUATIONS_TABLE": "evaluations",
}


def load(name: str) -> ModuleType:
    """The function's module, loaded as Lambda does: by its file."""
    spec = importlib.util.spec_from_file_location(f"{name}_app", PROJECT / "functions" / name / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = ModuleType(spec.name)
    spec.loader.exec_module(module)
    return module


def context_of(name: str) -> LambdaContext:
    """What Lambda tells the function of one call."""
    context = LambdaContext()
    context._function_name = name
    context._memory_limit_in_mb = 512
    context._invoked_function_arn = f"arn:aws:lambda:eu-west-1:123456789012:function:{name}"
    context._aws_request_id = "request"
    return context


def handler(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The function's handler."""
    module, context = load(name), context_of(name)
    return lambda event: module.lambda_handler(event, context)


def create_table() -> None:
    """The table of evaluations, empty."""
    boto3.client("dynamodb").create_table(
        TableName="evaluations",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )


def keep_evaluation(storage: Storage) -> None:
    """Leave an evaluation as its pipeline does: one model right, one wrong, one not deployed, one lost."""
    storage.write(PATHS.config, CONFIG)
    manifest = Manifest(
        evaluation_id=ID,
        suite="sums",
        requested_at=datetime(2020, 1, 1, tzinfo=UTC),
        config=SourceObject(uri="s3://drops/configs/sums.yaml", version_id="v", sha256="c" * 64),
        catalog=SourceObject(uri="s3://drops/catalogs/sums.jsonl", version_id="v", sha256="a" * 64),
        records=len(RECORDS),
        versions={"assay": "0"},
    )
    storage.write(PATHS.manifest, manifest.model_dump_json().encode())
    storage.write(PATHS.catalog, "".join(f"{record.model_dump_json()}\n" for record in RECORDS).encode())
    for model, value in (("good", 1.0), ("bad", 0.0)):
        keep_results(storage, model, value)
    failed = ModelOutcome(model="lost", status="failed", failure=Failure(kind="EndpointFailed", reason="no capacity"))
    storage.write(PATHS.outcome("lost"), failed.model_dump_json().encode())


def keep_results(storage: Storage, model: str, value: float) -> None:
    outcome = ModelOutcome(model=model, status="evaluated", records=len(RECORDS), answered=len(RECORDS))
    storage.write(PATHS.outcome(model), outcome.model_dump_json().encode())
    responses = [
        Response(record_id=record.id, text=f"{model} says <b>", latency_ms=1.0, attempts=1, prompt=record.model_input)
        for record in RECORDS
    ]
    PartStore(storage, PATHS.responses(model)).append(responses)
    rows = [
        ScoreRow(record_id=record.id, algorithm="FactualKnowledge", score=score, value=value, direction="higher")
        for record in RECORDS
        for score in ("factual_knowledge", "factual_knowledge_quasi_exact")
    ]
    write_rows(storage, PATHS.scores(model), rows)


def compared(evaluation: Storage) -> Comparison:
    """Compared, and through the gate."""
    handler("compare_models")(REQUEST)
    handler("check_gate")(REQUEST)
    return Comparison.model_validate_json(evaluation.read(PATHS.comparison))


def config(text: bytes = CONFIG) -> SuiteConfig:
    return load_config(text, "configs/sums.yaml")


def manifest(evaluation: Storage) -> Manifest:
    return Manifest.model_validate_json(evaluation.read(PATHS.manifest))
