"""Stocks: where the day stood against its price limits, and how long it has stood there.

A price is at its limit within half a tick. On a session without limits (fields missing or not positive) no flag is up.
"""

from __future__ import annotations

import numpy as np

from features.factor import factor
from features.operators import cs_mean, lag, run_length, ts_mean
from features.operators.logic import flag
from features.panel import Float64Array

TICK = 0.01
HALF_TICK = TICK / 2
# Longer runs of limit days count as this many: every lookback is bounded.
_LONGEST_RUN = 120
_LISTED = 60
_FEWEST = 5


@factor("CS", zh="无涨跌停限制", unit="flag", stored=False)
def no_limit(close: Float64Array, limit_up: Float64Array, limit_down: Float64Array) -> Float64Array:
    """1 on a session without price limits, else 0.

    Shape   (T, N) -> (T, N)
    NaN     no trade
    Source  01, status flags
    """
    return flag(~((limit_up > 0) & (limit_down > 0)), close)


@factor("CS", zh="收盘涨停", unit="flag", stored=False)
def hit_up(close: Float64Array, limit_up: Float64Array, no_limit: Float64Array) -> Float64Array:
    """1 where the close is at the upper limit, else 0.

    Shape   (T, N) -> (T, N)
    NaN     no trade
    Source  01, status flags
    """
    return flag((no_limit == 0) & (close >= limit_up - HALF_TICK), close)


@factor("CS", zh="收盘跌停", unit="flag", stored=False)
def hit_dn(close: Float64Array, limit_down: Float64Array, no_limit: Float64Array) -> Float64Array:
    """1 where the close is at the lower limit, else 0.

    Shape   (T, N) -> (T, N)
    NaN     no trade
    Source  01, status flags
    """
    return flag((no_limit == 0) & (close <= limit_down + HALF_TICK), close)


@factor("CS", zh="触及涨停", unit="flag", stored=False)
def touch_up(high: Float64Array, limit_up: Float64Array, no_limit: Float64Array) -> Float64Array:
    """1 where the high reached the upper limit, else 0.

    Shape   (T, N) -> (T, N)
    NaN     no trade
    Source  01, status flags
    """
    return flag((no_limit == 0) & (high >= limit_up - HALF_TICK), high)


@factor("CS", zh="触及跌停", unit="flag", stored=False)
def touch_dn(low: Float64Array, limit_down: Float64Array, no_limit: Float64Array) -> Float64Array:
    """1 where the low reached the lower limit, else 0.

    Shape   (T, N) -> (T, N)
    NaN     no trade
    Source  01, status flags
    """
    return flag((no_limit == 0) & (low <= limit_down + HALF_TICK), low)


@factor("CS", zh="一字涨停", unit="flag", stored=False)
def locked_up(high: Float64Array, low: Float64Array, touch_up: Float64Array) -> Float64Array:
    """1 where every trade of the day was at the upper limit, else 0.

    Shape   (T, N) -> (T, N)
    NaN     no trade
    Source  01, status flags
    """
    return flag((high == low) & (touch_up > 0), high, low)


@factor("CS", zh="一字跌停", unit="flag", stored=False)
def locked_dn(high: Float64Array, low: Float64Array, touch_dn: Float64Array) -> Float64Array:
    """1 where every trade of the day was at the lower limit, else 0.

    Shape   (T, N) -> (T, N)
    NaN     no trade
    Source  01, status flags
    """
    return flag((high == low) & (touch_dn > 0), high, low)


@factor("CS", zh="受涨跌停约束", unit="flag", stored=False)
def limit_bound(no_limit: Float64Array, listed_sessions: Float64Array) -> Float64Array:
    """1 where the stock traded within limits and has been listed for 60 sessions: those whose hits can be compared.

    Shape   (T, N) -> (T, N)
    NaN     no trade
    Source  01 CS-04, tradable denominator; E-IPO of 00 §4
    """
    return flag((no_limit == 0) & (listed_sessions >= _LISTED), no_limit)


@factor("CS", zh="连续涨停天数(过程)", unit="sessions", stored=False)
def limit_up_run(hit_up: Float64Array) -> Float64Array:
    """Valid sessions in a row that closed at the upper limit, within the last 120 sessions.

    Shape   (T, N) -> (T, N)
    NaN     no trade
    Source  01 CS-03
    """
    return run_length(hit_up, _LONGEST_RUN)


@factor("CS", zh="连续跌停天数(过程)", unit="sessions", stored=False)
def limit_down_run(hit_dn: Float64Array) -> Float64Array:
    """Valid sessions in a row that closed at the lower limit, within the last 120 sessions.

    Shape   (T, N) -> (T, N)
    NaN     no trade
    Source  01 CS-03
    """
    return run_length(hit_dn, _LONGEST_RUN)


@factor("CS", zh="连续一字跌停天数(过程)", unit="sessions", stored=False)
def locked_down_run(locked_dn: Float64Array) -> Float64Array:
    """Valid sessions in a row that traded at the lower limit only, within the last 120 sessions.

    Shape   (T, N) -> (T, N)
    NaN     no trade
    Source  00 T-CS-2
    """
    return run_length(locked_dn, _LONGEST_RUN)


# A streak is a count that skips suspensions by itself, so it is given of a run that is not stored: a stored factor
# with a lookback would be blank for the warm-up after a long suspension, when streaks are what is to be seen.


@factor("CS", zh="涨停延续率(连续涨停天数)", unit="sessions", sets=("literal", "stock_core", "library"))
def cs_limit_up_streak(limit_up_run: Float64Array) -> Float64Array:
    """Valid sessions in a row, t included, that closed at the upper limit; suspensions are skipped.

    Shape   (T, N) -> (T, N)
    Sign    high: speculation
    NaN     no trade. A session without limits sets it to 0.
    Source  CS-03, 01 §1
    """
    return limit_up_run.copy()


@factor("CS", zh="连续跌停天数", unit="sessions", sets=("literal", "stock_core", "library"))
def cs_limit_down_streak(limit_down_run: Float64Array) -> Float64Array:
    """Valid sessions in a row, t included, that closed at the lower limit; suspensions are skipped.

    Shape   (T, N) -> (T, N)
    Sign    high: flight
    NaN     no trade. A session without limits sets it to 0.
    Source  CS-03, 01 §1
    """
    return limit_down_run.copy()


@factor("CS", zh="连续一字跌停天数", unit="sessions", sets=("stock_core",))
def cs_locked_down_streak(locked_down_run: Float64Array) -> Float64Array:
    """Valid sessions in a row, t included, that traded at the lower limit only: nobody could sell.

    Shape   (T, N) -> (T, N)
    Sign    high: exits blocked
    NaN     no trade. A session without limits sets it to 0.
    Source  00 T-CS-2
    """
    return locked_down_run.copy()


@factor("CS", zh="五日一字涨停占比", unit="share", sets=("stock_core",))
def cs_limit_up_locked_share_5(locked_up: Float64Array) -> Float64Array:
    """Share of the last 5 sessions that traded at the upper limit only.

    Shape   (T, N) -> (T, N)
    Sign    high: buyers shut out
    NaN     fewer than 3 traded sessions of 5
    Source  CS-03 corrected, 01 §1
    """
    return ts_mean(locked_up, 5)


@factor("CS", zh="昨日涨停且今日可比", unit="flag", stored=False)
def limit_up_before(hit_up: Float64Array, limit_bound: Float64Array) -> Float64Array:
    """1 where the stock closed at the upper limit yesterday and trades within limits today, else 0.

    Shape   (T, N) -> (T, N)
    NaN     no trade today
    Source  denominator of CS-03 corrected, 01 §1
    """
    return flag((limit_bound > 0) & (lag(hit_up) > 0) & (lag(limit_bound) > 0), limit_bound)


@factor("CS", zh="涨停延续率", unit="share", scope="market", sets=("market",))
def cs_limit_up_continuation_rate(hit_up: Float64Array, limit_up_before: Float64Array) -> Float64Array:
    """Share of yesterday's limit-up stocks that closed at the upper limit again.

    Shape   (T, N) -> (T, 1)
    Sign    high: speculation goes on
    NaN     fewer than 5 such stocks
    Source  CS-03 corrected, 01 §1
    """
    count = np.sum(limit_up_before > 0, axis=1, keepdims=True)
    return np.where(count >= _FEWEST, cs_mean(hit_up, limit_up_before), np.nan)
