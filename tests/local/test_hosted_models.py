"""Bedrock and an API of OpenAI's format: real small models answer, real errors come back, and no process stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import urllib3
from botocore.exceptions import ClientError

from local.faults import FAULTS
from tests.local.conftest import Running

NEAREST = "local.nearest-neighbour-minilm-v1:0"
QUESTION = "In which city is the Eiffel Tower?"
MESSAGES = [{"role": "user", "content": [{"text": QUESTION}]}]


@pytest.fixture(autouse=True)
def _no_fault_is_left(running: Running) -> Iterator[None]:
    yield
    FAULTS.clear()


def post(running: Running, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    url = f"{running.settings.endpoint_url}{path}"
    answer = urllib3.request("POST", url, body=json.dumps(body).encode(), headers=headers, retries=False, timeout=120)
    return answer.status, json.loads(answer.data or b"null")


def chat(running: Running, key: str | None = "Bearer any", **request: Any) -> tuple[int, Any]:
    body = {"model": "nearest-neighbour-minilm", "messages": [{"role": "user", "content": QUESTION}], **request}
    return post(running, "/_local/openai/v1/chat/completions", body, **({} if key is None else {"Authorization": key}))


@pytest.mark.parametrize(
    "identifier",
    [
        NEAREST,
        f"eu.{NEAREST}",
        f"arn:aws:bedrock:eu-west-1::foundation-model/{NEAREST}",
        f"arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.{NEAREST}",
        "arn:aws:bedrock:eu-west-1:123456789012:provisioned-model/nearest-neighbour-minilm",
        "arn:aws:bedrock:eu-west-1:123456789012:imported-model/nearest-neighbour-minilm",
    ],
)
def test_converse_answers_for_every_way_to_name_a_model(running: Running, identifier: str) -> None:
    reply = running.aws("bedrock-runtime").converse(modelId=identifier, messages=MESSAGES)
    assert reply["output"]["message"] == {"role": "assistant", "content": [{"text": "Paris"}]}
    assert reply["stopReason"] == "end_turn"
    usage = reply["usage"]
    assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"] > usage["outputTokens"] > 0
    assert reply["metrics"]["latencyMs"] >= 0


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"modelId": "amazon.nova-lite-v1:0", "messages": MESSAGES}, "model identifier is invalid"),
        ({"modelId": NEAREST, "messages": [{"role": "assistant", "content": [{"text": "a"}]}]}, "start with a user"),
        ({"modelId": NEAREST, "messages": MESSAGES * 2}, "alternate"),
        ({"modelId": NEAREST, "messages": MESSAGES, "additionalModelRequestFields": {"k": 1}}, "unknown parameters: k"),
        (
            {
                "modelId": NEAREST,
                "messages": MESSAGES,
                "guardrailConfig": {"guardrailIdentifier": "g" * 10, "guardrailVersion": "1"},
            },
            "not carried out",
        ),
    ],
)
def test_converse_refuses_what_it_does_not_carry_out(running: Running, request_: dict[str, Any], words: str) -> None:
    with pytest.raises(ClientError, match=words) as refused:
        running.aws("bedrock-runtime").converse(**request_)
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_an_api_of_openais_format_wants_a_key_and_a_model_that_it_has(running: Running) -> None:
    status, reply = chat(running)
    assert (status, reply["choices"][0]["message"]["content"], reply["object"]) == (200, "Paris", "chat.completion")
    assert reply["usage"]["completion_tokens"] > 0
    for key in (None, "Bearer ", "Basic any"):
        status, reply = chat(running, key)
        assert (status, reply["error"]["code"]) == (401, "invalid_api_key")
    status, reply = chat(running, model="gpt-4o")
    assert (status, reply["error"]["code"]) == (404, "model_not_found")
    status, reply = chat(running, n=2)
    assert (status, reply["error"]["type"]) == (400, "invalid_request_error")


def test_faults_are_asked_for_and_come_once_each(running: Running) -> None:
    wanted = [
        {"kind": "answer", "api": "bedrock", "code": "ThrottlingException"},
        {"kind": "answer", "api": "openai", "code": "server_error"},
    ]
    assert post(running, "/_local/faults", wanted, **{"Content-Type": "application/json"})[0] == 200
    with pytest.raises(ClientError) as throttled:
        running.aws("bedrock-runtime").converse(modelId=NEAREST, messages=MESSAGES)
    assert throttled.value.response["Error"]["Code"] == "ThrottlingException"
    assert throttled.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert chat(running)[0] == 500
    assert chat(running)[0] == 200
    FAULTS.add([{"kind": "answer", "api": "bedrock", "code": "server_error"}])
    with pytest.raises(ClientError, match=r"there are: .*ThrottlingException"):
        running.aws("bedrock-runtime").converse(modelId=NEAREST, messages=MESSAGES)


def test_the_model_servers_rest_when_the_cloud_does_and_come_back(running: Running) -> None:
    chat(running)
    servers = [child for child in psutil.Process().children() if "local.models.serve" in child.cmdline()]
    assert servers
    assert post(running, "/_local/rest", {})[0] == 204
    psutil.wait_procs(servers, timeout=10)
    assert not any(server.is_running() for server in servers)
    assert chat(running)[0] == 200
