"""Chains and series of futures out of the store: what is read, and how a product is found."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from features.chain import Chain, chain
from features.continuous import MAX_GAP, Continuous, continuous, empty, spliced
from features.contracts import contracts, delivery_month, is_series, product_of
from features.expiries import MULTIPLIERS
from features.panel import DataError, Float64Array, SessionArray
from features.rolls import THRESHOLD, Rule, hold
from features.rows import unknown, widened
from features.sessions import Calendar, Day, as_day
from features.store import INGEST_HELP, Store

BARS, INSTRUMENTS = "bars/Future", "reference/instruments"
FIELDS = ("open", "high", "low", "close", "settlement", "prev_settlement", "open_interest", "volume")
_TERMS: dict[str, type[pl.DataType]] = {
    "underlying_symbol": pl.String,
    "listed_date": pl.Date,
    "maturity_date": pl.Date,
    "contract_multiplier": pl.Float64,
}
# A chain asks the calendar for the month of its first contract, and for that behind the last.
_MARGIN = np.timedelta64(62, "D")


@dataclass(frozen=True)
class Listing:
    """The futures that a store holds.

    rows      a row an id: order_book_id, product, first and last (dates of its bars), the terms of its contract
    calendar  past the last day of every contract, provisional where nobody has published the holidays
    """

    rows: pl.DataFrame = field(repr=False)
    calendar: Calendar = field(repr=False)

    @property
    def products(self) -> tuple[str, ...]:
        """Every product that has bars: of contracts, else of a series alone; a further series goes by its own id."""
        barred = self.rows.filter(pl.col("first").is_not_null())
        series = pl.col("order_book_id").map_elements(is_series, pl.Boolean)
        chained = set(barred.filter(~series)["product"])
        alone = barred.filter(series & ~pl.col("product").is_in(list(chained)))
        once = alone.filter(~pl.col("product").is_duplicated())["product"]
        others = barred.filter(series & ~pl.col("product").is_in(once.implode()))["order_book_id"]
        return tuple(sorted({*chained, *once, *others}))

    def of(self, product: str) -> tuple[pl.DataFrame, bool]:
        """The rows behind one of `products`, and whether they are those of a single series."""
        if is_series(product):
            named = self.rows.filter(pl.col("order_book_id") == product)
            return named, True
        own = self.rows.filter(pl.col("product") == product)
        series = pl.col("order_book_id").map_elements(is_series, pl.Boolean)
        contracts_of = own.filter(~series)
        if contracts_of["first"].count():
            return contracts_of, False
        return own.filter(series), True


def listing(store: Store, versions: Mapping[str, int] | None = None) -> Listing:
    """What futures the store holds.

    versions  table -> version to read; the newest of those that are not named
    """
    at = versions or {}
    bars = store.scan(BARS, at.get(BARS)).group_by("order_book_id")
    rows = bars.agg(first=pl.col("date").min(), last=pl.col("date").max()).collect()
    if store.exists(INSTRUMENTS):
        told = store.scan(INSTRUMENTS, at.get(INSTRUMENTS)).filter(pl.col("type") == "Future").collect()
        terms = told.select("order_book_id", *(name for name in _TERMS if name in told.columns))
        rows = rows.join(terms, "order_book_id", "full", coalesce=True)
    absent = [name for name in _TERMS if name not in rows.columns]
    rows = rows.with_columns(pl.lit(None, _TERMS[name]).alias(name) for name in absent)
    named = pl.col("order_book_id").map_elements(product_of, pl.String)
    rows = rows.with_columns(pl.coalesce(pl.col("underlying_symbol"), named).alias("product")).sort("order_book_id")
    return Listing(rows, _calendar(store, rows))


def products(store: Store) -> tuple[str, ...]:
    """Every product of which the store holds contracts or a continuous series, sorted."""
    return listing(store).products


def read_chain(
    store: Store,
    product: str,
    end: Day | None = None,
    versions: Mapping[str, int] | None = None,
    known: Listing | None = None,
) -> Chain:
    """The chain of a product from its first bar to its last, or to `end`.

    known   what `listing` gave, to be spared the search for it
    Errors  DataError for a product of which the store holds no contracts, or none with a bar until then
    """
    there = known or listing(store, versions)
    rows, only_series = _rows_of(there, product)
    bars = _bars(store, rows, end, versions)
    if only_series or not len(bars):
        found = "a continuous series alone" if only_series else f"none until {end}"
        raise DataError(f"product {product}", "the store must hold bars of its contracts", found, help=INGEST_HELP)
    return _chain(product, rows, bars, there.calendar)


def read_continuous(
    store: Store,
    product: str,
    *,
    rule: Rule = "oi",
    threshold: float = THRESHOLD,
    before_expiry: Mapping[str, int] | None = None,
    max_gap: int = MAX_GAP,
    start: Day | None = None,
    end: Day | None = None,
    versions: Mapping[str, int] | None = None,
    known: Listing | None = None,
) -> Continuous:
    """The series of a product: roll-adjusted from its contracts, or a vendor's own where there are none.

    rule ... before_expiry  see rolls.hold; max_gap: see continuous.continuous
    start, end  what it is cut to; the holding is always walked from the first bar, so it does not depend on `start`
    versions    table -> version to read; the newest of those that are not named
    known       what `listing` gave, to be spared the search for it where many products are read
    Errors      DataError for a product that the store does not hold; a span without bars gives an empty series
    """
    there = known or listing(store, versions)
    rows, only_series = _rows_of(there, product)
    bars = _bars(store, rows, end, versions)
    if not len(bars) or (start is not None and as_day(bars["date"].max()) < as_day(start)):  # type: ignore[arg-type]
        return empty(product, f"no bars from {start or 'the first'} to {end or 'the last'}")
    if only_series:
        series = _spliced(product, rows, bars, there.calendar, max_gap)
    else:
        one = _chain(product, rows, bars, there.calendar)
        series = continuous(one, hold(one, rule, threshold, before_expiry), max_gap)
    return series if start is None else series.since(as_day(start))


def _rows_of(there: Listing, product: str) -> tuple[pl.DataFrame, bool]:
    rows, only_series = there.of(product)
    if not rows["first"].count():
        raise unknown("futures", "product", product, there.products, INGEST_HELP)
    return rows, only_series


def _bars(store: Store, rows: pl.DataFrame, end: Day | None, versions: Mapping[str, int] | None) -> pl.DataFrame:
    scan = store.scan(BARS, (versions or {}).get(BARS))
    have = scan.collect_schema().names()
    if end is not None:
        scan = scan.filter(pl.col("date") <= as_day(end).astype(object))
    own = scan.filter(pl.col("order_book_id").is_in(rows["order_book_id"].to_list()))
    return own.select("date", "order_book_id", *(name for name in FIELDS if name in have)).collect()


def _panels(
    bars: pl.DataFrame, assets: Sequence[str], calendar: Calendar
) -> tuple[SessionArray, dict[str, Float64Array]]:
    """Every session from the first bar to the last, and the fields on it, (T, N)."""
    sessions = calendar.between(bars["date"].min(), bars["date"].max())  # type: ignore[arg-type]
    names = [name for name in FIELDS if name in bars.columns]
    return sessions, widened(bars, BARS, names, sessions, assets, 0).values


def _chain(product: str, rows: pl.DataFrame, bars: pl.DataFrame, calendar: Calendar) -> Chain:
    own = contracts(product, rows.to_dicts(), calendar)
    sessions, fields = _panels(bars, own.ids.tolist(), calendar)
    return chain(own, sessions, fields, calendar)


def _spliced(product: str, rows: pl.DataFrame, bars: pl.DataFrame, calendar: Calendar, max_gap: int) -> Continuous:
    asset = rows["order_book_id"].to_list()
    if len(asset) > 1:
        found = ", ".join(asset)
        raise DataError(
            f"product {product}", "it must have contracts or one continuous series", found, help="Name one."
        )
    sessions, fields = _panels(bars, asset, calendar)
    told, symbol = rows["contract_multiplier"][0], rows["product"][0]
    multiplier = MULTIPLIERS.get(symbol, np.nan) if told is None else float(told)
    only = {name: panel[:, 0] for name, panel in fields.items()}
    return spliced(product, asset[0], sessions, only, multiplier, max_gap)


def _calendar(store: Store, rows: pl.DataFrame) -> Calendar:
    """The store's calendar from before the first bar to past every last trading day, as far as anybody knows it."""
    first, last = as_day(rows["first"].min()) - _MARGIN, as_day(rows["last"].max())  # type: ignore[arg-type]
    ends = rows["maturity_date"].max()
    stated = as_day(ends) if isinstance(ends, dt.date) else last
    # A contract whose maturity nobody states ends with its delivery month at the latest.
    unstated = rows.filter(pl.col("maturity_date").is_null()).select(
        "order_book_id", pl.coalesce("first", "listed_date")
    )
    named = [delivery_month(asset, as_day(begun)) for asset, begun in unstated.drop_nulls().iter_rows()]
    until = max([last, stated, *(month.astype("datetime64[D]") for month in named if month is not None)]) + _MARGIN
    # Holidays are published year by year: what the exchange has published of the years ahead goes before weekdays.
    ends_of_years = range(until.astype(object).year - 1, last.astype(object).year - 1, -1)
    for day in (until, *(np.datetime64(f"{year}-12-31") for year in ends_of_years)):
        try:
            known = store.calendar((first.astype(object), day.astype(object)))
        except DataError:  # nobody has published the sessions until then
            continue
        return known.extended(until)
    return store.calendar((first.astype(object),)).extended(until)
