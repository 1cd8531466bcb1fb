"""What a config comes to: the endpoints, the models asked through each, and the steps' names. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from assay.contracts.config import ModelSection, SuiteConfig

PREPROCESS = "preprocess"


@dataclass(frozen=True)
class PlannedModel:
    """One model's evaluation."""

    name: str
    step: str


@dataclass(frozen=True)
class PlannedEndpoint:
    """One endpoint and the models that share it.

    Attributes:
        name: what identifies it inside the config: `endpoint_name`, or the model's own name.
        section: the first model that names it; those that follow deploy the same.
        models: every model asked through it, in the config's order.
        keep: whether the config asks to keep it afterwards (`cleanup_endpoint: false`).
    """

    name: str
    section: ModelSection
    deploy_step: str
    cleanup_step: str
    models: tuple[PlannedModel, ...]

    @property
    def keep(self) -> bool:
        return not self.section.cleanup_endpoint


def plan(config: SuiteConfig) -> tuple[PlannedEndpoint, ...]:
    """Group the models of a config by endpoint, in the config's order."""
    grouped: dict[str, list[ModelSection]] = {}
    for model in config.models:
        grouped.setdefault(model.endpoint_name or model.name, []).append(model)
    slug = _Slugs()
    endpoints = []
    for name, models in grouped.items():
        key = slug.of(name)
        endpoints.append(
            PlannedEndpoint(
                name=name,
                section=models[0],
                deploy_step=f"deploy-{key}",
                cleanup_step=f"cleanup-{key}",
                models=tuple(
                    PlannedModel(model.name, f"evaluate-{slug.of(f'model {model.name}')}") for model in models
                ),
            )
        )
    return tuple(endpoints)


def endpoint_name(config: SuiteConfig, model: ModelSection, evaluation_id: str) -> str:
    """The endpoint's name in SageMaker, at most 63 characters: the config's own, or one that no other run can meet."""
    if model.endpoint_name is not None:
        return model.endpoint_name
    stem = re.sub(r"[^A-Za-z0-9]+", "-", f"{config.suite}-{model.name}")[:50].strip("-")
    return f"{stem}-{evaluation_id[:12]}"


class _Slugs:
    """Names fit for a step (letters, digits, hyphens), different for different names."""

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}

    def of(self, name: str) -> str:
        kind, _, bare = name.rpartition(" ")
        stem = re.sub(r"[^A-Za-z0-9]+", "-", bare).strip("-")[:50]
        for suffix in ("", *(f"-{number}" for number in range(2, 1000))):
            candidate = f"{stem}{suffix}"
            if self._taken.setdefault(f"{kind} {candidate}", name) == name:
                return candidate
        raise ValueError(f"no step name left for {name!r}")
