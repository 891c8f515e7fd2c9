"""Reference tables: what keys them, what is odd in them. They are stored as they come, with dates as dates.

A table that is not named here is replaced as a whole when it comes again.
"""

from __future__ import annotations

import datetime as dt

import polars as pl

from features.conform import dates
from features.panel import DataError
from features.sessions import Calendar
from features.sources.batch import Batch

REFERENCE_KEYS = {
    "reference/calendar": ("date",),
    "reference/instruments": ("order_book_id",),
    "reference/rates": ("date", "curve", "tenor"),
    "reference/bonds": ("bond_code",),
    "reference/bond_prices": ("bond_code", "date"),
    "reference/option_adjustments": ("code", "adjust_date"),
    "reference/adj_factors": ("order_book_id", "date"),
    "reference/etf_index_map": ("order_book_id",),
}
INSTRUMENTS = "reference/instruments"
NEVER = "0000-00-00"
SPIKE = 0.01
MEANINGS = {
    "rate_spike": "A rate a percentage point above (or below) both neighbours in time, which agree.",
    "maturity_not_a_session": "A contract that matures on a day on which the exchange is closed.",
}
FIRST_ROW = "first_row"


def conform_reference(batch: Batch) -> tuple[pl.DataFrame, int]:
    """The table's rows with dates as dates and ids as text, and how many rows repeated another exactly.

    Errors  DataError for a key column that is missing or numeric where it is an id, and for keys that contradict
    """
    rows, keys = batch.frame, REFERENCE_KEYS.get(batch.table, ())
    for key in (*keys, *(("type",) if batch.table == INSTRUMENTS else ())):
        if key not in rows.columns:
            raise DataError(batch.origin, f"{batch.table} must have the column {key}", ", ".join(rows.columns))
    if "order_book_id" in rows.columns and rows.schema["order_book_id"].is_numeric():
        found = f"{rows.schema['order_book_id']}"
        raise DataError(batch.origin, "order_book_id must be text", found, help="As a number 000001 lost its zeros.")
    rows = rows.with_columns(_dates(rows[name], batch.origin) for name in rows.columns if _is_dated(rows[name]))
    whole = rows.unique(maintain_order=True, keep="last")
    twice = whole.select(keys).is_duplicated() if keys else pl.Series([False])
    if twice.any():
        first = ", ".join(str(key) for key in whole.select(keys).filter(twice).row(0))
        raise DataError(batch.origin, f"{batch.table} must have one row for ({', '.join(keys)})", "several", first)
    if batch.table == INSTRUMENTS and "listed_date" in whole.columns and "listed_date_source" not in whole.columns:
        known = pl.when(pl.col("listed_date").is_not_null()).then(pl.lit("reference"))
        whole = whole.with_columns(known.alias("listed_date_source"))
    return whole, len(rows) - len(whole)


def odd_rows(table: str, rows: pl.DataFrame, calendar: Calendar | None) -> dict[str, pl.DataFrame]:
    """Rows that are kept and counted, by reason: spikes of a rate, maturities on days without a session."""
    if table == "reference/rates":
        return {"rate_spike": _rate_spikes(rows)}
    if table == INSTRUMENTS and calendar is not None and "maturity_date" in rows.columns:
        day = pl.col("maturity_date")
        known = rows.filter(day.is_between(calendar.first_day.astype(object), calendar.last_day.astype(object)))
        sessions = pl.Series("session", calendar.sessions).cast(pl.Date)
        return {"maturity_not_a_session": known.filter(~day.is_in(sessions.implode()))}
    return {}


def _rate_spikes(rows: pl.DataFrame) -> pl.DataFrame:
    """Rates a percentage point above (or below) both neighbours in time, which agree with each other."""
    series = ["curve", "tenor"]
    before = pl.col("rate").shift(1).over(series, order_by="date")
    after = pl.col("rate").shift(-1).over(series, order_by="date")
    up, down = pl.col("rate") - before, pl.col("rate") - after
    lonely = (up.abs() > SPIKE) & (down.abs() > SPIKE) & (up * down > 0) & ((before - after).abs() < SPIKE / 2)
    return rows.filter(lonely)


def _is_dated(column: pl.Series) -> bool:
    if isinstance(column.dtype, pl.Datetime):
        return column.name == "date" or bool((column.dt.time().drop_nulls() == dt.time(0)).all()) or not len(column)
    named = column.name == "date" or column.name.endswith("_date")
    return named and (column.dtype == pl.String or column.dtype.is_integer())


def _dates(column: pl.Series, origin: str) -> pl.Series:
    if column.dtype == pl.String:
        column = column.set(column == NEVER, None)
    return dates(column, origin)
