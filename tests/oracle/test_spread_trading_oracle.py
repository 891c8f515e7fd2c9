"""Trades and results of a spread's trading are those of a loop over the sessions that sees no later one."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.oracle.spread_trading_by_loop import run
from training.evaluate.spread_rule import Leg, Signal, TradedPair, TradingRule
from training.evaluate.spread_trading import REASONS, trade


def world(seed, n=400, *, series=False):
    """A pair that reverts, rolls, sometimes has no close or may not be traded, with signals that have gaps.

    series  legs change their contract while they are held, and the pair may be entered on some sessions only
    """
    rng = np.random.default_rng(seed)
    days = np.arange("2015-01-01", "2020-01-01", dtype="datetime64[D]")
    sessions = days[np.is_busday(days)][:n]
    s = np.zeros(n)
    for t in range(1, n):
        s[t] = 0.85 * s[t - 1] + 0.01 * rng.normal()
    common = 4000 * np.exp(np.cumsum(0.012 * rng.normal(size=n)))
    closes = [np.round(common * np.exp(s), 1), np.round(common, 1)]
    for close in closes:
        close[rng.random(n) < 0.03] = np.nan
    life = np.cumsum(rng.random(n) < 0.02) - (rng.random() < 0.3)
    ends = np.append(np.diff(life) != 0, False)
    closes[0][ends & (rng.random(n) < 0.4)] = np.nan
    legs = (
        Leg(closes[0], 300.0, 0.2, fee_rate=2.3e-5),
        Leg(closes[1], 200.0, 0.5, fee_rate=1e-5, fee_lot=3.0),
    )
    z = s / 0.019 + 0.1 * rng.normal(size=n)
    z[rng.random(n) < 0.03] = np.nan
    half_life = rng.uniform(0.4, 5, n)
    half_life[rng.random(n) < 0.03] = np.inf
    forecast = -0.3 * s + 0.004 * rng.normal(size=n)
    forecast[rng.random(n) < 0.03] = np.nan
    hedge = np.round(rng.uniform(0.6, 1.3, n), 2) * (1 if seed % 3 else -1)
    tradable, allowed = rng.random(n) > 0.05, None
    if series:
        legs = tuple(replace(leg, step=rng.normal(0, 30, n), rolled=rng.random(n) < 0.1) for leg in legs)
        for leg in legs:
            leg.step[np.isnan(leg.close)] = np.nan
        allowed = np.repeat(rng.random(n // 20) < 0.6, 20)
    pair = TradedPair(sessions, life.astype(np.int64), *legs, hedge, tradable)
    return pair, Signal(z, half_life, forecast, allowed)


@pytest.mark.parametrize(
    ("by", "delay", "series"), list(itertools.product(("z", "forecast", "either"), (0, 1, 2), (False, True)))
)
def test_trading_is_what_a_loop_over_the_sessions_makes_of_it(by, delay, series):
    seen = Counter()
    for seed in range(12):
        pair, signal = world(seed, series=series)
        rule = TradingRule(by, enter_z=1.2, exit_z=0.4, delay=delay, capital=8e6)
        if delay == 2 and seed % 2:
            signal = replace(signal, half_life=np.full(len(pair.sessions), 3.0))
        found = trade(pair, signal, rule)
        legs = [(leg.close, leg.multiplier, leg.tick, leg.fee_rate, leg.fee_lot) for leg in (pair.first, pair.second)]
        days = len(pair.sessions)
        told = (days, legs, pair.life, pair.hedge, pair.tradable, signal.z, signal.half_life, signal.forecast, rule)
        allowed = np.ones(days, np.bool_) if signal.allowed is None else signal.allowed
        both = pair.first, pair.second
        wanted, trades = run(*told, allowed, [leg.step for leg in both], [leg.rolled for leg in both])
        got = [(one.side, one.decided, one.entered, one.left, one.lots, one.reason) for one in found.trades]
        assert got == [tuple(one) for one in trades]
        np.testing.assert_allclose(found.gross - found.costs, wanted, rtol=1e-9, atol=1e-6)
        seen.update(one.reason for one in found.trades)
    wanted = set(REASONS) - ({"turned"} if by == "z" else set())
    assert wanted <= set(seen) | {"open"}, seen
