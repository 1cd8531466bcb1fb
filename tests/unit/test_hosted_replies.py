"""What Bedrock and OpenAI may reply besides a plain answer, and what Bedrock is asked besides a plain prompt."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from assay.aws.bedrock_model import BedrockModel
from assay.contracts.config import EvaluationSection
from assay.contracts.provider_sections import BedrockSection
from assay.inference.errors import MalformedReplyError, ModelAnswerError, ThrottledError, UnavailableError
from assay.inference.openai_model import OpenAIModel
from assay.inference.runner import Answer


class Converse:
    """A bedrock-runtime client that gives one reply and keeps what it was asked."""

    def __init__(self, content: Any, stop: str = "end_turn", **usage: int) -> None:
        self.reply = {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": stop,
            "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5, **usage},
            "ResponseMetadata": {"RequestId": "r-1"},
        }
        self.request: dict[str, Any] = {}

    def converse(self, **request: Any) -> dict[str, Any]:
        self.request = request
        return self.reply


def bedrock(client: Converse, *, guardrail: bool = False, **evaluation: Any) -> Answer:
    section = BedrockSection(guardrail_identifier="g", guardrail_version="1") if guardrail else BedrockSection()
    model = BedrockModel("m", EvaluationSection(**evaluation), section, connections=1, request_seconds=1, client=client)
    return model.ask("Hi", deadline_seconds=1)


REASONING = {"reasoningContent": {"reasoningText": {"text": "Let me think."}}}


def test_reasoning_is_no_part_of_an_answer_and_blocks_of_text_are_one() -> None:
    assert bedrock(Converse([REASONING, {"text": "One "}, {"text": "two"}])).text == "One two"


def test_an_answer_that_never_came_further_than_reasoning_is_empty() -> None:
    answer = bedrock(Converse([REASONING], "max_tokens"))
    assert (answer.text, answer.finish_reason, answer.request_id) == ("", "max_tokens", "r-1")


def test_a_call_of_a_tool_is_no_answer() -> None:
    with pytest.raises(MalformedReplyError):
        bedrock(Converse([{"toolUse": {"toolUseId": "t", "name": "n", "input": {}}}], "tool_use"))


def test_tokens_of_the_prompt_cache_are_input() -> None:
    cached = Converse([{"text": "a"}], cacheReadInputTokens=10, cacheWriteInputTokens=20)
    assert (bedrock(cached).input_tokens, bedrock(cached).output_tokens) == (33, 2)


def test_what_converse_does_not_know_is_handed_to_the_model_and_a_guardrail_is_applied() -> None:
    client = Converse([{"text": "a"}])
    parameters = {"maxTokens": 5, "temperature": 0, "top_k": 40, "thinking": {"type": "disabled"}}
    bedrock(client, guardrail=True, inference_parameters=parameters, stop_sequences=["END"])
    assert client.request == {
        "modelId": "m",
        "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
        "inferenceConfig": {"maxTokens": 5, "temperature": 0, "stopSequences": ["END"]},
        "additionalModelRequestFields": {"top_k": 40, "thinking": {"type": "disabled"}},
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
    }


class Api:
    """A server that gives one reply and keeps what it was asked."""

    def __init__(self) -> None:
        self.reply: tuple[int, dict[str, str], bytes] = (200, {}, b"")
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                api.paths.append(self.path)
                api.headers.append(dict(self.headers))
                status, headers, body = api.reply
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def ask(self, body: Any, status: int = 200, **headers: str) -> Answer:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.reply = (status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)
        model = OpenAIModel(
            "m", EvaluationSection(), base_url=self.url, api_key="k", headers={"x-team": "a"}, connections=1
        )
        return model.ask("Hi", deadline_seconds=5)


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    api = Api()
    threading.Thread(target=api.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield api
    api.server.shutdown()
    api.server.server_close()


def choice(finish: str = "stop", **message: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", **message}}]}


def test_a_refusal_in_words_is_what_the_model_answered(api: Api) -> None:
    assert api.ask(choice(content=None, refusal="I cannot.")).text == "I cannot."


def test_an_answer_whose_tokens_went_into_reasoning_is_empty(api: Api) -> None:
    answer = api.ask(choice("length", content=None))
    assert (answer.text, answer.finish_reason, answer.output_tokens) == ("", "length", None)


@pytest.mark.parametrize(
    "body",
    [
        choice("tool_calls", content=None, tool_calls=[]),
        choice(content=[{"type": "text", "text": "a"}]),
        {"choices": []},
        {"choices": [{"text": "a"}]},
        [],
        b"",
        b"\xff\xfe",
    ],
)
def test_a_reply_without_text_is_malformed(api: Api, body: Any) -> None:
    with pytest.raises(MalformedReplyError):
        api.ask(body)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after_ms": "20", "retry_after": "1"}, 0.02),
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry_after": "soon"}, None),
        ({}, None),
    ],
)
def test_a_throttle_tells_how_long_to_wait(api: Api, headers: dict[str, str], seconds: float | None) -> None:
    with pytest.raises(ThrottledError) as throttled:
        api.ask({"error": {"message": "m", "type": "requests", "code": "rate_limit_exceeded"}}, 429, **headers)
    assert throttled.value.retry_after_seconds == seconds
    assert "rate_limit_exceeded" in throttled.value.reason


def test_a_redirect_is_not_followed_since_the_key_would_go_along(api: Api) -> None:
    api.paths.clear()
    with pytest.raises(ModelAnswerError, match="307"):
        api.ask(b"", 307, Location=f"{api.url}/elsewhere")
    assert api.paths == ["/v1/chat/completions"]
    assert (api.headers[-1]["Authorization"], api.headers[-1]["x-team"]) == ("Bearer k", "a")


def test_what_a_proxy_says_in_html_is_told_by_its_status(api: Api) -> None:
    with pytest.raises(UnavailableError, match="502"):
        api.ask(b"<html>Bad Gateway</html>", 502)
    with pytest.raises(ModelAnswerError, match="403"):
        api.ask(b"<html>Forbidden</html>", 403)
