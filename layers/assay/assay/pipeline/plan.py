"""What a config comes to: the endpoints, the models asked through each, and the steps' names. Pure."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from assay.contracts.config import ModelSection, SuiteConfig

PREPROCESS = "preprocess"


@dataclass(frozen=True)
class PlannedModel:
    """One model's evaluation.

    Attributes:
        step: scores it, and asks it what no other step has.
        ask_steps: ask it, each a part of the catalog, at the same time; none where the catalog is not split.
        judge_step: has a judge asked about its answers, once they and the rival's are there; None without a judge.
        rival: the model with whose answers the judge compares its own.
    """

    name: str
    step: str
    ask_steps: tuple[str, ...] = ()
    judge_step: str | None = None
    rival: str | None = None


@dataclass(frozen=True)
class PlannedEndpoint:
    """One endpoint and the models that share it.

    Attributes:
        name: what its models have in common: `endpoint_name`, or the model's own name.
        section: the first model that names it; those that follow deploy the same.
        models: every model asked through it, in the config's order.
        finetune_step: tunes the model before it is deployed; None where the config asks for none.
        awaits_decision: the winner's endpoint is kept, and the pipeline does not know whose that is.
    """

    name: str
    section: ModelSection
    deploy_step: str
    cleanup_step: str
    models: tuple[PlannedModel, ...]
    finetune_step: str | None = None
    awaits_decision: bool = False

    @property
    def keep(self) -> bool:
        """Whether the pipeline leaves it there."""
        return self.awaits_decision or not self.section.cleanup_endpoint

    @property
    def created(self) -> bool:
        """Whether the evaluation creates it, so that it takes a lane; one that exists already takes none."""
        return self.section.deployment_config is not None


def plan(config: SuiteConfig) -> tuple[PlannedEndpoint, ...]:
    """Group the models of a config by endpoint, in the config's order; those that need none are not here."""
    grouped: dict[str, list[ModelSection]] = {}
    for model in config.models:
        if model.has_endpoint:
            grouped.setdefault(model.endpoint_group, []).append(model)
    steps = planned_models(config)
    slug = _Slugs()
    endpoints = []
    for name, models in grouped.items():
        key = slug.of(name)
        endpoints.append(
            PlannedEndpoint(
                name=name,
                section=models[0],
                finetune_step=f"finetune-{key}" if models[0].finetuning_config else None,
                deploy_step=f"deploy-{key}",
                cleanup_step=f"cleanup-{key}",
                awaits_decision=models[0].deployment_config is not None and config.limits.keep_winner_hours is not None,
                models=tuple(steps[model.name] for model in models),
            )
        )
    return tuple(endpoints)


def plan_given(config: SuiteConfig) -> tuple[PlannedModel, ...]:
    """The models with nothing to deploy or to clean up: a service answers for them, or the catalog does."""
    steps = planned_models(config)
    return tuple(steps[model.name] for model in config.models if not model.has_endpoint)


def dependencies(config: SuiteConfig, lanes: Iterable[Sequence[str]] = ()) -> dict[str, tuple[str, ...]]:
    """The whole pipeline: each step's name, and the steps that it waits for, each after those.

    Args:
        config: a checked config.
        lanes: names of endpoints that exist one after the other; one that is in no lane waits for no other.
    """
    waits: dict[str, tuple[str, ...]] = {PREPROCESS: ()}
    endpoints = {endpoint.name: endpoint for endpoint in plan(config)}
    before = followed(lanes)
    for name in in_order(endpoints, before):
        endpoint = endpoints[name]
        lane = (endpoints[before[name]].cleanup_step,) if name in before else ()
        if endpoint.finetune_step is not None:
            waits[endpoint.finetune_step] = (PREPROCESS,)
            waits[endpoint.deploy_step] = (endpoint.finetune_step, PREPROCESS, *lane)
        else:
            waits[endpoint.deploy_step] = (PREPROCESS, *lane)
        for model in endpoint.models:
            waits |= _evaluation(model, (endpoint.deploy_step, PREPROCESS))
        waits[endpoint.cleanup_step] = tuple(model.step for model in endpoint.models)
    for model in plan_given(config):
        waits |= _evaluation(model, (PREPROCESS,))
    models = planned_models(config)
    for model in models.values():
        if model.judge_step is not None:
            rival = () if model.rival is None else (models[model.rival].step,)
            waits[model.judge_step] = (model.step, *rival)
    return waits


def _evaluation(model: PlannedModel, after: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {**dict.fromkeys(model.ask_steps, after), model.step: (*model.ask_steps, *after)}


def followed(lanes: Iterable[Sequence[str]]) -> dict[str, str]:
    """By endpoint, the one before it in its lane; the first of a lane is not in it."""
    return {after: before for lane in lanes for before, after in itertools.pairwise(lane)}


def in_order(names: Iterable[str], before: Mapping[str, str]) -> list[str]:
    """The names, each after the one before it in its lane."""
    ordered: list[str] = []
    for name in names:
        chain = [name]
        while chain[-1] in before and before[chain[-1]] not in ordered:
            chain.append(before[chain[-1]])
        ordered += [item for item in reversed(chain) if item not in ordered]
    return ordered


def endpoint_name(config: SuiteConfig, model: ModelSection, evaluation_id: str) -> str:
    """The endpoint's name in SageMaker, at most 63 characters: the config's own, or one that no other run can meet.

    Nor can another model of the run: the readable part may be cut or alike, and two models that met would be asked
    through one endpoint, the second one's responses coming from the first. A generated name is in lower case, as ARNs
    have it.
    """
    if model.endpoint_name is not None:
        return model.endpoint_name
    stem = re.sub(r"[^A-Za-z0-9]+", "-", f"{config.suite}-{model.endpoint_group}")[:41].strip("-").lower()
    return f"{stem}-{hashlib.sha256(model.endpoint_group.encode()).hexdigest()[:8]}-{evaluation_id[:12]}"


def planned_models(config: SuiteConfig) -> dict[str, PlannedModel]:
    """Every model of a config by its name, in the config's order."""
    slug = _Slugs()
    shards = config.limits.shards or 1
    found = {}
    for model in config.models:
        key = slug.of(model.name)
        split = range(1, shards + 1) if model.is_asked and shards > 1 else ()
        asking = tuple(f"ask-{key}-{number}-of-{shards}" for number in split)
        judging = None if config.judge is None else f"judge-{key}"
        rival = None if config.rival == model.name else config.rival
        found[model.name] = PlannedModel(model.name, f"evaluate-{key}", asking, judging, rival)
    return found


class _Slugs:
    """Names fit for a step (letters, digits, hyphens), different for different names."""

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}

    def of(self, name: str) -> str:
        stem = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:50]
        for suffix in ("", *(f"-{number}" for number in range(2, 1000))):
            candidate = f"{stem}{suffix}"
            if self._taken.setdefault(candidate, name) == name:
                return candidate
        raise ValueError(f"no step name left for {name!r}")
