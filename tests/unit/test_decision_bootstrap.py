from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from assay.decision import bootstrap
from assay.decision.bootstrap import bootstrap_means, percentile_interval, probability_best
from assay.decision.paired import paired_difference

NAN = math.nan


def test_its_error_and_interval_are_those_of_scipy() -> None:
    values = np.random.default_rng(1).exponential(0.2, 80)
    drawn = bootstrap_means(values[None, :], draws=20_000)[:, 0]
    expected = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=2)
    assert drawn.mean() == pytest.approx(values.mean(), abs=1e-3)
    assert drawn.std() == pytest.approx(expected.standard_error, rel=0.03)
    interval = expected.confidence_interval
    assert percentile_interval(drawn, 0.95) == pytest.approx((interval.low, interval.high), abs=2e-3)


def test_every_model_is_seen_on_the_same_draws() -> None:
    hard = np.random.default_rng(3).normal(0.5, 0.3, 200)
    drawn = bootstrap_means(np.stack([hard, hard + 0.01]), draws=500)
    assert drawn[:, 1] - drawn[:, 0] == pytest.approx(np.full(500, 0.01))
    assert drawn.std(axis=0).min() > 0.01


def test_whole_clusters_are_drawn() -> None:
    rng = np.random.default_rng(4)
    shared, codes = np.repeat(rng.normal(0, 1, 60), 10), np.repeat(rng.permutation(60), 10)
    paired = paired_difference(shared, np.zeros(600), clusters=codes)
    drawn = bootstrap_means(shared[None, :], clusters=codes, draws=8000)[:, 0]
    naive = bootstrap_means(shared[None, :], draws=8000)[:, 0]
    assert drawn.std() == pytest.approx(paired.standard_error, rel=0.05)
    assert naive.std() < drawn.std() / 2.5


def test_a_mean_is_over_the_drawn_records_that_have_the_score() -> None:
    values = np.array([[1.0, NAN, 1.0, 1.0], [0.5, 0.5, 0.5, 0.5], [NAN, 2.0, NAN, NAN]])
    drawn = bootstrap_means(values, draws=300)
    assert set(drawn[:, 0][~np.isnan(drawn[:, 0])]) == {1.0}
    assert drawn[:, 1] == pytest.approx(np.full(300, 0.5))
    none = np.isnan(drawn[:, 2])
    assert 0.2 < none.mean() < 0.45
    assert set(drawn[:, 2][~none]) == {2.0}


def test_the_same_seed_gives_the_same_draws_however_they_are_cut_into_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(5).uniform(0, 1, (3, 50))
    whole = bootstrap_means(values, draws=64)
    monkeypatch.setattr(bootstrap, "_BLOCK_BYTES", 8 * 50 * 7)
    assert bootstrap_means(values, draws=64) == pytest.approx(whole, abs=1e-14)
    assert not np.allclose(bootstrap_means(values, draws=64, seed=1), whole)


@pytest.mark.parametrize("clustered", [False, True])
def test_a_great_many_records_are_drawn_in_groups_with_the_same_error(
    monkeypatch: pytest.MonkeyPatch, clustered: bool
) -> None:
    rng = np.random.default_rng(6)
    codes = np.repeat(rng.permutation(3000), 2) if clustered else None
    values = rng.exponential(1.0, 6000) if codes is None else rng.exponential(1.0, 3000)[codes]
    paired = paired_difference(values, np.zeros(6000), clusters=codes)
    monkeypatch.setattr(bootstrap, "_MOST_UNITS", 1000)
    drawn = bootstrap_means(np.stack([values, values + 1]), clusters=codes, draws=4000)
    assert drawn[:, 0].mean() == pytest.approx(values.mean(), abs=0.005)
    assert drawn[:, 0].std() == pytest.approx(paired.standard_error, rel=0.08)
    assert drawn[:, 1] - drawn[:, 0] == pytest.approx(np.ones(4000))


def test_draws_in_which_several_models_are_best_are_shared_out() -> None:
    gains = np.array([[1.0, 1.0, 0.0], [1.0, 0.5, NAN], [0.2, 0.2 + 1e-15, 0.2], [0.0, 0.0, 1.0]])
    assert probability_best(gains) == pytest.approx([(0.5 + 1 + 1 / 3) / 4, (0.5 + 1 / 3) / 4, (1 / 3 + 1) / 4])


def test_draws_without_a_difference_have_no_interval() -> None:
    assert percentile_interval(np.array([NAN, NAN]), 0.95) is None
