"""The inner packages joined as the steps and functions join them, on the real storage."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import boto3
import pytest
from moto import mock_aws

from assay.aws.storage import Storage
from assay.contracts.catalog import Record
from assay.contracts.config import SuiteConfig
from assay.decision.compare import compare
from assay.decision.records import RecordIndex
from assay.inference.errors import ModelAnswerError
from assay.inference.prompts import render_prompt
from assay.inference.runner import Answer, ask_all
from assay.inference.store import PartStore, read_responses
from assay.report.page import render_report
from assay.report.samples import select_samples
from assay.scoring.score_files import read_scores, write_score_tables
from assay.scoring.scoring import Scoring
from tests.unit.report_support import manifest
from tests.unit.scores_support import outcome_of


class Capitals:
    """Knows the first capitals of a list, and refuses every tenth question."""

    def __init__(self, known: int) -> None:
        self.known = known

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
        number = int(prompt.removeprefix("Q: ").removesuffix("?"))
        if self.known < 60 and number % 10 == 0:
            raise ModelAnswerError("refused")
        return Answer(text=f"It is city{number:03d}." if number < self.known else "No idea.", latency_ms=5.0)


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="assay")
        yield Storage("assay", client)


def test_from_a_catalog_to_a_report(storage: Storage) -> None:
    deployment = {"instance_type": "ml.g5.xlarge", "num_instances": 1}
    config = SuiteConfig.model_validate(
        {
            "pipeline": {"name": "demo"},
            "dataset": {"input_data_location": "faq.jsonl"},
            "models": [
                {
                    "name": name,
                    "model_id": "m",
                    "deployment_config": deployment,
                    "evaluation_config": {"prompt_template": "Q: $feature?"},
                }
                for name in ("knows-few", "knows-many")
            ],
            "algorithms": ["FactualKnowledge"],
            "gate": {"max_failed": 0.1},
        }
    )
    records = [Record(id=str(n), model_input=str(n), target_output=f"city{n:03d}<OR>town{n:03d}") for n in range(100)]
    outcomes, tables = [], {}
    for model, known in zip(config.models, (30, 80), strict=True):
        responses, scores = f"models/{model.name}/responses/", f"models/{model.name}/scores/"
        summary = ask_all(
            records,
            model=Capitals(known),
            prompt_of=partial(render_prompt, model.evaluation_config.prompt_template),
            store=PartStore(storage, responses),
            limits=config.limits,
        )
        outcome = outcome_of(model.name, len(records), read_responses(storage, responses))
        assert (outcome.answered, outcome.failed, outcome.errors) == (summary.answered, summary.failed, summary.errors)
        outcomes.append(outcome)
        with Scoring(config.algorithms) as scoring:
            said = {response.record_id: response for response in read_responses(storage, responses)}
            table = scoring.score([(record, said.get(record.id)) for record in records])
            write_score_tables(storage, scores, [table])
        tables[model.name] = read_scores(storage, scores)

    index = RecordIndex.of(records, clustered=False)
    found = compare(evaluation_id="1", config=config, records=index, outcomes=outcomes, scores=tables.items())
    assert (found.winner, found.verdict) == ("knows-many", "better")
    means = {item.model: item.scores[0].mean for item in found.models}
    assert (means["knows-many"].value, means["knows-many"].n, means["knows-many"].failed) == (0.8, 100, 0)
    assert (means["knows-few"].value, means["knows-few"].n, means["knows-few"].failed) == (0.3, 90, 10)
    assert found.differences[0].n == 90

    samples = select_samples(
        records,
        {name: read_responses(storage, f"models/{name}/responses/") for name in tables},
        tables,
        config.metric(),
    )
    assert samples.faulty == 65
    page = render_report(found, manifest=manifest(evaluation_id="1", records=100), config=config, samples=samples)
    assert "knows-many is the best of 2 models" in page
    assert "It is city031." in page
