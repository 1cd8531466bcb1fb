"""A model of Bedrock that is asked by batch inference jobs, over the wire: what a single request promises holds."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assay.aws.bedrock_batch import BedrockJobs
from assay.aws.bedrock_model import BedrockModel
from assay.inference.errors import NotConnectedError
from local.hosted import bedrock_batch
from tests.unit.batch_inference.support import (
    PATHS,
    ROLE,
    Kept,
    Storage,
    ask,
    catalog,
    created,
    section,
    statuses,
)
from tests.unit.provider_contract.test_contract import PROVIDERS
from tests.unit.provider_contract.wire import Wire

KINDS = {"throttled": "Throttled", "unavailable": "Unavailable", "refused": "ModelError", "filtered": "ContentFiltered"}
# A record's error in a job is a bare status; that of a model which is not ready is a throttle's.
BY_STATUS = {"ModelNotReadyException": "Throttled"}
RECORD_FAULTS = [
    (fault, BY_STATUS.get(fault, KINDS[kind]))
    for kind, faults in PROVIDERS["bedrock"].faults.items()
    for fault in faults
]


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


def test_the_time_for_asking_ends_a_job_and_what_it_has_said_until_then_is_kept(running: Wire, tmp_path: Path) -> None:
    running.fail("bedrock-batch", "Hanging")
    store = Kept()
    ask(running, tmp_path, store, until=time.monotonic() + 1.0)
    assert store.kinds == {"answered": 50, "DeadlineExceeded": 50}
    assert statuses() == ["Stopped"]


def test_an_sdk_without_converses_format_is_named(running: Wire) -> None:
    shape = SimpleNamespace(members={"jobName": None})
    service = SimpleNamespace(operation_model=lambda _name: SimpleNamespace(input_shape=shape))
    old = SimpleNamespace(meta=SimpleNamespace(service_model=service))
    with pytest.raises(NotConnectedError, match="botocore knows no batch inference in Converse's format"):
        BedrockJobs(section(), PATHS, Storage(running), owner="stack", role_arn=ROLE, seconds=1, client=old)
