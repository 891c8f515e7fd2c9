"""Turnover, its course and flows against plain loops, and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.factors import turnover
from tests.features.factors.stock_frames import assert_column_is, enough, over
from tests.features.factors.test_momentum import trend


def weighted(w: pd.DataFrame, n: int, weight: pd.Series) -> float:
    return np.nan if enough(w["r"], n) is None else float((weight * w["V"]).sum() / w["V"].sum())


def obv(w: pd.DataFrame, n: int) -> float:
    """By the line through a cumulative sum; the window is filled up where the history begins."""
    if enough(w["r"], n) is None:
        return np.nan
    flow = np.concatenate([np.zeros(n - len(w)), (np.sign(w["r"]) * w["V"]).fillna(0).to_numpy()])
    return np.polyfit(np.arange(n), np.cumsum(flow), 1)[0] / w["V"].mean()


def levels(w: pd.DataFrame, n: int) -> float:
    price = np.log(w["adj_close"])
    still = enough(price, n) is None or np.ptp(price.dropna()) < 1e-9
    return np.nan if still else float(price.corr(np.log(w["V"])))


def illiquidity(w: pd.DataFrame, n: int) -> float:
    return np.log(over(n, lambda v: v["r"].abs() / v["V"])(w.iloc[-n:], w))


def smart(w: pd.DataFrame, _: pd.DataFrame) -> float:
    rows = w.assign(moved=w["r"].abs() / np.sqrt(w["V"])).dropna(subset=["r"]).iloc[::-1]
    if enough(w["r"], 20) is None:
        return np.nan
    k = int(np.floor(0.25 * len(rows) + 0.5))
    return rows.sort_values("moved", ascending=False, kind="stable")["r"].iloc[:k].mean() - rows["r"].mean()


FORMULAS = {
    "cs_f_turn_std_20": (20, over(20, lambda w: np.log(w["V"]), lambda v: pd.Series(v).std())),
    "cs_f_turn_trend_20": (20, lambda w, _: trend(np.log(w["V"]), 20)),
    "cs_f_illiq_chg": (60, lambda w, _: illiquidity(w, 5) - illiquidity(w, 60)),
    "cs_f_pv_corr_lvl_60": (60, lambda w, _: levels(w, 60)),
    "cs_f_vwap_mom_20": (
        20,
        lambda w, b: np.log(w["adj_vwap"].iloc[-1] / b["adj_vwap"].iloc[0]) if len(b) == 21 else np.nan,
    ),
    "cs_f_obv_20": (20, lambda w, _: obv(w, 20)),
    "cs_f_mfi_20": (20, lambda w, _: weighted(w, 20, (w["r"] > 0).astype(float))),
    "cs_f_vol_wret_20": (20, lambda w, _: weighted(w, 20, w["r"])),
    "cs_f_smart": (20, smart),
    "cs_f_size_p": (250, over(250, lambda w: w["V"], lambda v: np.log(v.mean()))),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_column_is_its_formula(name):
    n, formula = FORMULAS[name]
    assert_column_is(name, n, formula)


def series(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)[:, None]


def test_flows_of_five_sessions_by_hand():
    r, value = series(0.01, -0.02, 0.03, 0.0, 0.01), series(1e8, 2e8, 3e8, 4e8, 5e8)
    assert turnover.cs_f_mfi[0](r, value)[-1].item() == pytest.approx(9 / 15)
    assert turnover.cs_f_vol_wret[0](r, value)[-1].item() == pytest.approx((0.01 - 0.04 + 0.09 + 0.05) / 15)
    # The running sum is 1, -1, 2, 2, 7: slope (-2 + 1 + 2 + 14) / 10 = 1.5, over a mean turnover of 3.
    assert turnover.cs_f_obv[0](r, value)[-1].item() == pytest.approx(0.5)


def test_a_suspension_is_left_out_of_flows():
    r, value = series(0.01, np.nan, 0.03, 0.0, 0.01), series(1e8, np.nan, 3e8, 4e8, 5e8)
    assert turnover.cs_f_mfi[0](r, value)[-1].item() == pytest.approx(9 / 13)
    assert np.isnan(turnover.cs_f_mfi[0](series(*[np.nan] * 3, 0.1, 0.1), series(*[np.nan] * 3, 1.0, 1.0))[-1]).all()


def test_smart_money_is_what_a_little_of_it_moved():
    r = np.full((20, 1), 0.001)
    r[[3, 7, 11, 15, 19]] = 0.02
    value = np.full((20, 1), 1e8)
    value[[3, 7, 11, 15, 19]] = 1e6
    assert turnover.cs_f_smart(r, value)[-1].item() == pytest.approx(0.02 - (5 * 0.02 + 15 * 0.001) / 20)
