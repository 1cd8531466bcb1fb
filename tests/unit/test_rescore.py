"""Stored responses are scored by other algorithms, without asking a model, and what was there stays."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from assay.contracts.catalog import Record
from assay.contracts.config import AlgorithmSection, SuiteConfig
from assay.contracts.errors import RejectedError
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Comparison, Failure, ModelOutcome, Response
from assay.pipeline.rescore import rescore, rescore_name
from cli import rescore as command
from cli.main import app
from cli.target import Target
from tests.unit.memory_bucket import Bucket

PATHS = EvaluationPaths(bucket="assay", suite="demo", evaluation_id="0123456789abcdef0123456789abcdef")
CONFIG = SuiteConfig.model_validate(
    {
        "pipeline": {"name": "demo"},
        "dataset": {"input_data_location": "x.jsonl"},
        "models": [
            {"name": name, "provider": "endpoint", "endpoint_name": name, "evaluation_config": {"output": "x"}}
            for name in ("good", "poor", "gone")
        ],
        "algorithms": ["FactualKnowledge"],
    }
)


@pytest.fixture
def bucket() -> Bucket:
    found = Bucket()
    records = [Record(id=str(n), model_input=f"q{n}", target_output=f"city{n}") for n in range(40)]
    found.write(PATHS.catalog, "".join(f"{record.model_dump_json()}\n" for record in records).encode())
    for name, right in (("good", 30), ("poor", 5)):
        responses = [
            Response(record_id=r.id, text=f"city{r.id if n < right else 'x'}", latency_ms=7, attempts=1, prompt="p")
            for n, r in enumerate(records[:-1])
        ]
        failure = Failure(kind="Throttled", reason="too much")
        lost = Response(record_id="39", text=None, latency_ms=None, attempts=3, prompt="p", failure=failure)
        body = "".join(f"{response.model_dump_json()}\n" for response in [*responses, lost])
        found.write(f"{PATHS.responses(name)}part-00000.jsonl", body.encode())
        outcome = ModelOutcome(model=name, status="evaluated", records=40, answered=39, failed=1, wall_seconds=9)
        found.write(PATHS.outcome(name), outcome.model_dump_json().encode())
        found.write(f"{PATHS.scores(name)}part-00000.parquet", b"as it was")
    return found


def sections(*names: str, **parameters: Any) -> list[AlgorithmSection]:
    return [AlgorithmSection(algorithm=name, parameters=parameters) for name in names]


def test_every_model_with_responses_gets_new_scores_beside_the_old(bucket: Bucket) -> None:
    before = dict(bucket.objects)
    found = rescore(bucket, PATHS, CONFIG, sections("ExactMatch", "Bleu"))
    assert (found.metric, found.winner, found.verdict) == ("ExactMatch.exact_match", "good", "better")
    means = {model.model: model.scores[0].mean for model in found.models if model.scores[0].mean.n}
    assert {name: (mean.value, mean.n, mean.failed) for name, mean in means.items()} == {
        "good": (30 / 39, 39, 1),
        "poor": (5 / 39, 39, 1),
    }
    assert {model.model for model in found.models if model.ineligible} == {"gone"}
    assert {key: bucket.objects[key] for key in before} == before
    new = sorted(key.removeprefix(f"{PATHS.prefix}/rescored/") for key in set(bucket.objects) - set(before))
    folder = rescore_name(sections("ExactMatch", "Bleu"))
    assert new == [
        f"{folder}/algorithms.json",
        f"{folder}/comparison.json",
        *(f"{folder}/models/{m}/{f}" for m in ("good", "poor") for f in ("outcome.json", "scores/part-00000.parquet")),
    ]
    assert Comparison.model_validate_json(bucket.objects[f"{PATHS.prefix}/rescored/{folder}/comparison.json"]) == found
    outcome = ModelOutcome.model_validate_json(
        bucket.objects[f"{PATHS.prefix}/rescored/{folder}/models/good/outcome.json"]
    )
    assert (outcome.answered, outcome.wall_seconds) == (39, 9)
    assert [score.score for score in outcome.dataset_scores] == ["corpus_bleu"]


def test_the_same_algorithms_go_to_the_same_folder_and_other_parameters_to_another(bucket: Bucket) -> None:
    rescore(bucket, PATHS, CONFIG, sections("ExactMatch"))
    once = dict(bucket.objects)
    rescore(bucket, PATHS, CONFIG, sections("ExactMatch"))
    assert bucket.objects == once
    assert rescore_name(sections("ExactMatch")) != rescore_name(sections("ExactMatch", ignore_case=True))


def test_an_algorithm_that_would_ask_a_model_is_refused_before_anything_is_written(bucket: Bucket) -> None:
    before = dict(bucket.objects)
    with pytest.raises(RejectedError, match="GeneralSemanticRobustness asks a model, and rescoring asks none"):
        rescore(bucket, PATHS, CONFIG, sections("ExactMatch", "GeneralSemanticRobustness"))
    assert bucket.objects == before


class S3:
    """Lists the evaluations of a suite as S3 does below a delimiter."""

    def __init__(self, *identifiers: str) -> None:
        self.identifiers = identifiers

    def get_paginator(self, _name: str) -> S3:
        return self

    def paginate(self, Prefix: str, **_: str) -> list[dict[str, Any]]:  # noqa: N803 - boto3's name
        keys = [f"evaluations/demo/{item}/" for item in self.identifiers]
        return [{"CommonPrefixes": [{"Prefix": key} for key in keys if key.startswith(Prefix)]}]


class Table:
    def get(self, evaluation_id: str) -> SimpleNamespace | None:
        return SimpleNamespace(suite="demo") if evaluation_id == PATHS.evaluation_id else None


@pytest.fixture
def cloud(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps(CONFIG.model_dump(mode="json", exclude_none=True, exclude_defaults=True)).encode()
    bucket.write(PATHS.config, text)
    s3 = S3(PATHS.evaluation_id, "0fff", "ffff")
    target = Target("here", {"BucketName": "assay", "EvaluationsTable": "t"}, {}, lambda _service: s3)
    monkeypatch.setattr(command, "resolve", lambda _profile, _stack: target)
    monkeypatch.setattr(command, "Storage", lambda _bucket, _client: bucket)
    monkeypatch.setattr(command, "Evaluations", lambda _table, _client: Table())


def test_the_id_alone_names_an_evaluation(cloud: None) -> None:
    result = CliRunner().invoke(app, ["rescore", PATHS.evaluation_id, "-a", "ExactMatch"])
    assert result.exit_code == 0, result.output
    assert "good" in result.output


def test_the_command_prints_every_score_and_where_it_lies(cloud: None, tmp_path: Path) -> None:
    file = tmp_path / "more.yaml"
    file.write_text("algorithms:\n  - algorithm: Regex\n    parameters: {pattern: 'city\\d'}\n")
    result = CliRunner().invoke(app, ["rescore", "demo/0123", "-a", "Bleu", "-f", str(file)])
    assert result.exit_code == 0, result.output
    for text in ("Bleu.corpus_bleu", "of the catalog", "Regex.regex_match", "good", "rescored/"):
        assert text in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo/0", "-a", "Bleu"], "2 evaluations begin so"),
        (["demo/9", "-a", "Bleu"], "there is none"),
        (["ffff", "-a", "Bleu"], "here has no evaluation ffff; SUITE/ID names an older one"),
        (["demo/0123"], "say which algorithms"),
        (["demo/0123", "-a", "Blue"], "unknown algorithm 'Blue'; did you mean `Bleu`?"),
        (["demo/0123", "-a", "Bleu", "-a", "Bleu"], "the algorithm Bleu stands twice"),
        (["demo/0123", "-a", "QAAccuracySemanticRobustness"], "asks a model, and rescoring asks none"),
        (["demo/0123", "-f", "nowhere.yaml"], "No such file"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(cloud: None, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["rescore", *arguments])
    assert result.exit_code == 2
    assert message in result.output
