"""Work that is to be done later: back-off between two attempts never holds a thread of the pool."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from local.cloud import Cloud


def after(cloud: Cloud, seconds: float, work: Callable[..., Any], *arguments: Any) -> None:
    """Run `work` in the cloud's pool once `seconds` have passed, unless the cloud has been closed by then."""

    def start() -> None:
        if not cloud.stopping.is_set():
            cloud.submit(work, *arguments)

    timer = threading.Timer(seconds, start)
    timer.daemon = True
    timer.start()
