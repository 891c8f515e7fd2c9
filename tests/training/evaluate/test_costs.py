from __future__ import annotations

import numpy as np
import pytest

from features.operators.ranges import corwin_schultz
from features.panel import Panels
from training.evaluate.costs import Costs, cost_panels, half_spread_share, impact_share


def walk(t_count=60, n_count=3, seed=0):
    rng = np.random.default_rng(seed)
    close = 10 * np.exp(np.cumsum(rng.normal(0, 0.02, (t_count, n_count)), axis=0))
    prev_close = np.vstack([np.full((1, n_count), 10.0), close[:-1]])
    high, low = np.maximum(close, prev_close) * 1.004, np.minimum(close, prev_close) * 0.995
    volume = rng.uniform(1e6, 2e6, close.shape)
    values = {"high": high, "low": low, "close": close, "prev_close": prev_close, "total_turnover": volume * close}
    sessions = np.arange("2023-07-01", "2024-07-01", dtype="datetime64[D]")[:t_count]
    return Panels(sessions, np.array([f"60000{n}.XSHG" for n in range(n_count)]), values)


def test_half_the_spread_is_at_least_half_a_tick():
    assert half_spread_share([0.02, 0.0001, np.nan], [10.0, 10.0, 4.0]).tolist() == [0.01, 0.0005, 0.00125]


def test_impact_is_seven_tenths_of_volatility_when_the_order_is_a_days_turnover():
    assert impact_share(1e7, 0.02, 1e7) == pytest.approx(0.014)
    assert impact_share(2.5e6, 0.02, 1e7) == pytest.approx(0.007)


def test_an_ex_date_leaves_the_spread_alone():
    whole = walk()
    f = np.where(np.arange(60) >= 30, 0.5, 1.0)[:, None]
    halved = [whole[name] * f for name in ("high", "low", "close", "prev_close")]
    plain = corwin_schultz(*(whole[name] for name in ("high", "low", "close", "prev_close")))
    assert corwin_schultz(*halved) == pytest.approx(plain, abs=1e-12, nan_ok=True)


def test_a_gap_between_the_sessions_is_not_taken_for_a_spread():
    high, low, close = np.array([[10.1], [11.1]]), np.array([[10.0], [11.0]]), np.array([[10.0], [11.05]])
    prev_close = np.array([[10.0], [10.0]])
    calm = corwin_schultz(np.full((2, 1), 10.1), np.full((2, 1), 10.0), close, prev_close)
    assert corwin_schultz(high, low, close, prev_close)[1, 0] == pytest.approx(calm[1, 0])
    assert calm[1, 0] > 0


def test_rates_of_a_session_know_nothing_of_that_session():
    panels = walk()
    later = panels.joined({k: v.copy() for k, v in panels.values.items()})
    for name in ("high", "low", "close", "total_turnover"):
        later[name][40:] *= 1.7
    before, after = cost_panels(panels, Costs()), cost_panels(later, Costs())
    assert np.array_equal(before.slippage[:41], after.slippage[:41])
    assert np.array_equal(before.impact[:41], after.impact[:41])
    assert not np.array_equal(before.impact[41:], after.impact[41:])


def test_free_trading_costs_nothing_and_no_rate_is_ever_negative_or_missing():
    panels = walk()
    assert all((rate == 0).all() for rate in cost_panels(panels, Costs.none()))
    assert all((rate >= 0).all() for rate in cost_panels(panels, Costs()))


def test_stamp_duty_is_the_sellers_and_dated():
    rates = cost_panels(walk(), Costs())
    halved = walk().sessions >= np.datetime64("2023-08-28")
    assert halved.any()
    assert set(rates.stamp_duty[halved]) == {0.0005}
    assert set(rates.stamp_duty[~halved]) == {0.001}
