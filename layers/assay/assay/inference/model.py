"""What the runner asks: a model, one request at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Answer:
    """What a model said to one request. What its service does not tell is None, and is never guessed.

    Attributes:
        latency_ms: milliseconds that this one request took; None where it came through a queue.
        input_tokens, output_tokens: as the service counted them.
        cost_usd: only where the service itself tells the price; else the runner's prices make it of the tokens.
        finish_reason: why the model stopped, in the service's word.
        request_id: the service's id of the request.
        log_probability: of the prompt, where the config says where the reply tells it.
    """

    text: str
    latency_ms: float | None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    finish_reason: str | None = None
    request_id: str | None = None
    log_probability: float | None = None


class Model(Protocol):
    """A model that can be asked, from many threads at once."""

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
        """Send one request; do not try again.

        Raises:
            ThrottledError: the service has too much to do.
            UnavailableError: asking again may help; also when `deadline_seconds` pass with no answer.
            ModelCallError: any other; asking again would not help.
        """
        ...
