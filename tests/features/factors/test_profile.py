"""Single columns of the library: limits, size of trades, price, age, the month of the year, the calendar."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.catalogue import catalogue
from features.factors import profile
from features.graph import Node, trace
from features.panel import Panels
from features.plan import compute, plan
from tests.features.factors.stock_frames import MARKET, assert_column_is, frames, library, over
from tests.features.synthetic_market import stock_market


def touches(side: str) -> object:
    def touched(w: pd.DataFrame) -> pd.Series:
        free = ~((w["limit_up"] > 0) & (w["limit_down"] > 0))
        at = w["high"] >= w["limit_up"] - 0.005 if side == "up" else w["low"] <= w["limit_down"] + 0.005
        return (at & ~free).astype(float).where(w["traded"] > 0)

    return over(20, touched, np.sum)


def since_limit_up(w: pd.DataFrame, _: pd.DataFrame) -> float:
    hits = np.flatnonzero((w["close"] >= w["limit_up"] - 0.005) & (w["limit_up"] > 0) & (w["limit_down"] > 0))
    return 250.0 if len(hits) == 0 else float(len(w) - 1 - hits[-1])


FORMULAS = {
    "cs_f_lim_touch_up": (20, touches("up")),
    "cs_f_lim_touch_dn": (20, touches("down")),
    "cs_f_lim_days_since": (250, since_limit_up),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_column_is_its_formula(name):
    n, formula = FORMULAS[name]
    assert_column_is(name, n, formula)


def test_columns_of_a_session_are_logs_of_what_they_are_about():
    for i, frame in enumerate(frames()):
        with np.errstate(divide="ignore"):
            listed = np.log(np.minimum(MARKET["listed_sessions"][:, i], 1250))
        expected = {
            "cs_f_price_lvl": np.log(frame["close"]),
            "cs_f_tsz": np.log(frame["V"] / frame["num_trades"]),
            "cs_f_age": np.where(frame["traded"] > 0, listed, np.nan),
        }
        for name, value in expected.items():
            np.testing.assert_allclose(library()[name][:, i], value, rtol=1e-12, err_msg=name)


def test_a_stock_is_never_older_than_five_years():
    assert profile.cs_f_age(np.array([[1.0, 1250.0, 9000.0]])).tolist() == [[0.0, np.log(1250), np.log(1250)]]


def test_the_way_to_a_limit_is_the_part_of_the_exhaustion_index():
    up, down = library()["cs_f_p_up"], library()["cs_f_p_dn"]
    close, prev = MARKET["close"], MARKET["prev_close"]
    some = np.isfinite(up)
    assert (up[some & (close > prev)] > 0).all()
    assert (up[some & (close <= prev)] == 0).all()
    assert (down[some & (close < prev)] > 0).all()
    assert (np.minimum(up, down)[some] == 0).all()


@pytest.fixture(scope="module")
def long_market() -> Panels:
    return stock_market(sessions=1600, assets=4, seed=3)


def test_a_season_is_the_mean_of_that_month_in_the_five_years_before(long_market):
    known = catalogue("CS")
    got = compute(plan(known, ["cs_f_season"], long_market.values), long_market)[0]["cs_f_season"]
    days = pd.DatetimeIndex(long_market.sessions)
    checked = 0
    for i in range(4):
        r = pd.Series(np.log(long_market["close"][:, i] / long_market["prev_close"][:, i]), index=days)
        for t in (100, 245, 290, 700, 1100, 1340, 1599):
            day = days[t]
            if np.isnan(got[t, i]):
                continue
            past = r[(days.month == day.month) & (days.year < day.year) & (days.year >= day.year - 5)].dropna()
            assert len(past) >= 12
            assert got[t, i] == pytest.approx(past.mean(), rel=1e-9, abs=1e-12), day
            checked += 1
    assert checked > 12
    assert np.isnan(got[:200]).all()


def test_a_planted_month_is_found(long_market):
    month = long_market["month"]
    r = np.where(month == 3, 0.02, 0.0) * np.ones(long_market.shape)
    got = profile.cs_f_season(r, month)
    late = np.arange(len(month)) > 300
    np.testing.assert_allclose(got[late & (month[:, 0] == 3)], 0.02, rtol=1e-12)
    np.testing.assert_allclose(got[late & (month[:, 0] != 3)], 0.0, atol=1e-15)


def test_the_calendar_is_told_as_it_is(long_market):
    known = catalogue("CS")
    names = ["cs_f_month_end", "cs_f_weekday", "cs_f_pre_holiday"]
    got = compute(plan(known, names, long_market.values), long_market)[0]
    for name, fact in zip(names, ("month_end", "weekday", "before_holiday"), strict=True):
        np.testing.assert_array_equal(got[name], long_market[fact])
        assert known[name].scope == "market"
        assert "library" not in known[name].sets


def library_factors() -> list:
    return [f for f in catalogue("CS").values() if "library" in f.sets]


def test_the_library_holds_every_core_family_and_differs_from_asset_to_asset():
    names = {f.name for f in library_factors()}
    families = {f.name for f in catalogue("CS").values() if f.family and "stock_core" in f.sets}
    assert len(families) == 68
    assert families < names
    assert len(names) == 288
    assert all(f.scope == "asset" and f.stored for f in library_factors())


@pytest.mark.parametrize("f", [f for f in library_factors() if f.name.startswith("cs_f_")], ids=lambda f: f.name)
def test_a_column_is_an_expression_that_tells_its_own_lookback(f):
    node = trace(f.function, {name: Node.leaf(name) for name in (*f.inputs, *f.optional)})
    assert isinstance(node, Node)
    assert node.ahead == 0
    assert f.reach == node.lookback
    assert f.lookback in (0, node.lookback)
