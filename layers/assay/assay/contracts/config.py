"""The config of a suite: what a team writes in YAML, checked whole before anything starts.

The keys of the project that Assay grew out of keep their names (`finetuning` and `model_provider` are spellings of
`finetuning_config` and `provider`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pydantic import Field, ValidationError
from pydantic_core import PydanticCustomError

from assay.contracts import yaml_positions
from assay.contracts.algorithms import Direction, known_algorithms
from assay.contracts.config_faults import SHOWN, faults_of
from assay.contracts.dataset import DatasetSection
from assay.contracts.decision_sections import (
    MEASURES,
    AlgorithmSection,
    ConstraintSection,
    GateSection,
    LimitsSection,
    NotifySection,
    PricingSection,
    RegistrySection,
    ScheduleSection,
    SelectionSection,
    did_you_mean,
)
from assay.contracts.deployment_section import DeploymentSection
from assay.contracts.errors import Fault, RejectedError
from assay.contracts.evaluation_section import PLACEHOLDER, EvaluationSection
from assay.contracts.judge_section import JUDGE, JudgeSection
from assay.contracts.model_section import (
    ENDPOINT_PROVIDERS,
    FinetuningSection,
    ModelSection,
    RegisterSection,
    endpoint_group,
)
from assay.contracts.prompt_template import PROMPT_VARIABLES
from assay.contracts.section import IN_WORDS, MODEL_NAME, Broken, EndpointName, ModelName, Section, SuiteName

__all__ = [
    "PLACEHOLDER",
    "PROMPT_VARIABLES",
    "AlgorithmSection",
    "DatasetSection",
    "DeploymentSection",
    "EndpointName",
    "EvaluationSection",
    "FinetuningSection",
    "GateSection",
    "LimitsSection",
    "ModelName",
    "ModelSection",
    "RegisterSection",
    "SuiteConfig",
    "SuiteName",
    "load_config",
]

MAX_MODELS = 50


class PipelineSection(Section):
    """The suite."""

    name: SuiteName = Field(description="The suite's name everywhere: in S3, in events and in the pipeline's name.")


class SuiteConfig(Section):
    """The config of a suite."""

    pipeline: PipelineSection = Field(description="The suite.")
    dataset: DatasetSection = Field(description="The catalog, and where its fields lie.")
    models: Annotated[list[ModelSection], Field(min_length=1, max_length=MAX_MODELS)] = Field(
        description="The candidates."
    )
    algorithms: Annotated[list[AlgorithmSection], Field(min_length=1)] = Field(
        description="What scores the responses: bare names, or mappings."
    )
    model_registry: RegistrySection | None = Field(
        None, description="The model package group of the suite; a group of the suite's name when left out."
    )
    selection: SelectionSection | None = Field(None, description="What decides which model is best.")
    gate: GateSection = Field(default_factory=GateSection, description="What a winner must pass.")
    limits: LimitsSection = Field(default_factory=LimitsSection, description="Bounds of one evaluation.")
    pricing: PricingSection | None = Field(None, description="Your own prices, where the public ones are not yours.")
    judge: JudgeSection | None = Field(None, description="A language model that grades the responses.")
    notify: NotifySection | None = Field(None, description="Who hears of this suite.")
    schedule: ScheduleSection | None = Field(None, description="Evaluate again by the clock.")

    @classmethod
    def broken_rules(cls, raw: dict[str, Any]) -> Iterator[Broken]:
        models = [(index, model) for index, model in enumerate(_list(raw.get("models"))) if isinstance(model, dict)]
        dataset = raw.get("dataset")
        templates = dataset.get("prompt_templates") if isinstance(dataset, dict) else None
        yield from _repeated("models", "name", models)
        yield from _unlike_deployments(models)
        yield from _alike_but_for_case(models)
        yield from _kept_beyond_lanes(models, raw.get("limits"))
        if isinstance(templates, dict) and templates:
            yield from _contenders(models, templates)
        algorithms = list(enumerate(map(AlgorithmSection.short_form, _list(raw.get("algorithms")))))
        yield from _repeated("algorithms", "algorithm", [item for item in algorithms if isinstance(item[1], dict)])
        yield from _untold_log_probabilities(models, [item for _, item in algorithms])
        yield from _judge(raw, models, templates, [item for _, item in algorithms])
        yield from _unknown_scores(raw.get("selection"), [item for _, item in algorithms])
        priced = models if raw.get("judge") is None else [*models, (len(models), {"name": JUDGE})]
        yield from _unknown_prices(raw.get("pricing"), priced)
        yield from _gate_beyond_config(raw.get("gate"), models, templates, [item for _, item in algorithms])

    @property
    def suite(self) -> str:
        return self.pipeline.name

    @property
    def model_package_group(self) -> str:
        return self.model_registry.model_package_group_name if self.model_registry else self.suite

    @property
    def judged_algorithms(self) -> list[AlgorithmSection]:
        """The algorithms that ask a judge."""
        return [item for item in self.algorithms if "judge" in item.known.needs]

    @property
    def unjudged_algorithms(self) -> list[AlgorithmSection]:
        """The algorithms that ask none."""
        return [item for item in self.algorithms if "judge" not in item.known.needs]

    @property
    def rival(self) -> str | None:
        """The model with whose answers a judge compares those of the others, if it does."""
        return next((str(item.settings["rival"]) for item in self.judged_algorithms if "rival" in item.settings), None)

    def metric(self) -> tuple[str, str, Direction]:
        """The algorithm, score and direction that rank the models: the first algorithm's first score unless chosen.

        Where several scores are weighted, the one that weighs most: it tells which records a model got wrong.
        """
        if self.selection is not None and self.selection.weights is not None:
            return self.score(max(self.selection.weights, key=self.selection.weights.__getitem__))
        if self.selection is None or self.selection.metric is None:
            first = self.algorithms[0].known
            score = next(iter(first.scores))
            return first.name, score, first.scores[score]
        return self.score(self.selection.metric)

    def score(self, name: str) -> tuple[str, str, Direction]:
        """The algorithm, score and direction that `name` means: a score's, or `<algorithm>.<score>`.

        Raises:
            ValueError: no algorithm of this config gives it.
        """
        algorithm, _, score = name.rpartition(".")
        for item in self.algorithms:
            if score in item.known.scores and algorithm in ("", item.algorithm):
                return item.algorithm, score, item.known.scores[score]
        raise ValueError(f"no algorithm of this config gives the score {name!r}")

    def algorithm(self, name: str) -> AlgorithmSection:
        """The algorithm called `name`."""
        return next(item for item in self.algorithms if item.algorithm == name)

    def model(self, name: str) -> ModelSection:
        """The model called `name`."""
        return next(model for model in self.models if model.name == name)


def load_config(text: bytes, subject: str) -> SuiteConfig:
    """Read and check a config that is to be evaluated.

    Args:
        text: the YAML file as it was dropped.
        subject: its key, to name in errors.

    Raises:
        RejectedError: with every fault of the file (the first 100 shown, all counted), each with line, column and key
            path.
    """
    document = yaml_positions.load(text, subject)
    if not isinstance(document.values, dict):
        raise RejectedError(
            subject, [Fault("a config is a mapping with `pipeline`, `dataset`, `models`, `algorithms`", line=1)]
        )
    config, faults, cause = None, list(document.faults), None
    try:
        config = SuiteConfig.model_validate(document.values)
    except ValidationError as error:
        cause = error
        faults += faults_of(error, document, SuiteConfig)
    if config is None or faults:
        faults.sort(key=lambda fault: (fault.line or 0, fault.column or 0))
        raise RejectedError(subject, faults[:SHOWN], len(faults)) from cause
    return config


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _repeated(section: str, key: str, items: list[tuple[int, dict[str, Any]]]) -> Iterator[Broken]:
    names = [item[key] for _, item in items if isinstance(item.get(key), str)]
    for name, count in Counter(names).items():
        if count > 1:
            last = max(index for index, item in items if item.get(key) == name)
            yield (section, last, key), f"the {key} {name[:80]!r} stands {count} times; each may stand once"


def _unlike_deployments(models: list[tuple[int, dict[str, Any]]]) -> Iterator[Broken]:
    first_of: dict[str, tuple[dict[str, Any], tuple[Any, ...]]] = {}
    for index, model in models:
        group, deployment = endpoint_group(model)
        if not isinstance(group, str) or deployment[0] not in ENDPOINT_PROVIDERS:
            continue
        first, wanted = first_of.setdefault(group, (model, deployment))
        if wanted != deployment and first.get("name") != model.get("name"):
            message = (
                f"models {str(first.get('name'))[:80]!r} and {str(model.get('name'))[:80]!r} share the endpoint "
                f"{group[:80]!r}, so provider, model_id, model_version, deployment_config, finetuning_config, "
                "huggingface_config and cleanup_endpoint must be the same"
            )
            yield ("models", index, "endpoint_name"), message


def _alike_but_for_case(models: list[tuple[int, dict[str, Any]]]) -> Iterator[Broken]:
    """Names that CreateEndpoint takes for one ("case-insensitive"), and InvokeEndpoint finds by one spelling only."""
    first_of: dict[str, str] = {}
    for index, model in models:
        name = model.get("endpoint_name")
        if isinstance(name, str) and (first := first_of.setdefault(name.lower(), name)) != name:
            message = (
                f"{name[:80]!r} and {first[:80]!r} differ by case only, and no two endpoints do; "
                "write both alike to share it, or choose another name"
            )
            yield ("models", index, "endpoint_name"), message


def _kept_beyond_lanes(models: list[tuple[int, dict[str, Any]]], limits: Any) -> Iterator[Broken]:
    limits = limits if isinstance(limits, dict) else {}
    allowed, winner = limits.get("endpoints"), limits.get("keep_winner_hours") is not None
    kept = {
        str(endpoint_group(model)[0])
        for _, model in models
        if (winner or model.get("cleanup_endpoint") is False) and model.get("deployment_config") is not None
    }
    if isinstance(allowed, int) and not isinstance(allowed, bool) and 1 <= allowed < len(kept):
        why = "until one has won (`keep_winner_hours`)" if winner else "(`cleanup_endpoint: false`)"
        message = f"{len(kept)} endpoints are kept {why}, and so exist at the same time"
        yield ("limits", "endpoints"), f"{message}: at least {len(kept)} must be allowed"


def _contenders(models: list[tuple[int, dict[str, Any]]], templates: dict[str, Any]) -> Iterator[Broken]:
    asked = [
        (index, model) for index, model in models if ModelSection.value_of(model, "provider") not in ("responses",)
    ]
    for template in templates:
        if not re.fullmatch(MODEL_NAME, template):
            yield ("dataset", "prompt_templates", template), f"a template's name must be {IN_WORDS[MODEL_NAME]}"
    if len(models) <= MAX_MODELS < len(asked) * len(templates) + len(models) - len(asked):
        message = f"{len(asked)} models with {len(templates)} prompt templates are more than {MAX_MODELS} contenders"
        yield ("dataset", "prompt_templates"), message
    names = Counter(model.get("name") for _, model in models if isinstance(model.get("name"), str))
    for index, model in asked:
        evaluation = model.get("evaluation_config")
        if isinstance(evaluation, dict) and "prompt_template" in evaluation:
            message = "`prompt_template` and `dataset.prompt_templates` exclude each other; write one of them"
            yield ("models", index, "evaluation_config", "prompt_template"), message
        name = model.get("name")
        if not isinstance(name, str):
            continue
        made = [f"{name}--{template}" for template in templates]
        if (longest := max(made, key=len)) and len(name) <= 48 < len(longest):
            yield ("models", index, "name"), f"with its prompt template it is {longest[:120]!r}: at most 48 characters"
        if taken := sorted(set(made) & set(names)):
            yield ("models", index, "name"), f"with its prompt template it is {taken[0]!r}, which is another model"


def _untold_log_probabilities(models: list[tuple[int, dict[str, Any]]], algorithms: list[Any]) -> Iterator[Broken]:
    names = [item.get("algorithm") for item in algorithms if isinstance(item, dict)]
    known = [known_algorithms().get(name) for name in names if isinstance(name, str)]
    wanting = [item.name for item in known if item is not None and "log_probabilities" in item.needs]
    for index, model in models if wanting else ():
        evaluation = model.get("evaluation_config")
        if not isinstance(evaluation, dict) or evaluation.get("log_probability") is None:
            message = f"{wanting[0]} needs `evaluation_config.log_probability` of each model, where its reply tells it"
            yield ("models", index), message


def _judge(
    raw: dict[str, Any], models: list[tuple[int, dict[str, Any]]], templates: Any, algorithms: list[Any]
) -> Iterator[Broken]:
    judged = False
    for index, item in enumerate(algorithms):
        name = item.get("algorithm") if isinstance(item, dict) else None
        known = known_algorithms().get(name) if isinstance(name, str) else None
        if known is None or "judge" not in known.needs:
            continue
        judged = True
        if raw.get("judge") is None:
            yield ("algorithms", index), f"{known.name} needs a judge: write the section `judge`"
        parameters = item.get("parameters")
        rival = parameters.get("rival") if isinstance(parameters, dict) else None
        if isinstance(rival, str):
            names = _contender_names(models, templates)
            if names and rival not in names:
                message = f"no model of this config is called {rival[:80]!r}{did_you_mean(rival, names)}"
                yield ("algorithms", index, "parameters", "rival"), message
    if raw.get("judge") is not None and not judged:
        yield ("judge",), "no algorithm of this config asks a judge: name `Judge` or `JudgePreference`"
    judge = raw.get("judge")
    if not judged or not isinstance(judge, dict):
        return
    asked = str(judge.get("endpoint_name") or "").lower()
    for index, model in models:
        if model.get("name") == JUDGE:
            yield ("models", index, "name"), f"{JUDGE!r} is what the config's judge is called, in prices and costs"
        if asked and model.get("deployment_config") and str(model.get("endpoint_name") or "").lower() == asked:
            message = f"models.{index} deploys this endpoint, which need not be there while the judge is asked; "
            yield ("judge", "endpoint_name"), f"{message}name one that is there"


def _unknown_scores(selection: Any, algorithms: list[Any]) -> Iterator[Broken]:
    for path, name, measures in _named_scores(selection) if isinstance(selection, dict) else ():
        if message := _no_such_score(name, algorithms, measures):
            yield ("selection", *path), message


def _named_scores(selection: dict[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str, Iterable[str]]]:
    """Where a score is named, by what name, and what else may be named there."""
    metric, weights, constraints = (selection.get(key) for key in ("metric", "weights", "constraints"))
    if isinstance(metric, str) and metric:
        yield ("metric",), metric, ()
    for name in weights if isinstance(weights, dict) else ():
        if isinstance(name, str):
            yield ("weights", name), name, ()
    for index, item in enumerate(_list(constraints)):
        try:
            section = ConstraintSection.short_form(item)
        except PydanticCustomError:
            continue
        name = section.get("metric") if isinstance(section, dict) else None
        if isinstance(name, str) and name:
            path = ("constraints", index) if isinstance(item, str) else ("constraints", index, "metric")
            yield path, name, MEASURES


def _unknown_prices(pricing: Any, models: list[tuple[int, dict[str, Any]]]) -> Iterator[Broken]:
    tokens = pricing.get("tokens") if isinstance(pricing, dict) else None
    names = [model["name"] for _, model in models if isinstance(model.get("name"), str)]
    for name in tokens if isinstance(tokens, dict) else ():
        if isinstance(name, str) and name not in names:
            yield ("pricing", "tokens", name), f"no model has this name{did_you_mean(name, names)}"


def _gate_beyond_config(
    gate: Any, models: list[tuple[int, dict[str, Any]]], templates: Any, algorithms: list[Any]
) -> Iterator[Broken]:
    """What a gate names and the config does not have: a model, a score."""
    if not isinstance(gate, dict):
        return
    baseline, names = gate.get("baseline"), _contender_names(models, templates)
    if isinstance(baseline, str) and names and baseline not in names:
        yield (
            ("gate", "baseline"),
            f"no model of this config is called {baseline[:80]!r}{did_you_mean(baseline, names)}",
        )
    margins = gate.get("margins")
    for name in margins if isinstance(margins, dict) else {}:
        if isinstance(name, str) and (message := _no_such_score(name, algorithms)):
            yield ("gate", "margins", name), message
    for index, threshold in enumerate(_list(gate.get("thresholds"))):
        metric = threshold.get("metric") if isinstance(threshold, dict) else None
        if isinstance(metric, str) and (message := _no_such_score(metric, algorithms)):
            yield ("gate", "thresholds", index, "metric"), message


def _contender_names(models: list[tuple[int, dict[str, Any]]], templates: Any) -> list[str]:
    """What the models are called once each has each prompt template."""
    names: list[str] = []
    for name, model in ((model.get("name"), model) for _, model in models):
        if isinstance(name, str):
            is_asked = ModelSection.value_of(model, "provider") != "responses"
            expands = is_asked and isinstance(templates, dict) and templates
            names += [f"{name}--{template}" for template in templates] if expands else [name]
    return names


def _no_such_score(metric: str, algorithms: list[Any], measures: Iterable[str] = ()) -> str | None:
    """What is wrong with a score's name; None when it is known, or when the algorithms are not all known themselves."""
    items = [item if isinstance(item, dict) else {} for item in algorithms]
    found = [(known_algorithms().get(str(item.get("algorithm"))), item.get("parameters")) for item in items]
    known = [(whole, set_ if isinstance(set_, dict) else {}) for whole, set_ in found if whole is not None]
    if not metric or metric in measures or len(known) < len(algorithms) or not known:
        return None
    wanted, _, score = metric.rpartition(".")
    named = [(whole, set_) for whole, set_ in known if wanted in ("", whole.name)]
    if any(score in whole.with_parameters(set_).scores for whole, set_ in named):
        return None
    for whole, _ in named:
        if score in whole.optional:
            return f"{whole.name} gives {score!r} only with `{'` or `'.join(whole.optional[score])}`"
        if score in whole.dataset_scores or score in whole.undirected:
            return f"{score!r} of {whole.name} belongs to the whole catalog, or has no better direction: no rank"
    scores = [score for whole, set_ in known for score in whole.with_parameters(set_).scores] + list(measures)
    message = f"no algorithm of this config gives the score {metric[:80]!r}{did_you_mean(score, scores)}"
    return f"{message}; there are: {', '.join(scores)}"
