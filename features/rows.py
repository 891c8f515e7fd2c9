"""Long rows on their way into a table and out of it: what may be stored, what differs from it, long to wide."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from features.panel import DataError, Float64Array, Panels, SessionArray

DATED_BY = ("date", "asof")
YEAR = "year"
STORED_AS = {
    pl.UInt8: pl.Int64,
    pl.UInt16: pl.Int64,
    pl.UInt32: pl.Int64,
    pl.UInt64: pl.Int64,
    pl.Categorical: pl.String,
    pl.Enum: pl.String,
}


def unknown(who: str, kind: str, name: str, known: Iterable[str], help: str = "") -> DataError:
    """The refusal of a name that is not among the known ones; it names the nearest."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, 1, 0.5)
    hint = " ".join(part for part in (f"Did you mean {near[0]}?" if near else "", help) if part)
    listed = ", ".join(names[:30]) + (", ..." if len(names) > 30 else "")
    return DataError(who, f"the {kind} must be one of: {listed or 'none'}", repr(name), help=hint)


def day_column(columns: Iterable[str]) -> str | None:
    """The column that dates the rows, None for a table without."""
    names = set(columns)
    return next((name for name in DATED_BY if name in names), None)


def ordered(frame: pl.DataFrame, keys: Sequence[str] = ()) -> pl.DataFrame:
    """Rows by date, then asset, then the other keys."""
    first = [c for c in (day_column(frame.columns), "order_book_id") if c in frame.columns]
    by = [*first, *(k for k in keys if k not in first)]
    return frame.sort(by, nulls_last=True) if by else frame


def storable(frame: pl.DataFrame, table: str, keys: Sequence[str]) -> pl.DataFrame:
    """Rows as the store takes them: dates as dates, keys present, given and unique, in order.

    Columns that hold nothing at all and have no type are left out.
    """
    who = f"table {table}"
    for key in keys:
        if key not in frame.columns:
            raise DataError(who, f"rows must have the key column {key}", ", ".join(frame.columns))
        if frame[key].null_count():
            raise DataError(who, f"the key column {key} must be given on every row", f"{frame[key].null_count()} empty")
    day = day_column(frame.columns)
    if day is not None and YEAR in frame.columns:
        raise DataError(who, f"rows must not have a column {YEAR}, the store's own", YEAR)
    casts = [
        pl.col(name).cast(STORED_AS[type(dtype)]) for name, dtype in frame.schema.items() if type(dtype) in STORED_AS
    ]
    rows = frame.with_columns(casts).drop([name for name, dtype in frame.schema.items() if dtype == pl.Null])
    if day is not None and rows.schema.get(day) != pl.Date:
        if not isinstance(rows.schema.get(day), pl.Datetime):
            raise DataError(who, f"the column {day} must hold dates", str(frame.schema[day]))
        rows = rows.with_columns(pl.col(day).cast(pl.Date))
    repeated = rows.select(keys).is_duplicated() if keys else None
    if repeated is not None and repeated.any():
        first = rows.select(keys).filter(repeated).row(0)
        where = ", ".join(str(k) for k in first)
        raise DataError(
            who, f"the keys ({', '.join(keys)}) must be unique", f"{repeated.sum()} rows that repeat", where
        )
    return ordered(rows, keys)


def cast_to_stored(rows: pl.DataFrame, stored: pl.Schema, table: str) -> pl.DataFrame:
    """Rows with the column types that the table has; refuses a value that its column cannot hold."""
    given = rows.schema
    try:
        return rows.with_columns(
            pl.col(name).cast(stored[name]) for name in given if name in stored and given[name] != stored[name]
        )
    except pl.exceptions.InvalidOperationError as error:
        raise DataError(f"table {table}", "columns must fit the stored types", str(error).splitlines()[0]) from error


def differences(rows: pl.DataFrame, stored: pl.DataFrame, keys: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(rows whose key is not stored, rows whose stored values differ), the latter with the stored values of columns
    that `rows` does not have; NaN equals NaN and null equals null."""
    fresh = rows.join(stored, on=keys, how="anti", nulls_equal=True)
    values = [c for c in rows.columns if c not in keys]
    other = stored.rename({c: f"{c} as stored" for c in values if c in stored.columns})
    both = rows.join(other, on=keys, how="inner", nulls_equal=True)
    tests = [
        pl.col(c).ne_missing(pl.col(f"{c} as stored")) if c in stored.columns else pl.col(c).is_not_null()
        for c in values
    ]
    changed = both.filter(pl.any_horizontal(tests)) if tests else both.clear()
    return fresh, changed.drop([c for c in changed.columns if c.endswith(" as stored")])


def widened(
    rows: pl.DataFrame, table: str, columns: Sequence[str], sessions: SessionArray, assets: Sequence[str], first: int
) -> Panels:
    """Long rows laid out on the axes, (T, N) float64 a column, NaN where there is no row; refuses a foreign date."""
    days = rows["date"].to_physical().to_numpy()
    numbers = sessions.astype(np.int64)
    # Where each day from the first session to the last stands on the axis: looked up, not searched for.
    place = np.full(numbers[-1] - numbers[0] + 1, -1)
    place[numbers - numbers[0]] = np.arange(len(numbers))
    inside = (days >= numbers[0]) & (days <= numbers[-1])
    at = place[days - numbers[0]] if inside.all() else np.where(inside, place[(days - numbers[0]) * inside], -1)
    strange = np.flatnonzero(at < 0)
    if len(strange):
        raise DataError(
            f"table {table}",
            "its dates must be sessions of the calendar",
            f"{len(strange)} rows that are not",
            f"{rows['date'][int(strange[0])]} {rows['order_book_id'][int(strange[0])]}",
            "Ingest the exchange's calendar, or remove those rows.",
        )
    codes = rows["order_book_id"].cast(pl.Enum(assets)).to_physical().to_numpy()
    cells = at * len(assets)
    cells += codes
    values: dict[str, Float64Array] = {}
    for name in columns:
        flat = np.full(len(sessions) * len(assets), np.nan)
        flat[cells] = rows[name].cast(pl.Float64).to_numpy()
        values[name] = flat.reshape(len(sessions), len(assets))
    return Panels(sessions, np.array(assets, dtype=np.str_), values, first)
