"""Stocks: what a price has done - momentum, nights against days, extremes of the month, straightness of the way.

r is the log return on the ex-right reference price; adjusted prices enter as ratios. A window needs 60 % of its
sessions.
Source  09 §2
"""

from __future__ import annotations

import numpy as np

from features.factor import factor, family
from features.factors.price_volume import WINDOWS, Panel1, Panel2, Panel3
from features.operators import lag, ts_max, ts_mean, ts_min, ts_slope, ts_std, ts_sum, ts_trend_t
from features.panel import Float64Array

_SETS = ("library",)
_MONTH, _YEAR = 20, 250
# A few closes on a line, or nearly so, such as limit-ups day by day, have no t value, or one of any size: this, signed.
_LARGEST_T = 100.0
# Adjusted prices that differ by less, as a share, do so by the rounding of a split, not by a tick.
STILL = 1e-9


@factor("CS", zh="剔除近月的年动量", unit="log", sets=_SETS)
def cs_f_mom_skip(adj_close: Float64Array) -> Float64Array:
    """Log change of the adjusted close from 250 sessions ago to 20 sessions ago.

    Shape   (T, N) -> (T, N)
    Sign    positive: a winner of the year, the last month left out
    NaN     no trade on t-20 or on t-250
    Source  mom_skip, 09 §2; Jegadeesh and Titman (1993)
    """
    return np.log(lag(adj_close, _MONTH) / lag(adj_close, _YEAR))


@factor("CS", zh="20日最大日收益率", unit="decimal", sets=_SETS)
def cs_f_max_ret(log_ret: Float64Array) -> Float64Array:
    """Largest daily log return of 20 sessions.

    Shape   (T, N) -> (T, N)
    Sign    high: a lottery ticket
    NaN     fewer than 60 % of the window
    Source  max_ret, 09 §2; Bali, Cakici and Whitelaw (2011)
    """
    return ts_max(log_ret, _MONTH)


@factor("CS", zh="20日最小日收益率", unit="decimal", sets=_SETS)
def cs_f_min_ret(log_ret: Float64Array) -> Float64Array:
    """Smallest daily log return of 20 sessions.

    Shape   (T, N) -> (T, N)
    Sign    near 0: no bad day
    NaN     fewer than 60 % of the window
    Source  min_ret, 09 §2
    """
    return ts_min(log_ret, _MONTH)


@factor("CS", zh="放量反转", unit="log", sets=_SETS)
def cs_f_rev_vol(adj_close: Float64Array, total_turnover: Float64Array) -> Float64Array:
    """Fall of the adjusted close over 5 sessions, times their mean turnover over that of 60.

    Shape   (T, N) -> (T, N)
    Sign    positive: fell, the more so on turnover
    NaN     no trade on t-5; fewer than 60 % of either window
    Source  rev_vol, 09 §2
    """
    return -np.log(adj_close / lag(adj_close, 5)) * (ts_mean(total_turnover, 5) / ts_mean(total_turnover, 60))


@family("cs_f_on_ret", WINDOWS, asset_class="CS", zh="隔夜收益率", unit="log", sets=_SETS)
def cs_f_on_ret(n: int) -> Panel2:
    """Sum of the log returns from the reference price to the open over n sessions.

    Shape   (T, N) -> (T, N)
    Sign    positive: rose by night
    NaN     fewer than 60 % of the window
    Source  on_ret, 09 §2
    """

    def on_ret(open: Float64Array, prev_close: Float64Array) -> Float64Array:
        return ts_sum(np.log(open / prev_close), n)

    return on_ret


@family("cs_f_id_ret", WINDOWS, asset_class="CS", zh="日内收益率", unit="log", sets=_SETS)
def cs_f_id_ret(n: int) -> Panel2:
    """Sum of the log returns from the open to the close over n sessions.

    Shape   (T, N) -> (T, N)
    Sign    positive: rose by day
    NaN     fewer than 60 % of the window
    Source  id_ret, 09 §2
    """

    def id_ret(open: Float64Array, close: Float64Array) -> Float64Array:
        return ts_sum(np.log(close / open), n)

    return id_ret


@family("cs_f_on_minus_id", WINDOWS, asset_class="CS", zh="隔夜日内收益差", unit="log", sets=_SETS)
def cs_f_on_minus_id(n: int) -> Panel3:
    """Return by night less return by day, each summed over n sessions.

    Shape   (T, N) -> (T, N)
    Sign    positive: bought by night, sold by day
    NaN     fewer than 60 % of the window
    Source  on_minus_id, 09 §2; Lou, Polk and Skouras (2019)
    """

    def on_minus_id(open: Float64Array, close: Float64Array, prev_close: Float64Array) -> Float64Array:
        return ts_sum(np.log(open / prev_close), n) - ts_sum(np.log(close / open), n)

    return on_minus_id


@family("cs_f_rank_pos", WINDOWS, asset_class="CS", zh="区间位置", unit="share", sets=_SETS)
def cs_f_rank_pos(n: int) -> Panel3:
    """Where the adjusted close stands between the lowest low and the highest high of n sessions.

    Shape   (T, N) -> (T, N), in [0, 1]
    Sign    near 1: at the top
    NaN     fewer than 60 % of the window; one price all along
    Source  rank_pos, 09 §2; the raw stochastic value (RSV)
    """

    def rank_pos(adj_close: Float64Array, adj_high: Float64Array, adj_low: Float64Array) -> Float64Array:
        lowest, highest = ts_min(adj_low, n), ts_max(adj_high, n)
        return np.where(highest / lowest > 1 + STILL, (adj_close - lowest) / (highest - lowest), np.nan)

    return rank_pos


@family("cs_f_ma_slope", WINDOWS, asset_class="CS", zh="价格趋势t值", unit="t value", sets=_SETS)
def cs_f_ma_slope(n: int) -> Panel1:
    """t value of the slope of the log adjusted close on time, by least squares over n sessions, clipped to ±100.

    Shape   (T, N) -> (T, N), in [-100, 100]
    Sign    positive: rose, and steadily
    NaN     fewer than 60 % of the window; a price that never moved
    Source  ma_slope, 09 §2
    """

    def ma_slope(adj_close: Float64Array) -> Float64Array:
        return trend_t(np.log(adj_close), n)

    return ma_slope


@family("cs_f_rsv_trend", WINDOWS, asset_class="CS", zh="涨跌天数差", unit="share", sets=_SETS)
def cs_f_rsv_trend(n: int) -> Panel1:
    """Share of sessions that rose less share that fell, among those traded of n sessions.

    Shape   (T, N) -> (T, N), in [-1, 1]
    Sign    positive: rose more often than fell
    NaN     fewer than 60 % of the window
    Source  rsv_trend, 09 §2
    """

    def rsv_trend(log_ret: Float64Array) -> Float64Array:
        return ts_mean(np.sign(log_ret), n)

    return rsv_trend


@family("cs_f_eff_ratio", WINDOWS, asset_class="CS", zh="趋势效率", unit="share", sets=_SETS)
def cs_f_eff_ratio(n: int) -> Panel1:
    """How far the price got over n sessions, over the way that it went: the sum of r against that of |r|.

    Shape   (T, N) -> (T, N), in [0, 1]
    Sign    near 1: a straight way
    NaN     fewer than 60 % of the window; a price that never moved
    Source  eff_ratio, 09 §2; Kaufman (1995). |roc| is the absolute sum of r, suspensions included.
    """

    def eff_ratio(log_ret: Float64Array) -> Float64Array:
        return np.abs(ts_sum(log_ret, n)) / ts_sum(np.abs(log_ret), n)

    return eff_ratio


def trend_t(x: Float64Array, n: int) -> Float64Array:
    """t value of the slope of x on time, a hundred at most; NaN where x stands still."""
    line = ts_trend_t(x, n)
    steep = np.where(np.isnan(line), _LARGEST_T * np.sign(ts_slope(x, n)), line)
    return np.where(ts_std(x, n) > STILL, np.clip(steep, -_LARGEST_T, _LARGEST_T), np.nan)
