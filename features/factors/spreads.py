"""Stocks: what trading costs, as far as daily bars show it.

Prices enter as ratios within a day or to the ex-right reference price. A window needs 60 % of its sessions.
Source  09 §2
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from features.factor import family
from features.factors.limit_moves import HALF_TICK
from features.factors.price_volume import WINDOWS, Panel2
from features.operators import abdi_ranaldo, flag, ts_mean
from features.operators.ranges import corwin_schultz
from features.panel import Float64Array

_SETS = ("library",)
_MONTH = 20


# That of 20 sessions is cs_spread_cs.
@family(
    "cs_f_cs_spread",
    [n for n in WINDOWS if n != _MONTH],
    asset_class="CS",
    zh="Corwin-Schultz价差",
    unit="decimal",
    sets=_SETS,
)
def cs_f_cs_spread(n: int) -> Callable[..., Float64Array]:
    """Relative bid-ask spread estimated from pairs of daily ranges, mean of n sessions.

    Shape   (T, N) -> (T, N)
    Sign    high: dear to trade
    NaN     fewer than 60 % of the window with a range (high above low) on the session and on the one before
    Source  cs_spread, 09 §2; Corwin and Schultz (2012)
    """

    def cs_spread(high: Float64Array, low: Float64Array, close: Float64Array, prev_close: Float64Array) -> Float64Array:
        return ts_mean(corwin_schultz(high, low, close, prev_close), n)

    return cs_spread


@family("cs_f_ar_spread", WINDOWS, asset_class="CS", zh="Abdi-Ranaldo价差", unit="decimal", sets=_SETS)
def cs_f_ar_spread(n: int) -> Callable[..., Float64Array]:
    """Relative bid-ask spread from closes and the middles of their day's range and the next, mean of n sessions.

    Shape   (T, N) -> (T, N)
    Sign    high: dear to trade
    NaN     fewer than 60 % of the window with a range (high above low) on the session and on the one before
    Source  ar_spread, 09 §2; Abdi and Ranaldo (2017)
    """

    def ar_spread(high: Float64Array, low: Float64Array, close: Float64Array, prev_close: Float64Array) -> Float64Array:
        return ts_mean(abdi_ranaldo(high, low, close, prev_close), n)

    return ar_spread


@family("cs_f_zero_ret", WINDOWS, asset_class="CS", zh="零收益占比", unit="share", sets=_SETS)
def cs_f_zero_ret(n: int) -> Panel2:
    """Share of n sessions on which the price did not move: the log return is below half a tick over the close.

    Shape   (T, N) -> (T, N), in [0, 1]
    Sign    high: nobody trades on news
    NaN     fewer than 60 % of the window
    Source  zero_ret, 09 §2; Lesmond, Ogden and Trzcinka (1999)
    """

    def zero_ret(log_ret: Float64Array, close: Float64Array) -> Float64Array:
        return ts_mean(flag(np.abs(log_ret) < HALF_TICK / close, log_ret), n)

    return zero_ret
