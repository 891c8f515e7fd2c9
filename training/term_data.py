"""What a term-structure task stands on: each product's chain, its curves, its index, rates and open interest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl

from features.chain import Chain
from features.check import simulation
from features.continuous import continuous
from features.contracts import kind_of
from features.expiries import SPOTS
from features.futures import Listing, listing, read_chain
from features.panel import BoolArray, ConfigError, DataError, Float64Array, IntArray, SessionArray
from features.product_bars import INDICES, index_closes, read_rates
from features.product_panels import product_panels, worthy
from features.rates import risk_free
from features.rolls import Holding, hold
from features.sessions import as_day
from features.store import KEYS, Store
from models.spread.term_curve import Curve
from training.term_config import TermConfig

WEEKDAYS_A_YEAR: Final = 365.2425 * 5 / 7
_EPOCH: Final = np.datetime64("1970-01-01")
_MONDAY: Final = 3  # 1970-01-01 was a Thursday


@dataclass(frozen=True)
class TermSeries:
    """One product on the T sessions of its span; row t holds what was known at the close of session t.

    chain    from the first bar on; `first` is the row of it on which the span begins
    holding  of the benchmark rule, on the chain's sessions
    row      (n,) sessions of the curve, positions among the T
    curve    (n,) dates of liquid contracts; see `clock`
    price    (T, N) of liquid contracts, NaN elsewhere; years: to maturity
    panels   fields of the class "Product" by name, (T,)
    spot     (T,) of the index, NaN where there is none; rate: r_f per year
    notes    what a reader must know of the series
    """

    product: str
    chain: Chain = field(repr=False)
    holding: Holding = field(repr=False)
    first: int
    sessions: SessionArray = field(repr=False)
    row: IntArray = field(repr=False)
    curve: Curve = field(repr=False)
    price: Float64Array = field(repr=False)
    years: Float64Array = field(repr=False)
    panels: Mapping[str, Float64Array] = field(repr=False)
    spot: Float64Array = field(repr=False)
    rate: Float64Array = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def contracts(self) -> tuple[str, ...]:
        """Their names, (N,)."""
        return tuple(self.chain.contracts.ids.tolist())

    @property
    def dates(self) -> SessionArray:
        """Sessions of the curve, (n,)."""
        return self.sessions[self.row]


@dataclass(frozen=True)
class TermData:
    """The series of a config by product.

    empty  product -> why it has no curve at all
    notes  what a reader of any number must know of the data first
    """

    series: Mapping[str, TermSeries]
    empty: Mapping[str, str]
    last: np.datetime64
    notes: tuple[str, ...] = ()


def clock(sessions: SessionArray) -> Float64Array:
    """Years of weekdays from 1970, (T,): a weekend moves a price as a night does, and no calendar is needed."""
    return np.asarray(np.busday_count(_EPOCH, sessions.astype("datetime64[D]")) / WEEKDAYS_A_YEAR)


def gather(config: TermConfig, store: Store, say: Callable[[str], None] = lambda line: None) -> TermData:
    """Every series of the config, up to its end or the last session stored.

    Errors  ConfigError for a product that the store does not hold
    """
    there = listing(store)
    for product in config.data.products:
        if product not in there.products:
            raise ConfigError(
                f"product {product}",
                "the store must hold its contracts",
                "none",
                help=f"It holds {', '.join(there.products)}.",
            )
    last = as_day(config.data.end or store.span("bars/Future")[1])
    series: dict[str, TermSeries] = {}
    empty: dict[str, str] = {}
    for product in config.data.products or there.products:
        found = _read(config, store, product, there, last)
        if isinstance(found, str):
            empty[product] = found
            continue
        series[product] = found
        some = np.median(np.isfinite(found.curve.price).sum(axis=1))
        say(f"{product}: {len(found.row):,} curves to {found.dates[-1]}, contracts on the median one: {some:g}")
    origin = simulation(store)
    return TermData(series, empty, last, (f"the market is {origin}",) if origin else ())


def _read(config: TermConfig, store: Store, product: str, there: Listing, last: np.datetime64) -> TermSeries | str:
    """The series, or why there is none."""
    if there.of(product)[1]:
        return "a continuous series alone has no curve"
    try:
        chain = read_chain(store, product, end=last.astype(object), known=there)
    except DataError as error:
        return f"{error.must}; found {error.found}"
    first = int(chain.sessions.searchsorted(as_day(config.data.start))) if config.data.start else 0
    if first >= len(chain.sessions):
        return f"no bar from {config.data.start} on"
    rates = read_rates(store)
    notes = () if rates is not None else ("the store has no rates: r_f is 1.5 % a year",)
    return series_of(
        config, chain, first, _spot(store, product, chain.sessions), risk_free(rates, chain.sessions), notes
    )


def series_of(
    config: TermConfig,
    chain: Chain,
    first: int,
    spot: Float64Array,
    rate: Float64Array,
    notes: tuple[str, ...] = (),
) -> TermSeries | str:
    """The series of a chain from its row `first` on, or why there is none; spot and rate on the chain's sessions."""
    roll = config.roll
    holding = hold(chain, roll.rule, roll.threshold, roll.before_expiry)
    liquid = _liquid(config, chain)
    price = np.where(liquid, chain[config.curves.price], np.nan)[first:]
    if not np.isfinite(price).any():
        return "no contract is liquid on any session: see curves.open_interest and curves.volume"
    years = np.where(liquid, chain.ttm(), np.nan)[first:]
    sessions = chain.sessions[first:]
    row = np.arange(len(sessions))
    if config.curves.every == "week":
        week = (sessions.astype(np.int64) + _MONDAY) // 7
        row = np.flatnonzero(np.append(np.diff(week) != 0, True))
    panels = product_panels(chain, holding, continuous(chain, holding, max_gap=roll.max_gap))
    if not np.isfinite(chain["open_interest"]).any():
        notes = (*notes, "open interest is not published: contracts are liquid by volume alone")
    return TermSeries(
        chain.product,
        chain,
        holding,
        first,
        sessions,
        row,
        Curve(clock(sessions)[row], price[row], years[row]),
        price,
        years,
        {name: panel[first:] for name, panel in panels.items()},
        spot[first:],
        rate[first:],
        notes,
    )


def _liquid(config: TermConfig, chain: Chain) -> BoolArray:
    """Where a contract's price belongs to the curve and enough of it is traded, (T, N)."""
    interest = chain["open_interest"]
    silent = ~np.asarray(np.isfinite(interest).any(axis=1, keepdims=True))
    enough = (chain["volume"] >= config.curves.volume) & ((interest >= config.curves.open_interest) | silent)
    priced = chain.traded if config.curves.price == "close" else worthy(chain)
    return np.asarray(enough & priced & chain.holdable()[:-1])


def _spot(store: Store, product: str, sessions: SessionArray) -> Float64Array:
    """Closes of the index under index futures, NaN else."""
    index = SPOTS.get(product)
    if index is None or kind_of(product) != "index" or not store.exists(INDICES):
        return np.full(len(sessions), np.nan)
    rows = store.scan(INDICES).select(*KEYS, "close").filter(pl.col("order_book_id") == index).collect()
    return index_closes(rows, index, sessions)
