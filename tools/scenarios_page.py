"""The page docs/scenarios.md: each scenario's config and the pipeline that is planned for it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from assay.contracts.config import SuiteConfig, load_config
from assay.pipeline.plan import dependencies

CONFIGS = Path(__file__).resolve().parent.parent / "examples/configs"
HEAD = """\
# Scenarios

Written by `make docs` from the example configs and the plan that Assay makes of them.

A scenario is only a config: models are named, each with or without `finetuning_config`, and the pipeline follows. A
model that is fine-tuned gets a `finetune` step before its `deploy` step. Where `limits.endpoints` or the account's
quota allows fewer endpoints at a time than the config names, branches wait for each other on lanes, which the pictures
leave out.

`tests/end_to_end/test_scenarios.py` runs each of them through the local cloud, training included. To run one yourself,
put its training data into the stack's bucket first ([finetuning.md](finetuning.md) says how), then `assay submit`.

All three ask the same catalog, `examples/catalogs/geography.jsonl`: on which continent a country is, which is what
fine-tuning teaches here with other countries, and what its capital is, which it does not teach.
`tools/make_geography.py` makes catalog and training data from `examples/training/countries.csv`, a table written for
this project (Apache-2.0).
"""
SCENARIOS = (
    ("scenario-1-models", "Scenario 1: several models", "The best of several models as they come is registered."),
    (
        "scenario-2-finetuned",
        "Scenario 2: several fine-tuned models",
        "Each model is tuned by a training job of its own, evaluated, and the best is registered.",
    ),
    (
        "scenario-3-base-and-finetuned",
        "Scenario 3: models as they come against fine-tuned ones",
        "The categories tell what tuning gained, and what it cost elsewhere.",
    ),
)


def scenarios_page() -> str:
    """The page."""
    parts = [HEAD]
    for name, title, sentence in SCENARIOS:
        config = load_config((CONFIGS / f"{name}.yaml").read_bytes(), name)
        parts.append(f"\n## {title}\n{sentence} Config: [{name}.yaml](../examples/configs/{name}.yaml).\n\n")
        parts.append(f"```mermaid\n{_mermaid(config)}```\n")
    return "".join(parts)


def _mermaid(config: SuiteConfig) -> str:
    waits = dependencies(config)
    return "".join(f"{line}\n" for line in ("flowchart LR", *_edges(waits)))


def _edges(waits: dict[str, tuple[str, ...]]) -> Iterable[str]:
    """Each dependency but those that follow from others: who waits for a step waits for what it waited for."""
    for step, before in waits.items():
        implied = {earlier for name in before for earlier in _all_before(name, waits)}
        for name in before:
            if name not in implied:
                yield f"    {name} --> {step}"


def _all_before(step: str, waits: dict[str, tuple[str, ...]]) -> set[str]:
    return {earlier for name in waits[step] for earlier in (name, *_all_before(name, waits))}
