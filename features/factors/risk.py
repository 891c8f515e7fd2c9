"""Stocks: how widely a price moves, by closes and by ranges, and how lopsidedly.

r is the log return on the ex-right reference price. A window needs 60 % of its sessions.
Source  09 §2, estimators of 03 §2
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from features.factor import factor, family
from features.factors.price_volume import WINDOWS, Panel1, Panel2
from features.operators import ts_kurt, ts_mean, ts_skew, ts_std
from features.operators.ranges import garman_klass, parkinson, yang_zhang
from features.panel import Float64Array

_SETS = ("library",)
# Third and fourth moments of fewer sessions are noise.
_OF_MOMENTS = [n for n in WINDOWS if n >= 20]
_MONTH = 20


@family("cs_f_dstd", WINDOWS, asset_class="CS", zh="下行波动率", unit="decimal per day", sets=_SETS)
def cs_f_dstd(n: int) -> Panel1:
    """Standard deviation over n sessions of the log return where it is below 0, and 0 elsewhere.

    Shape   (T, N) -> (T, N)
    Sign    high: falls far
    NaN     fewer than 60 % of the window
    Source  dstd, 09 §2
    """

    def dstd(log_ret: Float64Array) -> Float64Array:
        return ts_std(np.minimum(log_ret, 0.0), n)

    return dstd


@family("cs_f_ustd", WINDOWS, asset_class="CS", zh="上行波动率", unit="decimal per day", sets=_SETS)
def cs_f_ustd(n: int) -> Panel1:
    """Standard deviation over n sessions of the log return where it is above 0, and 0 elsewhere.

    Shape   (T, N) -> (T, N)
    Sign    high: rises far
    NaN     fewer than 60 % of the window
    Source  ustd, 09 §2
    """

    def ustd(log_ret: Float64Array) -> Float64Array:
        return ts_std(np.maximum(log_ret, 0.0), n)

    return ustd


@family("cs_f_park", WINDOWS, asset_class="CS", zh="Parkinson波动率", unit="decimal per day", sets=_SETS)
def cs_f_park(n: int) -> Panel2:
    """Root of the mean variance of n sessions from their ranges, without the nights.

    Shape   (T, N) -> (T, N)
    Sign    high: volatile by day
    NaN     fewer than 60 % of the window. A day of one price counts as one without variance.
    Source  park, 09 §2; Parkinson (1980)
    """

    def park(high: Float64Array, low: Float64Array) -> Float64Array:
        return np.sqrt(ts_mean(parkinson(high, low), n))

    return park


@family("cs_f_gk", WINDOWS, asset_class="CS", zh="Garman-Klass波动率", unit="decimal per day", sets=_SETS)
def cs_f_gk(n: int) -> Callable[..., Float64Array]:
    """Root of the mean variance of n sessions from their ranges and bodies, without the nights.

    Shape   (T, N) -> (T, N)
    Sign    high: volatile by day
    NaN     fewer than 60 % of the window; a mean below 0, which days that close at their extremes can leave
    Source  gk, 09 §2; Garman and Klass (1980)
    """

    def gk(open: Float64Array, high: Float64Array, low: Float64Array, close: Float64Array) -> Float64Array:
        return np.sqrt(ts_mean(garman_klass(open, high, low, close), n))

    return gk


# That of 20 sessions is cs_vol_yz20, per year.
@family(
    "cs_f_yz",
    [n for n in WINDOWS if n != _MONTH],
    asset_class="CS",
    zh="Yang-Zhang波动率",
    unit="decimal per day",
    sets=_SETS,
)
def cs_f_yz(n: int) -> Callable[..., Float64Array]:
    """Daily volatility of n sessions from their ranges, bodies and nights.

    Shape   (T, N) -> (T, N)
    Sign    high: volatile
    NaN     fewer than 60 % of the window
    Source  yz, 09 §2; Yang and Zhang (2000)
    """

    def yz(
        open: Float64Array, high: Float64Array, low: Float64Array, close: Float64Array, prev_close: Float64Array
    ) -> Float64Array:
        return np.sqrt(yang_zhang(open, high, low, close, prev_close, n))

    return yz


@factor("CS", zh="20日波动率的波动率", unit="log", sets=_SETS)
def cs_f_volvol(high: Float64Array, low: Float64Array) -> Float64Array:
    """Standard deviation of the log of the daily Parkinson variance over 20 sessions.

    Shape   (T, N) -> (T, N)
    Sign    high: calm days and wild ones
    NaN     fewer than 60 % of the window with a range (high above low)
    Source  volvol, 09 §2
    """
    return ts_std(np.log(parkinson(high, low)), _MONTH)


@family("cs_f_skew", _OF_MOMENTS, asset_class="CS", zh="收益偏度", unit="ratio", sets=_SETS)
def cs_f_skew(n: int) -> Panel1:
    """Skewness of daily log returns over n sessions, corrected for bias.

    Shape   (T, N) -> (T, N)
    Sign    positive: its far days are rises
    NaN     fewer than 60 % of the window; a price that never moved
    Source  skew, 09 §2
    """

    def skew(log_ret: Float64Array) -> Float64Array:
        return ts_skew(log_ret, n)

    return skew


@family("cs_f_kurt", _OF_MOMENTS, asset_class="CS", zh="收益峰度", unit="ratio", sets=_SETS)
def cs_f_kurt(n: int) -> Panel1:
    """Excess kurtosis of daily log returns over n sessions, corrected for bias.

    Shape   (T, N) -> (T, N)
    Sign    positive: far days more often than in a normal distribution
    NaN     fewer than 60 % of the window; a price that never moved
    Source  kurt, 09 §2
    """

    def kurt(log_ret: Float64Array) -> Float64Array:
        return ts_kurt(log_ret, n)

    return kurt


@factor("CS", zh="短长波动率比", unit="ratio", sets=_SETS)
def cs_f_vol_ratio(log_ret: Float64Array) -> Float64Array:
    """Standard deviation of daily log returns over 5 sessions over that of 60.

    Shape   (T, N) -> (T, N)
    Sign    above 1: more volatile than it used to be
    NaN     fewer than 60 % of either window; a price that never moved
    Source  vol_ratio, 09 §2
    """
    return ts_std(log_ret, 5) / ts_std(log_ret, 60)
