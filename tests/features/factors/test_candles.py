"""Shadows, gaps and ranges of candles against plain loops, and one candle by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.factors import candles
from tests.features.factors.stock_frames import assert_column_is, enough, over


def spread(w: pd.DataFrame) -> pd.Series:
    return (w["high"] - w["low"]).where(w["high"] > w["low"])


def night(w: pd.DataFrame) -> pd.Series:
    return np.log(w["open"] / w["prev_close"])


def cut(w: pd.DataFrame, _: pd.DataFrame) -> float:
    rows = w.assign(amp=(w["high"] - w["low"]) / w["prev_close"]).dropna(subset=["r"]).iloc[::-1]
    if enough(w["r"], 20) is None:
        return np.nan
    k = int(np.floor(0.2 * len(rows) + 0.5))
    widest = rows.sort_values("amp", ascending=False, kind="stable")["r"].iloc[:k]
    narrowest = rows.sort_values("amp", kind="stable")["r"].iloc[:k]
    return widest.mean() - narrowest.mean()


FORMULAS = {
    "cs_f_shadow_up_20": (20, over(20, lambda w: (w["high"] - w[["open", "close"]].max(axis=1)) / spread(w))),
    "cs_f_shadow_dn_20": (20, over(20, lambda w: (w[["open", "close"]].min(axis=1) - w["low"]) / spread(w))),
    "cs_f_gap_10": (10, over(10, lambda w: night(w).abs())),
    "cs_f_gap_signed_20": (
        20,
        lambda w, _: over(20, night)(w, w) / over(20, lambda v: v["r"], lambda r: pd.Series(r).std())(w, w),
    ),
    "cs_f_amp_20": (20, over(20, lambda w: (w["high"] - w["low"]) / w["prev_close"])),
    "cs_f_amp_cut": (20, cut),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_column_is_its_formula(name):
    n, formula = FORMULAS[name]
    assert_column_is(name, n, formula)


def test_a_candle_is_its_shadows_and_its_body():
    one = np.ones((5, 1))
    given = {"open": 10.2 * one, "high": 11.0 * one, "low": 9.0 * one, "close": 10.6 * one}
    assert candles.cs_f_shadow_up[0](**given)[-1].item() == pytest.approx(0.4 / 2.0)
    assert candles.cs_f_shadow_dn[0](**given)[-1].item() == pytest.approx(1.2 / 2.0)
    assert candles.cs_f_amp[0](given["high"], given["low"], 10.0 * one)[-1].item() == pytest.approx(0.2)


def test_days_of_one_price_have_no_shadows():
    one = np.full((5, 1), 10.0)
    assert np.isnan(candles.cs_f_shadow_up[0](one, one, one, one)).all()
