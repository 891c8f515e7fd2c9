"""Momentum, nights and days, places in a range and trends against plain loops, and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from features.factors import momentum
from tests.features.factors.stock_frames import assert_column_is, enough, over


def ago(sessions: int, column: str, frame: pd.DataFrame) -> float:
    return frame[column].iloc[-1 - sessions] if len(frame) > sessions else np.nan


def trend(values: pd.Series, n: int) -> float:
    """t value of the slope by scipy, at most a hundred."""
    valid = enough(values, n)
    if valid is None or np.ptp(valid) < 1e-9:
        return np.nan
    at = np.flatnonzero(np.isfinite(values))
    fit = stats.linregress(at - at.mean(), valid)
    with np.errstate(divide="ignore"):
        return float(np.clip(fit.slope / fit.stderr, -100, 100))


def place(w: pd.DataFrame, n: int) -> float:
    if enough(w["adj_high"], n) is None:
        return np.nan
    low, high = w["adj_low"].min(), w["adj_high"].max()
    return (w["adj_close"].iloc[-1] - low) / (high - low)


def reversal(w: pd.DataFrame) -> float:
    short, long = enough(w["V"].iloc[-5:], 5), enough(w["V"], 60)
    if short is None or long is None:
        return np.nan
    return -np.log(w["adj_close"].iloc[-1] / ago(5, "adj_close", w)) * short.mean() / long.mean()


FORMULAS = {
    "cs_f_mom_skip": (251, lambda w, _: np.log(ago(20, "adj_close", w) / ago(250, "adj_close", w))),
    "cs_f_max_ret": (20, over(20, lambda w: w["r"], np.max)),
    "cs_f_min_ret": (20, over(20, lambda w: w["r"], np.min)),
    "cs_f_rev_vol": (60, lambda w, _: reversal(w)),
    "cs_f_on_ret_20": (20, over(20, lambda w: np.log(w["open"] / w["prev_close"]), np.sum)),
    "cs_f_id_ret_20": (20, over(20, lambda w: np.log(w["close"] / w["open"]), np.sum)),
    "cs_f_on_minus_id_60": (60, over(60, lambda w: np.log(w["open"] ** 2 / w["prev_close"] / w["close"]), np.sum)),
    "cs_f_rank_pos_60": (60, lambda w, _: place(w, 60)),
    "cs_f_ma_slope_20": (20, lambda w, _: trend(np.log(w["adj_close"]), 20)),
    "cs_f_rsv_trend_10": (10, over(10, lambda w: np.sign(w["r"]))),
    "cs_f_eff_ratio_20": (20, over(20, lambda w: w["r"], lambda r: abs(r.sum()) / np.abs(r).sum())),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_column_is_its_formula(name):
    n, formula = FORMULAS[name]
    assert_column_is(name, n, formula)


def rising(*prices: float) -> np.ndarray:
    return np.array(prices, dtype=float)[:, None]


def test_a_straight_way_up_is_as_steep_as_a_trend_can_be_and_one_that_never_moved_has_none():
    slope = momentum.cs_f_ma_slope[0]
    assert slope(rising(10.0, 11.0, 12.1, 13.31, 14.641))[-1].item() == 100.0
    assert slope(rising(14.641, 13.31, 12.1, 11.0, 10.0))[-1].item() == -100.0
    assert np.isnan(slope(rising(7.0, 7.0, 7.0 * (1 + 2e-16), 7.0, 7.0))[-1]).all()


def test_the_trend_of_five_closes_by_hand():
    # ln closes 0, 1, 0, 1, 3: slope .6; squares 6 about the mean, 2.4 about the line: .8 a degree, over 10.
    closes = np.exp(rising(0.0, 1.0, 0.0, 1.0, 3.0))
    assert momentum.cs_f_ma_slope[0](closes)[-1].item() == pytest.approx(0.6 / np.sqrt(0.08))


def test_the_share_of_the_way_that_got_somewhere():
    r = rising(0.1, -0.1, 0.2, 0.1, 0.0)
    assert momentum.cs_f_eff_ratio[0](r)[-1].item() == pytest.approx(0.3 / 0.5)
    assert momentum.cs_f_rsv_trend[0](r)[-1].item() == pytest.approx(2 / 5)


def test_a_place_in_the_range_by_hand():
    close, high, low = rising(10, 11, 9, 10, 10.5), rising(10, 12, 10, 10, 11), rising(9, 10, 8, 9, 10)
    assert momentum.cs_f_rank_pos[0](close, high, low)[-1].item() == pytest.approx((10.5 - 8) / (12 - 8))
