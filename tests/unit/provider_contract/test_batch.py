"""A model of Bedrock that is asked by batch inference jobs, over the wire: what a single request promises holds."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from assay.aws.bedrock_batch import BedrockJobs, stop_batch_jobs
from assay.aws.bedrock_model import BedrockModel
from assay.contracts.catalog import Record
from assay.contracts.config import ModelSection, SuiteConfig, load_config
from assay.contracts.errors import ObjectNotFoundError
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Response
from assay.inference import batch
from assay.inference.asking import InterruptedAskError
from assay.inference.batch import BatchSummary, ask_by_jobs
from assay.inference.budget import Budget, Tariff
from assay.inference.errors import NotConnectedError
from assay.inference.spool import Spool
from assay.pipeline.batch_asking import BatchAsking
from local.hosted import bedrock_batch
from tests.unit.provider_contract import wire as wires
from tests.unit.provider_contract.test_contract import PROVIDERS
from tests.unit.provider_contract.wire import Wire

PATHS = EvaluationPaths(bucket="drops", suite="sums", evaluation_id="e" * 32)
ROLE = "arn:aws:iam::123456789012:role/batch"
MODEL = "local.smollm2-135m-instruct-v1:0"
TARIFF = Tariff(input_usd=1.0, output_usd=2.0, longest_output=20)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    with pytest.MonkeyPatch.context() as patch, wires.wire(tmp_path_factory.mktemp("home")) as running:
        for name, value in running.cloud.settings.client_environment().items():
            patch.setenv(name, value)
        yield running


@pytest.fixture(autouse=True)
def _nothing_is_left(running: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    running.faults.clear()
    running.requests.clear()
    running.model.prompts.clear()
    running.buckets.objects.clear()
    running.forget_jobs()
    monkeypatch.setattr(batch, "POLL_SECONDS", (0.02, 0.02))


class KilledError(BaseException):
    """The process ends here."""


@dataclass
class Storage:
    """The stack's bucket on the wire's side, which may be the last thing that a process does."""

    running: Wire
    calls_left: int | None = None

    def _call(self) -> None:
        if self.calls_left is not None:
            self.calls_left -= 1
            if self.calls_left < 0:
                raise KilledError

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for _, key in self.running.buckets.objects if key.startswith(prefix))

    def read(self, key: str) -> bytes:
        self._call()
        found = self.running.buckets.read(PATHS.bucket, key)
        if found is None:
            raise ObjectNotFoundError(key)
        return found

    def write(self, key: str, body: bytes) -> None:
        self._call()
        self.running.buckets.write(PATHS.bucket, key, body)

    def upload(self, key: str, path: str) -> None:
        self.write(key, Path(path).read_bytes())

    def download(self, key: str, path: str) -> None:
        Path(path).write_bytes(self.read(key))


@dataclass
class Kept:
    """Responses, in memory."""

    responses: list[Response] = field(default_factory=list)
    before: Callable[[], None] = lambda: None

    def append(self, responses: list[Response]) -> None:
        if responses:
            self.before()
            self.responses.extend(responses)

    def answered(self) -> set[str]:
        return {response.record_id for response in self.responses if response.failure is None}

    @property
    def last(self) -> dict[str, Response]:
        return {response.record_id: response for response in self.responses}

    @property
    def kinds(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for response in self.last.values():
            kind = "answered" if response.failure is None else response.failure.kind
            found[kind] = found.get(kind, 0) + 1
        return found


def section(name: str = "m", model_id: str = MODEL, **evaluation: Any) -> ModelSection:
    raw = {"name": name, "provider": "bedrock", "model_id": model_id, "evaluation_config": evaluation}
    return ModelSection.model_validate(raw | {"bedrock_config": {"batch_from_records": 100}})


def catalog(count: int) -> list[Record]:
    return [Record(id=f"r{number}", model_input=f"number {number}", target_output="") for number in range(count)]


def ask(
    running: Wire,
    tmp_path: Path,
    store: Kept,
    count: int = 100,
    *,
    model: ModelSection | None = None,
    storage: Storage | None = None,
    until: float | None = None,
    budget: Budget | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> BatchSummary:
    objects = storage or Storage(running)
    jobs = BedrockJobs(model or section(), PATHS, objects, owner="stack", role_arn=ROLE, seconds=3600)
    with Spool(catalog(count), lambda record: record.model_input, tmp_path / "spool.jsonl") as spool:
        return ask_by_jobs(
            spool,
            service=jobs,
            store=store,
            folder=tmp_path,
            until=time.monotonic() + 60 if until is None else until,
            tariff=TARIFF,
            budget=budget,
            sleep=sleep,
        )


def jobs_there() -> list[Any]:
    return list(boto3.client("bedrock").list_model_invocation_jobs()["invocationJobSummaries"])


def names() -> list[str]:
    return [job["jobName"] for job in jobs_there()]


def statuses() -> list[str]:
    return [job["status"] for job in jobs_there()]


def created(running: Wire) -> list[dict[str, Any]]:
    found = [request for request in running.requests if request.method == "POST"]
    return [json.loads(request.get_data()) for request in found if request.path == "/model-invocation-job"]


def test_one_job_answers_every_record_with_tokens_and_cost_and_without_a_latency(running: Wire, tmp_path: Path) -> None:
    store = Kept()
    summary = ask(running, tmp_path, store)
    assert (summary.records, summary.jobs, summary.answered, summary.errors.total()) == (100, 1, 100, 0)
    assert {item.record_id: item.text for item in store.responses} == {
        item.id: item.model_input for item in catalog(100)
    }
    for response in store.responses:
        assert (response.latency_ms, response.attempts, response.finish_reason) == (None, 1, "end_turn")
        assert (response.input_tokens, response.output_tokens) == (2, 2)
        assert response.cost_usd == pytest.approx(6e-6)
    [request] = created(running)
    assert (request["modelInvocationType"], request["roleArn"], request["timeoutDurationInHours"]) == (
        "Converse",
        ROLE,
        24,
    )
    assert {"key": "assay:owner", "value": "stack"} in request["tags"]
    assert PATHS.evaluation_id in request["jobName"]
    assert [file.name for file in tmp_path.iterdir()] == ["spool.jsonl"]


def test_a_prompt_is_put_in_a_job_as_it_is_put_in_a_single_request(running: Wire, tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "A?"}, {"role": "assistant", "content": "B"}]
    keys: dict[str, Any] = {
        "system_prompt": "Be brief.",
        "content_template": [*chat, {"role": "user", "content": "PROMPT_PLACEHOLDER"}],
        "stop_sequences": [" 7"],
        "inference_parameters": {"maxTokens": 1, "temperature": 0, "top_k": 3},
    }
    model = section(**keys)
    sent: dict[str, Any] = {}

    def converse(**request: Any) -> Any:
        sent.update(request)
        return {"output": {"message": {"content": [{"text": "a"}]}}, "stopReason": "end_turn"}

    single = BedrockModel(
        "m", model.evaluation_config, model.bedrock_config, connections=1, request_seconds=1,
        client=SimpleNamespace(converse=converse),
    )  # fmt: skip
    single.ask("number 7", deadline_seconds=1)
    jobs = BedrockJobs(model, PATHS, Storage(running), owner="stack", role_arn=ROLE, seconds=1)
    line = json.loads(jobs.line(7, "number 7"))
    assert {"modelId": "m", **line["modelInput"]} == sent
    store = Kept()
    ask(running, tmp_path, store, model=section(stop_sequences=[" 7"], inference_parameters={"maxTokens": 5}))
    assert (store.last["r7"].text, store.last["r7"].finish_reason) == ("number", "stop_sequence")
    assert (store.last["r8"].text, store.last["r8"].finish_reason) == ("number 8", "end_turn")


KINDS = {"throttled": "Throttled", "unavailable": "Unavailable", "refused": "ModelError", "filtered": "ContentFiltered"}
# A record's error in a job is a bare status; that of a model which is not ready is a throttle's.
BY_STATUS = {"ModelNotReadyException": "Throttled"}
RECORD_FAULTS = [
    (fault, BY_STATUS.get(fault, KINDS[kind]))
    for kind, faults in PROVIDERS["bedrock"].faults.items()
    for fault in faults
]


@pytest.mark.parametrize(("fault", "kind"), [*RECORD_FAULTS, ("malformed_body", "MalformedReply")])
def test_what_befalls_a_record_is_its_own_failure_and_nobody_elses(
    running: Wire, tmp_path: Path, fault: str, kind: str
) -> None:
    running.fail("bedrock", fault, 3)
    store = Kept()
    summary = ask(running, tmp_path, store)
    assert store.kinds == {"answered": 97, kind: 3}
    assert (summary.answered, dict(summary.errors)) == (97, {kind: 3})
    failures = [response for response in store.responses if response.failure is not None]
    assert all(response.prompt not in response.failure.reason for response in failures if response.failure)
    assert len(created(running)) == 1


@pytest.mark.parametrize(
    ("fault", "kinds", "words"),
    [
        ("Failed", {"BatchFailed": 100}, "The fault that was asked for"),
        ("Expired", {"BatchExpired": 100}, "time was over"),
        ("PartiallyCompleted", {"answered": 50, "BatchExpired": 50}, "time was over"),
    ],
)
def test_a_job_that_does_not_come_to_its_end_fails_what_it_did_not_do_and_keeps_what_it_did(
    running: Wire, tmp_path: Path, fault: str, kinds: dict[str, int], words: str
) -> None:
    running.fail("bedrock-batch", fault)
    store = Kept()
    ask(running, tmp_path, store)
    assert store.kinds == kinds
    failures = [item for item in store.responses if item.failure is not None]
    assert all(item.failure is not None and words in item.failure.reason and item.attempts == 0 for item in failures)


def test_a_job_that_bedrock_refuses_is_told_in_its_own_words(running: Wire, tmp_path: Path) -> None:
    store = Kept()
    ask(running, tmp_path, store, model=section(model_id="amazon.no-such-model-v1:0"))
    assert store.kinds == {"BatchRefused": 100}
    failure = store.responses[0].failure
    assert failure is not None
    assert "ValidationException (400): The provided model identifier is invalid." in failure.reason


def test_where_the_quota_of_jobs_is_used_up_the_job_is_started_later(
    running: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bedrock_batch, "MOST_JOBS", 0)
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            monkeypatch.setattr(bedrock_batch, "MOST_JOBS", 20)
        time.sleep(seconds)

    store = Kept()
    ask(running, tmp_path, store, sleep=sleep)
    assert store.kinds == {"answered": 100}
    assert len(created(running)) == 4


def test_a_quota_that_stays_used_up_ends_with_the_time_for_asking(
    running: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bedrock_batch, "MOST_JOBS", 0)
    store = Kept()
    ask(running, tmp_path, store, until=time.monotonic() + 0.1)
    assert store.kinds == {"DeadlineExceeded": 100}


@pytest.mark.parametrize("calls", range(4))
def test_a_step_that_is_killed_anywhere_finds_its_job_again_and_asks_no_record_twice(
    running: Wire, tmp_path: Path, calls: int
) -> None:
    store = Kept()
    with pytest.raises(KilledError):
        ask(running, tmp_path, store, storage=Storage(running, calls_left=calls))
    (tmp_path / "again").mkdir()
    summary = ask(running, tmp_path / "again", store)
    assert store.kinds == {"answered": 100}
    assert summary.records == summary.resumed + summary.answered == 100
    assert len(names()) == 1
    assert len(running.model.prompts) == 100


def test_a_step_that_is_killed_while_it_writes_goes_on_with_the_same_job(
    running: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "PART_RESPONSES", 30)
    store = Kept()

    def kill_late() -> None:
        if len(store.responses) == 60:
            raise KilledError

    store.before = kill_late
    with pytest.raises(KilledError):
        ask(running, tmp_path, store)
    store.before = lambda: None
    (tmp_path / "again").mkdir()
    summary = ask(running, tmp_path / "again", store)
    assert (summary.resumed, summary.answered) == (60, 40)
    assert len(store.responses) == len(store.last) == 100
    assert len(running.model.prompts) == 100


def test_what_is_answered_already_needs_no_job(running: Wire, tmp_path: Path) -> None:
    store = Kept()
    ask(running, tmp_path, store)
    running.requests.clear()
    assert ask(running, tmp_path, store).resumed == 100
    assert running.requests == []


def test_the_time_for_asking_ends_a_job_and_what_it_has_said_until_then_is_kept(running: Wire, tmp_path: Path) -> None:
    running.fail("bedrock-batch", "Hanging")
    store = Kept()
    ask(running, tmp_path, store, until=time.monotonic() + 1.0)
    assert store.kinds == {"answered": 50, "DeadlineExceeded": 50}
    assert statuses() == ["Stopped"]


def test_a_step_that_is_told_to_stop_stops_its_job_and_a_restart_keeps_what_the_job_said(
    running: Wire, tmp_path: Path
) -> None:
    running.fail("bedrock-batch", "Hanging")
    heard: list[int] = []
    store = Kept()

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        if len(running.model.prompts) == 50:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, lambda number, _frame: heard.append(number))
    try:
        with pytest.raises(InterruptedAskError):
            ask(running, tmp_path, store, sleep=sleep)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]
    (tmp_path / "again").mkdir()
    ask(running, tmp_path / "again", store)
    assert store.kinds == {"answered": 50, "BatchStopped": 50}
    assert statuses() == ["Stopped"]


def test_a_budget_is_held_before_anything_is_sent_and_a_restart_asks_about_the_same_records(
    running: Wire, tmp_path: Path
) -> None:
    worst = [TARIFF.worst_usd(record.model_input) for record in catalog(150)]
    store = Kept()
    budget = Budget(sum(worst[:120]) + 1e-9)
    with pytest.raises(KilledError):
        ask(running, tmp_path, store, 150, budget=budget, storage=Storage(running, calls_left=3))
    (tmp_path / "again").mkdir()
    spent = Budget(budget.usd, spent_usd=budget.usd / 2)
    ask(running, tmp_path / "again", store, 150, budget=spent)
    assert store.kinds == {"answered": 120, "BudgetExceeded": 30}
    assert store.last["r119"].failure is None
    assert store.last["r120"].attempts == 0
    assert spent.spent_usd == pytest.approx(budget.usd / 2 + 120 * 6e-6)


def test_what_answers_did_not_cost_pays_for_further_jobs(running: Wire, tmp_path: Path) -> None:
    worst = [TARIFF.worst_usd(record.model_input) for record in catalog(400)]
    store = Kept()
    budget = Budget(sum(worst[:350]))
    summary = ask(running, tmp_path, store, 400, budget=budget)
    assert (summary.jobs, store.kinds) == (2, {"answered": 400})
    assert budget.spent_usd == pytest.approx(400 * 6e-6)
    sizes = [len(body.splitlines()) for (_, key), body in running.buckets.objects.items() if key.endswith(".jsonl")]
    assert sizes == [300, 100]


def test_a_budget_for_fewer_records_than_a_job_takes_sends_none(running: Wire, tmp_path: Path) -> None:
    store = Kept()
    ask(running, tmp_path, store, budget=Budget(TARIFF.worst_usd("number 0") * 99))
    assert store.kinds == {"BudgetExceeded": 100}
    assert created(running) == []


def test_a_catalog_that_is_too_large_for_a_job_is_cut_into_even_ones(
    running: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "JOB_RECORDS", 130)
    store = Kept()
    summary = ask(running, tmp_path, store, 251)
    assert (summary.jobs, store.kinds) == (2, {"answered": 251})
    assert len({request["jobName"] for request in created(running)}) == 2


def test_models_that_are_asked_the_same_have_jobs_of_their_own(running: Wire, tmp_path: Path) -> None:
    for name in ("one", "other"):
        store = Kept()
        ask(running, tmp_path, store, model=section(name))
        assert store.kinds == {"answered": 100}
    assert len(set(names())) == 2


@pytest.mark.parametrize(("count", "one_by_one"), [(99, 99), (100, 0)])
def test_fewer_records_than_a_job_takes_are_asked_one_by_one(running: Wire, count: int, one_by_one: int) -> None:
    asked: list[str] = []

    budget = Budget(1.0)
    dear = Tariff(input_usd=2.0, output_usd=4.0, longest_output=20)

    def ask_each(records: Any, _store: Any, prompt_of: Callable[[Record], str], tariff: Any) -> None:
        assert tariff == dear
        asked.extend(prompt_of(record) for record in records)

    jobs = BedrockJobs(section(), PATHS, Storage(running), owner="stack", role_arn=ROLE, seconds=3600)
    until = time.monotonic() + 60
    asking = BatchAsking(jobs, lambda record: f"<{record.model_input}>", ask_each, until, TARIFF, dear, budget)
    store: Any = Kept()
    asking.ask(catalog(count), store)
    assert asked == [f"<number {number}>" for number in range(one_by_one)]
    assert len(store.responses) == count - one_by_one


CONFIG = b"""\
pipeline: {name: sums}
dataset: {input_data_location: sums.jsonl}
models:
  - {name: m, provider: bedrock, model_id: local.smollm2-135m-instruct-v1:0, bedrock_config: {batch_from_records: 100}}
algorithms: [FactualKnowledge]
"""


def suite(text: bytes = CONFIG) -> SuiteConfig:
    return load_config(text, "config.yaml")


def test_an_evaluation_that_failed_leaves_no_job_running_and_ends_nobody_elses(running: Wire, tmp_path: Path) -> None:
    running.fail("bedrock-batch", "Hanging", 2)
    for identifier in ("e" * 32, "f" * 32):
        paths = EvaluationPaths(PATHS.bucket, PATHS.suite, identifier)
        jobs = BedrockJobs(section(), paths, Storage(running), owner="stack", role_arn=ROLE, seconds=3600)
        file = tmp_path / identifier
        file.write_bytes(b"".join(jobs.line(number, "a") + b"\n" for number in range(100)))
        jobs.start("job", file)
    [stopped] = stop_batch_jobs(suite(), "e" * 32)
    assert "e" * 32 in stopped
    deadline = time.monotonic() + 10
    while "Stopped" not in statuses():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert statuses() == ["Stopped", "InProgress"]
    assert stop_batch_jobs(suite(), "e" * 32) == []
    assert len(stop_batch_jobs(suite(), "f" * 32)) == 1


def test_where_no_model_is_asked_by_jobs_nobody_is_asked_for_any(running: Wire) -> None:
    assert stop_batch_jobs(suite(CONFIG.replace(b", bedrock_config: {batch_from_records: 100}", b"")), "e" * 32) == []
    assert running.requests == []


def test_an_sdk_without_converses_format_is_named(running: Wire) -> None:
    shape = SimpleNamespace(members={"jobName": None})
    service = SimpleNamespace(operation_model=lambda _name: SimpleNamespace(input_shape=shape))
    old = SimpleNamespace(meta=SimpleNamespace(service_model=service))
    with pytest.raises(NotConnectedError, match="botocore knows no batch inference in Converse's format"):
        BedrockJobs(section(), PATHS, Storage(running), owner="stack", role_arn=ROLE, seconds=1, client=old)
