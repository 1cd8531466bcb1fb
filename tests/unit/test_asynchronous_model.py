"""What a request to an endpoint's queue comes to, by what lies in S3 afterwards."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from assay.aws.asynchronous_model import AsynchronousModel, failure_of
from assay.contracts.config import EvaluationSection
from assay.inference.errors import MalformedReplyError, ModelAnswerError, ThrottledError, UnavailableError
from assay.inference.model import Answer

REQUESTS = "s3://bucket/evaluations/suite/e/asynchronous/requests"
OUTPUT, FAILURE = "answers/1.out", "failures/1-error.out"


def refused(code: str, status: int) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "GetObject",
    )


class Queue:
    """S3 and the endpoint in one. What arrives is there after a time; a call, or reading a key, may be refused."""

    def __init__(self, *, failure_path: bool = True, arrives_after: float = 0.0) -> None:
        self.objects: dict[str, bytes] = {}
        self.refusals: dict[str, list[ClientError]] = {}
        self.requests: list[dict[str, Any]] = []
        self.arriving: dict[str, bytes] = {}
        self.now = 0.0
        self._failure_path = failure_path
        self._arrives_after = arrives_after

    def _refuse(self, what: str) -> None:
        if self.refusals.get(what):
            raise self.refusals[what].pop(0)

    def put_object(self, **request: Any) -> None:
        self._refuse("put_object")
        self.objects[request["Key"]] = request["Body"]

    def invoke_endpoint_async(self, **request: Any) -> dict[str, Any]:
        self._refuse("invoke_endpoint_async")
        self.requests.append(request)
        answer = {"InferenceId": request["InferenceId"], "OutputLocation": f"s3://theirs/{OUTPUT}"}
        return answer | ({"FailureLocation": f"s3://theirs/{FAILURE}"} if self._failure_path else {})

    def get_object(self, **request: Any) -> dict[str, Any]:
        key = request["Key"]
        self._refuse(key)
        if self.now >= self._arrives_after and key in self.arriving:
            return {"Body": io.BytesIO(self.arriving[key])}
        raise refused("NoSuchKey", 404)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def ask(queue: Queue, seconds: float = 30.0, **evaluation: Any) -> Answer:
    model = AsynchronousModel(
        "e",
        EvaluationSection(**evaluation),
        1,
        REQUESTS,
        request_seconds=60,
        runtime=queue,
        s3=queue,
        sleep=queue.sleep,
        clock=lambda: queue.now,
    )
    return model.ask('Say "hi"\n', deadline_seconds=seconds)


def test_a_request_lies_below_the_evaluation_and_says_how_long_it_is_waited_for() -> None:
    queue = Queue()
    queue.arriving[OUTPUT] = b'[{"generated_text": "hi"}]'
    answer = ask(queue, seconds=300, custom_attributes={"accept_eula": True})
    [(key, body)] = queue.objects.items()
    assert json.loads(body) == {"inputs": 'Say "hi"\n', "parameters": {}}
    assert queue.requests == [
        {
            "EndpointName": "e",
            "ContentType": "application/json",
            "Accept": "application/json",
            "CustomAttributes": "accept_eula=true",
            "InferenceId": answer.request_id,
            "InputLocation": f"s3://bucket/{key}",
            "RequestTTLSeconds": 300,
            "InvocationTimeoutSeconds": 300,
        }
    ]
    assert f"s3://bucket/{key}" == f"{REQUESTS}/{answer.request_id}.json"


def test_an_answer_that_comes_late_is_an_answer_and_its_latency_is_nobodys_to_know() -> None:
    queue = Queue(arrives_after=20.0)
    queue.arriving[OUTPUT] = b'[{"generated_text": "hi", "details": {"generated_tokens": 1, "prefill": []}}]'
    answer = ask(queue)
    assert (answer.text, answer.latency_ms, answer.output_tokens) == ("hi", None, 1)
    assert 20.0 <= queue.now < 23.0


def test_the_deadline_of_a_request_is_kept_and_no_bound_of_aws_is_broken() -> None:
    queue = Queue(arrives_after=20.0)
    queue.arriving[OUTPUT] = b'[{"generated_text": "hi"}]'
    with pytest.raises(UnavailableError, match="no answer from the queue in time") as late:
        ask(queue, seconds=5.5)
    assert queue.now == pytest.approx(5.5)
    assert (queue.requests[0]["RequestTTLSeconds"], queue.requests[0]["InvocationTimeoutSeconds"]) == (60, 6)
    assert late.value.request_id == queue.requests[0]["InferenceId"]


def test_a_failure_is_told_as_soon_as_it_lies_there() -> None:
    queue = Queue(arrives_after=1.0)
    queue.arriving[FAILURE] = b'{"error": "Model is overloaded", "error_type": "overloaded"}'
    with pytest.raises(ThrottledError):
        ask(queue)
    assert queue.now < 2.0


def test_an_endpoint_without_a_failure_path_tells_nothing_and_the_deadline_passes() -> None:
    queue = Queue(failure_path=False)
    queue.arriving[FAILURE] = b"{}"
    with pytest.raises(UnavailableError, match="in time"):
        ask(queue)


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (b'{"error": "Input validation error: too long", "error_type": "validation"}', ModelAnswerError),
        (b'{"error": "Model is overloaded", "error_type": "overloaded"}', ThrottledError),
        (b'{"error": "CUDA", "error_type": "generation"}', UnavailableError),
        (b'{"object": "error", "message": "too long", "code": 400}', ModelAnswerError),
        (b'{"error": {"message": "slow down", "code": 429}}', ThrottledError),
        (b'{"code": 503, "type": "ServiceUnavailableException"}', UnavailableError),
        (b'{"code": true}', UnavailableError),
        (b'{"error_type": ["validation"]}', UnavailableError),
        (b'Received client error (413) from primary with message "m".', ModelAnswerError),
        (b"Received server error (500) from primary", UnavailableError),
        (b"\xff\xfe", UnavailableError),
        (b"[]", UnavailableError),
        (b"", UnavailableError),
    ],
)
def test_a_failure_is_told_apart_by_what_the_container_said(told: bytes, kind: type) -> None:
    error = failure_of(told, "r")
    assert type(error) is kind
    assert error.request_id == "r"
    assert "long" not in error.reason


def test_s3_may_falter_while_an_answer_is_waited_for() -> None:
    queue = Queue()
    queue.refusals[OUTPUT] = [refused("SlowDown", 503), refused("InternalError", 500)]
    queue.arriving[OUTPUT] = b'[{"generated_text": "hi"}]'
    assert ask(queue).text == "hi"


def test_an_answer_that_may_not_be_read_is_a_failure_at_once() -> None:
    queue = Queue()
    queue.refusals[OUTPUT] = [refused("AccessDenied", 403)]
    with pytest.raises(ModelAnswerError, match=r"AccessDenied \(403\)"):
        ask(queue)
    assert queue.now == 0.0


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'[{"generated_text": 5}]'])
def test_an_answer_without_text_is_malformed_and_keeps_its_id(body: bytes) -> None:
    queue = Queue()
    queue.arriving[OUTPUT] = body
    with pytest.raises(MalformedReplyError) as caught:
        ask(queue)
    assert caught.value.request_id == queue.requests[0]["InferenceId"]


@pytest.mark.parametrize(
    ("call", "error", "kind"),
    [
        ("put_object", refused("AccessDenied", 403), ModelAnswerError),
        ("put_object", refused("SlowDown", 503), UnavailableError),
        ("invoke_endpoint_async", refused("ThrottlingException", 400), ThrottledError),
        ("invoke_endpoint_async", refused("ValidationError", 400), ModelAnswerError),
    ],
)
def test_a_request_that_is_not_taken_is_told_apart_by_whether_asking_again_may_help(
    call: str, error: ClientError, kind: type
) -> None:
    queue = Queue()
    queue.refusals[call] = [error]
    with pytest.raises(kind) as caught:
        ask(queue)
    assert type(caught.value) is kind
