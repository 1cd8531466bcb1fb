"""What an endpoint serves, and whose it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Serving:
    """An endpoint as it is found.

    Attributes:
        evaluation_id: the evaluation of ours that created it; None when it is not ours.
        model: `<model id>:<version>`, and the training job of a tuned one, by its tags; empty when they do not say.
        instance_type, instances: of its variant; None where its configuration is gone.
        asynchronous: whether it takes its requests from a queue, and only from there.
    """

    status: str
    evaluation_id: str | None
    model: str
    instance_type: str | None
    instances: int | None
    asynchronous: bool = False
