"""The table bars/Product: a row a session and product of futures, made of its contracts, its index, rates, dividends.

What models have said of a product (`daybar predict`) are fields of it too: features.forecasts.

It is derived, so nobody ingests it: `refresh` brings it up to the tables that it is made of, and the newest commit says
which versions these were. What it lacks (no index, no open interest, no dividends) it has no column of, so that factors
that need it are absent with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from features import dividends
from features.continuous import continuous
from features.contracts import kind_of
from features.definition import code_of, digest
from features.dividends import Dividends
from features.expiries import SPOTS
from features.fields import ROLE_NAMES, fields_of
from features.forecasts import OF_CURVE, TERMS, VOLATILITIES, terms, volatilities
from features.futures import BARS, INSTRUMENTS, Listing, listing, read_chain, read_continuous
from features.panel import Float64Array, SessionArray
from features.product_panels import of_series, product_panels
from features.rates import risk_free
from features.rolls import hold
from features.store import KEYS, Store, Written
from features.treasury import TREASURIES
from features.treasury_panels import bond_market, curves, treasury_panels

TABLE, INDICES, RATES, DIVIDENDS = "bars/Product", "bars/INDX", "reference/rates", "reference/dividends_index"
BONDS, PRICES = "reference/bonds", "reference/bond_prices"
_CALENDAR = "reference/calendar"
MADE_FROM = (BARS, INSTRUMENTS, INDICES, RATES, DIVIDENDS, BONDS, PRICES, VOLATILITIES, TERMS, _CALENDAR)
_OF_VOLATILITIES = ("asof", "asset", "target", "horizon", "run_id", "sigma")
_OF_TERMS = ("asof", "run_id", "product", "asset", "month", "model_price", "chi", "xi", "convenience_yield", "z")
_OF_BONDS = ("bond_code", "abbr", "cp_rate_1st", "inst_freq", "carry_date", "maturity_date")
# Until then index futures closed at 15:15, a quarter of an hour behind their index.  Source  00 §2.2
_CLOSE_TOGETHER = np.datetime64("2016-01-01")
_NO_SESSION = np.datetime64("NaT", "D")


@dataclass(frozen=True)
class _Sources:
    """What rows are made of beside the contracts' bars, read once."""

    known: Listing = field(repr=False)
    spots: Mapping[str, str]
    closes: pl.DataFrame | None = field(repr=False)
    rates: pl.DataFrame | None = field(repr=False)
    dividends: pl.DataFrame | None = field(repr=False)
    bonds: pl.DataFrame | None = field(repr=False)
    bond_prices: pl.DataFrame | None = field(repr=False)
    volatilities: pl.DataFrame | None = field(repr=False)
    terms: pl.DataFrame | None = field(repr=False)


def refresh(store: Store, say: Callable[[str], None] = lambda line: None) -> Written:
    """Bring bars/Product up to the tables that it is made of; only rows that are new or restated are written.

    say     told what was written, and on what it rests
    Errors  DataError where the store holds no bars of futures
    """
    made_from = store.versions((BARS, *(table for table in MADE_FROM if store.exists(table))))
    meta = {"made_from": made_from, "code": _code()}
    with store.locked(TABLE):
        there = store.exists(TABLE)
        if there and store.meta(TABLE) == meta:
            return Written(0, 0, 0, store.version(TABLE))
        frame = product_rows(store, made_from)
        written = _keep(store, frame, meta) if there else store.upsert(TABLE, frame, meta=meta)
    if written.new or written.restated:
        many = frame["order_book_id"].n_unique()
        say(f"{TABLE}: {written.new:,} rows new, {written.restated:,} restated, {many} products")
    return written


def product_rows(store: Store, versions: Mapping[str, int] | None = None) -> pl.DataFrame:
    """The rows of every product of the store, by date, then product; a column of which nothing is known is left out.

    versions  table -> version to read; the newest of those that are not named
    """
    sources = _sources(store, versions or {})
    frames = [_rows(store, product, sources, versions) for product in sources.known.products]
    whole = pl.concat(frames, how="diagonal").sort(KEYS)
    columns = [name for name in fields_of("Product") if name in whole.columns and whole[name].count()]
    return whole.select(*KEYS, *columns)


def _code() -> str:
    """Digest of all that says what a row is."""
    return digest(code_of(_sources), code_of(_rows))


def _keep(store: Store, frame: pl.DataFrame, meta: Mapping[str, object]) -> Written:
    """Write what differs; rows and columns that nothing stands behind any more go, or are emptied."""
    stored = store.scan(TABLE)
    names = stored.collect_schema().names()
    emptied = [pl.lit(None, pl.Float64).alias(name) for name in names if name not in frame.columns]
    frame = frame.with_columns(emptied)
    gone = stored.select(KEYS).collect().join(frame, on=KEYS, how="anti")
    if not len(gone):
        return store.upsert(TABLE, frame, meta=meta)
    start, end = gone["date"].min(), store.span(TABLE)[1]
    last = max(end, frame["date"].max())  # type: ignore[type-var]
    rest = frame.filter(pl.col("date") >= start)
    store.upsert(TABLE, frame.filter(pl.col("date") < start))
    return Written(0, len(rest), len(frame) - len(rest), store.replace(TABLE, rest, start, last, meta))  # type: ignore[arg-type]


def _sources(store: Store, versions: Mapping[str, int]) -> _Sources:
    def read(table: str, *columns: str) -> pl.DataFrame | None:
        if not store.exists(table):
            return None
        rows = store.scan(table, versions.get(table))
        return rows.select(columns).collect()

    return _Sources(
        listing(store, versions),
        _spots(store, versions),
        read(INDICES, *KEYS, "close"),
        read_rates(store, versions),
        read_dividends(store, versions),
        read(BONDS, *_OF_BONDS),
        read(PRICES, "bond_code", "date", "clean_price"),
        read(VOLATILITIES, *_OF_VOLATILITIES),
        read(TERMS, *_OF_TERMS),
    )


def read_rates(store: Store, versions: Mapping[str, int] | None = None) -> pl.DataFrame | None:
    """date, curve, tenor, rate of the rates; None in a store without."""
    if not store.exists(RATES):
        return None
    return store.scan(RATES, (versions or {}).get(RATES)).select("date", "curve", "tenor", "rate").collect()


def read_dividends(store: Store, versions: Mapping[str, int] | None = None) -> pl.DataFrame | None:
    """date (ex), order_book_id, points, announcement_date of indices' dividends; None in a store without."""
    if not store.exists(DIVIDENDS):
        return None
    rows = store.scan(DIVIDENDS, (versions or {}).get(DIVIDENDS))
    if "announcement_date" not in rows.collect_schema().names():
        rows = rows.with_columns(pl.lit(None, pl.Date).alias("announcement_date"))
    return rows.select(*KEYS, "points", "announcement_date").collect()


def index_closes(rows: pl.DataFrame | None, index: str, sessions: SessionArray) -> Float64Array:
    """Closes of an index on some sessions, (T,), NaN where it has none; rows: date, order_book_id, close."""
    if rows is None:
        return np.full(len(sessions), np.nan)
    own = rows.filter(pl.col("order_book_id") == index).select("date", "close")
    axis = pl.DataFrame({"date": pl.Series(sessions).cast(pl.Date)})
    close = axis.join(own, "date", "left", maintain_order="left")["close"]
    return close.cast(pl.Float64).fill_null(np.nan).to_numpy()


def _spots(store: Store, versions: Mapping[str, int]) -> dict[str, str]:
    """Product -> the index under it: what the instruments say, else SPOTS."""
    named = "underlying_order_book_id"
    if not store.exists(INSTRUMENTS):
        return SPOTS
    rows = store.scan(INSTRUMENTS, versions.get(INSTRUMENTS))
    if not {named, "underlying_symbol"} <= set(rows.collect_schema().names()):
        return SPOTS
    of = rows.filter((pl.col("type") == "Future") & pl.col(named).is_not_null()).select("underlying_symbol", named)
    return SPOTS | dict(of.unique().sort("underlying_symbol", named).collect().iter_rows())


def _rows(store: Store, product: str, sources: _Sources, versions: Mapping[str, int] | None) -> pl.DataFrame:
    """The rows of one product, on the sessions on which something of it has a close."""
    if sources.known.of(product)[1]:
        series = read_continuous(store, product, versions=versions, known=sources.known)
        sessions, panels, there = series.sessions, of_series(series), np.isfinite(series.close)
    else:
        one = read_chain(store, product, versions=versions, known=sources.known)
        holding = hold(one)
        sessions, there = one.sessions, np.asarray(np.isfinite(one["close"]).any(axis=1))
        panels = product_panels(one, holding, continuous(one, holding))
        if product in TREASURIES:
            market = bond_market(sources.bonds, sources.bond_prices, sessions)
            panels |= treasury_panels(one, sources.known.calendar, curves(sources.rates, sessions), market)
    panels |= _around(product, sessions, panels, sources)
    panels |= _said(product, sessions, panels, sources)
    columns = {name: pl.Series(panel[there]).fill_nan(None) for name, panel in panels.items()}
    return pl.DataFrame({"date": pl.Series(sessions[there]).cast(pl.Date), **columns}).with_columns(
        order_book_id=pl.lit(product)
    )


def _around(
    product: str, sessions: SessionArray, panels: Mapping[str, Float64Array], sources: _Sources
) -> dict[str, Float64Array]:
    """Rate, index and dividends, (T,) each."""
    rate = risk_free(sources.rates, sessions)
    out = {"risk_free": rate}
    index = sources.spots.get(product)
    if index is None or kind_of(product) != "index":
        return out
    out["spot"] = index_closes(sources.closes, index, sessions)
    out["late_close"] = np.where(np.isfinite(out["spot"]), (sessions < _CLOSE_TOGETHER) * 1.0, np.nan)
    if sources.dividends is not None:
        out |= _dividends(dividends.of_index(sources.dividends, index), sessions, panels, rate)
    return out


def _said(
    product: str, sessions: SessionArray, panels: Mapping[str, Float64Array], sources: _Sources
) -> dict[str, Float64Array]:
    """What models have said of it, (T,) each."""
    out: dict[str, Float64Array] = {}
    if sources.volatilities is not None:
        out |= volatilities(sources.volatilities, product, sessions)
    # A vendor's series has no roles.
    if sources.terms is not None and "month_near" in panels:
        out |= terms(sources.terms, product, sessions, {role: panels[f"month_{role}"] for role in OF_CURVE})
    return out


def _dividends(
    of: Dividends, sessions: SessionArray, panels: Mapping[str, Float64Array], rate: Float64Array
) -> dict[str, Float64Array]:
    """What each role's contract loses to dividends until it matures."""
    out: dict[str, Float64Array] = {}
    for role in ROLE_NAMES:
        days = np.rint(panels[f"ttm_{role}"] * 365)
        known = np.isfinite(days)
        until = np.where(known, sessions + np.where(known, days, 0).astype("timedelta64[D]"), _NO_SESSION)
        out[f"dividends_{role}"], rests = dividends.expected(of, sessions, until, rate)
        if role == "next":
            out["dividends_estimated"] = np.where(known, rests * 1.0, np.nan)
    return out
