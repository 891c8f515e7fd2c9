"""What the tests found arrives in the rows of the report unchanged."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests.training.evaluate.volatility_world import forecasts, proxies, simulate
from training.evaluate.residual_tests import nyblom, residual_tests
from training.evaluate.var_tests import backtest
from training.evaluate.volatility import leaderboard
from training.evaluate.volatility_rows import backtest_of, residuals_of, scores_of


def test_a_leaderboard_becomes_scores():
    returns, h, x = simulate(600, 0)
    variance = forecasts(returns, h, False)
    table = np.column_stack([values[:, 0] for values in variance.values()])
    proxy = proxies(x)[:, 0]
    board = leaderboard(table, proxy, 1, list(variance), reps=200, seed=1)
    late = leaderboard(table[480:], proxy[480:], 1, list(variance), reps=200, seed=1)
    found = {score.model: score for score in scores_of(board, late)}
    loss = {m: proxy / v[:, 0] - np.log(proxy / v[:, 0]) - 1 for m, v in variance.items()}
    truth = found["garch_n"]
    assert truth.n == 599
    assert truth.qlike == pytest.approx(np.nanmean(loss["garch_n"]))
    assert truth.ratio == pytest.approx(np.nanmean(loss["garch_n"]) / np.nanmean(loss["ewma"]))
    held = np.nanmean(loss["garch_n"][480:]) / np.nanmean(loss["ewma"][480:])
    assert truth.holdout == pytest.approx(held)
    assert truth.dm_t < 0
    assert truth.in_set is True
    assert truth.mz_b == pytest.approx(1.0, abs=0.2)
    assert (found["ewma"].ratio, found["noisy"].in_set) == (1.0, False)
    assert np.isnan([found["ewma"].dm_t, found["ewma"].better]).all()
    assert np.isnan(scores_of(board)[0].holdout)


def test_a_backtest_keeps_its_counts_and_takes_exact_p_values():
    rng = np.random.default_rng(0)
    returns, var = 0.01 * rng.normal(size=500), np.full(500, 0.01 * 1.6449)
    found = backtest(returns, var, 1.25 * var, 0.95, seed=1)
    row = backtest_of("gjr_t", found)
    hits = int((returns < -var).sum())
    assert (row.model, row.level, row.n, row.breaches, row.expected) == ("gjr_t", 0.95, 500, hits, pytest.approx(25))
    assert row.kupiec_p == found.coverage.exact != found.coverage.p
    assert row.verdict == found.verdict
    assert row.z2 == found.z2


def test_residual_tests_become_a_row():
    z = np.random.default_rng(3).normal(size=400)
    tests = residual_tests(z, cdf=stats.norm.cdf)
    row = residuals_of("garch_n", tests)
    assert (row.n, row.ljung_box_p, row.sign_bias_p) == (400, tests.level.p, tests.sign.joint.p)
    assert row.uniform_p == (tests.uniform.p if np.isnan(tests.uniform.exact) else tests.uniform.exact)
    assert np.isnan(row.nyblom_p)
    assert np.isnan(residuals_of("garch_n", residual_tests(z)).uniform_p)
    scores = z[:, None] - z.mean()
    stable = nyblom(scores)
    assert residuals_of("garch_n", tests, stable).nyblom_p == stable.joint.p
