from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.regression.linear_model import OLS, WLS

from features.panel import DataError
from training.evaluate.significance import overlap_lag
from training.evaluate.volatility import (
    ahead,
    leaderboard,
    mincer_zarnowitz,
    qlike,
    range_proxy,
    range_proxy_as_known,
    squared_error,
)


def garch(n, seed, omega=2e-6, alpha=0.08, beta=0.9):
    """Returns of a GARCH process, and the variance of each given those before it."""
    rng = np.random.default_rng(seed)
    h, r = np.empty(n), np.empty(n)
    h[0] = omega / (1 - alpha - beta)
    for t in range(n):
        r[t] = math.sqrt(h[t]) * rng.standard_normal()
        if t + 1 < n:
            h[t + 1] = omega + alpha * r[t] ** 2 + beta * h[t]
    return r, h


def forecasts(n=1500, seed=1):
    """Of one session ahead: the truth, one half too high, a flat one; and the proxies."""
    r, h = garch(n, seed)
    true = np.append(h[1:], np.nan)
    table = np.column_stack([true, 1.5 * true, np.full(n, h.mean())])
    return table, ahead(r**2, 1)


# Losses and proxies


def test_losses_are_least_for_the_truth_though_the_proxy_is_noisy():
    rng = np.random.default_rng(0)
    proxy = 1e-4 * rng.chisquare(1, 200_000)
    grid = 1e-4 * np.array([0.6, 0.8, 1.0, 1.25, 1.6])
    for loss in (qlike, squared_error):
        assert np.argmin([loss(f, proxy).mean() for f in grid]) == 2


def test_qlike_is_nought_for_a_forecast_that_comes_true_and_does_not_know_its_unit():
    f, p = np.array([1e-4, 2e-4, 3e-5]), np.array([1e-4, 1e-5, 9e-4])
    assert qlike(f, p)[0] == 0
    assert (qlike(f, p)[1:] > 0).all()
    np.testing.assert_allclose(qlike(1e4 * f, 1e4 * p), qlike(f, p), rtol=1e-12)


def test_a_session_without_a_move_has_no_qlike_and_a_squared_error():
    f = np.array([1e-4, 1e-4, np.nan])
    p = np.array([0.0, np.nan, 1e-4])
    assert np.isnan(qlike(f, p)).all()
    assert squared_error(f, p)[0] == pytest.approx(1e-8)


@pytest.mark.parametrize("forecast", [0.0, -1e-4, np.inf])
def test_a_forecast_that_is_no_variance_is_refused(forecast):
    with pytest.raises(DataError, match="element 1"):
        qlike(np.array([1e-4, forecast]), np.array([1e-4, 1e-4]))


def test_a_proxy_below_nought_is_refused():
    with pytest.raises(DataError, match="not negative"):
        squared_error(np.array([1e-4]), np.array([-1e-9]))


@pytest.mark.parametrize("horizon", [1, 2, 5])
def test_a_proxy_sums_the_sessions_after_the_row(horizon):
    x = np.arange(1.0, 13.0)
    x[7] = np.nan
    found = ahead(x, horizon)
    for t in range(12):
        later = x[t + 1 : t + 1 + horizon]
        expected = later.sum() if len(later) == horizon else np.nan
        np.testing.assert_equal(found[t], expected)


def test_a_horizon_longer_than_the_sample_has_no_proxy():
    assert np.isnan(ahead(np.ones(5), 5)).all()
    assert ahead(np.ones(5), 4).tolist()[0] == 4
    assert np.isnan(ahead(np.ones(5), 60)).all()


def test_the_range_is_scaled_to_the_mean_of_squared_returns():
    rng = np.random.default_rng(1)
    r, x = rng.standard_normal(300) * 0.01, rng.chisquare(5, 300) * 7e-6
    r[5], x[9] = np.nan, np.nan
    scaled, scale = range_proxy(x, r)
    both = np.isfinite(x) & np.isfinite(r)
    assert scaled[both].mean() == pytest.approx((r[both] ** 2).mean(), rel=1e-12)
    np.testing.assert_allclose(scaled, x * scale)


def test_the_scale_as_known_sees_no_later_session():
    rng = np.random.default_rng(2)
    r, x = rng.standard_normal(300) * 0.01, rng.chisquare(5, 300) * 7e-6
    r[70] = np.nan
    whole = range_proxy_as_known(x, r)
    for end in (60, 61, 150, 300):
        np.testing.assert_array_equal(range_proxy_as_known(x[:end], r[:end]), whole[:end])
        assert whole[end - 1] == pytest.approx(range_proxy(x[:end], r[:end])[0][-1], rel=1e-12)
    assert np.isnan(whole[:59]).all()
    assert np.isfinite(whole[59:]).all()


def test_a_range_that_never_moves_gives_no_scale():
    with pytest.raises(DataError, match="must have a range"):
        range_proxy(np.zeros(50), np.ones(50))
    assert np.isnan(range_proxy_as_known(np.zeros(100), np.ones(100))).all()


# Mincer and Zarnowitz


def test_the_regression_is_that_of_statsmodels():
    table, proxy = forecasts()
    kept = np.isfinite(proxy)
    f, p = table[kept, 0], proxy[kept]
    by = OLS(p * 1e4, np.column_stack([np.ones(len(f)), f * 1e4])).fit(
        cov_type="HAC", cov_kwds={"maxlags": overlap_lag(1, len(f)), "use_correction": True}, use_t=True
    )
    found = mincer_zarnowitz(table[:, 0], proxy, 1)
    assert found.intercept == pytest.approx(by.params[0] / 1e4, rel=1e-8)
    assert found.slope == pytest.approx(by.params[1], rel=1e-8)
    assert found.intercept_se == pytest.approx(by.bse[0] / 1e4, rel=1e-8)
    assert found.slope_se == pytest.approx(by.bse[1], rel=1e-8)
    away, cov = by.params - [0, 1], by.cov_params()
    assert found.unbiased.statistic == pytest.approx(away @ np.linalg.solve(cov, away) / 2, rel=1e-6)
    assert found.unbiased.n == kept.sum()


def test_the_truth_passes_and_a_forecast_half_too_high_does_not():
    passed = []
    for seed in range(40):
        table, proxy = forecasts(1000, seed)
        passed.append(mincer_zarnowitz(table[:, 0], proxy, 1).unbiased.p > 0.05)
        assert mincer_zarnowitz(table[:, 1], proxy, 1).unbiased.p < 0.05
    assert np.mean(passed) > 0.8
    many = [forecasts(1500, seed) for seed in range(20)]
    high, proxy = np.concatenate([table[:, 1] for table, _ in many]), np.concatenate([one for _, one in many])
    assert mincer_zarnowitz(high, proxy, 1).slope == pytest.approx(2 / 3, abs=0.06)


def test_the_regression_does_not_know_the_unit_of_the_returns():
    table, proxy = forecasts()
    one, other = mincer_zarnowitz(table[:, 0], proxy, 1), mincer_zarnowitz(1e4 * table[:, 0], 1e4 * proxy, 1)
    assert other.intercept == pytest.approx(1e4 * one.intercept, rel=1e-8)
    assert other.slope == pytest.approx(one.slope, rel=1e-8)
    assert other.unbiased.p == pytest.approx(one.unbiased.p, rel=1e-6)


def test_the_weighted_regression_is_weighted_least_squares():
    table, proxy = forecasts()
    f, p = table[:-1, 0] * 1e4, proxy[:-1] * 1e4
    by = WLS(p, np.column_stack([np.ones(len(f)), f]), weights=f**-2).fit(
        cov_type="HAC", cov_kwds={"maxlags": overlap_lag(1, len(f)), "use_correction": True}, use_t=True
    )
    away = by.params - [0, 1]
    found = mincer_zarnowitz(table[:, 0], proxy, 1)
    assert found.weighted.statistic == pytest.approx(away @ np.linalg.solve(by.cov_params(), away) / 2, rel=1e-6)


def test_the_level_of_the_truth_is_told_right_where_the_plain_line_is_not():
    plain, level = [], []
    for seed in range(100):
        r, h = garch(600, seed)
        true, proxy = np.append(h[1:], np.nan), ahead(r**2, 1)
        found = mincer_zarnowitz(true, proxy, 1)
        plain.append(found.unbiased.rejects())
        level.append(found.level_right.rejects())
        assert mincer_zarnowitz(1.5 * true, proxy, 1).level == pytest.approx(found.level / 1.5)
    assert np.mean(level) < 0.12
    assert np.mean(plain) > np.mean(level)
    assert mincer_zarnowitz(1.5 * true, proxy, 1).level_right.rejects(0.01)


def test_a_flat_forecast_and_a_short_one_have_a_reason():
    table, proxy = forecasts()
    flat = mincer_zarnowitz(table[:, 2], proxy, 1)
    assert flat.level == pytest.approx(np.nanmean(proxy) / table[0, 2])
    assert flat.level_right.n == 1499
    assert mincer_zarnowitz(table[:, 2], proxy, 1).unbiased.reason == "the forecast never varies"
    short = mincer_zarnowitz(table[:29, 0], proxy[:29], 1)
    assert "fewer than 30" in short.unbiased.reason
    assert math.isnan(short.slope)
    assert "fewer than 180" in mincer_zarnowitz(table[:150, 0], proxy[:150], 60).unbiased.reason


# The leaderboard


def test_the_leaderboard_puts_the_truth_first():
    table, proxy = forecasts(3000)
    board = leaderboard(table, proxy, 1, ("true", "high", "flat"), base="flat", seed=1)
    assert board.best == "true"
    assert board.included == ("true",)
    first = board.rows[0]
    assert first.ratio < 1
    assert first.better > 0.5
    assert first.against is not None
    assert first.against.p < 0.05
    assert first.loss == pytest.approx(np.nanmean(qlike(table[:, 0], proxy)), rel=1e-12)
    base = next(row for row in board.rows if row.model == "flat")
    assert base.against is None
    assert (base.ratio, base.mse_ratio, base.better) == (1.0, 1.0, 0.0)
    assert [row.ratio for row in board.rows] == sorted(row.ratio for row in board.rows)


def test_the_base_may_win():
    table, proxy = forecasts(3000)
    board = leaderboard(table, proxy, 1, ("ewma", "high", "flat"), seed=1)
    assert board.best == "ewma"
    assert all(row.ratio >= 1 for row in board.rows)


def test_a_model_is_compared_with_the_base_on_the_sessions_they_share():
    table, proxy = forecasts(600)
    table[:300, 1] = np.nan
    board = leaderboard(table, proxy, 1, ("ewma", "late", "flat"), seed=1)
    late = next(row for row in board.rows if row.model == "late")
    assert late.n == 299
    assert late.base_loss == pytest.approx(np.nanmean(qlike(table[300:, 0], proxy[300:])), rel=1e-12)
    assert not late.included
    assert math.isnan(late.set_p)
    assert board.n == 599


def test_sessions_without_a_move_are_counted():
    table, proxy = forecasts(600)
    proxy[[5, 9]] = 0.0
    board = leaderboard(table, proxy, 1, ("ewma", "high", "flat"), seed=1)
    assert board.zeros == 2
    assert board.n == 597


def test_a_leaderboard_of_nothing_has_no_best():
    board = leaderboard(np.full((50, 2), np.nan), np.full(50, np.nan), 1, ("ewma", "x"), seed=1)
    assert board.best is None
    assert board.included == ()
    assert board.n == 0


def test_a_base_that_is_no_model_is_refused():
    with pytest.raises(DataError, match="the base must be a model"):
        leaderboard(np.ones((50, 1)), np.ones(50), 1, ("x",), seed=1)
