"""Ready responses of a catalog go through the steps of a suite and are compared; nothing is deployed or called."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest

from assay.aws.evaluation_files import EvaluationFiles
from assay.aws.storage import Storage
from assay.contracts.config import SuiteConfig, load_config
from assay.contracts.evaluation import EvaluationPaths, ObjectVersion
from assay.contracts.events import Drop
from assay.contracts.results import Manifest, ModelOutcome
from assay.decision.compare import compare
from assay.decision.records import RecordIndex
from assay.inference.store import read_responses
from assay.pipeline import step_results, steps
from assay.pipeline.drops import Drops
from assay.pipeline.refusals import Refusals
from assay.pipeline.start import EvaluationStarter
from assay.pipeline.suites import Suites
from tests.unit.scores_support import rows_of
from tests.unit.start_world import Announcements, Audiences, Book, Log, Pipelines, Timetable

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CONFIG = (EXAMPLES / "configs" / "own-responses.yaml").read_bytes()
CATALOG = (EXAMPLES / "catalogs" / "own-responses.csv").read_bytes()


@pytest.fixture
def storage(storage: Storage) -> Storage:
    """With versions, as the stack's bucket has them."""
    versioning = {"Status": "Enabled"}
    boto3.client("s3").put_bucket_versioning(Bucket="drops", VersioningConfiguration=versioning)
    return storage


def drops_of(storage: Storage) -> tuple[Drops, Pipelines]:
    log, announcements = Log(), Announcements()
    pipelines = Pipelines(log)
    starter = EvaluationStarter(
        store=storage,
        log=log,
        pipelines=pipelines,
        announcer=announcements,
        clock=lambda: datetime(2026, 1, 2, tzinfo=UTC),
        new_id=lambda: "holder",
        quotas=pipelines,
        versions={"assay": "test"},
    )
    book = Book()
    refusals = Refusals(storage, announcements, book, starter.clock)
    return Drops(starter, Suites(starter, book, Timetable(), Audiences()), refusals), pipelines


def begin(storage: Storage, config: bytes = CONFIG, catalog: bytes = CATALOG, name: str = "own-responses.csv") -> str:
    """Drop both files as people do; the evaluation's URI."""
    drops, pipelines = drops_of(storage)
    storage.write(f"catalogs/{name}", catalog)
    storage.write("configs/suite.yaml", config)
    drops.handle(Drop(storage.latest("configs/suite.yaml")))
    _, uri = pipelines.started[-1]
    return uri


def evaluate(uri: str, config: SuiteConfig) -> dict[str, step_results.Evaluated]:
    prepared = steps.preprocess(uri)
    return {model.name: steps.evaluate(uri, model.name, prepared, None) for model in config.models}


def paths_of(uri: str) -> EvaluationPaths:
    return EvaluationPaths.from_uri(uri)


def test_the_better_of_two_assistants_is_found_without_any_endpoint(storage: Storage) -> None:
    uri, config = begin(storage), load_config(CONFIG, "configs/suite.yaml")
    evaluated = evaluate(uri, config)
    files = EvaluationFiles(paths_of(uri), storage)
    assert evaluated["assistant-2026"] == {
        "model": "assistant-2026",
        "status": "evaluated",
        "answered": 20,
        "failed": 0,
    }
    outcomes = files.outcomes(config)
    assert all(outcome.latency is None and outcome.endpoint_name is None for outcome in outcomes)
    index = RecordIndex.of(files.records(), clustered=False)
    comparison = compare(
        config=config, evaluation_id="0" * 32, outcomes=outcomes, scores=files.score_tables(config), records=index
    )
    assert comparison.winner == "assistant-2026"


def test_a_response_is_kept_as_it_lies_in_the_catalog(storage: Storage) -> None:
    uri = begin(storage)
    evaluate(uri, load_config(CONFIG, "configs/suite.yaml"))
    found = {item.record_id: item for item in read_responses(storage, paths_of(uri).responses("assistant-2025"))}
    response = found["bs-11"]
    assert response.text == "At once,\nwhen you order."
    assert (response.latency_ms, response.attempts, response.prompt) == (None, 0, "When is my card charged?")


def test_a_restarted_step_keeps_each_response_once(storage: Storage) -> None:
    uri, config = begin(storage), load_config(CONFIG, "configs/suite.yaml")
    assert evaluate(uri, config) == evaluate(uri, config)
    assert len(storage.keys(paths_of(uri).responses("assistant-2025"))) == 1


def test_a_response_that_is_missing_is_a_failure_and_not_a_score(storage: Storage) -> None:
    catalog = b'{"id": 1, "question": "a", "answer": "b", "x": {"one": "b", "two": ""}}\n'
    catalog += b'{"id": 2, "question": "c", "answer": "d", "x": {"one": null}}\n'
    config = CONFIG.replace(b"assistant 2025", b"x.one").replace(b"assistant 2026", b"x.two")
    config = config.replace(b"own-responses.csv", b"x.jsonl").replace(b"  category_key: category\n", b"")
    uri = begin(storage, config, catalog, "x.jsonl")
    evaluate(uri, load_config(config, "configs/suite.yaml"))
    outcome = ModelOutcome.model_validate_json(storage.read(paths_of(uri).outcome("assistant-2025")))
    assert (outcome.status, outcome.answered, outcome.failed, outcome.errors) == ("evaluated", 1, 1, {"NoAnswer": 1})
    table = EvaluationFiles(paths_of(uri), storage).scores(load_config(config, ""))["assistant-2025"]
    column = table.column("FactualKnowledge", "factual_knowledge")
    assert column is not None
    assert column.failed == 1


def test_a_template_that_names_no_column_of_the_catalog_is_refused_before_anything_starts(storage: Storage) -> None:
    models = b"""models:
  - name: asked
    provider: endpoint
    endpoint_name: e
    evaluation_config: {prompt_template: "$model_input in $contxt"}
"""
    storage.write("catalogs/own-responses.csv", CATALOG)
    storage.write("configs/suite.yaml", CONFIG.replace(b"models:\n", models))
    drops, pipelines = drops_of(storage)
    [started] = drops.handle(Drop(storage.latest("configs/suite.yaml")))
    assert (started.outcome, pipelines.started) == ("rejected", [])
    [fault] = json.loads(storage.read("rejected/configs/suite.yaml.json"))["faults"]
    assert (fault["line"], fault["key"]) == (18, "models[0].evaluation_config.prompt_template")
    assert "model 'asked' names $contxt" in fault["message"]


def test_a_template_among_several_is_refused_by_its_own_line(storage: Storage) -> None:
    templates = b"dataset:\n  prompt_templates:\n    short: $prompt\n    long: $prompt in $contxt\n"
    models = b"models:\n  - {name: asked, provider: endpoint, endpoint_name: e}\n"
    storage.write("catalogs/own-responses.csv", CATALOG)
    storage.write("configs/suite.yaml", CONFIG.replace(b"dataset:\n", templates).replace(b"models:\n", models))
    drops, _ = drops_of(storage)
    drops.handle(Drop(storage.latest("configs/suite.yaml")))
    [fault] = json.loads(storage.read("rejected/configs/suite.yaml.json"))["faults"]
    assert (fault["line"], fault["key"]) == (10, "dataset.prompt_templates.long")


# ---- preprocess


def sums(count: int) -> bytes:
    return b"".join(b'{"question": "%d+1?", "answer": "%d", "r": "%d"}\n' % (n, n + 1, n + 1) for n in range(count))


def small(num_records: int | None, name: str = "x.jsonl") -> bytes:
    config = CONFIG.replace(b"assistant 2025", b"r").replace(b"assistant 2026", b"r")
    config = config.replace(b"own-responses.csv", name.encode()).replace(b"  category_key: category\n", b"")
    return config if num_records is None else config.replace(b"models:", b"  num_records: %d\n\nmodels:" % num_records)


def prepared(storage: Storage, uri: str) -> list[str]:
    count = steps.preprocess(uri)["records"]
    records = list(EvaluationFiles(paths_of(uri), storage).records())
    assert len(records) == count
    return [record.model_input for record in records]


def test_the_same_records_are_drawn_each_time_and_stay_in_order(storage: Storage) -> None:
    uri = begin(storage, small(7), sums(50), "x.jsonl")
    first = prepared(storage, uri)
    assert len(first) == 7
    assert first == prepared(storage, uri)
    assert first == sorted(first, key=lambda text: int(text.partition("+")[0]))


def test_another_seed_draws_other_records(storage: Storage) -> None:
    first = prepared(storage, begin(storage, small(7), sums(50), "x.jsonl"))
    other = small(7).replace(b"num_records", b"seed: 1\n  num_records")
    assert first != prepared(storage, begin(storage, other, sums(50), "x.jsonl"))


@pytest.mark.parametrize("wanted", [None, 50, 51])
def test_every_record_is_kept_where_no_fewer_are_wanted(storage: Storage, wanted: int | None) -> None:
    assert len(prepared(storage, begin(storage, small(wanted), sums(50), "x.jsonl"))) == 50


def test_a_packed_catalog_is_prepared_in_the_clear(storage: Storage) -> None:
    uri = begin(storage, small(None, "x.jsonl.gz"), gzip.compress(sums(3)), "x.jsonl.gz")
    assert prepared(storage, uri) == ["0+1?", "1+1?", "2+1?"]


def test_a_catalog_that_is_no_longer_the_one_that_was_checked_is_not_evaluated(storage: Storage) -> None:
    uri = begin(storage, small(None), sums(3), "x.jsonl")
    paths = paths_of(uri)
    manifest = Manifest.model_validate_json(storage.read(paths.manifest))
    storage.write("catalogs/x.jsonl", sums(4))
    newest = storage.latest("catalogs/x.jsonl")
    catalog = manifest.catalog.model_copy(update={"version_id": newest.version_id})
    storage.write(paths.manifest, manifest.model_copy(update={"catalog": catalog}).model_dump_json().encode())
    with pytest.raises(RuntimeError, match="no longer the file that was checked"):
        steps.preprocess(uri)


def test_an_object_is_read_in_pieces_and_by_its_version(storage: Storage) -> None:
    storage.write("catalogs/big", b"a" * 600_000)
    old: ObjectVersion = storage.latest("catalogs/big")
    storage.write("catalogs/big", b"b")
    pieces = list(storage.chunks("catalogs/big", old.version_id))
    assert max(map(len, pieces)) <= 262_144
    assert b"".join(pieces) == b"a" * 600_000


def test_scores_lie_in_the_order_of_the_catalog(storage: Storage) -> None:
    uri, config = begin(storage), load_config(CONFIG, "configs/suite.yaml")
    evaluate(uri, config)
    paths = paths_of(uri)
    ids = [json.loads(line)["id"] for line in storage.lines(paths.catalog)]
    for model in config.models:
        [key] = storage.keys(paths.scores(model.name))
        rows = rows_of(storage.read(key))
        assert list(dict.fromkeys(row.record_id for row in rows)) == ids
