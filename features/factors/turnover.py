"""Stocks: turnover, its course, and how prices go with it.

V is the turnover in CNY, r the log return on the ex-right reference price. A window needs 60 % of its sessions; flows
skip the missing ones.
Source  09 §2
"""

from __future__ import annotations

import numpy as np

from features.factor import factor, family
from features.factors.momentum import STILL, trend_t
from features.factors.price_volume import WINDOWS, Panel1, Panel2
from features.operators import (
    lag,
    ts_corr,
    ts_mean,
    ts_mean_of_top,
    ts_slope_of_sum,
    ts_std,
    ts_sum,
)
from features.panel import Float64Array

_SETS = ("library",)
_MONTH, _QUARTER, _YEAR = 20, 0.25, 250


@family("cs_f_turn_std", WINDOWS, asset_class="CS", zh="成交额波动", unit="log", sets=_SETS)
def cs_f_turn_std(n: int) -> Panel1:
    """Standard deviation of log turnover over n sessions.

    Shape   (T, N) -> (T, N)
    Sign    high: now busy, now quiet
    NaN     fewer than 60 % of the window
    Source  turn_std, 09 §2
    """

    def turn_std(total_turnover: Float64Array) -> Float64Array:
        return ts_std(np.log(total_turnover), n)

    return turn_std


@family("cs_f_turn_trend", WINDOWS, asset_class="CS", zh="成交额趋势t值", unit="t value", sets=_SETS)
def cs_f_turn_trend(n: int) -> Panel1:
    """t value of the slope of log turnover on time, by least squares over n sessions, clipped to ±100.

    Shape   (T, N) -> (T, N), in [-100, 100]
    Sign    positive: busier from session to session
    NaN     fewer than 60 % of the window
    Source  turn_trend, 09 §2
    """

    def turn_trend(total_turnover: Float64Array) -> Float64Array:
        return trend_t(np.log(total_turnover), n)

    return turn_trend


@factor("CS", zh="非流动性变化", unit="log", sets=_SETS)
def cs_f_illiq_chg(log_ret: Float64Array, total_turnover: Float64Array) -> Float64Array:
    """Log illiquidity of 5 sessions less that of 60.

    Shape   (T, N) -> (T, N)
    Sign    positive: less liquid than it used to be
    NaN     fewer than 60 % of either window; a price that never moved
    Source  illiq_chg, 09 §2
    """
    impact = np.abs(log_ret) / total_turnover
    return np.log(ts_mean(impact, 5) / ts_mean(impact, 60))


@family("cs_f_pv_corr_lvl", WINDOWS, asset_class="CS", zh="量价水平相关", unit="correlation", sets=_SETS)
def cs_f_pv_corr_lvl(n: int) -> Panel2:
    """Correlation of the log adjusted close with log turnover over n sessions.

    Shape   (T, N) -> (T, N), in [-1, 1]
    Sign    positive: busy at high prices
    NaN     fewer than 60 % of the window (three sessions at least); a price that never moved
    Source  pv_corr_lvl, 09 §2
    """

    def pv_corr_lvl(adj_close: Float64Array, total_turnover: Float64Array) -> Float64Array:
        price = np.log(adj_close)
        return np.where(ts_std(price, n) > STILL, ts_corr(price, np.log(total_turnover), n), np.nan)

    return pv_corr_lvl


@family("cs_f_vwap_mom", WINDOWS, asset_class="CS", zh="均价动量", unit="log", sets=_SETS)
def cs_f_vwap_mom(n: int) -> Panel2:
    """Log change of the adjusted average price of the day over n sessions.

    Shape   (T, N) -> (T, N)
    Sign    positive: trades at higher prices
    NaN     no trade on t or on t-n
    Source  vwap_mom, 09 §2
    """

    def vwap_mom(cs_vwap: Float64Array, adjust: Float64Array) -> Float64Array:
        average = cs_vwap * adjust
        return np.log(average / lag(average, n))

    return vwap_mom


@family("cs_f_obv", WINDOWS, asset_class="CS", zh="能量潮斜率", unit="ratio", sets=_SETS)
def cs_f_obv(n: int) -> Panel2:
    """Slope on time of the running sum of signed turnover through n sessions, over their mean turnover.

    Shape   (T, N) -> (T, N), about [-1.5, 1.5]
    Sign    positive: turnover comes on rises
    NaN     fewer than 60 % of the window. The sum stays where it is on a missing session.
    Source  obv, 09 §2; Granville (1963)
    """

    def obv(log_ret: Float64Array, total_turnover: Float64Array) -> Float64Array:
        return ts_slope_of_sum(np.sign(log_ret) * total_turnover, n) / ts_mean(_known(total_turnover, log_ret), n)

    return obv


@family("cs_f_mfi", WINDOWS, asset_class="CS", zh="资金流入占比", unit="share", sets=_SETS)
def cs_f_mfi(n: int) -> Panel2:
    """Share of the turnover of n sessions that came on sessions that rose.

    Shape   (T, N) -> (T, N), in [0, 1]
    Sign    high: turnover comes on rises
    NaN     fewer than 60 % of the window
    Source  mfi, 09 §2
    """

    def mfi(log_ret: Float64Array, total_turnover: Float64Array) -> Float64Array:
        rising = np.where(log_ret > 0, 1.0, 0.0) * total_turnover
        return ts_sum(_known(rising, log_ret), n) / ts_sum(_known(total_turnover, log_ret), n)

    return mfi


@family("cs_f_vol_wret", WINDOWS, asset_class="CS", zh="成交额加权收益率", unit="decimal per day", sets=_SETS)
def cs_f_vol_wret(n: int) -> Panel2:
    """Mean daily log return of n sessions, weighted by turnover.

    Shape   (T, N) -> (T, N)
    Sign    positive: rose on turnover
    NaN     fewer than 60 % of the window
    Source  vol_wret, 09 §2
    """

    def vol_wret(log_ret: Float64Array, total_turnover: Float64Array) -> Float64Array:
        return ts_sum(log_ret * total_turnover, n) / ts_sum(_known(total_turnover, log_ret), n)

    return vol_wret


@factor("CS", zh="20日聪明钱", unit="decimal per day", sets=_SETS)
def cs_f_smart(log_ret: Float64Array, total_turnover: Float64Array) -> Float64Array:
    """Mean log return of the quarter of 20 sessions that moved most for their turnover, less that of all of them.

    Shape   (T, N) -> (T, N)
    Sign    positive: rises on the sessions that a little money moved far
    NaN     fewer than 60 % of the window
    Source  smart, 09 §2; sessions stand by |r| over the root of V
    """
    moved = np.abs(log_ret) / np.sqrt(total_turnover)
    return ts_mean_of_top(log_ret, moved, _MONTH, _QUARTER) - ts_mean(log_ret, _MONTH)


@factor("CS", zh="规模代理", unit="ln CNY", sets=_SETS)
def cs_f_size_p(total_turnover: Float64Array) -> Float64Array:
    """Log of mean turnover over 250 sessions, in place of size.

    Shape   (T, N) -> (T, N)
    Sign    high: large
    NaN     fewer than 60 % of the window
    Source  size_p, 09 §2
    """
    return np.log(ts_mean(total_turnover, _YEAR))


def _known(x: Float64Array, other: Float64Array) -> Float64Array:
    """x on the sessions on which the other is known too, so that two sums are of the same ones."""
    return np.where(np.isfinite(other), x, np.nan)
