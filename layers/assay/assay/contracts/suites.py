"""What is written down of a suite, so that an event finds what it concerns. The bucket has the last word on each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Description:
    """The version of the config that describes a suite.

    Attributes:
        notify_on: of which occasions the config's own addresses are told.
    """

    config_key: str
    version_id: str | None
    notify_on: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Reader:
    """A config of which some version reads, or read, a catalog.

    Attributes:
        noted_version: the version that was last seen to read it.
    """

    config_key: str
    noted_version: str | None
