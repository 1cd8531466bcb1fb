"""Time to save what is there when the process is told to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interruption:
    """Whether the process was told to stop."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __bool__(self) -> bool:
        return self.signal is not None


@contextmanager
def signals_wait() -> Iterator[Interruption]:
    """Hold SIGTERM and SIGINT back while the block runs; what they would have done happens after it.

    An exception raised from a handler could land between taking a response and keeping it; a flag cannot. Outside of
    the main thread Python has no signal handlers, and the flag stays unset.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return

    def note(number: int, _frame: FrameType | None) -> None:
        interruption.signal = number

    previous = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield interruption
    finally:
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if interruption.signal is not None:
            signal.raise_signal(interruption.signal)
