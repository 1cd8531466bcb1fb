"""The model card of a registered winner, in SageMaker's schema for model packages.

Source: "Model package model card schema" in the SageMaker Developer Guide; the classes of `sagemaker.model_card` have
the same keys. It holds what was measured and where that lies. What only people know, such as intended uses and risks,
is left to them.
"""

from __future__ import annotations

import json
from typing import Any

from assay.contracts.config import SuiteConfig
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.gate import GateResult
from assay.contracts.results import Comparison, Manifest
from assay.contracts.served_model import ServedModel

LONGEST_CARD = 100_000
_LONGEST_TEXT = 1024
PROVIDERS = {
    "jumpstart": "SageMaker JumpStart",
    "huggingface": "Hugging Face",
    "endpoint": "a SageMaker endpoint that existed already",
    "bedrock": "Amazon Bedrock",
    "openai": "an API in OpenAI's format",
    "plugin": "code of the team's own",
    "responses": "ready responses in the catalog",
}


def model_card(
    comparison: Comparison,
    *,
    config: SuiteConfig,
    manifest: Manifest,
    gate: GateResult,
    paths: EvaluationPaths,
    served: ServedModel | None = None,
) -> str:
    """The winner's model card as JSON, at most 100,000 characters.

    Args:
        served: what the winner can be deployed from, where that is known.

    Raises:
        ValueError: the card would be longer, which only a config with thousands of scores could bring about.
    """
    ranked = next(item for item in comparison.models if item.model == comparison.winner)
    section = config.model(ranked.model)
    numbers: list[dict[str, Any]] = []
    for item in ranked.scores:
        if item.mean.value is not None:
            notes = f"{item.direction} is better; {item.mean.n} records, {item.mean.failed} without it"
            if item.mean.low is not None and item.mean.high is not None:
                notes += f"; {comparison.confidence:.0%} interval {item.mean.low:.6g} to {item.mean.high:.6g}"
            name = f"{item.algorithm}.{item.score}"
            numbers.append({"name": name, "type": "number", "value": item.mean.value, "notes": notes})
    timing = []
    if ranked.outcome.latency is not None:
        for name in ("mean", "p50", "p95", "p99"):
            value = getattr(ranked.outcome.latency, name)
            timing.append({"name": f"latency_{name}_ms", "type": "number", "value": value})
    groups = [{"name": "scores", "metric_data": numbers}]
    if timing:
        groups.append({"name": "latency", "metric_data": timing})
    details = {
        "suite": comparison.suite,
        "provider": section.provider,
        "model_id": section.model_id or "",
        "model_version": ranked.outcome.model_version or section.model_version,
        "prompt_template": section.evaluation_config.prompt_template,
        "config": manifest.config.uri,
        "config_sha256": manifest.config.sha256,
        "catalog_sha256": manifest.catalog.sha256,
        "manifest": paths.uri(paths.manifest),
        "report": paths.uri(paths.report),
        "gate": paths.uri(paths.gate),
        "training_job": (served.training_job or "") if served is not None else "",
    }
    creator = f"{section.model_id or section.name}, {PROVIDERS[section.provider]}"
    card = {
        "model_overview": {"model_creator": _text(creator), **_artefact(served)},
        "evaluation_details": [
            {
                "name": _text(f"Assay {comparison.evaluation_id}"),
                "evaluation_observation": _text(f"{comparison.explanation} {gate.explanation}", 2096),
                "datasets": [manifest.catalog.uri],
                "metric_groups": groups,
            }
        ],
        "additional_information": {
            "custom_details": {key: _text(str(value)) for key, value in details.items() if value != ""}
        },
    }
    text = json.dumps(card, ensure_ascii=True)
    if len(text) > LONGEST_CARD:
        raise ValueError(f"the model card of {ranked.model} has {len(text):,} characters, more than SageMaker takes")
    return text


def _artefact(served: ServedModel | None) -> dict[str, list[str]]:
    if served is None:
        return {}
    source = (served.model_data_source or {}).get("S3DataSource", {}).get("S3Uri")
    return {"model_artifact": [uri for uri in (served.model_data_url, source) if uri is not None][:15]}


def _text(text: str, longest: int = _LONGEST_TEXT) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 4]} ..."
