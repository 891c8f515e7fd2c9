"""Stocks: volatility and liquidity columns that models and other factors lean on."""

from __future__ import annotations

import numpy as np

from features.factor import factor
from features.operators import ewma, shortened, ts_mean, ts_percentile
from features.operators.ranges import corwin_schultz, yang_zhang
from features.panel import Float64Array

SESSIONS_A_YEAR = 242
_DECAY, _START = 0.94, 20
_WINDOW = 20


@factor("CS", zh="EWMA日波动率", unit="decimal per day", sets=("stock_core", "library"))
def cs_vol_ewma(log_ret: Float64Array, state: Float64Array | None = None) -> tuple[Float64Array, Float64Array]:
    """Daily volatility, exponentially weighted with decay .94, begun at the mean of the first 20 squared returns.

    Shape   (T, N) -> (T, N)
    Sign    high: volatile
    NaN     no trade; fewer than 20 returns since listing. A suspension carries the level on.
    Source  00 §2, 01 §2
    """
    variance, carried = ewma(log_ret**2, _DECAY, _START, state)
    return np.sqrt(variance), carried


@factor("CS", zh="Yang-Zhang年化波动率", unit="decimal per year", sets=("stock_core", "library"))
def cs_vol_yz20(
    open: Float64Array, high: Float64Array, low: Float64Array, close: Float64Array, prev_close: Float64Array
) -> Float64Array:
    """Volatility of 20 sessions from their ranges, bodies and nights, per year of 242 sessions.

    Shape   (T, N) -> (T, N)
    Sign    high: volatile
    NaN     fewer than 12 traded sessions of 20
    Source  01 §2, 03 §2; Yang and Zhang (2000)
    """
    return np.sqrt(SESSIONS_A_YEAR * yang_zhang(open, high, low, close, prev_close, _WINDOW))


@factor("CS", zh="Amihud非流动性", unit="decimal per 1e8 CNY", sets=("stock_core",))
def cs_illiq20(cs_ret_1d: Float64Array, total_turnover: Float64Array) -> Float64Array:
    """Mean of the absolute return that 1e8 CNY of turnover went with, over 20 sessions.

    Shape   (T, N) -> (T, N)
    Sign    high: illiquid
    NaN     fewer than 12 traded sessions of 20
    Source  ILLIQ20 of 01 CS-02; Amihud (2002)
    """
    return ts_mean(np.abs(cs_ret_1d) / (total_turnover / 1e8), _WINDOW)


@factor("CS", zh="非流动性历史分位", unit="quantile", stored=False)
def illiq_percentile(cs_illiq20: Float64Array) -> Float64Array:
    """Where the stock's illiquidity stands among its own last 250 sessions.

    Shape   (T, N) -> (T, N)
    Sign    high: less liquid than it used to be
    NaN     fewer than 125 values of 250
    Source  A of 01 CS-02
    """
    # Sessions whose windows hold the same trades tie, whatever a running sum has rounded on the way.
    return ts_percentile(shortened(cs_illiq20), 250)


@factor("CS", zh="Corwin-Schultz价差", unit="decimal", sets=("stock_core", "library"))
def cs_spread_cs(high: Float64Array, low: Float64Array, close: Float64Array, prev_close: Float64Array) -> Float64Array:
    """Relative bid-ask spread estimated from pairs of daily ranges, mean of 20 sessions.

    Shape   (T, N) -> (T, N)
    Sign    high: dear to trade
    NaN     fewer than 12 pairs of traded sessions with a range of their own
    Source  01 §2; Corwin and Schultz (2012)
    """
    return ts_mean(corwin_schultz(high, low, close, prev_close), _WINDOW)
