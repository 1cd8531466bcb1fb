"""What an hour of an instance costs: dated files, one of which comes with the package."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assay.contracts import yaml_positions
from assay.contracts.errors import Fault, RejectedError

BUNDLED = "2026-11.yaml"


@dataclass(frozen=True)
class Prices:
    """Prices of one region on one date.

    Attributes:
        hourly: USD for an hour of one instance, by instance type.
    """

    as_of: str
    region: str
    source: str
    hourly: dict[str, float]

    def of(self, instance_type: str) -> float | None:
        """USD an hour; None for a type whose price is not known."""
        return self.hourly.get(instance_type)


class _PriceFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    as_of: str
    region: str
    source: str = Field(min_length=1)
    currency: str = Field("USD", pattern="^USD$")
    instances: dict[str, float] = Field(min_length=1)


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
    faults = []
    for name, price in file.instances.items():
        if price < 0:
            path = ("instances", name)
            line, column = document.position(path)
            faults.append(Fault(f"a price is 0 or more, found {price}", line, column, yaml_positions.dotted(path)))
    if faults:
        raise RejectedError(subject, faults)
    return Prices(as_of=file.as_of, region=file.region, source=file.source, hourly=file.instances)


def bundled_prices() -> Prices:
    """The prices that come with Assay."""
    return load_prices(resources.files(__name__).joinpath(BUNDLED).read_bytes(), BUNDLED)
