"""How often a model is asked about one record: once, and again where an algorithm wants second answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from assay.contracts.decision_sections import AlgorithmSection

_PERTURBATION = ("perturbation", "uppercase", "whitespace", "butter_finger", "seed")


def perturbation_name(section: AlgorithmSection) -> str:
    """The folder of an algorithm's perturbed inputs: the same for the same perturbations, which share their answers."""
    settings = {name: value for name, value in section.settings.items() if any(part in name for part in _PERTURBATION)}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    return f"{settings['perturbation_type']}-{digest}"


def asks_per_record(algorithms: Iterable[AlgorithmSection]) -> int:
    """How often a model is asked about each record, at most: as of one that does not always say the same."""
    perturbed: dict[str, int] = {}
    repeated = sentences = 0
    for section in algorithms:
        settings, needs = section.settings, section.known.needs
        if "second_answers" in needs:
            perturbed[perturbation_name(section)] = int(settings["num_perturbations"])
            repeated = max(repeated, int(settings.get("num_baseline_samples", 1)) - 1)
        if "log_probabilities" in needs:
            sentences = 2
    return 1 + sum(perturbed.values()) + repeated + sentences
