"""Stocks: shadows, gaps and ranges of the daily candle.

Prices enter as ratios within a day or to the ex-right reference price. A window needs 60 % of its sessions.
Source  09 §2
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from features.factor import factor, family
from features.factors.price_volume import WINDOWS, Panel2, Panel3
from features.operators import ts_mean, ts_mean_of_top, ts_std
from features.panel import Float64Array

_SETS = ("library",)
_MONTH, _FIFTH = 20, 0.2


@family("cs_f_shadow_up", WINDOWS, asset_class="CS", zh="上影线占比", unit="share", sets=_SETS)
def cs_f_shadow_up(n: int) -> Callable[..., Float64Array]:
    """Mean share of the day's range above its body, over n sessions.

    Shape   (T, N) -> (T, N), in [0, 1]
    Sign    high: sold off from the highs
    NaN     fewer than 60 % of the window with a range (high above low)
    Source  shadow_up, 09 §2
    """

    def shadow_up(open: Float64Array, high: Float64Array, low: Float64Array, close: Float64Array) -> Float64Array:
        return ts_mean((high - np.maximum(open, close)) / np.where(high > low, high - low, np.nan), n)

    return shadow_up


@family("cs_f_shadow_dn", WINDOWS, asset_class="CS", zh="下影线占比", unit="share", sets=_SETS)
def cs_f_shadow_dn(n: int) -> Callable[..., Float64Array]:
    """Mean share of the day's range below its body, over n sessions.

    Shape   (T, N) -> (T, N), in [0, 1]
    Sign    high: bought from the lows
    NaN     fewer than 60 % of the window with a range (high above low)
    Source  shadow_dn, 09 §2
    """

    def shadow_dn(open: Float64Array, high: Float64Array, low: Float64Array, close: Float64Array) -> Float64Array:
        return ts_mean((np.minimum(open, close) - low) / np.where(high > low, high - low, np.nan), n)

    return shadow_dn


@family("cs_f_gap", WINDOWS, asset_class="CS", zh="跳空幅度", unit="log", sets=_SETS)
def cs_f_gap(n: int) -> Panel2:
    """Mean absolute log of the open over the reference price, over n sessions.

    Shape   (T, N) -> (T, N)
    Sign    high: opens far from where it closed
    NaN     fewer than 60 % of the window
    Source  gap, 09 §2
    """

    def gap(open: Float64Array, prev_close: Float64Array) -> Float64Array:
        return ts_mean(np.abs(np.log(open / prev_close)), n)

    return gap


@family("cs_f_gap_signed", WINDOWS, asset_class="CS", zh="标准化跳空", unit="ratio", sets=_SETS)
def cs_f_gap_signed(n: int) -> Panel3:
    """Mean log of the open over the reference price, in standard deviations of the daily log return, over n sessions.

    Shape   (T, N) -> (T, N)
    Sign    positive: opens above where it closed
    NaN     fewer than 60 % of the window; a price that never moved
    Source  gap_signed, 09 §2; its std is the column of that name
    """

    def gap_signed(open: Float64Array, prev_close: Float64Array, log_ret: Float64Array) -> Float64Array:
        return ts_mean(np.log(open / prev_close), n) / ts_std(log_ret, n)

    return gap_signed


@family("cs_f_amp", WINDOWS, asset_class="CS", zh="振幅", unit="decimal", sets=_SETS)
def cs_f_amp(n: int) -> Panel3:
    """Mean range of the day over the reference price, over n sessions.

    Shape   (T, N) -> (T, N)
    Sign    high: wide days
    NaN     fewer than 60 % of the window
    Source  amp, 09 §2
    """

    def amp(high: Float64Array, low: Float64Array, prev_close: Float64Array) -> Float64Array:
        return ts_mean((high - low) / prev_close, n)

    return amp


@factor("CS", zh="20日振幅切割", unit="decimal per day", sets=_SETS)
def cs_f_amp_cut(
    log_ret: Float64Array, high: Float64Array, low: Float64Array, prev_close: Float64Array
) -> Float64Array:
    """Mean log return of the fifth of 20 sessions with the widest ranges less that of the fifth with the narrowest.

    Shape   (T, N) -> (T, N)
    Sign    positive: rises on its wide days
    NaN     fewer than 60 % of the window
    Source  amp_cut, 09 §2
    """
    width = (high - low) / prev_close
    return ts_mean_of_top(log_ret, width, _MONTH, _FIFTH) - ts_mean_of_top(log_ret, -width, _MONTH, _FIFTH)
