"""What an endpoint of an evaluation served: all that it takes to serve it again."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from assay.contracts.results import Contract


class ServedModel(Contract):
    """`endpoints/<endpoint>.json` of an evaluation.

    Attributes:
        image: the serving container.
        model_data_url, model_data_source: where the artefact lies, in either of SageMaker's two forms; None where the
            image brings it along.
        environment: of the container, without what its name shows to be a secret; `withheld` names those.
        instance_type: that it was served on.
        training_job: the job of this evaluation that tuned the model; None for a model as it was published.
    """

    image: str
    model_data_url: str | None = None
    model_data_source: dict[str, Any] | None = None
    environment: dict[str, str] = Field(default_factory=dict)
    withheld: list[str] = Field(default_factory=list)
    instance_type: str | None = None
    training_job: str | None = None
