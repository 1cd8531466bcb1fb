"""What is wrong with a catalog, as it adds up while its records pass by."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from itertools import islice

from assay.contracts.errors import Fault

MAX_FAULTS_SHOWN = 100
_NAMES_KEPT = 50
_RECORDS_LOOKED_AT = 20
_NAMES_TOLD = 10


class Faults:
    """The first faults, and how many there are.

    A column that a prompt template names may be lacking in every record: one fault of the config. Or in some of them: a
    fault of each. Which it is shows at the end only, so these are kept apart.

    Args:
        columns: names of the columns that templates name.

    Attributes:
        total: faults of lines, without those of lacking columns.
        records: records that were whole but for lacking columns.
        names: keys of the first records that lacked something.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self.total = 0
        self.records = 0
        self.names: set[str] = set()
        self._looked = 0
        self._shown: list[Fault] = []
        self._lacking: dict[str, int] = dict.fromkeys(columns, 0)
        self._lacking_lines: dict[str, list[int]] = {name: [] for name in columns}

    def add(self, fault: Fault) -> None:
        """Count a fault, and keep it while there is room."""
        self.total += 1
        if len(self._shown) < MAX_FAULTS_SHOWN:
            self._shown.append(fault)

    def read(self, lacking: Iterable[str], line: int) -> None:
        """A record was read, and lacks these columns."""
        self.records += 1
        for name in lacking:
            self._lacking[name] += 1
            if len(lines := self._lacking_lines[name]) < MAX_FAULTS_SHOWN:
                lines.append(line)

    def saw(self, names: Iterable[str]) -> None:
        """Remember the keys of a record that lacks something, to tell what there is instead."""
        if self._looked < _RECORDS_LOOKED_AT:
            self._looked += 1
            self.names |= set(islice(names, _NAMES_KEPT))

    def nowhere(self, column: str) -> bool:
        """Whether every record lacks a column."""
        return 0 < self.records == self._lacking[column]

    @property
    def lacking_total(self) -> int:
        """How often a record lacks a column that another one has."""
        return sum(count for name, count in self._lacking.items() if not self.nowhere(name))

    def in_order(self) -> list[Fault]:
        """The first faults in the order of the file."""
        message = "the column is missing here, and a prompt template names it"
        lacking = [
            Fault(message, line=line, key=name)
            for name, lines in self._lacking_lines.items()
            if not self.nowhere(name)
            for line in lines
        ]
        return sorted([*self._shown, *lacking], key=lambda fault: fault.line or 0)[:MAX_FAULTS_SHOWN]

    @staticmethod
    def among(wanted: str, names: Iterable[str]) -> str:
        """The name that was meant, or those that there are, to put behind a sentence."""
        known = sorted(shown(name) for name in names if name)
        if close := difflib.get_close_matches(wanted, known, n=1, cutoff=0.6):
            return f"; did you mean `{close[0]}`?"
        told = ", ".join(f"`{name}`" for name in known[:_NAMES_TOLD])
        more = f" and {len(known) - _NAMES_TOLD} more" if len(known) > _NAMES_TOLD else ""
        return f"; there are {told}{more}" if known else ""


def shown(name: str) -> str:
    """A name from a catalog such that it can be written anywhere: short, and without what is no character."""
    return name[:80].encode("utf-8", "backslashreplace").decode()
