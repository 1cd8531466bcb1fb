"""What an endpoint serves, and whose it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Serving:
    """An endpoint as it is found.

    Attributes:
        evaluation_id: the evaluation of ours that created it; None when it is not ours.
        model: `<model id>:<version>`, and the training job of a tuned one, by its tags; empty when they do not say.
        instance_type, instances: of its variant; None where it is serverless, or its configuration is gone.
        asynchronous: whether it takes its requests from a queue, and only from there.
        serverless_mb: memory of its variant; None where it has instances.
    """

    status: str
    evaluation_id: str | None
    model: str
    instance_type: str | None
    instances: int | None
    asynchronous: bool = False
    serverless_mb: int | None = None

    @property
    def hardware(self) -> str | None:
        """An instance type, or such as `serverless 4096 MB`; None where its configuration is gone."""
        return self.instance_type if self.serverless_mb is None else f"serverless {self.serverless_mb} MB"
