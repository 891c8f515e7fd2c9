"""Volatility by closes and ranges, and moments, against plain loops and the spec's worked numbers."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from features.factors import risk
from tests.features.factors.stock_frames import assert_column_is, over

LN2 = math.log(2.0)
# The example of the spec: open, high, low, close of six days, each day's close the next one's reference price.
BARS = np.array(
    [
        (10.00, 10.20, 9.92, 10.15),
        (10.10, 10.42, 10.05, 10.30),
        (10.35, 10.45, 10.12, 10.18),
        (10.20, 10.40, 10.08, 10.28),
        (10.25, 10.66, 10.21, 10.62),
        (10.60, 10.80, 10.41, 10.50),
    ]
)


def std(v: np.ndarray) -> float:
    return float(pd.Series(v).std())


def parkinson(w: pd.DataFrame) -> pd.Series:
    return np.log(w["high"] / w["low"]) ** 2 / (4 * LN2)


def garman_klass(w: pd.DataFrame) -> pd.Series:
    return 0.5 * np.log(w["high"] / w["low"]) ** 2 - (2 * LN2 - 1) * np.log(w["close"] / w["open"]) ** 2


def root(v: np.ndarray) -> float:
    return math.sqrt(v.mean()) if v.mean() >= 0 else np.nan


def yang_zhang(w: pd.DataFrame, n: int) -> float:
    if len(w.dropna(subset=["r"])) < math.ceil(0.6 * n):
        return np.nan
    night, day = np.log(w["open"] / w["prev_close"]), np.log(w["close"] / w["open"])
    up, down = np.log(w["high"] / w["open"]), np.log(w["low"] / w["open"])
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    return math.sqrt(night.var() + k * day.var() + (1 - k) * (up * (up - day) + down * (down - day)).mean())


def ratio(w: pd.DataFrame) -> float:
    short, long = (over(n, lambda v: v["r"], std)(w.iloc[-n:], w) for n in (5, 60))
    return short / long


FORMULAS = {
    "cs_f_dstd_20": (20, over(20, lambda w: w["r"].clip(upper=0), std)),
    "cs_f_ustd_20": (20, over(20, lambda w: w["r"].clip(lower=0), std)),
    "cs_f_park_60": (60, over(60, parkinson, root)),
    "cs_f_gk_20": (20, over(20, garman_klass, root)),
    "cs_f_yz_60": (60, lambda w, _: yang_zhang(w, 60)),
    "cs_f_volvol": (20, over(20, lambda w: np.log(parkinson(w)), std)),
    "cs_f_skew_20": (20, over(20, lambda w: w["r"], lambda v: pd.Series(v).skew())),
    "cs_f_kurt_60": (60, over(60, lambda w: w["r"], lambda v: pd.Series(v).kurt())),
    "cs_f_vol_ratio": (60, lambda w, _: ratio(w)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_column_is_its_formula(name):
    n, formula = FORMULAS[name]
    assert_column_is(name, n, formula)


def test_the_ranges_of_six_days_have_the_variances_that_the_spec_works_out():
    open_, high, low, close = (np.vstack([np.full((4, 1), np.nan), BARS[:, k : k + 1]]) for k in range(4))
    # Ten sessions, of which six are there: just the 60 % that a window needs.
    assert risk.cs_f_park[1](high, low)[-1].item() ** 2 == pytest.approx(4.388964631e-4, rel=1e-9)
    assert risk.cs_f_gk[1](open_, high, low, close)[-1].item() ** 2 == pytest.approx(4.610791201e-4, rel=1e-9)
    open_, high, low, close = (BARS[1:, k : k + 1] for k in range(4))
    got = risk.cs_f_yz[0](open_, high, low, close, BARS[:-1, 3:])
    assert got[-1].item() ** 2 == pytest.approx(4.758289921e-4, rel=1e-9)
    assert math.sqrt(242) * got[-1].item() == pytest.approx(0.3393384978, rel=1e-9)


def test_the_volatility_of_twenty_sessions_stands_under_its_own_name():
    assert "cs_f_yz_20" not in [f.name for f in risk.cs_f_yz]
