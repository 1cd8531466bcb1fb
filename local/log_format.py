"""Log lines of the daemon: a constant message, and the data that came with it as keys."""

from __future__ import annotations

import json
import logging

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class KeyFormatter(logging.Formatter):
    """Appends what was given as `extra` to the line, as JSON."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """Return the line without the traceback, which follows it."""
        line = super().formatMessage(record)
        extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        return f"{line} {json.dumps(extra, default=str, ensure_ascii=False)}" if extra else line
