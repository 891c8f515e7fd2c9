"""Stocks: return, adjusted prices, the universe and its return; what the other modules of stock factors start from."""

from __future__ import annotations

import numpy as np

from features.factor import factor
from features.operators import adjustment, cs_mean, previous_valid, ts_mean
from features.panel import Float64Array
from features.universe import TURNOVER_WINDOW, Universe, tradable


@factor("CS", zh="日收益率", unit="decimal", sets=("stock_core", "literal"))
def cs_ret_1d(close: Float64Array, prev_close: Float64Array) -> Float64Array:
    """Return of the day on the ex-right reference price, hence adjusted.

    Shape   (T, N) -> (T, N)
    Sign    positive: the price rose
    NaN     no trade
    Source  CS-09, 01 §1
    """
    return close / prev_close - 1


@factor("CS", zh="对数日收益率", unit="decimal", stored=False)
def log_ret(close: Float64Array, prev_close: Float64Array) -> Float64Array:
    """Log return of the day on the ex-right reference price, that is of adjusted closes across suspensions too.

    Shape   (T, N) -> (T, N)
    Sign    positive: the price rose
    NaN     no trade
    Source  r of 09 §2
    """
    return np.log(close / prev_close)


@factor("CS", zh="成交额20日均值", unit="CNY", sets=("stock_core",))
def cs_turnover20(total_turnover: Float64Array) -> Float64Array:
    """Mean turnover of the last 20 sessions.

    Shape   (T, N) -> (T, N)
    Sign    high: liquid
    NaN     fewer than 12 traded sessions of 20
    Source  01 §2
    """
    return ts_mean(total_turnover, TURNOVER_WINDOW)


@factor("CS", zh="成交均价", unit="CNY per share")
def cs_vwap(total_turnover: Float64Array, volume: Float64Array) -> Float64Array:
    """Mean price of the day's trades, unadjusted.

    Shape   (T, N) -> (T, N)
    NaN     no trade
    Source  01 §2
    """
    return total_turnover / volume


@factor("CS", zh="可交易股票池", unit="flag")
def universe(
    traded: Float64Array,
    listed_sessions: Float64Array,
    cs_turnover20: Float64Array,
    is_st: Float64Array | None = None,
) -> Float64Array:
    """1 where the stock may be traded when deciding on t under the standard settings, else 0.

    Shape   (T, N) -> (T, N)
    NaN     no trade on t
    Source  00 §4
    """
    return tradable(traded, listed_sessions, cs_turnover20, is_st, Universe()).astype(np.float64)


@factor("CS", zh="市场日收益率", unit="decimal", scope="market", sets=("market",))
def cs_market_return(cs_ret_1d: Float64Array, universe: Float64Array) -> Float64Array:
    """Equal-weight mean return of the universe.

    Shape   (T, N) -> (T, 1)
    Sign    positive: the market rose
    NaN     empty universe
    Source  09 §1, excess over the universe
    """
    return cs_mean(cs_ret_1d, universe)


@factor("CS", zh="市场对数日收益率", unit="decimal", scope="market", stored=False)
def market_log_ret(cs_market_return: Float64Array) -> Float64Array:
    """Log of one plus the market's return, to set beside log returns.

    Shape   (T, 1) -> (T, 1)
    Sign    positive: the market rose
    NaN     empty universe
    Source  m of 09 §2
    """
    return np.log1p(cs_market_return)


@factor("CS", zh="复权因子", unit="ratio", stored=False)
def adjust(
    close: Float64Array, prev_close: Float64Array, state: Float64Array | None = None, first: int = 0
) -> tuple[Float64Array, Float64Array]:
    """Cumulative adjustment, 1 on the first bar that the store holds of a stock.

    Shape   (T, N) -> (T, N); the state (2, N) is its last row and the last close, 0 for a stock without one
    NaN     none
    Source  00 §3
    """
    then, last = np.zeros((2, close.shape[1])) if state is None else state
    # The last close stands before the history, for a stock that did not trade in it: its next bar is compared with it.
    # Where a stock did trade, that is a wrong step ahead of all its rows, and goes out with the scale.
    before = np.where(last > 0, last, np.nan)[None, :]
    steps = adjustment(np.vstack([before, close]), np.vstack([np.full_like(before, np.nan), prev_close]))
    level = steps[1:] * np.where(then > 0, then / steps[first], 1.0)
    newest = previous_valid(np.vstack([before, close, before]))[-1:]
    return level, np.vstack([level[-1:], np.where(newest > 0, newest, 0.0)])


@factor("CS", zh="复权收盘价", unit="CNY of the first bar", stored=False)
def adj_close(close: Float64Array, adjust: Float64Array) -> Float64Array:
    """Adjusted close, in prices of the stock's first bar.

    Shape   (T, N) -> (T, N)
    NaN     no trade
    Source  00 §3
    """
    return close * adjust


@factor("CS", zh="复权开盘价", unit="CNY of the first bar", stored=False)
def adj_open(open: Float64Array, adjust: Float64Array) -> Float64Array:
    """Adjusted open, in prices of the stock's first bar.

    Shape   (T, N) -> (T, N)
    NaN     no trade
    Source  00 §3
    """
    return open * adjust


@factor("CS", zh="复权最高价", unit="CNY of the first bar", stored=False)
def adj_high(high: Float64Array, adjust: Float64Array) -> Float64Array:
    """Adjusted high, in prices of the stock's first bar.

    Shape   (T, N) -> (T, N)
    NaN     no trade
    Source  00 §3
    """
    return high * adjust


@factor("CS", zh="复权最低价", unit="CNY of the first bar", stored=False)
def adj_low(low: Float64Array, adjust: Float64Array) -> Float64Array:
    """Adjusted low, in prices of the stock's first bar.

    Shape   (T, N) -> (T, N)
    NaN     no trade
    Source  00 §3
    """
    return low * adjust


@factor("CS", zh="复权成交均价", unit="CNY of the first bar", stored=False)
def adj_vwap(cs_vwap: Float64Array, adjust: Float64Array) -> Float64Array:
    """Adjusted mean price of the day's trades, in prices of the stock's first bar.

    Shape   (T, N) -> (T, N)
    NaN     no trade
    Source  00 §3
    """
    return cs_vwap * adjust


@factor("CS", zh="复权成交量", unit="shares of the first bar", stored=False)
def adj_volume(volume: Float64Array, adjust: Float64Array) -> Float64Array:
    """Volume over the adjustment of prices, in shares of the stock's first bar.

    Right for splits, whose shares multiply; a dividend moves it too, as qlib's.

    Shape   (T, N) -> (T, N)
    NaN     no trade
    Source  qlib's adjusted volume
    """
    return volume / adjust
