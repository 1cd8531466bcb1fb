"""The schema for editors and the reference page are those of the models, and agree with what Assay accepts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from assay.contracts.config import SuiteConfig
from assay.contracts.section import spellings
from tools import generate_docs

ROOT = Path(__file__).resolve().parents[2]
VALID = [*sorted((ROOT / "tests" / "seed_configs").glob("*.yaml")), *sorted((ROOT / "examples" / "configs").glob("*"))]


def validator() -> Draft202012Validator:
    return Draft202012Validator(generate_docs.schema())


def small(**changes: Any) -> dict[str, Any]:
    model = {"name": "m", "provider": "endpoint", "endpoint_name": "e"}
    return {
        "pipeline": {"name": "suite"},
        "dataset": {"input_data_location": "x.jsonl"},
        "models": [model],
        "algorithms": ["FactualKnowledge"],
    } | changes


@pytest.mark.parametrize("path", list(generate_docs.documents()), ids=lambda path: path.name)
def test_what_is_published_is_what_the_models_say(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == generate_docs.documents()[path], "stale: run 'make docs'"


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(generate_docs.schema())


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.name)
def test_an_editor_accepts_what_assay_accepts(path: Path) -> None:
    validator().validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    "changes",
    [
        {"pipelines": {}},
        {"algorithms": ["Nonsense"]},
        {"algorithms": []},
        {"gate": {"confidence": 1.5}},
        {"models": [{"name": "m", "provider": "endpoint", "model_provider": "endpoint", "endpoint_name": "e"}]},
        {"models": [{"name": "m", "provider": "azure"}]},
        {"models": [{"name": "a b"}]},
    ],
)
def test_an_editor_marks_what_assay_refuses(changes: dict[str, Any]) -> None:
    assert validator().is_valid(small())
    assert not validator().is_valid(small(**changes))


def test_every_key_has_a_meaning_and_a_place_on_the_page() -> None:
    page = generate_docs.REFERENCE.read_text(encoding="utf-8")
    schema = generate_docs.schema()
    for section, path in generate_docs.sections():
        node = schema if section is SuiteConfig else schema["$defs"][section.__name__]
        for name in section.model_fields:
            for spelling in spellings(section, name):
                assert node["properties"][spelling]["description"].endswith("."), f"{path}.{name} has no meaning"
                assert f"`{spelling}`" in page


def test_the_example_names_the_schema_to_editors() -> None:
    path = ROOT / "examples" / "configs" / "general-knowledge.yaml"
    first = path.read_text().splitlines()[0]
    assert (path.parent / first.partition("$schema=")[2]).resolve() == generate_docs.SCHEMA
