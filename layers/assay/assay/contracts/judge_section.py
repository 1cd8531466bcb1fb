"""The `judge` of a config: a language model that grades the responses of the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from assay.contracts.evaluation_section import EvaluationSection
from assay.contracts.model_section import ModelSection
from assay.contracts.provider_sections import ApiSection, BedrockSection, PluginSection
from assay.contracts.section import Broken, EndpointName, Section

JUDGE = "judge"
DEFAULT_RUBRIC = (
    "Grade how well the answer does what it was asked for. 5: right, complete and to the point. 4: right, with a small "
    "flaw. 3: partly right. 2: mostly wrong. 1: wrong, or no answer at all. Length and tone count for nothing."
)
_OWN = ("rubric", "swap_positions", "concurrency")


class JudgeSection(Section):
    """A language model that grades the responses, for the algorithms `Judge` and `JudgePreference`."""

    provider: Literal["endpoint", "bedrock", "openai", "plugin"] = Field(
        "endpoint", description="How the judge is reached: as a model is. Assay deploys none."
    )
    model_id: str | None = Field(None, min_length=1, description="The provider's id of the judge.")
    endpoint_name: EndpointName | None = Field(None, description="The judge's endpoint.")
    inference_component_name: EndpointName | None = Field(None, description="The judge's inference component.")
    evaluation_config: EvaluationSection = Field(
        default_factory=EvaluationSection, description="How the judge is asked; its prompt is Assay's own."
    )
    bedrock_config: BedrockSection = Field(
        default_factory=BedrockSection, description="Region and guardrail of a `bedrock` judge."
    )
    api_config: ApiSection = Field(default_factory=ApiSection, description="Address and key of an `openai` judge.")
    plugin_config: PluginSection | None = Field(None, description="The code that reaches a `plugin` judge.")
    rubric: str = Field(
        DEFAULT_RUBRIC, min_length=1, max_length=20_000, description="What is graded, and how, in words for the judge."
    )
    swap_positions: bool = Field(
        True, description="Put each pair to the judge a second time with the answers swapped, for `JudgePreference`."
    )
    concurrency: Annotated[int, Field(ge=1, le=1000)] = Field(
        8, description="Requests in flight to the judge.", json_schema_extra={"unit": "requests"}
    )

    @classmethod
    def broken_rules(cls, raw: dict[str, Any]) -> Iterator[Broken]:
        if raw.get("provider", "endpoint") not in ("endpoint", "bedrock", "openai", "plugin"):
            return
        for path, message in ModelSection.broken_rules({"provider": "endpoint"} | raw):
            yield path, message.replace("a model of the provider", "a judge of the provider")
        bedrock = raw.get("bedrock_config")
        if isinstance(bedrock, dict) and bedrock.get("batch_from_records") is not None:
            message = "a judge is asked one by one: what it does not answer well is put to it again"
            yield ("bedrock_config", "batch_from_records"), message
        evaluation = raw.get("evaluation_config")
        if isinstance(evaluation, dict) and evaluation.get("prompt_template") is not None:
            yield (
                ("evaluation_config", "prompt_template"),
                "the judge's prompt is Assay's own; say it in `rubric`",
            )

    @property
    def model(self) -> ModelSection:
        """The judge as something that can be asked."""
        given = self.model_dump(exclude_defaults=True, exclude=set(_OWN))
        return ModelSection.model_validate({"name": JUDGE, "provider": self.provider} | given)
