"""Returns, adjusted prices, the universe, volatility and families on markets made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from features.catalogue import catalogue
from features.factors import liquidity, stock
from features.operators.ranges import corwin_schultz
from features.panel import Panels
from features.plan import compute, plan
from tests.features.synthetic_market import stock_market

PRICES = ("open", "high", "low", "close", "prev_close", "limit_up", "limit_down")


def computed(names: list[str], panels: Panels) -> dict[str, np.ndarray]:
    return compute(plan(catalogue("CS"), names, panels.values), panels)[0].values


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)[:, None]


def test_a_split_is_no_return_and_adjusted_closes_go_through_it():
    close, prev = column(10, 11, 5.5, np.nan, 6.05), column(10, 10, 5.5, np.nan, 5.5)
    np.testing.assert_allclose(stock.cs_ret_1d(close, prev), column(0, 0.1, 0, np.nan, 0.1), atol=1e-15)
    adjusted = stock.adj_close(close, stock.adjust(close, prev)[0])
    np.testing.assert_allclose(adjusted / adjusted[0], column(1, 1.1, 1.1, np.nan, 1.21))


def test_a_dividend_during_a_suspension_is_adjusted_for_on_the_day_of_return():
    close, prev = column(10, np.nan, np.nan, 9.9), column(10, np.nan, np.nan, 9.0)
    adjusted = stock.adj_close(close, stock.adjust(close, prev)[0])
    assert adjusted[3, 0] / adjusted[0, 0] == pytest.approx(1.1)
    assert stock.log_ret(close, prev)[3].item() == pytest.approx(np.log(1.1))


@pytest.mark.parametrize(
    ("change", "inside"),
    [
        ({}, 1),
        ({"traded": 0.0}, 0),
        ({"listed_sessions": 59.0}, 0),
        ({"listed_sessions": 60.0}, 1),
        ({"cs_turnover20": 9.9e6}, 0),
        ({"cs_turnover20": np.nan}, 0),
        ({"is_st": 1.0}, 0),
        ({"is_st": np.nan}, 1),
        ({"is_st": None}, 1),
    ],
    ids=str,
)
def test_the_universe_is_what_can_be_traded(change, inside):
    given = {"traded": 1.0, "listed_sessions": 100.0, "cs_turnover20": 1e7, "is_st": 0.0} | change
    panels = {k: None if v is None else np.array([[v]]) for k, v in given.items()}
    assert stock.universe(**panels).item() == inside


def test_volatility_begins_with_the_twentieth_return_and_goes_on_from_its_state():
    r = 0.02 * np.random.default_rng(0).standard_normal((50, 2))
    whole, _ = liquidity.cs_vol_ewma(r)
    assert np.isnan(whole[:19]).all()
    np.testing.assert_allclose(whole[19], np.sqrt((r[:20] ** 2).mean(axis=0)))
    np.testing.assert_allclose(whole[20] ** 2, 0.94 * whole[19] ** 2 + 0.06 * r[20] ** 2)
    head, state = liquidity.cs_vol_ewma(r[:13])
    tail, _ = liquidity.cs_vol_ewma(r[13:], state)
    np.testing.assert_array_equal(np.vstack([head, tail]), whole)


def test_constant_volatility_is_recovered_by_the_ranges():
    rng, sigma = np.random.default_rng(1), 0.30
    steps = rng.standard_normal((1000, 1, 1500)) * sigma / np.sqrt(242 * 1500)
    path = np.exp(np.cumsum(steps, axis=2))
    one = np.ones((1000, 1))
    vol = liquidity.cs_vol_yz20(
        one, np.maximum(path.max(axis=2), 1), np.minimum(path.min(axis=2), 1), path[:, :, -1], one
    )
    assert np.nanmean(vol) == pytest.approx(sigma, rel=0.04)


def test_the_spread_of_two_days_does_not_see_a_split_between_them():
    high, low = column(10.42, 10.45), column(10.05, 10.12)
    close, prev = column(10.30, 10.18), column(10.05, 10.30)
    half = np.array([[1.0], [0.5]])
    plain = corwin_schultz(high, low, close, prev)[1].item()
    assert corwin_schultz(high * half, low * half, close * half, prev * half)[1].item() == pytest.approx(plain)


def test_a_bounce_between_bid_and_ask_is_the_spread():
    rng, spread, days = np.random.default_rng(2), 0.01, 3000
    mid = np.exp(np.cumsum(rng.standard_normal(days * 200) * 0.01 / np.sqrt(200)).reshape(days, 200))
    price = mid * np.where(rng.random(mid.shape) < 0.5, 1 + spread / 2, 1 - spread / 2)
    high, low, close = (v[:, None] for v in (price.max(axis=1), price.min(axis=1), price[:, -1]))
    prev = np.vstack([close[:1], close[:-1]])
    assert np.nanmean(corwin_schultz(high, low, close, prev)) == pytest.approx(spread, rel=0.35)


@pytest.fixture(scope="module")
def market() -> Panels:
    return stock_market(sessions=330, assets=20)


def of_prices() -> list[str]:
    # The tick is the currency's: a share of sessions within half of it cannot but see another one.
    return [n for n, f in catalogue("CS").items() if f.family and "library" in f.sets and f.family != "cs_f_zero_ret"]


@pytest.mark.parametrize("what", ["a split", "another currency"])
def test_families_see_neither_splits_nor_currencies(market, what):
    unit = np.ones(market.shape)
    unit[: 200 if what == "a split" else None] = 7.0
    values = {k: v * unit if k in PRICES else v for k, v in market.values.items()}
    values["volume"] = market["volume"] / unit
    names = of_prices()
    plain, other = computed(names, market), computed(names, Panels(market.sessions, market.assets, values))
    for name in names:
        np.testing.assert_allclose(other[name], plain[name], rtol=1e-8, atol=1e-10, err_msg=name)
        assert np.isfinite(plain[name]).sum() > 200
