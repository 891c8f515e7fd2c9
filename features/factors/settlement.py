"""Futures: how far the settlement, which is an average over the session, lies from the close.  Source  04 §2.3"""

from __future__ import annotations

import numpy as np

from features.factor import factor
from features.operators import flag, ts_robust_z
from features.operators.order_kernels import MAD_TO_STD
from features.panel import Float64Array

_SETS = ("futures",)
_WINDOW, _STALE_MADS = 60, 3.0
# Of a window, as of every moment: 60 %.
_LEAST = 36


def averaging_effect(share: float) -> tuple[float, float]:
    """What averaging over the last `share` of the session does to daily changes of a Brownian price.

    Gives the variance of changes of the average over that of the close's, and their lag-1 autocorrelation. CFFEX
    averages the last hour of four (a quarter), most commodities the whole session (1). So volatility uses closes.
    Source  04 §2.3; Working (1960)
    """
    ratio = 1 - share / 3
    return ratio, share / 6 / ratio


@factor("Future", zh="收盘结算偏离", unit="ln", known="settle", sets=_SETS)
def fut_settle_close_gap(close: Float64Array, settlement: Float64Array) -> Float64Array:
    """Log of the close over the settlement.

    Shape   (T, N) -> (T, N)
    Sign    positive: the price rose late in the session
    NaN     no trade, or no settlement
    Source  FUT-12, 04 §2.3
    """
    return np.log(close / settlement)


@factor("Future", zh="结算价滞后标记", unit="flag", known="settle", sets=_SETS)
def fut_settle_stale(fut_settle_close_gap: Float64Array) -> Float64Array:
    """Whether the gap lies more than 3 MADs of 60 sessions from their median: a settlement that lags.

    Shape   (T, N) -> (T, N), 0 or 1
    Sign    1: keep the settlement out of fits
    NaN     no trade, no settlement, fewer than 36 gaps in 60 sessions, or gaps that do not vary
    Source  FUT-12, 04 §2.3; the spec's |gap| is measured from the median, as the MAD is
    """
    z = ts_robust_z(fut_settle_close_gap, _WINDOW, _LEAST)
    return flag(np.abs(z) > _STALE_MADS / MAD_TO_STD, z)
