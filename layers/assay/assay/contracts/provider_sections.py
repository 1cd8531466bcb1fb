"""What only one provider has to be told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from assay.contracts.section import Broken, Scalar, Section

S3_URI = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+$"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
# The fewest records that Bedrock takes in one batch inference job (a quota that AWS does not raise).
BATCH_LEAST_RECORDS = 100


class HuggingFaceSection(Section):
    """What serves a model from the Hugging Face hub, or from an artefact in S3."""

    container: Literal["tgi", "lmi"] = Field(
        "tgi", description="The serving container: Hugging Face's TGI, or AWS's Large Model Inference (DJL)."
    )
    container_version: str | None = Field(
        None, min_length=1, description="Version of the container; the newest that the SDK knows when left out."
    )
    model_data: Annotated[str, Field(pattern=S3_URI)] | None = Field(
        None,
        description="The weights: a `.tar.gz`, or a folder ending in `/`, as `save_pretrained` writes it. From the hub "
        "when left out.",
    )
    environment: dict[str, Scalar] = Field(
        default_factory=dict,
        description="Further variables of the container, such as `SM_NUM_GPUS`. Whoever may describe the model reads "
        "them: no secrets.",
    )

    @classmethod
    def broken_rules(cls, raw: dict[str, Any]) -> Iterator[Broken]:
        environment = raw.get("environment")
        for name in environment if isinstance(environment, dict) else ():
            if any(word in str(name).upper() for word in ("TOKEN", "SECRET", "PASSWORD", "API_KEY")) and not (
                str(name).upper().endswith("_TOKENS")
            ):
                message = "it would be readable in the model's description; put a gated model's weights into S3 instead"
                yield ("environment", str(name)), message


class BedrockSection(Section):
    """How Bedrock is asked."""

    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")] | None = Field(
        None, description="Region whose Bedrock is asked; the stack's own when left out."
    )
    guardrail_identifier: str | None = Field(None, min_length=1, max_length=2048, description="Guardrail to apply.")
    guardrail_version: str | None = Field(
        None, pattern=r"^([1-9][0-9]{0,7}|DRAFT)$", description="Its version: a number in quotes, or `DRAFT`."
    )

    batch_from_records: Annotated[int, Field(ge=BATCH_LEAST_RECORDS)] | None = Field(
        None,
        description="From so many records on (of each part, with `limits.shards`) the model is asked by a batch "
        "inference job: at half the price, in minutes to hours, without latencies. Never when left out; not every "
        "model can be asked so.",
        json_schema_extra={"unit": "records"},
    )

    @classmethod
    def broken_rules(cls, raw: dict[str, Any]) -> Iterator[Broken]:
        if (raw.get("guardrail_identifier") is None) != (raw.get("guardrail_version") is None):
            yield (), "`guardrail_identifier` and `guardrail_version` go together; write both"
        if raw.get("batch_from_records") is not None and raw.get("guardrail_identifier") is not None:
            yield (
                ("batch_from_records",),
                "no guardrail is applied in a batch inference job; leave one of the two out",
            )


class ApiSection(Section):
    """An API that speaks OpenAI's chat format."""

    base_url: str | None = Field(
        None,
        description="Where it is, up to `/v1`; OpenAI's own when left out (or the environment's `OPENAI_BASE_URL`).",
    )
    api_key_secret: str | None = Field(
        None,
        min_length=1,
        max_length=2048,
        description="Name or ARN of the Secrets Manager secret that holds the key: the key alone, or JSON with the "
        "keys `api_key` and, to bind it to one API, `base_url`. None is sent when left out.",
    )
    headers: dict[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")], str] = Field(
        default_factory=dict, description="Further headers of every request. They are no place for keys."
    )

    @field_validator("base_url")
    @classmethod
    def _is_safe(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise ValueError(f"not a URL: {error}") from error
        if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
            raise ValueError("must be a URL such as https://api.example.com/v1")
        if parts.username or parts.password:
            raise ValueError("holds a password; a key belongs into a secret (`api_key_secret`)")
        if parts.scheme == "http" and host not in _LOOPBACK:
            raise ValueError("must begin with https://, or prompts and keys would travel in the open")
        return value.rstrip("/")

    @field_validator("headers")
    @classmethod
    def _hold_no_key(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if name.lower() in ("authorization", "api-key", "x-api-key", "cookie", "proxy-authorization"):
                raise ValueError(f"`{name}` is a key; put it into a secret (`api_key_secret`)")
            if not text.isprintable() or not text.isascii():
                raise ValueError(f"the value of `{name}` must be printable ASCII")
        return value


class PluginSection(Section):
    """A provider of your own, from a package in the evaluation image."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = Field(
        description="Name of its entry point in the group `assay.providers`."
    )
    parameters: dict[str, Any] = Field(default_factory=dict, description="Handed to it as they are.")
