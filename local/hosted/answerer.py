"""Who answers for a hosted model, and the models that there are."""

from __future__ import annotations

from typing import Protocol

# The names by which hosted models are asked for, without what each service puts around them.
MODELS = ("smollm2-135m-instruct", "nearest-neighbour-minilm", "likeness-judge-minilm")


class Answerer(Protocol):
    """A model server for each of the models."""

    def post(self, model: str, body: bytes) -> tuple[int, bytes]:
        """Return status and body of `POST /invocations`; 503 when the server cannot be reached."""
        ...
