"""What the models and algorithms of a config need of each record of its catalog, beside the fields of every record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from assay.contracts import yaml_positions
from assay.contracts.config import SuiteConfig
from assay.contracts.errors import Fault
from assay.contracts.prompt_template import columns_named
from assay.contracts.yaml_positions import Path

DEFAULT_DELIMITER = "<OR>"


@dataclass(frozen=True)
class Need:
    """Something that a model needs of the catalog, and where the config says so.

    Attributes:
        name: of a column that a prompt template names, or the location of a model's ready responses.
        model: the first model that needs it.
        key, line, column: the place in the config; no line where its text was not at hand.
    """

    name: str
    model: str
    key: str = ""
    line: int | None = None
    column: int | None = None

    def fault(self, message: str) -> Fault:
        """A fault at this place of the config."""
        return Fault(message, line=self.line, column=self.column, key=self.key)


@dataclass(frozen=True)
class Needs:
    """What a config needs of its catalog.

    Attributes:
        columns: by name.
        responses: by model.
        delimiters: what parts alternatives of an expected answer.
        subject: the config's key, empty where it is not to be named.
    """

    columns: tuple[Need, ...] = ()
    responses: tuple[Need, ...] = ()
    delimiters: tuple[str, ...] = (DEFAULT_DELIMITER,)
    subject: str = ""


def needs_of(config: SuiteConfig, text: bytes | None = None, subject: str = "") -> Needs:
    """What a checked config needs.

    Args:
        config: as it was written, or with its prompt templates expanded to contenders.
        text: the file that it was read from, to name lines.
        subject: the file's key.
    """
    places = _Places(config, text, subject)
    columns: dict[str, Need] = {}
    for model, path, template in _templates(config, places):
        for name in columns_named(template):
            columns.setdefault(name, places.need(name, model, path))
    responses = tuple(
        places.need(model.response_key, model.name, (*places.of_model(model.name), "response_key"))
        for model in config.models
        if model.response_key is not None
    )
    delimiters = [item.target_output_delimiter or DEFAULT_DELIMITER for item in config.algorithms]
    return Needs(
        columns=tuple(columns.values()),
        responses=responses,
        delimiters=tuple(dict.fromkeys(delimiters)),
        subject=subject,
    )


def _templates(config: SuiteConfig, places: _Places) -> Iterator[tuple[str, Path, str]]:
    """Each template that a model is asked with: the model, where it stands, its text."""
    for model in config.models:
        if not model.is_asked:
            continue
        if config.dataset.prompt_templates:
            for name, template in config.dataset.prompt_templates.items():
                yield f"{model.name}--{name}", ("dataset", "prompt_templates", name), template
        else:
            yield model.name, places.of_template(model.name), model.evaluation_config.prompt_template


class _Places:
    """Where things stand in the config as it was written, though contenders may have taken the place of models."""

    def __init__(self, config: SuiteConfig, text: bytes | None, subject: str) -> None:
        self._document = None if text is None else yaml_positions.load(text, subject)
        if self._document is None:
            self._names = [model.name for model in config.models]
            self._templates = config.dataset.prompt_templates
        else:
            self._names = [model["name"] for model in self._document.values["models"]]
            self._templates = self._document.values["dataset"].get("prompt_templates") or {}

    def of_model(self, name: str) -> Path:
        return ("models", self._names.index(name)) if name in self._names else ("models",)

    def of_template(self, model: str) -> Path:
        template = model.rpartition("--")[2]
        if model not in self._names and template in self._templates:
            return ("dataset", "prompt_templates", template)
        return (*self.of_model(model), "evaluation_config", "prompt_template")

    def need(self, name: str, model: str, path: Path) -> Need:
        line, column = (None, None) if self._document is None else self._document.position(path)
        return Need(name=name, model=model, key=yaml_positions.dotted(path), line=line, column=column)
