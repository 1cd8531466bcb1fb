"""How many endpoints of an evaluation may exist at the same time, and who said so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict


class LaneLimit(BaseModel):
    """A number of lanes: endpoints that may exist at the same time.

    Attributes:
        instance_type: the type whose endpoints share the lanes; None for all endpoints of the evaluation together.
        endpoints: how many there may be; None where nobody said so, and each endpoint then has a lane of its own.
        source: `config` (`limits.endpoints`), `quota` (the account's, from Service Quotas), or `unknown`.
        reason: one sentence for people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    instance_type: str | None
    endpoints: int | None
    source: Literal["config", "quota", "unknown"]
    reason: str


@dataclass(frozen=True)
class Quotas:
    """Instances behind endpoints that an account may have, by instance type.

    Attributes:
        instances: what is known.
        fault: why the others are not known; empty when nothing went wrong.
    """

    instances: Mapping[str, int]
    fault: str = ""
