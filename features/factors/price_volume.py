"""Stocks: families over windows of 5 to 250 sessions, from prices and turnover alone.

Prices are adjusted, r is the log return, V the turnover in CNY; a window needs 60 % of its sessions.
Source  09 §2
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from features.factor import family
from features.operators import delta, lag, ts_beta, ts_corr, ts_max, ts_mean, ts_min, ts_resid_std, ts_std
from features.panel import Float64Array

WINDOWS = (5, 10, 20, 60, 120, 250)
# A year of sessions, against which shorter windows of turnover are held.
_YEAR = 250
# The families here are in the core that models are trained on; the rest of the library stands in the modules beside.
_SETS = ("stock_core", "library")
Panel1 = Callable[[Float64Array], Float64Array]
Panel2 = Callable[[Float64Array, Float64Array], Float64Array]
Panel3 = Callable[[Float64Array, Float64Array, Float64Array], Float64Array]


@family("cs_f_roc", WINDOWS, asset_class="CS", zh="收益率", unit="log", sets=_SETS)
def cs_f_roc(n: int) -> Panel1:
    """Log change of the adjusted close over n sessions.

    Shape   (T, N) -> (T, N)
    Sign    positive: the price rose
    NaN     no trade on t or on t-n
    Source  roc, 09 §2
    """

    def roc(adj_close: Float64Array) -> Float64Array:
        return np.log(adj_close / lag(adj_close, n))

    return roc


@family("cs_f_std", WINDOWS, asset_class="CS", zh="波动率", unit="decimal per day", sets=_SETS)
def cs_f_std(n: int) -> Panel1:
    """Standard deviation of daily log returns over n sessions.

    Shape   (T, N) -> (T, N)
    Sign    high: volatile
    NaN     fewer than 60 % of the window
    Source  std, 09 §2
    """

    def std(log_ret: Float64Array) -> Float64Array:
        return ts_std(log_ret, n)

    return std


@family("cs_f_ma_dev", WINDOWS, asset_class="CS", zh="均线偏离", unit="log", sets=_SETS)
def cs_f_ma_dev(n: int) -> Panel1:
    """Log of the adjusted close over its mean of n sessions.

    Shape   (T, N) -> (T, N)
    Sign    positive: above the mean
    NaN     fewer than 60 % of the window
    Source  ma_dev, 09 §2
    """

    def ma_dev(adj_close: Float64Array) -> Float64Array:
        return np.log(adj_close / ts_mean(adj_close, n))

    return ma_dev


@family("cs_f_clv", WINDOWS, asset_class="CS", zh="收盘位置", unit="ratio", sets=_SETS)
def cs_f_clv(n: int) -> Panel3:
    """Mean place of the close in the day's range over n sessions, from -1 at the low to 1 at the high.

    Shape   (T, N) -> (T, N), in [-1, 1]
    Sign    positive: closes near the highs
    NaN     fewer than 60 % of the window with a range (high above low)
    Source  clv, 09 §2
    """

    def clv(high: Float64Array, low: Float64Array, close: Float64Array) -> Float64Array:
        return ts_mean((2 * close - high - low) / np.where(high > low, high - low, np.nan), n)

    return clv


@family("cs_f_dist_high", WINDOWS, asset_class="CS", zh="距最高价", unit="log", sets=_SETS)
def cs_f_dist_high(n: int) -> Panel2:
    """Log of the adjusted close over the highest adjusted high of n sessions.

    Shape   (T, N) -> (T, N), at most 0
    Sign    near 0: at the top
    NaN     fewer than 60 % of the window
    Source  dist_high, 09 §2
    """

    def dist_high(adj_close: Float64Array, adj_high: Float64Array) -> Float64Array:
        return np.log(adj_close / ts_max(adj_high, n))

    return dist_high


@family("cs_f_dist_low", WINDOWS, asset_class="CS", zh="距最低价", unit="log", sets=_SETS)
def cs_f_dist_low(n: int) -> Panel2:
    """Log of the adjusted close over the lowest adjusted low of n sessions.

    Shape   (T, N) -> (T, N), at least 0
    Sign    near 0: at the bottom
    NaN     fewer than 60 % of the window
    Source  dist_low, 09 §2
    """

    def dist_low(adj_close: Float64Array, adj_low: Float64Array) -> Float64Array:
        return np.log(adj_close / ts_min(adj_low, n))

    return dist_low


@family("cs_f_beta", WINDOWS, asset_class="CS", zh="贝塔", unit="ratio", sets=_SETS)
def cs_f_beta(n: int) -> Panel2:
    """Slope of the log return on the market's over n sessions.

    Shape   (T, N), (T, 1) -> (T, N)
    Sign    above 1: moves more than the market
    NaN     fewer than 60 % of the window (three sessions at least)
    Source  beta, 09 §2; the market is the equal-weight universe
    """

    def beta(log_ret: Float64Array, market_log_ret: Float64Array) -> Float64Array:
        return ts_beta(log_ret, market_log_ret, n)

    return beta


@family(
    "cs_f_idio_vol",
    [n for n in WINDOWS if n >= 60],
    asset_class="CS",
    zh="特质波动率",
    unit="decimal per day",
    sets=_SETS,
)
def cs_f_idio_vol(n: int) -> Panel2:
    """Standard deviation (ddof 2) of what the market leaves of the log return over n sessions.

    Shape   (T, N), (T, 1) -> (T, N)
    Sign    high: a mover of its own
    NaN     fewer than 60 % of the window
    Source  idio_vol, 09 §2
    """

    def idio_vol(log_ret: Float64Array, market_log_ret: Float64Array) -> Float64Array:
        return ts_resid_std(log_ret, market_log_ret, n)

    return idio_vol


@family("cs_f_illiq", WINDOWS, asset_class="CS", zh="非流动性", unit="ln 1/(1e8 CNY)", sets=_SETS)
def cs_f_illiq(n: int) -> Panel2:
    """Log of the mean absolute log return that 1e8 CNY of turnover went with, over n sessions.

    Shape   (T, N) -> (T, N)
    Sign    high: illiquid
    NaN     fewer than 60 % of the window; a price that never moved
    Source  illiq, 09 §2; Amihud (2002)
    """

    def illiq(log_ret: Float64Array, total_turnover: Float64Array) -> Float64Array:
        return np.log(ts_mean(np.abs(log_ret) / total_turnover * 1e8, n))

    return illiq


@family(
    "cs_f_turn_ratio",
    [n for n in WINDOWS if n < _YEAR],
    asset_class="CS",
    zh="成交额比",
    unit="log",
    sets=_SETS,
)
def cs_f_turn_ratio(n: int) -> Panel1:
    """Log of mean turnover over n sessions over that of 250.

    Shape   (T, N) -> (T, N)
    Sign    positive: busier than in its year
    NaN     fewer than 60 % of either window
    Source  turn_ratio, 09 §2
    """

    def turn_ratio(total_turnover: Float64Array) -> Float64Array:
        return np.log(ts_mean(total_turnover, n) / ts_mean(total_turnover, _YEAR))

    return turn_ratio


@family(
    "cs_f_pv_corr",
    WINDOWS,
    asset_class="CS",
    zh="量价相关",
    unit="correlation",
    sets=_SETS,
)
def cs_f_pv_corr(n: int) -> Panel2:
    """Correlation of the log return with the log change of turnover over n sessions.

    Shape   (T, N) -> (T, N), in [-1, 1]
    Sign    positive: rises come with turnover
    NaN     fewer than 60 % of the window (three sessions at least) with trades on two days running
    Source  pv_corr, 09 §2
    """

    def pv_corr(log_ret: Float64Array, total_turnover: Float64Array) -> Float64Array:
        return ts_corr(log_ret, delta(np.log(total_turnover)), n)

    return pv_corr


@family("cs_f_vwap_dev", WINDOWS, asset_class="CS", zh="均价偏离", unit="log", sets=_SETS)
def cs_f_vwap_dev(n: int) -> Panel2:
    """Mean log of the close over the day's average price, over n sessions.

    Shape   (T, N) -> (T, N)
    Sign    positive: closes above where it traded
    NaN     fewer than 60 % of the window
    Source  vwap_dev, 09 §2
    """

    def vwap_dev(close: Float64Array, cs_vwap: Float64Array) -> Float64Array:
        return ts_mean(np.log(close / cs_vwap), n)

    return vwap_dev
