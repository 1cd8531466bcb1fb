"""What stands in a model package's metadata: SageMaker's alphabet and limits, and how a decision is written there."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Literal

Decision = Literal["Approved", "Rejected"]
LONGEST_VALUE = 256


def metadata_value(value: Any) -> str:
    """SageMaker's alphabet for metadata: letters, digits, spaces and `_.:/=+-@`, at most 256 of them."""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return re.sub(r"[^\w .:/=+\-@]", "_", text)[:LONGEST_VALUE]


def decision_properties(decision: Decision, by: str, at: datetime) -> dict[str, str]:
    """What goes into a package's metadata about a decision."""
    moment = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"decision": decision, "decided_by": metadata_value(by), "decided_at": moment}
