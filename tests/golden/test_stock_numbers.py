"""The worked numbers of the specification for stock factors and range estimators: 01 §1-2 and 03 §2."""

from __future__ import annotations

import numpy as np
import pytest

from features.factors import exhaustion, limit_moves, liquidity, participation
from features.operators.ranges import corwin_schultz, garman_klass, parkinson, rogers_satchell, yang_zhang

LIMIT_UP, LIMIT_DOWN, HIGH, LOW, CLOSE, PREV = 11.06, 9.05, 10.42, 10.05, 10.30, 10.05
OHLC = np.array(
    [
        (10.00, 10.20, 9.92, 10.15),
        (10.10, 10.42, 10.05, 10.30),
        (10.35, 10.45, 10.12, 10.18),
        (10.20, 10.40, 10.08, 10.28),
        (10.25, 10.66, 10.21, 10.62),
        (10.60, 10.80, 10.41, 10.50),
    ]
)
OPENS, HIGHS, LOWS, CLOSES = (OHLC[:, [k]] for k in range(4))


def cell(value: float) -> np.ndarray:
    return np.array([[value]])


def exhausted(close: float, illiquidity: float, high: float = 99.0, low: float = 1.0) -> dict[str, float]:
    """The three corrected columns of one stock on one day."""
    free = limit_moves.no_limit(cell(close), cell(LIMIT_UP), cell(LIMIT_DOWN))
    up = exhaustion.limit_proximity_up(cell(close), cell(PREV), cell(LIMIT_UP), free)
    dn = exhaustion.limit_proximity_dn(cell(close), cell(PREV), cell(LIMIT_DOWN), free)
    locked_up = limit_moves.locked_up(cell(high), cell(low), limit_moves.touch_up(cell(high), cell(LIMIT_UP), free))
    locked_dn = limit_moves.locked_dn(cell(high), cell(low), limit_moves.touch_dn(cell(low), cell(LIMIT_DOWN), free))
    a = cell(illiquidity)
    return {
        "both": exhaustion.cs_liquidity_exhaustion_adj(up, dn, a, free, locked_up, locked_dn).item(),
        "up": exhaustion.cs_liquidity_exhaustion_up(up, a, free, locked_up).item(),
        "dn": exhaustion.cs_liquidity_exhaustion_dn(dn, a, free, locked_dn).item(),
        "P": max(up.item(), dn.item()),
    }


def test_exhaustion_literal_is_the_width_of_the_limits_in_ranges():
    value = exhaustion.cs_liquidity_exhaustion(*(cell(v) for v in (LIMIT_UP, LIMIT_DOWN, CLOSE, HIGH, LOW)))
    assert value.item() == pytest.approx(5.432432, abs=5e-7)


@pytest.mark.parametrize(("close", "proximity"), [(10.30, 0.247525), (9.30, 0.75), (10.95, 0.891089), (11.06, 1.0)])
def test_limit_proximity(close, proximity):
    assert exhausted(close, 0.5)["P"] == pytest.approx(proximity, abs=5e-7)


def test_exhaustion_of_a_stock_three_quarters_down_and_rarely_less_liquid():
    assert exhausted(9.30, 0.90)["both"] == pytest.approx(0.825)
    assert exhausted(9.30, 0.90)["dn"] == pytest.approx(0.825)
    assert exhausted(9.30, 0.90)["up"] == pytest.approx(0.45)


def test_a_locked_stock_is_exhausted_on_the_side_that_is_locked():
    falling = exhausted(LIMIT_DOWN, 0.2, high=LIMIT_DOWN, low=LIMIT_DOWN)
    assert (falling["both"], falling["dn"]) == (1.0, 1.0)
    assert falling["up"] == pytest.approx(0.1)
    rising = exhausted(LIMIT_UP, np.nan, high=LIMIT_UP, low=LIMIT_UP)
    assert (rising["both"], rising["up"]) == (1.0, 1.0)
    assert np.isnan(rising["dn"])


def test_illiquidity_of_one_day():
    ret = CLOSE / PREV - 1
    assert ret == pytest.approx(0.0248756, abs=5e-8)
    twenty = np.full((20, 1), ret), np.full((20, 1), 2.3e8)
    assert liquidity.cs_illiq20(*twenty)[-1].item() == pytest.approx(0.0108155, abs=5e-8)


def test_two_thousand_shares_of_a_three_yuan_stock_are_six_thousand_yuan_a_trade():
    assert participation.cs_inst_participation(cell(2e6), cell(1000.0)).item() == 2000
    assert participation.cs_trade_size_yuan(cell(6e6), cell(1000.0)).item() == 6000


def test_corwin_schultz_of_two_days():
    high, low = np.array([[10.42], [10.45]]), np.array([[10.05], [10.12]])
    close, prev = np.array([[10.30], [10.18]]), np.array([[10.05], [10.30]])
    spread = corwin_schultz(high, low, close, prev)[1].item()
    assert spread == pytest.approx(0.0224780919, abs=5e-11)
    assert 2 * np.arctanh(spread / 2) == pytest.approx(0.0224790385, abs=5e-11)


def test_range_estimators_of_six_days():
    assert parkinson(HIGHS, LOWS).mean() == pytest.approx(4.388964631e-4, rel=1e-9)
    assert garman_klass(OPENS, HIGHS, LOWS, CLOSES).mean() == pytest.approx(4.610791201e-4, rel=1e-9)
    assert rogers_satchell(OPENS, HIGHS, LOWS, CLOSES).mean() == pytest.approx(4.317893837e-4, rel=1e-9)


def test_yang_zhang_of_five_days():
    prev = np.vstack([[[np.nan]], CLOSES[:-1]])
    value = yang_zhang(OPENS, HIGHS, LOWS, CLOSES, prev, 5)[-1].item()
    assert value == pytest.approx(4.758289921e-4, rel=1e-9)
    assert np.sqrt(liquidity.SESSIONS_A_YEAR * value) == pytest.approx(0.3393384978, rel=1e-9)


def test_exhaustion_literal_of_a_driftless_stock_has_the_stated_quantiles():
    rng, days, vol = np.random.default_rng(3), 20_000, 0.025
    night = rng.normal(0, vol * np.sqrt(0.25), (days, 1))
    steps = rng.normal(0, vol * np.sqrt(0.75 / 240), (days, 240))
    path = np.exp(np.hstack([night, night + np.cumsum(steps, axis=1)])).clip(0.9, 1.1)
    limits = np.full((days, 1), 1.1), np.full((days, 1), 0.9)
    high, low = path.max(axis=1, keepdims=True), path.min(axis=1, keepdims=True)
    value = exhaustion.cs_liquidity_exhaustion(*limits, path[:, -1:], high, low)
    stated = (2.54, 3.11, 3.80, 6.41, 10.27)
    for q, expected in zip((0.1, 1, 5, 50, 95), stated, strict=True):
        assert np.percentile(value, q) == pytest.approx(expected, rel=0.04 if q > 0.1 else 0.1), q


def test_exhaustion_corrected_has_the_stated_base_rates():
    rng, days = np.random.default_rng(4), 400_000
    move = (rng.standard_t(5, (days, 1)) * 0.025 / np.sqrt(5 / 3)).clip(-0.1, 0.1)
    a, off = rng.uniform(size=(days, 1)), np.zeros((days, 1))
    prev, up, down = np.ones((days, 1)), np.full((days, 1), 1.1), np.full((days, 1), 0.9)
    near_up = exhaustion.limit_proximity_up(1 + move, prev, up, off)
    near_dn = exhaustion.limit_proximity_dn(1 + move, prev, down, off)
    both = exhaustion.cs_liquidity_exhaustion_adj(near_up, near_dn, a, off, off, off)
    dn = exhaustion.cs_liquidity_exhaustion_dn(near_dn, a, off, off)
    for value, above, stated in ((both, 0.6, 0.054), (both, 0.8, 0.0044), (dn, 0.6, 0.027), (dn, 0.8, 0.0022)):
        error = 4 * np.sqrt(stated / days)
        assert np.mean(value > above) == pytest.approx(stated, abs=error + stated * 0.03)
