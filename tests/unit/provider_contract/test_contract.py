"""What every provider promises, whoever serves the model. A new provider is one more entry of `PROVIDERS`."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from assay.aws.providers import Connection, connect
from assay.contracts.catalog import Record
from assay.contracts.config import LimitsSection, ModelSection
from assay.contracts.results import Response
from assay.inference.errors import (
    MalformedReplyError,
    ModelAnswerError,
    ModelCallError,
    NotConnectedError,
    ThrottledError,
    UnavailableError,
)
from assay.inference.runner import Answer, Model, ask_all
from tests.unit.provider_contract import wire as wires
from tests.unit.provider_contract.wire import ASYNCHRONOUS_URI, BUCKET, ENDPOINT, KEY, QUEUED, REFUSED, SECRET, Wire

ACME = Path(__file__).resolve().parents[3] / "examples/plugins/acme"


@dataclass(frozen=True)
class Case:
    """A provider under test.

    Attributes:
        keys: what a config says of the model.
        parameters: inference parameters that the provider needs to tell tokens.
        most: how the provider calls the most tokens of an answer.
        faults: service, and the fault that stands for each kind of failure.
        cut_off: finish reason of an answer that was cut off.
        queued: the endpoint is asynchronous, and nobody tells how long the model took.
    """

    keys: dict[str, Any]
    service: str
    faults: dict[str, tuple[str, ...]]
    most: str = "max_new_tokens"
    parameters: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    cut_off: str = "length"
    queued: bool = False


_ENDPOINT_FAULTS = {
    "throttled": ("ThrottlingException", "ModelError429"),
    "unavailable": ("InternalFailure", "ServiceUnavailable", "ModelError500", "ModelError503"),
    "refused": ("ModelError400",),
}
PROVIDERS = {
    "jumpstart": Case(
        {"provider": "jumpstart", "model_id": "m", "deployment_config": {"instance_type": "ml.m5.xlarge"}},
        "sagemaker-runtime",
        _ENDPOINT_FAULTS,
        parameters={"details": True, "decoder_input_details": True},
        evaluation={"content_template": [{"role": "user", "content": "PROMPT_PLACEHOLDER"}]},
    ),
    "huggingface": Case(
        {"provider": "huggingface", "model_id": "m", "deployment_config": {"instance_type": "ml.m5.xlarge"}},
        "sagemaker-runtime",
        _ENDPOINT_FAULTS,
        most="max_tokens",
        parameters={"temperature": 0},
        evaluation={"request_format": "chat_completions"},
    ),
    "endpoint": Case(
        {"provider": "endpoint", "endpoint_name": ENDPOINT},
        "sagemaker-runtime",
        _ENDPOINT_FAULTS,
        parameters={"details": True, "decoder_input_details": True},
    ),
    "asynchronous": Case(
        {"provider": "endpoint", "endpoint_name": QUEUED},
        "sagemaker-runtime",
        _ENDPOINT_FAULTS,
        parameters={"details": True, "decoder_input_details": True},
        queued=True,
    ),
    "bedrock": Case(
        {"provider": "bedrock", "model_id": "local.smollm2-135m-instruct-v1:0"},
        "bedrock",
        {
            "throttled": ("ThrottlingException",),
            "unavailable": (
                "InternalServerException",
                "ModelErrorException",
                "ModelNotReadyException",
                "ModelTimeoutException",
                "ServiceUnavailableException",
                "malformed_model_output",
            ),
            "refused": ("AccessDeniedException", "ResourceNotFoundException", "ValidationException"),
            "filtered": ("content_filtered", "guardrail_intervened"),
        },
        most="maxTokens",
        cut_off="max_tokens",
    ),
    "openai": Case(
        {"provider": "openai", "model_id": "smollm2-135m-instruct", "api_config": {"api_key_secret": SECRET}},
        "openai",
        {
            "throttled": ("rate_limit_exceeded",),
            "unavailable": ("bad_gateway", "overloaded", "server_error"),
            "refused": ("context_length_exceeded", "insufficient_quota", "invalid_api_key", "model_not_found"),
            "filtered": ("content_filter", "filtered_answer"),
        },
        most="max_tokens",
    ),
    "plugin": Case(
        {"provider": "plugin", "plugin_config": {"name": "acme", "parameters": {"url": "{url}/acme"}}},
        "acme",
        {"throttled": ("429",), "unavailable": ("500", "503"), "refused": ("400", "403", "404")},
    ),
}
TEXTS = (
    "Say hi",
    'Quotes " and \\ back\\slashes and {"json": [1]}',
    "Zażółć gęślą jaźń, 日本語, שלום, 👩‍👩‍👧‍👦, \U0001d11e",
    "line\nbreaks\r\nand\ttabs and \u2028 and \u2029 and \u0000 and \u007f",
    " PROMPT_PLACEHOLDER $model_input ${x} ",
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    with pytest.MonkeyPatch.context() as patch, wires.wire(tmp_path_factory.mktemp("home")) as running:
        for name, value in running.cloud.settings.client_environment().items():
            patch.setenv(name, value)
        patch.syspath_prepend(str(installed(tmp_path_factory.mktemp("image"))))
        yield running
        sys.modules.pop("acme_provider", None)


def installed(packages: Path) -> Path:
    """A folder with the example plug-in as an installer would lay it out."""
    project = tomllib.loads((ACME / "pyproject.toml").read_text())["project"]
    (packages / "acme_provider.py").write_text((ACME / "acme_provider.py").read_text())
    folder = packages / f"acme_assay-{project['version']}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    [(group, points)] = project["entry-points"].items()
    (folder / "entry_points.txt").write_text(f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()))
    return packages


@pytest.fixture(params=PROVIDERS)
def case(request: pytest.FixtureRequest, running: Wire) -> Case:
    running.faults.clear()
    running.model.prompts.clear()
    running.requests.clear()
    return PROVIDERS[request.param]


def model(case: Case, running: Wire, seconds: float = 20.0, connections: int = 1, **evaluation: Any) -> Model:
    parameters = {case.most: 100, **case.parameters, **evaluation.pop("inference_parameters", {})}
    raw = {"name": "m", **case.keys}
    raw["evaluation_config"] = {**case.evaluation, **evaluation, "inference_parameters": parameters}
    if "plugin_config" in raw:
        raw["plugin_config"] = {"name": "acme", "parameters": {"url": f"{running.url}/acme"}}
    reached = Connection(connections, seconds, ENDPOINT)
    if case.queued:
        reached = Connection(connections, seconds, QUEUED, ASYNCHRONOUS_URI)
    return connect(ModelSection.model_validate(raw), reached)


def ask(case: Case, running: Wire, prompt: str = "Say hi", seconds: float = 20.0, **evaluation: Any) -> Answer:
    return model(case, running, seconds, **evaluation).ask(prompt, deadline_seconds=seconds)


def failed(case: Case, running: Wire, prompt: str = "Say hi", **keys: Any) -> ModelCallError:
    """The error that one request ends in. It was sent once: the runner tries again, not the provider."""
    with pytest.raises(ModelCallError) as caught:
        ask(case, running, prompt, **keys)
    sent = [
        request
        for request in running.requests
        if "X-Amz-Target" not in request.headers and not request.path.startswith(f"/{BUCKET}/")
    ]
    assert len(sent) == 1
    return caught.value


def test_an_answer_comes_with_the_time_it_took(case: Case, running: Wire) -> None:
    answer = ask(case, running)
    assert answer.text == "Say hi"
    assert (answer.latency_ms is None) if case.queued else (answer.latency_ms or 0) > 0
    assert answer.cost_usd is None


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_arrives_as_it_is_and_comes_back_as_it_is(case: Case, running: Wire, text: str) -> None:
    assert ask(case, running, text).text == text
    assert running.model.prompts[-1].question == text


def test_half_of_a_surrogate_pair_is_sent_escaped_and_never_stops_an_evaluation(case: Case, running: Wire) -> None:
    assert ask(case, running, "cut \ud83d").text == "cut \ufffd"
    assert running.model.prompts[-1].question == "cut \ud83d"


def test_an_empty_answer_is_an_answer(case: Case, running: Wire) -> None:
    assert ask(case, running, "Say hi", stop_sequences=["Say"]).text == ""


def test_tokens_are_told_as_the_service_counted_them(case: Case, running: Wire) -> None:
    answer = ask(case, running, "one two three four")
    assert (answer.input_tokens, answer.output_tokens) == (4, 4)


def test_an_answer_that_was_cut_off_is_an_answer_and_says_so(case: Case, running: Wire) -> None:
    answer = ask(case, running, "one two three four", inference_parameters={case.most: 2})
    assert (answer.text, answer.output_tokens, answer.finish_reason) == ("one two", 2, case.cut_off)


def test_stop_sequences_end_an_answer(case: Case, running: Wire) -> None:
    answer = ask(case, running, "one two\nthree", stop_sequences=["\n", "END"])
    assert answer.text == "one two"
    assert running.model.prompts[-1].parameters.stop == ("\n", "END")
    assert answer.finish_reason != case.cut_off


def test_a_system_prompt_is_said_before_the_users(case: Case, running: Wire) -> None:
    ask(case, running, "Hi", system_prompt="Be brief. PROMPT_PLACEHOLDER")
    assert running.model.prompts[-1].content == [
        {"role": "system", "content": "Be brief. PROMPT_PLACEHOLDER"},
        {"role": "user", "content": "Hi"},
    ]


def test_a_chat_of_several_turns_is_put_as_it_is_written(case: Case, running: Wire) -> None:
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Two and two?"},
        {"role": "assistant", "content": "Four."},
        {"role": "user", "content": "PROMPT_PLACEHOLDER?"},
    ]
    ask(case, running, "Three and three", content_template=chat)
    assert running.model.prompts[-1].content == [*chat[:3], {"role": "user", "content": "Three and three?"}]


def test_inference_parameters_arrive(case: Case, running: Wire) -> None:
    ask(case, running, inference_parameters={case.most: 7})
    assert running.model.prompts[-1].parameters.max_new_tokens == 7


def test_too_much_to_do_is_told_from_everything_else(case: Case, running: Wire) -> None:
    for fault in case.faults["throttled"]:
        running.requests.clear()
        running.fail(case.service, fault)
        assert isinstance(failed(case, running), ThrottledError), fault


def test_what_may_pass_is_told_from_what_will_not(case: Case, running: Wire) -> None:
    for kind, wanted in {"unavailable": UnavailableError, "refused": ModelAnswerError}.items():
        for fault in case.faults[kind]:
            running.requests.clear()
            running.fail(case.service, fault)
            error = failed(case, running)
            assert isinstance(error, wanted), fault
            assert error.reason


def test_a_filter_is_a_failure_of_its_own_kind(case: Case, running: Wire) -> None:
    for fault in case.faults.get("filtered", ()):
        running.requests.clear()
        running.fail(case.service, fault)
        assert failed(case, running).kind == "ContentFiltered", fault


def test_a_model_that_does_not_answer_in_time_may_be_asked_again(case: Case, running: Wire) -> None:
    running.fail(case.service, "hang")
    assert isinstance(failed(case, running, seconds=0.3), UnavailableError)


def test_a_service_that_nobody_reaches_may_be_asked_again(
    case: Case, running: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = "http://127.0.0.1:9"
    asked = model(case, running)
    monkeypatch.setenv("AWS_ENDPOINT_URL", nobody)
    monkeypatch.setenv("OPENAI_BASE_URL", nobody)
    away = Wire(nobody, running.model, running.cloud)
    if case.service == "openai":
        case = Case({"provider": "openai", "model_id": "m"}, "openai", case.faults, most=case.most)
    with pytest.raises(UnavailableError):
        ask(case, away, seconds=2.0)
    assert asked.ask("Say hi", deadline_seconds=20).text == "Say hi"


def test_a_reply_that_cannot_be_read_is_malformed(case: Case, running: Wire) -> None:
    running.fail(case.service, "malformed_body")
    assert isinstance(failed(case, running), MalformedReplyError)


def test_a_reason_holds_nothing_of_the_prompt_and_no_key(case: Case, running: Wire) -> None:
    error = failed(case, running, REFUSED)
    assert type(error) is ModelAnswerError
    assert REFUSED not in error.reason
    assert KEY not in error.reason


def test_many_threads_get_each_its_own_answer(case: Case, running: Wire) -> None:
    asked = model(case, running, connections=16)
    prompts = [f"number {number}" for number in range(160)]
    with ThreadPoolExecutor(16) as pool:
        texts = list(pool.map(lambda prompt: asked.ask(prompt, deadline_seconds=20).text, prompts))
    assert texts == prompts


class Kept:
    """Responses, in memory."""

    def __init__(self) -> None:
        self.responses: list[Response] = []

    def append(self, responses: list[Response]) -> None:
        self.responses.extend(responses)

    def answered(self) -> set[str]:
        return set()


def test_the_runner_gets_through_faults_and_counts_what_it_sent(case: Case, running: Wire) -> None:
    running.fail(case.service, case.faults["throttled"][0], 3)
    running.fail(case.service, case.faults["unavailable"][0], 3)
    records = [Record(id=str(number), model_input=f"number {number}", target_output="") for number in range(12)]
    kept = Kept()
    summary = ask_all(
        records,
        model=model(case, running, connections=4),
        prompt_of=lambda record: record.model_input,
        store=kept,
        limits=LimitsSection(concurrency=4),
        sleep=lambda _seconds: None,
    )
    assert (summary.answered, summary.failed, summary.requests) == (12, 0, 18)
    assert {response.record_id: response.text for response in kept.responses} == {
        record.id: record.model_input for record in records
    }


def plugin(running: Wire, **config: Any) -> Model:
    raw = {"name": "m", "provider": "plugin", "plugin_config": config}
    return connect(ModelSection.model_validate(raw), Connection(1, 1.0))


def test_a_plug_in_that_the_image_does_not_have_is_named_with_those_it_has(running: Wire) -> None:
    with pytest.raises(NotConnectedError, match=r"'acmee' in the group assay.providers \(acme\)"):
        plugin(running, name="acmee")


def test_what_a_plug_in_misses_concerns_its_model_only(
    running: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotConnectedError, match="needs the parameter `url`"):
        plugin(running, name="acme")
    folder = tmp_path / "broken-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (folder / "entry_points.txt").write_text("[assay.providers]\nbroken = no_such_module:connect\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(NotConnectedError, match="the plug-in 'broken' raised ModuleNotFoundError"):
        plugin(running, name="broken")


def test_an_inference_component_is_asked_for_by_its_name(running: Wire) -> None:
    running.requests.clear()
    raw = {"name": "m", "provider": "endpoint", "endpoint_name": ENDPOINT, "inference_component_name": "part"}
    with pytest.raises(ModelAnswerError):
        connect(ModelSection.model_validate(raw), Connection(1, 5.0, ENDPOINT)).ask("Hi", deadline_seconds=5)
    assert running.requests[-1].headers["X-Amzn-SageMaker-Inference-Component"] == "part"


def test_an_endpoint_that_is_not_there_cannot_be_asked() -> None:
    raw = {"name": "m", "provider": "endpoint", "endpoint_name": ENDPOINT}
    with pytest.raises(NotConnectedError, match="no endpoint serves"):
        connect(ModelSection.model_validate(raw), Connection(1, 5.0))
