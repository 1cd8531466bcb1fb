"""How commands speak: results to stdout, what goes wrong in one line to stderr, and an exit code for scripts."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import typer
from rich.console import Console

FAILED, UNUSABLE, TIMED_OUT = 1, 2, 3
PLAIN_WIDTH = 120


class CommandError(Exception):
    """A command cannot do what it was asked.

    Attributes:
        code: the exit code: FAILED when the evaluation or a file is at fault, UNUSABLE when the command could not be
            carried out at all, TIMED_OUT when the time was over.
    """

    def __init__(self, message: str, code: int = UNUSABLE) -> None:
        self.code = code
        super().__init__(message)


def make_console(*, stderr: bool = False) -> Console:
    """A console; one that is no terminal has a fixed width, so that its output is the same everywhere."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else PLAIN_WIDTH)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Tell a CommandError in one line and end with its exit code."""
    try:
        yield
    except CommandError as error:
        make_console(stderr=True).print(f"error: {error}", style="red", soft_wrap=True, markup=False)
        raise typer.Exit(error.code) from error
