"""Dividends of an index before a contract on it matures: what is announced, what last year says, what came true.

Points are of the index and count on their ex-dates. What goes ex behind the latest announced ex-date is taken from a
year before, unscaled, live as in history: realised dividends look ahead, and serve an audit alone.  Source  04 §4 D-01
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from features.chain import DAYS_A_YEAR
from features.panel import BoolArray, DataError, Float64Array, SessionArray

_A_YEAR = np.timedelta64(365, "D")
_NEVER = np.datetime64("1900-01-01", "D")


@dataclass(frozen=True)
class Dividends:
    """Cash dividends of one index, (K,) each.

    ex         ex-dates
    points     index points
    announced  days on which they became known, none behind its ex-date
    since      from when on all that was announced is in the table
    """

    ex: SessionArray = field(repr=False)
    points: Float64Array = field(repr=False)
    announced: SessionArray = field(repr=False)
    since: np.datetime64

    def __post_init__(self) -> None:
        if not len(self.ex) == len(self.points) == len(self.announced):
            raise DataError("dividends", "columns must be of one length", f"{len(self.ex)} ex-dates")
        if (self.announced > self.ex).any():
            raise DataError("dividends", "they must be announced before they go ex", f"{self.ex[0]}")


def of_index(rows: pl.DataFrame, index: str) -> Dividends:
    """Those of one index.

    rows  of the table reference/dividends_index: date (ex), order_book_id, points, announcement_date, which may be null
    """
    known = pl.coalesce(pl.col("announcement_date").cast(pl.Date), "date")
    rows = rows.with_columns(known=pl.min_horizontal(known, "date"))
    own = rows.filter(pl.col("order_book_id") == index)
    ex, announced = (own[name].to_numpy().astype("datetime64[D]") for name in ("date", "known"))
    since = np.datetime64(str(rows["known"].min() or "NaT"), "D")
    return Dividends(ex, own["points"].to_numpy(), announced, since)


def expected(
    of: Dividends, sessions: SessionArray, until: SessionArray, rate: Float64Array
) -> tuple[Float64Array, BoolArray]:
    """Present value, in points, of what goes ex in (t, until], and whether it rests on last year's; (T,) each.

    rate  (T,) p.a., continuously compounded
    NaN   no `until`, or one behind all that is announced at a time of which no year before is known
    """
    known = of.announced[None, :] <= sessions[:, None]
    horizon = _latest(np.where(known, of.ex[None, :], _NEVER))
    announced = _present(of.ex, of.points, sessions, sessions, until, rate, known)
    # A year on, every ex-date is as if it were to come again.
    start = np.maximum(horizon, sessions)
    again = _present(of.ex + _A_YEAR, of.points, sessions, start, until, rate, known)
    blind = (until > horizon) & (start - _A_YEAR < of.since)
    value = np.where(blind | np.isnat(until), np.nan, announced + again)
    return value, np.asarray((again > 0) & np.isfinite(value))


def realised(of: Dividends, sessions: SessionArray, until: SessionArray, rate: Float64Array) -> Float64Array:
    """Present value of what did go ex in (t, until], (T,): it looks ahead, so no factor may read it.

    NaN   no `until`, or one behind the latest ex-date of the table
    """
    everything = np.ones((len(sessions), len(of.ex)), dtype=np.bool_)
    value = _present(of.ex, of.points, sessions, sessions, until, rate, everything)
    return np.where(until <= _latest(of.ex[None, :]), value, np.nan)


def _latest(days: SessionArray) -> SessionArray:
    """The latest day of each row, long ago where there is none, (T,)."""
    floor = np.full((len(days), 1), _NEVER)
    return np.asarray(np.concatenate([floor, days], axis=1).max(axis=1))


def realised_basis(future: Float64Array, spot: Float64Array, paid: Float64Array) -> Float64Array:
    """F / (S - D) - 1 with dividends that came true: `fut_basis_divreal`, an audit column that no factor may be.

    paid    what `realised` gives
    Source  D-01, 04 §4 (PIT code L)
    """
    return np.asarray(future / (spot - paid) - 1)


def _present(
    ex: SessionArray,
    points: Float64Array,
    sessions: SessionArray,
    start: SessionArray,
    until: SessionArray,
    rate: Float64Array,
    counted: BoolArray,
) -> Float64Array:
    """Points of ex-dates in (start, until] that count, discounted to the session, (T,)."""
    inside = counted & (ex[None, :] > start[:, None]) & (ex[None, :] <= until[:, None])
    years = (ex[None, :] - sessions[:, None]).astype(np.float64) / DAYS_A_YEAR
    return np.asarray(np.where(inside, points[None, :] * np.exp(-rate[:, None] * years), 0.0).sum(axis=1))
