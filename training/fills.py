"""Fills: at what price a session trades, whether it could be bought or sold, and how a position is left again.

Source  09 §1; prices adjusted by the ex-right reference price (00 §3)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numba import njit

from features.operators import adjustment
from features.panel import BoolArray, DataError, Float64Array, IntArray, Panels

Entry = Literal["next_open", "next_vwap", "next_close"]

ON_TIME, DELAYED, DELISTED, NO_EXIT_YET, BLOCKED = 1, 2, 3, -1, -2


@dataclass(frozen=True)
class Fills:
    """At what price a session trades, and on which side it could have been traded.

    price     (T, N) unadjusted price of the fill, NaN where nothing traded
    traded    (T, N) a row with volume, not suspended
    buyable   (T, N) traded and not held at limit up at the time of the fill
    sellable  (T, N) traded and not held at limit down at the time of the fill
    """

    price: Float64Array = field(repr=False)
    traded: BoolArray = field(repr=False)
    buyable: BoolArray = field(repr=False)
    sellable: BoolArray = field(repr=False)


class Holdings(NamedTuple):
    """What a decision on each (t, asset) earns from its entry on t+1 to its exit, and how it was left, (T, N) each.

    total    log return, NaN where it could not be entered or left
    exit     row on which it was known, -1 where there is no return
    outcome  ON_TIME, DELAYED, DELISTED; NO_EXIT_YET also where it was not entered, BLOCKED
    """

    total: Float64Array
    exit: IntArray
    outcome: IntArray


def fills(panels: Panels, entry: Entry, *, tick: float = 0.01) -> Fills:
    """Prices and tradability of each session, judged by the day's own limits.

    An open fill looks at the open alone, so that it knows nothing of the day that follows; a vwap or close fill is
    held at a limit only when the whole day was (no trade away from the limit). A session without volume traded
    nowhere. Limits that are absent or NaN do not bind.
    """
    if entry not in ("next_open", "next_vwap", "next_close"):
        raise DataError("label", "entry must be next_open, next_vwap or next_close", repr(entry))
    volume, close = panels["volume"], panels["close"]
    has_volume = volume > 0
    if entry == "next_vwap":
        price = np.divide(panels["total_turnover"], volume, out=np.full(panels.shape, np.nan), where=has_volume)
    else:
        price = panels["open"] if entry == "next_open" else close
    traded = has_volume & np.isfinite(close) & (price > 0)
    if "suspended" in panels:
        traded &= ~(panels["suspended"] > 0)
    above, below = ("open", "open") if entry == "next_open" else ("low", "high")
    at_top, at_bottom = np.zeros(panels.shape, bool), np.zeros(panels.shape, bool)
    if "limit_up" in panels:
        at_top = panels[above] >= panels["limit_up"] - tick / 2
    if "limit_down" in panels:
        at_bottom = panels[below] <= panels["limit_down"] + tick / 2
    return Fills(np.where(traded, price, np.nan), traded, traded & ~at_top, traded & ~at_bottom)


def adjusting(panels: Panels) -> Float64Array:
    """Cumulative factor that makes a price comparable over ex-dates and suspensions, (T, N); levels mean nothing."""
    close = panels["close"]
    return adjustment(close, np.where(np.isfinite(close), panels["prev_close"], np.nan))


def last_sessions(panels: Panels, fill: Fills, delisted: IntArray | None) -> IntArray:
    """Row of each asset's last trading session, -1 while it is listed; refuses trades after it."""
    if delisted is None:
        return np.full(panels.shape[1], -1, np.int64)
    gone = np.asarray(delisted, np.int64)
    after = fill.traded & (gone >= 0) & (np.arange(panels.shape[0])[:, None] > gone)
    if after.any():
        t, n = np.argwhere(after)[0]
        where = f"{panels.assets[n]} on {panels.sessions[t]}"
        raise DataError("label", "no asset may trade after its delisting", f"{int(after.sum())} rows that do", where)
    return gone


def holdings(
    panels: Panels,
    fill: Fills,
    delisted: IntArray | None,
    *,
    horizon: int,
    delist_haircut: float = 0.5,
    max_exit_delay: int = 20,
) -> Holdings:
    """Every decision's way out: the first session from t+1+horizon on that could be sold, within `max_exit_delay`.

    An asset delisted meanwhile is worth its last close times 1 - delist_haircut, known the session after (never
    before it was due); one that is still blocked has no return.

    Shape   delisted (N,) row of the last trading session or -1
    Source  09 §1
    """
    gone = last_sessions(panels, fill, delisted)
    adjust = adjusting(panels)
    last_value = _last_values(panels["close"], adjust, gone) * (1 - delist_haircut)
    return Holdings(
        *_walk_to_exit(fill.price * adjust, fill.buyable, fill.sellable, gone, last_value, horizon, max_exit_delay)
    )


@njit(cache=True, nogil=True)
def _walk_to_exit(
    value: Float64Array,
    buyable: BoolArray,
    sellable: BoolArray,
    delisted: IntArray,
    last_value: Float64Array,
    horizon: int,
    max_delay: int,
) -> tuple[Float64Array, IntArray, IntArray]:
    """Log return, exit row and outcome code of a decision on each (t, asset); value is the adjusted fill price."""
    t_count, n_count = value.shape
    total = np.full((t_count, n_count), np.nan)
    exit_row = np.full((t_count, n_count), -1, np.int64)
    outcome = np.full((t_count, n_count), NO_EXIT_YET, np.int64)
    for t in range(t_count):
        due = t + 1 + horizon
        for n in range(n_count):
            if due >= t_count or not buyable[t + 1, n]:
                continue
            gone = delisted[n] + 1 if delisted[n] >= 0 else t_count
            row, stop = due, min(due + max_delay + 1, gone, t_count)
            while row < stop and not sellable[row, n]:
                row += 1
            if row < stop:
                total[t, n] = np.log(value[row, n] / value[t + 1, n])
                exit_row[t, n] = row
                outcome[t, n] = ON_TIME if row == due else DELAYED
            elif gone <= due + max_delay and gone < t_count:
                total[t, n] = np.log(last_value[n] / value[t + 1, n])
                exit_row[t, n] = max(due, gone)
                outcome[t, n] = DELISTED
            elif due + max_delay < t_count:
                outcome[t, n] = BLOCKED
    return total, exit_row, outcome


def _last_values(close: Float64Array, adjust: Float64Array, delisted: IntArray) -> Float64Array:
    """Adjusted close of the last row up to the delisting, (N,); NaN for assets that are not delisted."""
    rows = np.arange(close.shape[0])[:, None]
    seen = np.isfinite(close) & (rows <= delisted)
    last = np.where(seen, rows, -1).max(axis=0, initial=-1)
    columns = np.arange(close.shape[1])
    return np.where(last >= 0, (close * adjust)[last, columns], np.nan)
