"""What every section of a config has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of a config: immutable, closed to unknown keys, and no value is taken for another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)
