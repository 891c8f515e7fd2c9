"""Spreads and sessions without a move against plain loops, and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.factors import spreads
from tests.features.factors.stock_frames import assert_column_is, enough, over


def corwin_schultz(before: pd.Series, day: pd.Series) -> float:
    """A pair of days of adjusted prices, the second shifted onto the first's close."""
    if not (before["high"] > before["low"] and day["high"] > day["low"]):
        return np.nan
    scale = day["prev_close"] / before["close"]
    h1, l1, c1 = before["high"] * scale, before["low"] * scale, day["prev_close"]
    shift = c1 - day["low"] if day["low"] > c1 else c1 - day["high"] if day["high"] < c1 else 0.0
    h2, l2 = day["high"] + shift, day["low"] + shift
    beta = np.log(h1 / l1) ** 2 + np.log(h2 / l2) ** 2
    gamma = np.log(max(h1, h2) / min(l1, l2)) ** 2
    k = 3 - 2 * np.sqrt(2)
    alpha = (np.sqrt(2 * beta) - np.sqrt(beta)) / k - np.sqrt(gamma / k)
    return max(2 * (np.exp(alpha) - 1) / (1 + np.exp(alpha)), 0.0)


def abdi_ranaldo(before: pd.Series, day: pd.Series) -> float:
    if not (before["high"] > before["low"] and day["high"] > day["low"]):
        return np.nan
    scale = day["prev_close"] / before["close"]
    middles = [np.log(x["high"] * x["low"] * s**2) / 2 for x, s in ((before, scale), (day, 1.0))]
    close = np.log(before["close"] * scale)
    return np.sqrt(max(4 * (close - middles[0]) * (close - middles[1]), 0.0))


def mean_of_pairs(of, n):
    def formula(window: pd.DataFrame, before: pd.DataFrame) -> float:
        pairs = [of(before.iloc[i - 1], before.iloc[i]) for i in range(1, len(before))]
        valid = enough(np.array(pairs), n)
        return np.nan if valid is None else float(valid.mean())

    return formula


FORMULAS = {
    "cs_f_cs_spread_10": (10, mean_of_pairs(corwin_schultz, 10)),
    "cs_f_ar_spread_20": (20, mean_of_pairs(abdi_ranaldo, 20)),
    "cs_f_zero_ret_20": (20, over(20, lambda w: (w["r"].abs() < 0.005 / w["close"]).where(w["r"].notna()))),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_column_is_its_formula(name):
    n, formula = FORMULAS[name]
    assert_column_is(name, n, formula)


def test_half_a_tick_is_no_move_and_a_whole_one_is():
    close = np.full((5, 1), 10.0)
    still, moved = np.log(close / close), np.log(close / (close - 0.01))
    assert spreads.cs_f_zero_ret[0](still, close)[-1].item() == 1.0
    assert spreads.cs_f_zero_ret[0](moved, close)[-1].item() == 0.0
