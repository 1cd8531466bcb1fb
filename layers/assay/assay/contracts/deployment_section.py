"""What serves a model of the stack's own: instances, with or without a queue before them, or serverless inference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from assay.contracts.section import Broken, InstanceType, Section

Count = Annotated[int, Field(ge=1, le=64)]
InstanceTypes = Annotated[
    Annotated[InstanceType, Tag("one")]
    | Annotated[list[InstanceType], Field(min_length=1, max_length=5), Tag("several")],
    Discriminator(lambda value: "several" if isinstance(value, list) else "one"),
]


class ServerlessSection(Section):
    """SageMaker's serverless inference: CPU only, billed by use, and cold when it was idle."""

    memory_mb: Literal[1024, 2048, 3072, 4096, 5120, 6144] = Field(
        description="Memory; CPU grows with it.", json_schema_extra={"unit": "MB"}
    )
    max_concurrency: Annotated[int, Field(ge=1, le=200)] = Field(
        5,
        description="Requests at the same time; more are throttled. `limits.concurrency` need not be above it.",
        json_schema_extra={"unit": "requests"},
    )


class AsynchronousSection(Section):
    """SageMaker's asynchronous inference: requests wait in a queue, and answers come by way of S3."""

    max_concurrent_invocations: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None,
        description="Requests that an instance works on at the same time; SageMaker's own choice when left out.",
        json_schema_extra={"unit": "requests"},
    )


class DeploymentSection(Section):
    """What serves the model: instances, `asynchronous` or not, or `serverless`."""

    instance_type: InstanceTypes | None = Field(
        None,
        description="SageMaker instance type such as `ml.g5.2xlarge`; a list names others to fall back on, in order, "
        "where AWS has no room or no quota for one.",
    )
    num_instances: Count = Field(
        1, description="Instances behind the endpoint.", json_schema_extra={"unit": "instances"}
    )
    serverless: ServerlessSection | None = Field(None, description="Serverless inference in the place of instances.")
    asynchronous: AsynchronousSection | None = Field(
        None, description="Put a queue before the instances, for answers that take longer than a minute; `{}` will do."
    )

    @classmethod
    def broken_rules(cls, raw: dict[str, Any]) -> Iterator[Broken]:
        serverless = raw.get("serverless") is not None
        if not serverless and raw.get("instance_type") is None:
            yield (), "it needs `instance_type`, or `serverless`"
        for field in ("instance_type", "num_instances"):
            if serverless and raw.get(field) is not None:
                yield (field,), f"`{field}` and `serverless` exclude each other; write one of them"
        if serverless and raw.get("asynchronous") is not None:
            message = "`asynchronous` and `serverless` exclude each other: SageMaker's queue stands before instances"
            yield ("asynchronous",), message

    @property
    def instance_types(self) -> tuple[str, ...]:
        """The types to try, in order; none where the endpoint is serverless."""
        types = self.instance_type
        return () if types is None else (types,) if isinstance(types, str) else tuple(types)

    def on(self, instance_type: str) -> DeploymentSection:
        """The same on one of the types."""
        return self.model_copy(update={"instance_type": instance_type})

    @property
    def preferred_instance_type(self) -> str:
        """What is tried first, in a word: an instance type, or such as `serverless 4096 MB`."""
        return self.instance_types[0] if self.serverless is None else f"serverless {self.serverless.memory_mb} MB"
