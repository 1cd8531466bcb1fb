"""A seeded slice of `benchmarks/calibration.py`: the same numbers each time, and each within what its size allows."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import special, stats

from assay.decision.paired import Paired, paired_difference
from assay.decision.statistics import student_quantile
from benchmarks import decision
from benchmarks.calibration import ALPHA, Design, equivalence, families, inferiority, power, under_the_null
from benchmarks.table import BEGIN, END, statistics_page

EVALUATIONS = 300
# Three Monte Carlo errors of a share of 5 %.
SLACK = 3 * math.sqrt(ALPHA * (1 - ALPHA) / EVALUATIONS)


@pytest.mark.parametrize(
    "design",
    [
        Design("binary", 2, 200, 0.5),
        Design("binary, few right", 2, 400, 0.02),
        Design("continuous", 2, 60, None),
        Design("clusters", 2, 400, 0.5, clusters=40),
        Design("clusters of unlike size", 2, 400, 0.5, clusters=40, skew=1.0),
    ],
    ids=lambda design: design.name,
)
def test_equal_models_are_seldom_called_better_and_the_interval_holds_the_truth(design: Design) -> None:
    found = under_the_null(design, EVALUATIONS)
    assert found["false_better"]["share"] <= ALPHA + SLACK
    assert found["coverage"]["share"] >= 1 - ALPHA - SLACK


def test_of_ten_equal_models_some_pair_is_seldom_called_different() -> None:
    found = under_the_null(Design("ten", 10, 200, 0.3), 100)
    assert found["false_better"]["share"] <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / 100)


def test_a_detectable_difference_is_found_as_often_as_it_says() -> None:
    for row in power(EVALUATIONS):
        assert row["found"]["share"] == pytest.approx(row["formula"], abs=3 * math.sqrt(0.25 / EVALUATIONS))


def test_models_as_far_apart_as_the_margin_are_seldom_called_equivalent() -> None:
    for row in equivalence(EVALUATIONS):
        assert row["false_equivalent"]["share"] <= ALPHA + SLACK


def test_a_model_that_is_worse_by_the_margin_seldom_passes_as_no_worse() -> None:
    for row in inferiority(EVALUATIONS):
        assert row["false_pass"]["share"] <= ALPHA / 2 + SLACK


def test_to_adjust_for_the_winner_alone_would_not_do() -> None:
    alone, pairs = families(150)
    assert alone["false_better"]["share"] > ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / 150) / 2
    assert pairs["false_better"]["share"] <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / 150)


def test_ignoring_clusters_would_be_caught() -> None:
    design = Design("clusters", 2, 400, 0.5, clusters=20)

    class Blind(Design):
        def drawn(self, generator):  # type: ignore[no-untyped-def]
            return design.drawn(generator)[0], None

    found = under_the_null(Blind("blind", 2, 400, 0.5), EVALUATIONS)
    assert found["false_better"]["share"] > ALPHA + SLACK


@pytest.mark.parametrize(("discordance", "held", "if_three_sufficed"), [(0.0174, 0.990, 0.951), (0.03, 0.970, 0.913)])
def test_where_hardly_a_record_differs_no_interval_can_be_sure_and_as_narrow_as_asked(
    discordance: float, held: float, if_three_sufficed: float
) -> None:
    # Every catalog of 100 records, by how many differ and how many of these the first model has: docs/statistics.md.
    ours = eager = 0.0
    for differing in range(40):
        for up in range(differing + 1):
            chance = float(stats.binom.pmf(differing, 100, discordance) * stats.binom.pmf(up, differing, 0.5))
            low, high = paired(up, differing - up).interval(1 - ALPHA) or (0.0, 0.0)
            holds = low <= 0 <= high
            ours += chance * holds
            eager += chance * (holds and not (differing == 3 and up in (0, 3)))
    assert ours == pytest.approx(held, abs=5e-4)
    assert eager == pytest.approx(if_three_sufficed, abs=5e-4)


def test_students_t_alone_would_be_too_sure_where_few_clusters_differ() -> None:
    clusters, records, shares = 20, 1000, np.array([0.02, 0.005])
    codes = np.arange(records) % clusters
    ours = alone = 0
    for number in range(EVALUATIONS):
        generator = np.random.default_rng([1, number])
        shared = generator.normal(0, np.sqrt(0.3), clusters)[codes]
        theirs = generator.normal(0, np.sqrt(0.2), (2, clusters))[:, codes]
        latent = shared + theirs + generator.normal(0, np.sqrt(0.5), (2, records))
        first, second = (latent < special.ndtri(shares)[:, None]).astype(np.float64)
        found = paired_difference(first, second, binary=True, clusters=codes)
        low, high = found.interval(1 - ALPHA) or (0.0, 0.0)
        ours += low <= 0.015 <= high
        assert found.difference is not None
        assert found.degrees_of_freedom is not None
        reach = student_quantile(found.degrees_of_freedom, 1 - ALPHA) * (found.standard_error or 0.0)
        alone += abs(found.difference - 0.015) <= reach
    assert alone / EVALUATIONS < 1 - ALPHA - 3 * SLACK / 2
    assert ours / EVALUATIONS >= 1 - ALPHA - SLACK


def paired(up: int, down: int) -> Paired:
    """100 binary records, some of which only the first model, or only the second, has right."""
    first, second = np.zeros(100), np.zeros(100)
    first[:up] = 1.0
    second[up : up + down] = 1.0
    return paired_difference(first, second, binary=True)


def test_the_calibration_is_written_between_its_marks_and_nothing_else_is_touched(tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text(
        '{"evaluations": 10, "of_many": 5, "measured_at": "2026-11-24T00:00:00", "machine": {"processor": "x", '
        '"system": "y", "python": "3"}, "null": [{"design": "d", "models": 2, "records": 1000, "clusters": null, '
        '"false_better": {"share": 0.041, "error": 0.002}, "coverage": {"share": 0.95, "error": 0.002}}], "power": [], '
        '"equivalence": [], "inferiority": [], "families": []}'
    )
    page = statistics_page(f"before\n{BEGIN}yesterday\n{END}after\n", tmp_path)
    assert page.startswith(f"before\n{BEGIN}")
    assert page.endswith(f"{END}after\n")
    assert "yesterday" not in page
    assert "| d | 2 | 1,000 | none | 4.1 % (± 0.2) | 95.0 % (± 0.2) |" in page
    assert statistics_page(page, tmp_path) == page
    assert statistics_page("as it is", tmp_path / "none") == "as it is"


def test_the_decision_that_is_timed_is_a_whole_one(tmp_path: Path) -> None:
    decision.write(tmp_path, models=3, records=300)
    for clustered in (False, True):
        found = decision.decide(tmp_path, models=3, draws=20, clustered=clustered)
        assert found["pairs"] == 3 * len(decision.SCORES)
        assert found["peak_mb"] > 0
