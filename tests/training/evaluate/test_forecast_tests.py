from __future__ import annotations

import numpy as np
import pytest
from arch.bootstrap import MCS
from scipy.signal import lfilter
from statsmodels.tsa.stattools import diebold_mariano_test

from features.panel import DataError
from training.evaluate.forecast_tests import compared, confidence_set, diebold_mariano, eliminate, resampled
from training.evaluate.volatility import ahead, qlike


def losses(n, models, seed, spread=0.3, bias=()):
    """Squared errors of models that miss one target by noise of their own, and by a bias."""
    rng = np.random.default_rng(seed)
    target = rng.standard_normal((n, 1))
    noise = rng.standard_normal((n, models)) * spread + np.array(bias or (0.0,) * models)
    return (target + noise) ** 2


def overlapping(seed, n, horizon, runs):
    """QLIKE of two equally good forecasts of a variance over `horizon` sessions, whose errors last: runs pairs (n,)."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(runs):
        proxy = ahead(rng.standard_normal(n + horizon) ** 2, horizon)[:n]
        noise = lfilter([1], [1, -0.9], rng.standard_normal((2, n)) * 0.2 * np.sqrt(1 - 0.81), axis=1)
        made.append(qlike(horizon * np.exp(noise), proxy))
    return made


# Diebold and Mariano


def test_one_step_losses_are_tested_as_statsmodels_does():
    loss = losses(300, 2, 1)
    found = diebold_mariano(loss[:, 0], loss[:, 1], 1)
    by = diebold_mariano_test(
        np.zeros(300),
        loss[:, 0],
        loss[:, 1],
        lags=0,
        criterion=lambda y, f: f,
        harvey_adj=True,
        horizon=1,
    )
    assert found.statistic == pytest.approx(by.statistic, rel=1e-12)
    assert found.p == pytest.approx(by.pvalue, rel=1e-12)


def test_overlapping_losses_are_tested_as_the_papers_formula_says():
    first, second = overlapping(2, 400, 5, 1)[0]
    d = (first - second)[np.isfinite(first)]
    n, h = len(d), 5
    centred = d - d.mean()
    gamma = [sum(centred[t] * centred[t - k] for t in range(k, n)) / n for k in range(h)]
    plain = d.mean() / np.sqrt((gamma[0] + 2 * sum(gamma[1:])) / n)
    found = diebold_mariano(first, second, h)
    assert found.statistic == pytest.approx(plain * np.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n), rel=1e-10)
    assert found.n == n
    assert found.difference == pytest.approx(d.mean())


def test_the_test_turns_with_its_sides():
    loss = losses(200, 2, 3, bias=(0.0, 0.8))
    one, other = diebold_mariano(loss[:, 0], loss[:, 1], 1), diebold_mariano(loss[:, 1], loss[:, 0], 1)
    assert one.statistic == pytest.approx(-other.statistic)
    assert one.statistic < 0
    assert one.p == other.p < 0.01


@pytest.mark.parametrize(("horizon", "n"), [(1, 500), (5, 1000)])
def test_equal_forecasts_are_seldom_told_apart(horizon, n):
    found = [diebold_mariano(*pair, horizon) for pair in overlapping(4, n, horizon, 400)]
    # 400 draws of a share of .05 lie within .03 of it but for one case in two hundred.
    assert np.mean([one.p < 0.05 for one in found]) == pytest.approx(0.055, abs=0.03)
    assert np.mean([one.fixed_b < 0.05 for one in found]) == pytest.approx(0.055, abs=0.03)


def test_a_worse_forecast_is_found_out():
    rng = np.random.default_rng(5)
    proxy = rng.standard_normal(1000) ** 2
    worse, better = qlike(np.full(1000, 1.6), proxy), qlike(np.ones(1000), proxy)
    found = diebold_mariano(worse, better, 1)
    assert found.statistic > 3
    assert found.p < 0.01
    assert found.fixed_b < 0.01


def test_weights_that_give_no_positive_variance_are_replaced_and_said():
    wave = np.tile([1.0, -1.0], 30) + np.random.default_rng(1).standard_normal(60) * 0.01 + 0.05
    found = diebold_mariano(wave, np.zeros(60), 2)
    assert "Bartlett" in found.reason
    assert np.isfinite(found.p)


def test_rows_that_lack_a_loss_are_left_out():
    loss = losses(100, 2, 6)
    gaps = loss.copy()
    gaps[[3, 50], [0, 1]] = np.nan
    kept = np.isfinite(gaps).all(axis=1)
    found = diebold_mariano(gaps[:, 0], gaps[:, 1], 1)
    assert found == diebold_mariano(loss[kept, 0], loss[kept, 1], 1)
    assert found.n == 98


def test_too_few_forecasts_and_models_that_are_one_have_a_reason():
    loss = losses(100, 2, 7)
    assert "fewer than 30" in diebold_mariano(loss[:29, 0], loss[:29, 1], 1).reason
    same = diebold_mariano(loss[:, 0], loss[:, 0] + 1e-17, 1)
    assert same.reason == "the two never differ"
    assert np.isnan(same.p)
    assert np.isnan(diebold_mariano(loss[:40, 0], loss[:40, 1], 60).p)


def test_losses_that_do_not_match_are_refused():
    with pytest.raises(DataError, match="a loss per row"):
        diebold_mariano(np.ones(40), np.ones(41), 1)


# The model confidence set


@pytest.mark.parametrize("seed", range(4))
def test_elimination_gives_the_p_values_of_arch_on_the_same_resamples(seed):
    loss = losses(250, 5, seed, bias=(0.0, 0.0, 0.2, 0.4, 0.6))
    by = MCS(loss, 0.1, reps=300, block_size=10, method="R", seed=seed)
    by.compute()
    times = np.array([np.bincount(rows, minlength=250) for rows in by._bootstrap_indices], np.float64)
    expected = by.pvalues["Pvalue"].sort_index().to_numpy()
    np.testing.assert_allclose(eliminate(loss, times), expected, atol=1e-12)


def test_the_set_by_our_resamples_is_near_the_one_by_arch():
    loss = losses(500, 4, 9, bias=(0.0, 0.1, 0.3, 0.9))
    found = confidence_set(loss, reps=2000, seed=1)
    by = MCS(loss, 0.1, reps=2000, block_size=10, method="R", seed=1)
    by.compute()
    np.testing.assert_allclose(found.p, by.pvalues["Pvalue"].sort_index().to_numpy(), atol=0.04)
    assert np.flatnonzero(found.included).tolist() == by.included
    assert not found.included[3]


def test_two_models_with_the_same_losses_tie():
    loss = losses(200, 3, 2, bias=(0.0, 0.0, 1.5))
    loss[:, 1] = loss[:, 0]
    found = confidence_set(loss, seed=1)
    assert found.included.tolist() == [True, True, False]
    both = confidence_set(np.column_stack([loss, loss[:, 2]]), seed=1)
    assert both.included.tolist() == [True, True, False, False]


def test_equal_models_all_stay_in_nine_of_ten_samples():
    kept = [confidence_set(losses(300, 3, seed), reps=300, seed=seed).included.all() for seed in range(200)]
    assert np.mean(kept) == pytest.approx(0.9, abs=0.06)


def test_the_same_seed_gives_the_same_set():
    loss = losses(200, 3, 4)
    one, other = confidence_set(loss, seed=5), confidence_set(loss, seed=5)
    np.testing.assert_array_equal(one.p, other.p)
    assert (one.p != confidence_set(loss, seed=6).p).any()


def test_resamples_hold_as_many_rows_as_there_are_in_blocks():
    times = resampled(1000, 10, 300, 1)
    assert times.shape == (300, 1000)
    assert (times.sum(axis=1) == 1000).all()
    # Neighbours are drawn together in blocks of ten on average: 9 of 10 times.
    centred = times - 1
    assert (centred[:, 1:] * centred[:, :-1]).mean() / centred.var() == pytest.approx(0.9, abs=0.02)


def test_a_model_that_lacks_forecasts_is_not_compared():
    loss = losses(200, 3, 8)
    loss[:100, 2] = np.nan
    loss[7, 0] = np.nan
    rows, models = compared(loss, 60)
    assert models.tolist() == [True, True, False]
    assert rows.sum() == 199
    found = confidence_set(loss, seed=1)
    assert np.isnan(found.p[2])
    assert not found.included[2]
    assert found.n == 199


def test_models_that_have_no_forecasts_in_common_leave_the_fullest():
    loss = losses(100, 2, 8)
    loss[:48, 0], loss[51:, 1] = np.nan, np.nan
    rows, models = compared(loss, 30)
    assert models.tolist() == [True, False]
    assert rows.sum() == 52


def test_nothing_is_compared_where_there_are_too_few():
    found = confidence_set(losses(29, 3, 1), seed=1)
    assert not found.included.any()
    assert np.isnan(found.p).all()
    assert found.n == 0


def test_a_lone_model_is_its_set():
    found = confidence_set(losses(50, 1, 1), seed=1)
    assert found.included.tolist() == [True]


def test_settings_that_make_no_set_are_refused():
    with pytest.raises(DataError, match="size in"):
        confidence_set(losses(50, 2, 1), size=0.0, seed=1)
