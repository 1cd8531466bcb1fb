"""What the page says of the verdict and of what the choice rests on: no more than is sure."""

from __future__ import annotations

from typing import Any

import pytest

from assay.contracts.results import Selection
from tests.unit.report_support import EVIL, TWO, comparison, decided, ranked, render


@pytest.mark.parametrize(
    ("changes", "headline"),
    [
        ({"verdict": "better"}, "a is the best of 2 models"),
        ({"verdict": "inconclusive"}, "a is chosen, within the noise"),
        ({"verdict": "equivalent"}, "a is chosen among equals"),
        ({"verdict": None, "winner": None}, "No model is chosen"),
    ],
)
def test_the_headline_is_no_surer_than_the_verdict(changes: dict[str, Any], headline: str) -> None:
    assert headline in render(comparison(TWO, **changes)).text


def test_a_page_tells_what_the_choice_rests_on() -> None:
    text = " ".join(render(decided()).text.split())
    for part in (
        "The choice by quality, then cost",
        "> 99.9 %",
        "< 0.1 %",
        "$2.08",
        "41.2",
        "toxicity <= 0.1 perhaps by chance",
        "10,000 catalogs drawn from this one",
        "Points against cost of 1,000 answers",
        "$0.50 for the catalog, 50 s of 1 x ml.g5.xlarge at $36 an hour.",
        "Prices are from our contract.",
        "f1_score75.0 %50.0 %100.0 %",
        "< 0.001",
        "with failures as the worst score: ≈ within the noise",
        "This catalog can tell differences of 11.3 points. A lead as small as this takes about 660 more records.",
        "robust to the 60 clusters",
        "Adjusted over all pairs.",
        "less than the margin of 2.0 points",
        "Categories a minus b",
        "\N{MINUS SIGN}25.0 [\N{MINUS SIGN}37.5, \N{MINUS SIGN}12.5]",
        "0.012",
        "7 smaller categories are not shown",
    ):
        assert part in text, part
    assert EVIL in render(decided()).text
    assert "The choice" not in render(comparison(TWO)).text


def test_the_best_of_all_is_better_than_each() -> None:
    models = [*TWO, ranked("c", 3, 0.5)]
    selection = Selection(objective=["quality"], front=["quality"], rival="b", ties=[])
    sure = comparison(models, selection=selection)
    assert "a is the best of 3 models" in render(sure).text
    unsure = [
        item.model_copy(update={"verdict": "inconclusive"}) if item.second == "c" else item for item in sure.differences
    ]
    assert (
        "a is better than b, and not surely than all"
        in render(comparison(models, differences=unsure, selection=selection)).text
    )


def test_models_that_are_equal_to_the_chosen_one_are_named() -> None:
    selection = Selection(objective=["quality", "cost"], front=["quality"], rival="b", ties=["b"])
    assert "Equal to a in quality and cost: b." in render(decided(selection=selection)).text
    assert "Equal to a" not in render(decided()).text


def test_a_model_that_is_chosen_for_its_cost_is_not_called_the_best() -> None:
    selection = Selection(objective=["cost"], front=["quality", "cost"], rival="b", ties=[])
    assert "a is chosen for its cost" in render(decided(selection=selection)).text
