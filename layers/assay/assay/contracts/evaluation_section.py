"""How a record becomes a request to a model, and a reply becomes a response."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from assay.contracts.prompt_template import that_shows_the_prompt
from assay.contracts.section import Broken, JmesPath, Scalar, Section

PLACEHOLDER = "PROMPT_PLACEHOLDER"
ROLES = ("system", "user", "assistant")

RequestFormat = Literal["text_generation", "chat_completions"]
_OUTPUTS: dict[RequestFormat, str] = {
    "text_generation": "[0].generated_text",
    "chat_completions": "choices[0].message.content",
}


class EvaluationSection(Section):
    """How a record becomes a request, and a reply becomes a response."""

    request_format: RequestFormat = Field(
        "text_generation",
        description='What an endpoint understands: `text_generation` is `{"inputs", "parameters"}`; `chat_completions` '
        "is OpenAI's chat format, which TGI (with `MESSAGES_API_ENABLED`) and DJL containers speak too.",
    )
    output: JmesPath | None = Field(
        None,
        description="JMESPath of the answer in an endpoint's reply; by the request's format `[0].generated_text` or "
        "`choices[0].message.content` when left out.",
    )
    log_probability: JmesPath | None = Field(
        None,
        description="JMESPath of the log-probability of the prompt in an endpoint's reply, or of a list with that of "
        "each token, which is summed; for `PromptStereotyping`. `[0].details.prefill[*].logprob` with TGI and the "
        "parameters `details` and `decoder_input_details`.",
    )
    content_template: Any = Field(
        PLACEHOLDER,
        description=f'The request\'s `inputs`, with "{PLACEHOLDER}" standing for the prompt at any depth. A list of '
        '`{"role", "content"}` is a chat, which every provider understands; a text alone is what the user says.',
    )
    system_prompt: str | None = Field(
        None, min_length=1, description="What the model is told before every prompt. It makes a chat of the request."
    )
    stop_sequences: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list,
        max_length=16,
        description="Texts that end an answer. Sent as each provider calls them.",
    )
    inference_parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="Handed on as they are: an endpoint's `parameters`, Bedrock's `inferenceConfig` (and what it does "
        "not know as `additionalModelRequestFields`), or keys of an OpenAI request.",
    )
    custom_attributes: dict[str, Scalar] = Field(
        default_factory=dict,
        description="Sent with every request as SageMaker's custom attributes; `accept_eula: true` accepts the "
        "model's licence at deployment too.",
    )
    prompt_template: Annotated[str, AfterValidator(that_shows_the_prompt)] = Field(
        "$model_input",
        description="Text around the record's input: `$model_input` (also `$feature`, `$prompt`) stands for it, "
        "`$name` for the catalog's column `name`.",
    )

    @field_validator("content_template")
    @classmethod
    def _holds_placeholder(cls, value: Any) -> Any:
        if not _stands_in(value):
            raise ValueError(f'"{PLACEHOLDER}" must stand somewhere in it, or the model would never see the prompt')
        return value

    @classmethod
    def broken_rules(cls, raw: dict[str, Any]) -> Iterator[Broken]:
        template = raw.get("content_template", PLACEHOLDER)
        system = raw.get("system_prompt") is not None
        if raw.get("request_format") == "chat_completions" and (why := not_a_conversation(template)):
            yield ("content_template",), f"with the format `chat_completions` it must be a text or a chat: {why}"
        if system and any(message.get("role") == "system" for message in as_chat(template) or []):
            yield ("system_prompt",), "`content_template` has a message of the system already; write one of them"
        parameters = raw.get("inference_parameters")
        if raw.get("stop_sequences") and isinstance(parameters, dict):
            for name in ("stop", "stop_sequences", "stopSequences"):
                if name in parameters:
                    message = f"`stop_sequences` and `{name}` mean the same; write one of them"
                    yield ("inference_parameters", name), message

    @property
    def answer_path(self) -> str:
        """JMESPath of the answer in an endpoint's reply."""
        return self.output or _OUTPUTS[self.request_format]


def as_chat(template: Any) -> list[dict[str, Any]] | None:
    """The messages of a template that is a chat, or a list of one chat; None for any other."""
    if isinstance(template, list) and len(template) == 1 and isinstance(template[0], list):
        return as_chat(template[0])
    if not isinstance(template, list) or not template:
        return None
    return template if all(isinstance(item, dict) and set(item) == {"role", "content"} for item in template) else None


def no_room_for_system(raw: dict[str, Any]) -> bool:
    """Whether `evaluation_config` as written gives an endpoint a system prompt, and no chat to put it into."""
    template = raw.get("content_template", PLACEHOLDER)
    return (
        raw.get("system_prompt") is not None
        and raw.get("request_format") != "chat_completions"
        and template != PLACEHOLDER
        and as_chat(template) is None
    )


def not_a_conversation(template: Any) -> str | None:
    """Why a template cannot be put to a model that only knows conversations; None where it can."""
    if isinstance(template, str):
        return None
    chat = as_chat(template)
    if chat is None:
        return 'write a text, or a list of messages, each `{"role", "content"}`'
    for message in chat:
        if message["role"] not in ROLES or not isinstance(message["content"], str):
            return "a message's role is one of " + ", ".join(ROLES) + ", and its content a text"
    if any(message["role"] == "system" for message in chat[1:]):
        return "only its first message may be the system's"
    if chat[-1]["role"] == "system":
        return "somebody besides the system must speak"
    return None


def _stands_in(template: Any) -> bool:
    """Whether the placeholder stands in a value at any depth; a key is never replaced."""
    if isinstance(template, dict):
        return any(_stands_in(item) for item in template.values())
    if isinstance(template, list):
        return any(_stands_in(item) for item in template)
    return isinstance(template, str) and PLACEHOLDER in template
