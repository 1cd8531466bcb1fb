"""What an hour of an instance and a million tokens cost: dated files, one of which comes with the package."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assay.contracts import yaml_positions
from assay.contracts.decision_sections import PricingSection
from assay.contracts.errors import Fault, RejectedError

BUNDLED = "2026-11.yaml"
# What batch inference of Bedrock costs, as a share of the price on demand (aws.amazon.com/bedrock/pricing, 2026-11).
BATCH_SHARE = 0.5
# What an inference profile puts before the id of its model, as an id or as an ARN; an ARN of a model likewise.
_PROFILE = re.compile(
    r"^(arn:[a-z-]+:bedrock:[a-z0-9-]*:[0-9]*:(foundation-model|inference-profile)/)?"
    r"((apac|au|ca|eu|global|jp|us|us-gov)\.(?=[a-z0-9-]+\.))?"
)


@dataclass(frozen=True)
class TokenPrice:
    """USD for a million tokens."""

    input_usd: float
    output_usd: float

    def usd(self, input_tokens: int, output_tokens: int) -> float:
        """What so many tokens cost."""
        return (self.input_usd * input_tokens + self.output_usd * output_tokens) / 1e6

    def times(self, share: float) -> TokenPrice:
        """A share of the price."""
        return TokenPrice(self.input_usd * share, self.output_usd * share)


@dataclass(frozen=True)
class Prices:
    """Prices of one region on one date.

    Attributes:
        hourly: USD for an hour of one instance, by instance type.
        tokens: price of tokens, by the provider's id of the model.
        own_tokens: likewise, by the name of the model in a config, whose word comes first.
        own: instance types and names of models whose price a config gives.
    """

    as_of: str
    region: str
    source: str
    hourly: Mapping[str, float]
    tokens: Mapping[str, TokenPrice] = field(default_factory=dict)
    own_tokens: Mapping[str, TokenPrice] = field(default_factory=dict)
    own: frozenset[str] = frozenset()

    def of(self, instance_type: str) -> float | None:
        """USD an hour; None for a type whose price is not known."""
        return self.hourly.get(instance_type)

    def of_tokens(self, name: str, model_id: str | None, *, by_batch: bool = False) -> TokenPrice | None:
        """Price of the tokens of the model `name` of a config; None where it is not known.

        A request through one of Bedrock's inference profiles costs what the model costs.

        Args:
            by_batch: the price of a batch inference job: half of that on demand. A config's own price is what it says.
        """
        own = self.own_tokens.get(name)
        if own is not None:
            return own
        found = self.tokens.get(model_id or "") or self.tokens.get(_PROFILE.sub("", model_id or ""))
        return found.times(BATCH_SHARE) if by_batch and found is not None else found

    def overridden(self, pricing: PricingSection | None) -> Prices:
        """These prices with those of a config in their place."""
        if pricing is None:
            return self
        return replace(
            self,
            hourly={**self.hourly, **pricing.instances},
            own_tokens={name: TokenPrice(item.input_usd, item.output_usd) for name, item in pricing.tokens.items()},
            own=frozenset({*pricing.instances, *pricing.tokens}),
        )


class _TokenPrices(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    input_usd: float
    output_usd: float


class _PriceFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    as_of: str
    region: str
    source: str = Field(min_length=1)
    currency: str = Field("USD", pattern="^USD$")
    instances: dict[str, float] = Field(min_length=1)
    tokens: dict[str, _TokenPrices] = Field(default_factory=dict)


def load_prices(text: bytes, subject: str) -> Prices:
    """Read a price file.

    Raises:
        RejectedError: every fault of the file with its line.
    """
    document = yaml_positions.load(text, subject)
    try:
        file = _PriceFile.model_validate(document.values)
    except ValidationError as error:
        faults = []
        for item in error.errors(include_url=False):
            line, column = document.position(item["loc"])
            faults.append(Fault(item["msg"], line=line, column=column, key=yaml_positions.dotted(item["loc"])))
        raise RejectedError(subject, faults) from error
    given: list[tuple[tuple[str, ...], float]] = [
        (("instances", name), price) for name, price in file.instances.items()
    ]
    for name, prices in file.tokens.items():
        given += [(("tokens", name, key), price) for key, price in prices.model_dump().items()]
    faults = []
    for path, price in given:
        if not price >= 0:
            line, column = document.position(path)
            faults.append(Fault(f"a price is 0 or more, found {price}", line, column, yaml_positions.dotted(path)))
    if faults:
        raise RejectedError(subject, faults)
    return Prices(
        as_of=file.as_of,
        region=file.region,
        source=file.source,
        hourly=file.instances,
        tokens={name: TokenPrice(item.input_usd, item.output_usd) for name, item in file.tokens.items()},
    )


def bundled_prices() -> Prices:
    """The prices that come with Assay."""
    return load_prices(resources.files(__name__).joinpath(BUNDLED).read_bytes(), BUNDLED)
