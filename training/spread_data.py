"""What a spread task stands on: the pairs of each product out of the store, as models see them and as they are traded.

Training and serving both gather through `gather`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from features.chain import DAYS_A_YEAR, Chain
from features.check import simulation
from features.expiries import MULTIPLIERS
from features.futures import listing, read_chain
from features.pairs import Pair, calendar_pair
from features.panel import AssetArray, BoolArray, ConfigError, DataError, Float64Array, IntArray, SessionArray
from features.roles import roles
from features.rolls import hold
from features.sessions import Calendar, Day, as_day
from features.store import Store
from models.spread.base import Legs
from training.spread_basis import Underlying, underlying
from training.spread_config import SpreadConfig
from training.spread_cross import CrossSeries, cross_pairs, digest_of


@dataclass(frozen=True)
class PairSeries:
    """One pair of roles, on the n sessions on which contracts stand in it.

    name     RB dominant-sub_dominant; of a basis IF basis dominant
    row      (n,) rows of the sessions in both of these:
    pair     what is decided on at each close: of this are levels, models and labels
    held     what stands in the pair on each session, decided the session before: of this are trades
    legs     log prices of far and near leg; an index counts without the dividends to come
    paid     (n,) points of an index that went ex since the row before: whoever is short it pays them; None for none
    """

    name: str
    product: str
    pair: Pair = field(repr=False)
    held: Pair = field(repr=False)
    row: IntArray = field(repr=False)
    legs: Legs = field(repr=False)
    paid: Float64Array | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.row)

    @property
    def sessions(self) -> SessionArray:
        """The n sessions."""
        return self.legs.session

    @property
    def far(self) -> AssetArray:
        """What is bought at each close, (n,)."""
        return self.pair.far[self.row]

    @property
    def near(self) -> AssetArray:
        """What is sold at each close, (n,)."""
        return self.pair.near[self.row]

    @property
    def changes(self) -> int:
        """Pairs of contracts that stand in it, one after the other."""
        return 0 if self.legs.fresh is None else int(np.count_nonzero(self.legs.fresh))

    def excess(self, horizon: int, hedge: Float64Array | None = None) -> Float64Array:
        """The label (n,): what the far leg returns beyond the near one, less what an unchanged curve would make it.

        hedge  counts for nothing: contracts of one product are held one for one
        """
        del hedge
        return np.asarray(self.pair.excess(horizon)[self.row])

    def carry(self, horizons: tuple[int, ...]) -> Float64Array:
        """What an unchanged curve is expected to earn (n, H), as known at each close: holidays ahead do not count."""
        then = np.busday_offset(self.sessions[:, None], np.array(horizons)[None, :], roll="forward")
        days = (then - self.sessions[:, None]).astype(np.float64)
        return np.asarray(-self.pair.slope_gap[self.row][:, None] * days / DAYS_A_YEAR)

    def reason(self, row: int) -> str:
        """Why nothing is served of a row though it has a forecast: nothing speaks against contracts of one product."""
        del row
        return ""

    def digest(self, count: int) -> str:
        """Sixteen hex digits of the first rows, by which a history is known again."""
        return digest_of(self.legs, count)


Series = PairSeries | CrossSeries


@dataclass(frozen=True)
class SpreadData:
    """The series of a config by the name of the pair.

    empty  pair -> why there is nothing of it
    notes  what a reader of any number must know of the data first
    """

    series: Mapping[str, Series]
    empty: Mapping[str, str]
    calendar: Calendar = field(repr=False)
    last: np.datetime64
    notes: tuple[str, ...] = ()


def name_of(config: SpreadConfig, product: str) -> str:
    """What a product's pair is called."""
    near, far = config.pairs.roles(product)
    return f"{product} basis {far}" if config.pairs.kind == "basis" else f"{product} {near}-{far}"


def gather(
    config: SpreadConfig, store: Store, end: Day | None = None, say: Callable[[str], None] = lambda line: None
) -> SpreadData:
    """Every pair of the config, up to `end` (None: the config's end, or the last session stored).

    Errors  ConfigError for a product that the store does not hold, or that has no index
    """
    there = listing(store)
    last = as_day(end or config.data.end or store.span("bars/Future")[1])
    products, origin = _products(config, there.products), simulation(store)
    simulated = (f"the market is {origin}",) if origin else ()
    if config.pairs.kind == "cross":
        found = cross_pairs(config, store, there, last, say)
        return SpreadData(found.series, found.empty, store.calendar(), last, (*simulated, *found.notes))
    series: dict[str, PairSeries] = {}
    empty: dict[str, str] = {}
    for product in products:
        name = name_of(config, product)
        try:
            chain = read_chain(store, product, last.astype(object), known=there)
        except DataError as refusal:
            empty[name] = f"{refusal.must}; found {refusal.found}"
            continue
        told, under = config.pairs, None
        if told.kind == "basis":
            under = underlying(store, chain, told.indices[product], told.dividends)
        one = series_of(config, chain, under)
        if one is None or not len(one):
            empty[name] = "no session has both legs; a role by open interest needs one"
            continue
        series[name] = one
        say(
            f"{name}: {len(one):,} sessions from {one.sessions[0]} to {one.sessions[-1]}, "
            f"{one.changes} pairs of contracts"
        )
    return SpreadData(series, empty, store.calendar(), last, (*simulated, *_without_dividends(series)))


def series_of(config: SpreadConfig, chain: Chain, under: Underlying | None) -> PairSeries | None:
    """The pair of the config's roles in a chain; None for a basis without an index."""
    told, roll = config.pairs, config.roll
    named = roles(chain, hold(chain, roll.rule, roll.threshold, roll.before_expiry))
    near, far = told.roles(chain.product)
    if told.kind == "basis":
        if under is None:
            return None
        pair, held = (under.pair(chain, one) for one in (named[far], _before(named[far])))
    else:
        both = named[near], named[far]
        pair, held = calendar_pair(chain, *both), calendar_pair(chain, *(_before(one) for one in both))
    there = pair.near != ""
    if config.data.start is not None:
        there &= pair.sessions >= as_day(config.data.start)
    row = np.flatnonzero(there)
    if not len(row):
        return None
    gap = _gap(chain, pair, row)
    # A pair of which the far contract ends first has no gap of maturities that a spread a year could go by.
    known = bool((np.isfinite(gap) & (gap > 0)).all())
    legs = Legs(
        np.log(pair.close_far[row]),
        np.log(pair.close_near[row] - pair.dividends[row]),
        pair.sessions[row],
        _fresh(pair, row),
        gap if known else None,
    )
    paid = None
    if under is not None and under.dividends is not None:
        paid = np.diff(np.cumsum(under.paid(pair.sessions))[row], prepend=0.0)
    return PairSeries(name_of(config, chain.product), chain.product, pair, held, row, legs, paid)


def _without_dividends(series: Mapping[str, PairSeries]) -> list[str]:
    """Which bases have no level at first, since no year of dividends was known then."""
    told = []
    for name, one in series.items():
        blind = int(np.isnan(one.pair.dividends[one.row]).sum())
        told += [f"{name}: {blind:,} sessions without a level, of which no dividends are known"] if blind else []
    return told


def lives(series: PairSeries) -> IntArray:
    """Which pair of contracts stands on each of the n sessions, as a number; -1 where there is none."""
    near, far = series.held.near[series.row], series.held.far[series.row]
    changed = np.concatenate([[True], (near[1:] != near[:-1]) | (far[1:] != far[:-1])])
    return np.where(near == "", -1, np.cumsum(changed) - 1)


def multipliers(config: SpreadConfig, series: PairSeries) -> tuple[float, float]:
    """CNY a point of the far and of the near leg; an index is bought by the point."""
    size = series.pair.multiplier
    if not np.isfinite(size):
        size = MULTIPLIERS.get(series.product, np.nan)
    return size, 1.0 if config.pairs.kind == "basis" else size


def _gap(chain: Chain, pair: Pair, row: IntArray) -> Float64Array:
    """Years from the last day of the near leg to that of the far one; an index ends at once.

    A contract may be decided on at the close before the session of its listing: its last day is known by then.
    """
    last = dict(zip(chain.contracts.ids.tolist(), chain.contracts.last_day, strict=True))
    far = np.array([last[one] for one in pair.far[row].tolist()])
    near = np.array([last.get(one, day) for one, day in zip(pair.near[row].tolist(), pair.sessions[row], strict=True)])
    return np.asarray((far - near).astype("timedelta64[D]").astype(np.float64) / DAYS_A_YEAR)


def _before(role: IntArray) -> IntArray:
    """The role of each session at its own close, not of the session after: (T + 1,)."""
    return np.concatenate([np.array([-1], dtype=np.int64), role[:-1]])


def _fresh(pair: Pair, row: IntArray) -> BoolArray:
    """Where another pair stands than on the row before, or sessions without any lie between."""
    apart = np.concatenate([[True], np.diff(row) > 1])
    return np.asarray(pair.is_roll[row] | apart)


def _products(config: SpreadConfig, known: tuple[str, ...]) -> tuple[str, ...]:
    told = config.data.products
    for product in told:
        if product not in known:
            found = ", ".join(known)
            raise ConfigError(f"product {product}", "the store must hold its contracts", "none", help=f"It has {found}")
    if config.pairs.kind != "basis":
        return told or known
    for product in told:
        if product not in config.pairs.indices:
            raise ConfigError(f"product {product}", "a basis needs an index in pairs.indices", "none")
    return told or tuple(product for product in known if product in config.pairs.indices)
