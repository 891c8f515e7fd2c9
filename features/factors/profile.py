"""Stocks: single columns of the library - limits touched, trade size, price, age, the month of the year, the calendar.

Source  09 §2
"""

from __future__ import annotations

import functools

import numpy as np

from features.factor import factor
from features.operators import lag, ts_argmax, ts_max, ts_mean, ts_sum
from features.panel import Float64Array

_SETS = ("library",)
_MONTH, _YEAR = 20, 250
_OLDEST = 1250
# Of the same calendar month, this year's lies within 30 sessions, the five before within the 1320 that come earlier,
# and the sixth does not: a year has 235 to 260 sessions.
_THIS_YEAR, _FIVE_YEARS = 30, 1320
_OF_A_MONTH = 12


@factor("CS", zh="20日触及涨停次数", unit="sessions", sets=_SETS)
def cs_f_lim_touch_up(touch_up: Float64Array) -> Float64Array:
    """Sessions of the last 20 whose high reached the upper limit.

    Shape   (T, N) -> (T, N)
    Sign    high: speculation
    NaN     fewer than 60 % of the window
    Source  lim_touch_up, 09 §2
    """
    return ts_sum(touch_up, _MONTH)


@factor("CS", zh="20日触及跌停次数", unit="sessions", sets=_SETS)
def cs_f_lim_touch_dn(touch_dn: Float64Array) -> Float64Array:
    """Sessions of the last 20 whose low reached the lower limit.

    Shape   (T, N) -> (T, N)
    Sign    high: flight
    NaN     fewer than 60 % of the window
    Source  lim_touch_dn, 09 §2
    """
    return ts_sum(touch_dn, _MONTH)


@factor("CS", zh="距上次涨停天数", unit="sessions", sets=_SETS)
def cs_f_lim_days_since(hit_up: Float64Array) -> Float64Array:
    """Sessions since the stock last closed at the upper limit, suspensions included; 250 if not within 250.

    Shape   (T, N) -> (T, N), in [0, 250]
    Sign    near 0: at the limit just now
    NaN     no trade
    Source  lim_days_since, 09 §2
    """
    return np.where(ts_max(hit_up, _YEAR, 1) > 0, ts_argmax(hit_up, _YEAR, 1), _YEAR)


@factor("CS", zh="涨停接近度", unit="share", sets=_SETS)
def cs_f_p_up(limit_proximity_up: Float64Array) -> Float64Array:
    """How much of the way from the reference price to the upper limit the close went, in [0, 1].

    Shape   (T, N) -> (T, N)
    Sign    high: close to the upper limit
    NaN     no limits; no trade
    Source  p_up, 09 §2; P_up of CS-02 corrected
    """
    return limit_proximity_up


@factor("CS", zh="跌停接近度", unit="share", sets=_SETS)
def cs_f_p_dn(limit_proximity_dn: Float64Array) -> Float64Array:
    """How much of the way from the reference price to the lower limit the close went, in [0, 1].

    Shape   (T, N) -> (T, N)
    Sign    high: close to the lower limit
    NaN     no limits; no trade
    Source  p_dn, 09 §2; P_dn of CS-02 corrected
    """
    return limit_proximity_dn


@factor("CS", zh="对数单笔成交额", unit="ln CNY per trade", sets=_SETS)
def cs_f_tsz(cs_trade_size_yuan: Float64Array) -> Float64Array:
    """Log of the turnover of the average trade.

    Shape   (T, N) -> (T, N)
    Sign    high: large trades
    NaN     trades not counted; no trade
    Source  tsz, 09 §2
    """
    return np.log(cs_trade_size_yuan)


@factor("CS", zh="对数股价", unit="ln CNY", sets=_SETS)
def cs_f_price_lvl(close: Float64Array) -> Float64Array:
    """Log of the close, unadjusted.

    Shape   (T, N) -> (T, N)
    Sign    high: a dear share
    NaN     no trade
    Source  price_lvl, 09 §2
    """
    return np.log(close)


@factor("CS", zh="对数上市天数", unit="ln sessions", sets=_SETS)
def cs_f_age(listed_sessions: Float64Array) -> Float64Array:
    """Log of the sessions since listing, the listing day counting 1, of 1250 at most.

    Shape   (T, N) -> (T, N)
    Sign    high: listed for long
    NaN     a listing date that is not known; no trade
    Source  age, 09 §2
    """
    return np.log(np.minimum(listed_sessions, _OLDEST))


@factor("CS", zh="同月季节性", unit="decimal per day", sets=_SETS)
def cs_f_season(log_ret: Float64Array, month: Float64Array) -> Float64Array:
    """Mean daily log return in the same calendar month of the previous five years, as far as the history goes.

    Shape   (T, N), (T, 1) -> (T, N)
    Sign    positive: its good month
    NaN     fewer than 12 sessions of that month before this year's
    Source  season, 09 §2; Heston and Sadka (2008)
    """
    past, of_month = lag(log_ret, _THIS_YEAR), lag(month, _THIS_YEAR)
    months = range(1, 13)
    means = [ts_mean(np.where(of_month == m, past, np.nan), _FIVE_YEARS, _OF_A_MONTH) for m in months]
    return functools.reduce(np.fmax, [np.where(month == m, means[m - 1], np.nan) for m in months])


# The same for every stock of a session, so ranks across stocks would erase them: series of the market.


@factor("CS", zh="月末", unit="flag", scope="market", sets=("market",))
def cs_f_month_end(month_end: Float64Array) -> Float64Array:
    """1 on the last session of a month, else 0.

    Shape   (T, 1) -> (T, 1)
    NaN     none
    Source  cal, 09 §2
    """
    return month_end


@factor("CS", zh="星期", unit="code", scope="market", sets=("market",))
def cs_f_weekday(weekday: Float64Array) -> Float64Array:
    """1 on Monday to 5 on Friday.

    Shape   (T, 1) -> (T, 1)
    NaN     none
    Source  cal, 09 §2
    """
    return weekday


@factor("CS", zh="节前", unit="flag", scope="market", sets=("market",))
def cs_f_pre_holiday(before_holiday: Float64Array) -> Float64Array:
    """1 on a session that a holiday follows: more than the weekend lies before the next; else 0.

    Shape   (T, 1) -> (T, 1)
    NaN     none
    Source  cal, 09 §2
    """
    return before_holiday
