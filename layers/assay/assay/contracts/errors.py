"""The two kinds of error: what may pass when tried again, and what never will."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

MAX_TOLD = 500


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a file that somebody dropped.

    Attributes:
        message: what was found and what is allowed, in a sentence.
        line: 1-based line in the file, None where no line applies.
        column: 1-based column, None where none applies.
        key: dotted key path such as `models[1].evaluation_config.output`, empty where none applies.
    """

    message: str
    line: int | None = None
    column: int | None = None
    key: str = ""

    def cut(self) -> Fault:
        """The same fault with message and key of at most `MAX_TOLD` characters, where room is bounded."""
        return replace(self, message=_cut(self.message), key=_cut(self.key))

    def __str__(self) -> str:
        place = "" if self.line is None else f"line {self.line}"
        if self.column is not None:
            place += f", column {self.column}"
        return ": ".join(part for part in (place, self.key, self.message) if part)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TOLD else f"{text[: MAX_TOLD - 3]}..."


class AssayError(Exception):
    """Base of every error that Assay raises on purpose."""


class TransientError(AssayError):
    """A service did not do its part this time; trying again may succeed. Stands in every ASL Retry."""


class ObjectNotFoundError(AssayError):
    """There is no such object in S3, or no such version of it."""


class ScheduleRefusedError(AssayError):
    """EventBridge Scheduler does not take a schedule expression; the message is its own."""


class AddressRefusedError(AssayError):
    """SNS does not take an address for mails; the message names it, with SNS's own words."""


class ModelPackageRefusedError(AssayError):
    """The Model Registry does not show a model package to this stack; the message is its own."""


class RejectedError(AssayError):
    """What was asked for cannot be done as it stands; trying again changes nothing.

    Attributes:
        subject: the file or request that was refused, such as `configs/demo.yaml`.
        faults: every fault found, in the order of the file.
        total: how many faults there are, where `faults` holds only the first ones.
    """

    def __init__(self, subject: str, faults: Sequence[Fault], total: int | None = None) -> None:
        self.subject = subject
        self.faults = tuple(faults)
        self.total = len(self.faults) if total is None else total
        super().__init__(f"{subject}: " + "; ".join(str(fault) for fault in self.faults))
