"""Operators of the stock library against plain loops, worked numbers, and what simulated markets hide."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from features.operators import (
    abdi_ranaldo,
    ts_beta_down,
    ts_coskew,
    ts_idio_skew,
    ts_mean_of_top,
    ts_slope_of_sum,
)
from features.panel import Float64Array


def column(*values: float) -> Float64Array:
    return np.array(values, dtype=float)[:, None]


def hard_pair(t: int = 400, seed: int = 0) -> tuple[Float64Array, Float64Array]:
    """Pairs with holes, infinities, spikes, steady stretches, a far level, and a nearly exact line."""
    rng = np.random.default_rng(seed)
    x = rng.standard_t(4, (t, 6))
    y = 0.8 * x + rng.standard_t(4, (t, 6))
    y[:, 1] += 1e9
    x[150:220, 2] = 0.25
    y[50, 3], x[90, 3] = 1e6, -1e5
    y[:, 4] = 2.0 * x[:, 4] + 1e-7 * rng.standard_normal(t)
    y[rng.random(y.shape) < 0.1] = np.nan
    x[rng.random(x.shape) < 0.05] = np.inf
    y[:100, 5] = np.nan
    return y, x


def window(y: Float64Array, x: Float64Array, t: int, j: int, n: int) -> tuple[Float64Array, Float64Array]:
    part = slice(max(t - n + 1, 0), t + 1)
    both = np.isfinite(y[part, j]) & np.isfinite(x[part, j])
    return y[part, j][both], x[part, j][both]


def residuals(y: Float64Array, x: Float64Array) -> tuple[Float64Array, Float64Array]:
    dx, dy = x - x.mean(), y - y.mean()
    return dy - (dx @ dy) / (dx @ dx) * dx, dx


@pytest.mark.parametrize("n", [20, 60])
@pytest.mark.parametrize("what", [ts_idio_skew, ts_coskew])
def test_shapes_of_residuals_are_those_of_every_window(what, n):
    y, x = hard_pair()
    got = what(y, x, n)
    checked = 0
    for j in range(y.shape[1]):
        for t in range(0, len(y), 3):
            v, u = window(y, x, t, j, n)
            if len(v) < math.ceil(0.6 * n) or np.ptp(u) == 0:
                assert np.isnan(got[t, j])
                continue
            e, dx = residuals(v, u)
            skew = float(pd.Series(e).skew())
            coskew = (e * dx**2).mean() / (e.std() * dx.var())
            # Residuals of a nearly exact line, or of a level of 1e9, are known to so many digits only.
            digits = 1e-6 if j in (1, 4) else 1e-9
            assert got[t, j] == pytest.approx(skew if what is ts_idio_skew else coskew, rel=digits, abs=digits)
            checked += 1
    assert checked > 400


def test_an_exact_line_has_no_residuals_to_speak_of():
    x = np.random.default_rng(0).standard_normal((60, 2))
    assert np.isnan(ts_idio_skew(3.0 * x + 1.0, x, 20)).all()
    assert np.isnan(ts_coskew(3.0 * x + 1.0, x, 20)).all()


def test_skewed_residuals_are_recovered_whatever_the_market_does():
    rng = np.random.default_rng(1)
    market = -rng.exponential(0.01, (6000, 1))
    # The third central moment of a Gamma of shape 4 is 2 / sqrt(4) = 1 in units of its own deviation.
    own = rng.gamma(4.0, 0.01, (6000, 2)) * np.array([1.0, -1.0])
    got = ts_idio_skew(1.3 * market + own, market, 5000)[-1]
    np.testing.assert_allclose(got, [1.0, -1.0], atol=0.12)


def test_a_stock_that_falls_when_the_market_moves_either_way_has_negative_coskewness():
    rng = np.random.default_rng(2)
    market = 0.01 * rng.standard_normal((6000, 1))
    bent = market - 20.0 * market**2 + 0.01 * rng.standard_normal((6000, 1))
    e, dx = residuals(bent[-5000:, 0], market[-5000:, 0])
    got = ts_coskew(np.hstack([bent, market + 0.01 * rng.standard_normal((6000, 1))]), market, 5000)[-1]
    # E[e m^2] = -20 (E m^4 - (E m^2)^2) = -40 s^4 for a normal market of deviation s.
    assert got[0] == pytest.approx(-40 * 0.01**2 / e.std(), rel=0.1)
    assert got[1] == pytest.approx(0.0, abs=0.06)
    assert dx.std() == pytest.approx(0.01, rel=0.05)


def test_the_beta_of_falling_markets_sees_them_alone():
    rng = np.random.default_rng(3)
    market = rng.standard_normal((200, 1))
    stock = np.where(market < 0, 2.0 * market, 0.5 * market)
    np.testing.assert_allclose(ts_beta_down(stock, market, 60)[60:], 2.0, rtol=1e-12)
    rising = np.abs(market)
    assert np.isnan(ts_beta_down(stock, rising, 60)).all()


def test_the_beta_of_falling_markets_needs_thirty_percent_of_the_window():
    market = np.where(np.arange(100) % 10 < 3, -1.0 - np.arange(100) % 7, 1.0)[:, None]
    assert np.isfinite(ts_beta_down(market, market, 10)[20:]).all()
    market[np.arange(100) % 10 == 0] = 1.0
    assert np.isnan(ts_beta_down(market, market, 10)).all()


@pytest.mark.parametrize(("n", "share"), [(20, 0.25), (20, 0.2), (7, 0.5), (5, 0.01), (40, 1.0)])
def test_the_mean_of_the_top_is_that_of_sorted_windows(n, share):
    rng = np.random.default_rng(4)
    x, by = rng.standard_normal((150, 5)), np.round(rng.standard_normal((150, 5)), 1)
    x[rng.random(x.shape) < 0.1] = np.nan
    by[rng.random(x.shape) < 0.1] = -np.inf
    got = ts_mean_of_top(x, by, n, share)
    for j in range(5):
        for t in range(150):
            v, k = window(x, by, t, j, n)
            if len(v) < math.ceil(0.6 * n):
                assert np.isnan(got[t, j])
                continue
            # From the newest back, so that a stable sort leaves the newest of equals in front.
            order = np.argsort(-k[::-1], kind="stable")[: max(math.floor(share * len(v) + 0.5), 1)]
            assert got[t, j] == pytest.approx(v[::-1][order].mean(), rel=1e-12, abs=1e-14)


def test_of_twenty_sessions_the_top_quarter_are_five():
    x = np.arange(20.0)[:, None]
    assert ts_mean_of_top(x, x, 20, 0.25)[-1].item() == np.mean([15, 16, 17, 18, 19])
    assert ts_mean_of_top(x, -x, 20, 0.25)[-1].item() == np.mean([0, 1, 2, 3, 4])
    assert ts_mean_of_top(x, np.zeros_like(x), 20, 0.25)[-1].item() == np.mean([15, 16, 17, 18, 19])


@pytest.mark.parametrize("share", [0.0, 1.1, -0.2])
def test_a_share_of_none_or_of_more_than_all_is_refused(share):
    with pytest.raises(ValueError, match="share"):
        ts_mean_of_top(np.ones((3, 1)), np.ones((3, 1)), 2, share)


@pytest.mark.parametrize("n", [2, 5, 20, 60])
def test_the_slope_of_a_running_sum_is_that_of_the_line_through_it(n):
    rng = np.random.default_rng(5)
    x = rng.standard_normal((150, 4)) * np.array([1.0, 1e9, 1.0, 1.0])
    x[:, 2] += 1e6
    x[40, 3] = 1e8
    x[rng.random(x.shape) < 0.1] = np.nan
    got = ts_slope_of_sum(x, n)
    for j in range(4):
        for t in range(150):
            part = x[max(t - n + 1, 0) : t + 1, j]
            part = np.concatenate([np.full(n - len(part), np.nan), part])
            if np.isfinite(part).sum() < math.ceil(0.6 * n):
                assert np.isnan(got[t, j])
                continue
            total = np.cumsum(np.nan_to_num(part))
            slope = np.polyfit(np.arange(n), total - total.mean(), 1)[0]
            assert got[t, j] == pytest.approx(slope, rel=1e-9, abs=1e-9 * np.abs(total).max())


def test_a_steady_flow_rises_by_itself_every_session():
    np.testing.assert_allclose(ts_slope_of_sum(np.full((30, 1), 3.0), 10)[9:], 3.0, rtol=1e-13)
    assert np.isnan(ts_slope_of_sum(np.ones((5, 1)), 1)).all()


def test_the_spread_of_two_days_by_hand():
    high, low = column(10.42, 10.45), column(10.05, 10.12)
    close, prev = column(10.10, 10.18), column(10.05, 10.10)
    # ln 10.10 = 2.312535 lies .013115 and .018023 below the middles 2.325650 and 2.330558 of the log ranges.
    got = abdi_ranaldo(high, low, close, prev)
    assert np.isnan(got[0]).all()
    assert got[1].item() == pytest.approx(math.sqrt(4 * 0.013115 * 0.018023), rel=1e-4)


def test_a_close_between_the_middles_of_both_days_shows_no_spread():
    got = abdi_ranaldo(column(10.4, 10.8), column(10.0, 10.4), column(10.4, 10.6), column(10.0, 10.4))
    assert got[1].item() == 0.0


def test_the_spread_does_not_see_a_split_and_says_nothing_of_days_of_one_price():
    high, low = column(10.42, 10.45, 10.2), column(10.05, 10.12, 10.2)
    close, prev = column(10.10, 10.18, 10.2), column(10.05, 10.10, 10.18)
    half = column(1.0, 0.5, 0.5)
    plain = abdi_ranaldo(high, low, close, prev)
    np.testing.assert_allclose(abdi_ranaldo(high * half, low * half, close * half, prev * half), plain)
    assert np.isnan(plain[2]).all()


def test_a_bounce_between_bid_and_ask_is_found_by_closes_and_middles():
    rng, spread, days = np.random.default_rng(6), 0.02, 4000
    mid = np.exp(np.cumsum(rng.standard_normal(days * 200) * 0.005 / np.sqrt(200)).reshape(days, 200))
    price = mid * np.where(rng.random(mid.shape) < 0.5, 1 + spread / 2, 1 - spread / 2)
    high, low, close = (v[:, None] for v in (price.max(axis=1), price.min(axis=1), price[:, -1]))
    prev = np.vstack([close[:1], close[:-1]])
    assert np.nanmean(abdi_ranaldo(high, low, close, prev)) == pytest.approx(spread, rel=0.15)
