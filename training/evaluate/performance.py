"""Returns in a few numbers: growth, risk, drawdowns with their dates, calendar months.

Source  09 §5
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from features.panel import DataError, Float64Array, IntArray, SessionArray
from training.evaluate.ic import ANN_DAYS


@dataclass(frozen=True)
class Drawdown:
    """The deepest fall of a value below an earlier high.

    depth      value at the trough over that of the peak, less one; 0 where the value never fell
    peak       session of the high; the first session where the value never rose above its start
    trough     session of the low
    recovered  first session on which the value is back at the high, None while it is not
    length     sessions from peak to recovery, or to the last session
    """

    depth: float
    peak: np.datetime64
    trough: np.datetime64
    recovered: np.datetime64 | None
    length: int


@dataclass(frozen=True)
class MonthlyReturns:
    """Compounded returns by calendar: Y years in rows, January to December in columns, NaN where there is no session.

    year   (Y,)
    month  (Y, 12)
    whole  (Y,) compounded over the sessions of the year
    """

    year: IntArray
    month: Float64Array
    whole: Float64Array

    @property
    def worst(self) -> float:
        """The lowest month; NaN without any."""
        return float(np.nanmin(self.month)) if np.isfinite(self.month).any() else math.nan

    @property
    def positive(self) -> float:
        """Share of the months that are above 0; NaN without any."""
        valid = self.month[np.isfinite(self.month)]
        return float((valid > 0).mean()) if len(valid) else math.nan


def performance(returns: Float64Array) -> dict[str, float]:
    """Compounded return, volatility and Sharpe ratio per year, and the deepest drawdown (negative), of (T,) returns."""
    valid = returns[np.isfinite(returns)]
    if len(valid) < 2:
        return dict.fromkeys(("annual_return", "annual_volatility", "sharpe", "max_drawdown"), math.nan)
    std = float(valid.std(ddof=1))
    return {
        "annual_return": float(np.prod(1 + valid) ** (ANN_DAYS / len(valid)) - 1),
        "annual_volatility": std * math.sqrt(ANN_DAYS),
        "sharpe": float(valid.mean()) / std * math.sqrt(ANN_DAYS) if std > 0 else math.nan,
        "max_drawdown": float(drawdown(valid).min()),
    }


def drawdown(returns: Float64Array) -> Float64Array:
    """Value over its highest so far, less one, (T,); a NaN return counts as none."""
    value = np.cumprod(1 + np.nan_to_num(returns))
    return value / np.maximum(np.maximum.accumulate(value), 1.0) - 1


def deepest_drawdown(returns: Float64Array, sessions: SessionArray) -> Drawdown:
    """The deepest fall of what simple returns (T,) compound to; sessions without a return are left out.

    Errors  DataError without any return
    """
    alive = np.isfinite(returns)
    if not alive.any():
        raise DataError("drawdown", "some session must have a return", "none")
    value, days = np.cumprod(1 + returns[alive]), sessions[alive]
    below = drawdown(returns[alive])
    trough = int(below.argmin())
    high = max(float(value[: trough + 1].max()), 1.0)
    peaks = np.flatnonzero(value[: trough + 1] == high)
    peak = int(peaks[-1]) if len(peaks) else 0
    back = np.flatnonzero(value[trough:] >= high)
    is_back = len(back) > 0
    end = trough + int(back[0]) if is_back else len(value) - 1
    return Drawdown(float(below[trough]), days[peak], days[trough], days[end] if is_back else None, end - peak)


def monthly_returns(returns: Float64Array, sessions: SessionArray) -> MonthlyReturns:
    """Simple returns (T,) compounded by calendar month and by year; sessions without a return are left out."""
    alive = np.isfinite(returns)
    months = sessions[alive].astype("datetime64[M]").astype(np.int64)
    year, month = 1970 + months // 12, months % 12
    years = np.unique(year).astype(np.int64)
    row = np.searchsorted(years, year)
    growth, is_there = np.ones((len(years), 12)), np.zeros((len(years), 12), bool)
    np.multiply.at(growth, (row, month), 1 + returns[alive])
    is_there[row, month] = True
    return MonthlyReturns(years, np.where(is_there, growth - 1, np.nan), growth.prod(axis=1) - 1)


def relative(returns: Float64Array, other: Float64Array) -> Float64Array:
    """What returns gain on others each session, (1 + r) / (1 + o) - 1, so that it compounds; NaN where one is."""
    return (1 + returns) / (1 + other) - 1
