"""Which cases are held against fmeval: a few by default, since each waits for Ray; all of them with `make parity`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SLICE = ("FactualKnowledge", "QAAccuracy", "ClassificationAccuracy")


def wanted() -> tuple[str, ...]:
    """The cases that are run, by name; none for all of them."""
    return () if os.environ.get("ASSAY_PARITY") == "all" else SLICE


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def stays(item: pytest.Item) -> bool:
        case = getattr(item, "callspec", None)
        return item.path.parent != HERE or not wanted() or (case is not None and case.params.get("case") in wanted())

    left = [item for item in items if not stays(item)]
    items[:] = [item for item in items if stays(item)]
    if left:
        config.hook.pytest_deselected(items=left)
