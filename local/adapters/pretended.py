"""What moto only pretends to carry out is refused: made-up answers and jobs that end at once would pass for real."""

from __future__ import annotations

from typing import Any

from moto.bedrockruntime.responses import BedrockRuntimeResponse
from moto.sagemaker.responses import SageMakerResponse

from local.cloud import Cloud, UnsupportedError, require

_PRETENDED = {
    SageMakerResponse: (
        "create_auto_ml_job_v2",
        "create_compilation_job",
        "create_hyper_parameter_tuning_job",
        "create_processing_job",
        "create_transform_job",
        "update_endpoint_weights_and_capacities",
    ),
    BedrockRuntimeResponse: ("invoke_model",),
}
for _response, _actions in _PRETENDED.items():
    for _action in _actions:
        require(_response, _action)


def install(_cloud: Cloud) -> None:
    """Refuse each of these actions."""
    for response, actions in _PRETENDED.items():
        for action in actions:
            setattr(response, action, _refusal(action))


def _refusal(action: str) -> Any:
    def refuse(_self: Any) -> None:
        raise UnsupportedError(f"{action} is not carried out by the local cloud: moto would only pretend to")

    refuse.is_refusal = True  # type: ignore[attr-defined]
    return refuse
