"""How replies and errors of a SageMaker endpoint become answers and failures."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, IncompleteReadError, ReadTimeoutError

from assay.aws.endpoint_model import EndpointModel
from assay.contracts.config import EvaluationSection
from assay.inference.errors import ModelAnswerError, ThrottledError, UnavailableError


class Runtime:
    """A runtime client that gives one body or raises one error, and keeps what it was asked."""

    def __init__(self, reply: bytes | Exception) -> None:
        self.reply = reply
        self.requests: list[dict[str, Any]] = []

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        if isinstance(self.reply, Exception):
            raise self.reply
        return {"Body": io.BytesIO(self.reply), "ResponseMetadata": {"RequestId": "r-1"}}


def ask(reply: bytes | Exception, **evaluation: Any) -> tuple[str, Runtime]:
    runtime = Runtime(reply)
    model = EndpointModel("e", EvaluationSection(**evaluation), 1, client=runtime)
    return model.ask('Say "hi"\n', deadline_seconds=1).text, runtime


def error(code: str, status: int, **extra: Any) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}, **extra}
    return ClientError(response, "InvokeEndpoint")


def test_the_request_is_in_jumpstarts_format_and_the_answer_is_found_by_the_configs_path() -> None:
    text, runtime = ask(
        b'[{"generation": {"content": "hi"}}]',
        output="[0].generation.content",
        content_template=[[{"role": "user", "content": "PROMPT_PLACEHOLDER"}]],
        inference_parameters={"max_new_tokens": 5},
        custom_attributes={"accept_eula": True},
    )
    assert text == "hi"
    [request] = runtime.requests
    assert request["CustomAttributes"] == "accept_eula=true"
    assert json.loads(request["Body"]) == {
        "inputs": [[{"role": "user", "content": 'Say "hi"\n'}]],
        "parameters": {"max_new_tokens": 5},
    }


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (error("ThrottlingException", 400), ThrottledError),
        (error("ModelError", 424, OriginalStatusCode=429), ThrottledError),
        (error("ModelError", 424, OriginalStatusCode=503), UnavailableError),
        (error("ModelError", 424, OriginalStatusCode=400), ModelAnswerError),
        (error("InternalFailure", 500), UnavailableError),
        (error("ValidationError", 400), ModelAnswerError),
        (EndpointConnectionError(endpoint_url="http://x"), UnavailableError),
        (ReadTimeoutError(endpoint_url="http://x"), UnavailableError),
        (IncompleteReadError(actual_bytes=1, expected_bytes=2), UnavailableError),
    ],
)
def test_an_error_is_told_apart_by_whether_asking_again_may_help(failure: Exception, expected: type) -> None:
    with pytest.raises(expected) as caught:
        ask(failure)
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b"[]", b'[{"generated_text": null}]', b'[{"generated_text": 5}]']
)
def test_a_reply_without_text_is_the_models_failure(body: bytes) -> None:
    with pytest.raises(ModelAnswerError):
        ask(body)


def test_an_answer_carries_what_the_reply_tells_of_tokens_and_its_end() -> None:
    reply = {"generated_text": "hi", "details": {"finish_reason": "length", "generated_tokens": 5, "prefill": []}}
    model = EndpointModel("e", EvaluationSection(), 1, client=Runtime(json.dumps([reply]).encode()))
    answer = model.ask("Say hi", deadline_seconds=1)
    assert (answer.input_tokens, answer.output_tokens, answer.finish_reason) == (None, 5, "length")
    assert answer.request_id == "r-1"
    assert answer.cost_usd is None


def test_a_request_that_failed_keeps_its_id() -> None:
    fault = error("ModelError", 424, OriginalStatusCode=503)
    fault.response["ResponseMetadata"]["RequestId"] = "r-2"
    with pytest.raises(UnavailableError) as caught:
        ask(fault)
    assert caught.value.request_id == "r-2"
