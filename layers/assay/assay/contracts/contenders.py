"""Prompts compared like models: each model with each prompt template of the catalog is a contender of its own."""

from __future__ import annotations

from typing import Any

import yaml

from assay.contracts.config import ModelSection, SuiteConfig
from assay.contracts.decision_sections import PricingSection


def contenders(config: SuiteConfig) -> SuiteConfig:
    """Put `<model>--<template>` in the place of each model that is asked, where the config has prompt templates.

    Contenders of one model share its endpoint. Models whose answers lie in the catalog stay as they are: no prompt is
    put to them. A config without templates comes back unchanged, so expanding twice is expanding once.
    """
    templates = config.dataset.prompt_templates
    if not templates:
        return config
    models = [
        contender
        for model in config.models
        for contender in (_of_model(model, templates) if model.is_asked else [model])
    ]
    dataset = config.dataset.model_copy(update={"prompt_templates": {}})
    return config.model_copy(update={"models": models, "dataset": dataset, "pricing": _pricing(config, templates)})


def dump_config(config: SuiteConfig) -> bytes:
    """The config as YAML, such that `load_config` gives an equal one. What is left at its default is left out."""
    return dump_values(config.model_dump(mode="json", exclude_defaults=True))


def dump_values(values: dict[str, Any]) -> bytes:
    """Plain values as YAML that reads back as the same values."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120).encode()


def _pricing(config: SuiteConfig, templates: dict[str, str]) -> PricingSection | None:
    """A price of a model's tokens is that of each of its contenders."""
    if config.pricing is None:
        return None
    asked = {model.name for model in config.models if model.provider != "responses"}
    tokens = {
        contender: price
        for name, price in config.pricing.tokens.items()
        for contender in ([f"{name}--{template}" for template in templates] if name in asked else [name])
    }
    return config.pricing.model_copy(update={"tokens": tokens})


def _of_model(model: ModelSection, templates: dict[str, str]) -> list[ModelSection]:
    return [
        model.model_copy(
            update={
                "name": f"{model.name}--{name}",
                "contender_of": (model.contender_of or model.name) if _shares(model) else None,
                "evaluation_config": model.evaluation_config.model_copy(update={"prompt_template": text}),
            }
        )
        for name, text in templates.items()
    ]


def _shares(model: ModelSection) -> bool:
    """Whether the contenders have to be told whose endpoint they share: one without a name of its own."""
    return model.has_endpoint and model.endpoint_name is None


class _Dumper(yaml.SafeDumper):
    """Writes text in quotes, since readers differ on what else a bare word such as 1e5, 010 or 1:30 may be."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  (PyYAML's signature)
        return True


def _quoted(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    plain = text.replace("_", "").replace("-", "").isalpha()
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Dumper.add_representer(str, _quoted)
