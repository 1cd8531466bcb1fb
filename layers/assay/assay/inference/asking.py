"""What every way of asking a model a catalog has in common: where responses go, and what one of them holds."""

from __future__ import annotations

from collections.abc import Container
from typing import Final, Protocol

from assay.contracts.errors import AssayError
from assay.contracts.results import Failure, Response
from assay.inference.budget import Tariff
from assay.inference.model import Answer

PART_RESPONSES: Final = 500


class ResponseStore(Protocol):
    """Where responses are kept as they come."""

    def append(self, responses: list[Response], /) -> None:
        """Keep these responses, for good."""
        ...

    def answered(self) -> Container[str]:
        """Ids of the records that have an answer already."""
        ...


class InterruptedAskError(AssayError):
    """The process was told to stop and has kept every response that it had; ask again to go on from there."""


def answered(record_id: str, prompt: str, answer: Answer, tariff: Tariff | None, *, attempts: int) -> Response:
    """The response that holds an answer; it costs what its service says, or by `tariff`."""
    return Response(
        record_id=record_id,
        text=answer.text,
        latency_ms=answer.latency_ms,
        attempts=attempts,
        prompt=prompt,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        cost_usd=answer.cost_usd if tariff is None else tariff.usd(answer),
        finish_reason=answer.finish_reason,
        request_id=answer.request_id,
        log_probability=answer.log_probability,
    )


def failed(record_id: str, prompt: str, failure: Failure, *, attempts: int, request_id: str | None = None) -> Response:
    """The response of a record that got no answer."""
    return Response(
        record_id=record_id,
        text=None,
        latency_ms=None,
        attempts=attempts,
        prompt=prompt,
        failure=failure,
        request_id=request_id,
    )
