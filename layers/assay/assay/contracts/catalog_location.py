"""Where a field lies in a record: the name of a key or column, or a JMESPath."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any, Final

from assay.contracts.section import MAX_EXPRESSION_DEPTH, expression_depth

MISSING: Final = object()
"""Stands for a value that is not there."""

_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class LocationError(Exception):
    """A JMESPath does not fit the record it was put to; the message says why, and quotes no value."""


class Location:
    """Finds one field. A key of that very name comes first, so that `a.b` and `my question` can be plain keys too.

    Args:
        key: as the config writes it.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.unreadable: str | None = None
        self._expression = None if _BARE.fullmatch(key) else self._compiled(key)

    def find(self, values: Mapping[str, Any]) -> Any:
        """The value in a record; MISSING where there is none, as where a JMESPath gives null.

        Raises:
            LocationError: the JMESPath asks of a value what it cannot do, such as the length of a number.
        """
        value = values.get(self.key, MISSING)
        if value is not MISSING or self._expression is None:
            return value
        try:
            found = self._expression.search(values)
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            # JMESPath's own errors are ValueErrors; its functions let those of Python through.
            raise LocationError(f"the JMESPath does not fit this record ({type(error).__name__})") from error
        return MISSING if found is None else found

    def absent(self) -> str:
        """What to say where nothing was found."""
        if self.unreadable is not None:
            return f"the key is missing, and it is no JMESPath either: {self.unreadable}"
        return "the key is missing" if self._expression is None else "the key is missing: nothing is at this JMESPath"

    def _compiled(self, key: str) -> Any:
        import jmespath

        if expression_depth(key) > MAX_EXPRESSION_DEPTH:
            self.unreadable = "it is nested too deeply"
            return None
        try:
            with warnings.catch_warnings(action="ignore"):  # an old way to write a literal still reads
                return jmespath.compile(key)
        except RecursionError:
            self.unreadable = "it is nested too deeply"
        except (LookupError, TypeError, ValueError) as error:
            self.unreadable = " ".join(str(error).split())[:200]
        return None
