"""Pairs of two products, each a series adjusted for its rolls, as models see them and as they are traded.

The first product of a pair is bought, the second is sold, `hedge` units of value against one. Levels are returns
summed up from the first close on, so that no later session changes one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from features.continuous import Continuous
from features.contracts import is_series
from features.expiries import MULTIPLIERS
from features.futures import Listing, read_continuous
from features.panel import AssetArray, BoolArray, DataError, Float64Array, IntArray, SessionArray
from features.sessions import as_day
from features.store import Store
from models.spread.base import Legs
from training.spread_config import SpreadConfig
from training.spread_screen import Screens


@dataclass(frozen=True)
class ProductLeg:
    """One product on the n sessions of a pair.

    contract  held from this close to the next; empty for none
    level     log of the first close and all returns since; NaN on a session without a close
    lost      returns so far of which nobody can tell the size; what a horizon with one in it earned is not known
    close     of the contract held through the session, NaN where it has none
    step      points that this contract moved since its close before, NaN where it has none
    rolled    sessions at whose close another contract is taken up: the close that decided it, as returns suppose
    volume    lots of the contract held through the session
    """

    product: str
    sessions: SessionArray = field(repr=False)
    contract: AssetArray = field(repr=False)
    level: Float64Array = field(repr=False)
    lost: IntArray = field(repr=False)
    close: Float64Array = field(repr=False)
    step: Float64Array = field(repr=False)
    rolled: BoolArray = field(repr=False)
    volume: Float64Array = field(repr=False)
    multiplier: float

    def between(self, begin: np.datetime64, end: np.datetime64) -> ProductLeg:
        """The sessions from one to another, both included; levels stay what they were."""
        rows = slice(int(self.sessions.searchsorted(begin)), int(self.sessions.searchsorted(end, side="right")))
        return replace(self, **{name: getattr(self, name)[rows] for name in _ALONG})


_ALONG: Final = ("sessions", "contract", "level", "lost", "close", "step", "rolled", "volume")


@dataclass(frozen=True)
class CrossSeries:
    """Two products on the n sessions that both have begun by and neither has ended by.

    name     RB-HC
    product  the first
    legs     log levels; they are one series each
    """

    name: str
    first: ProductLeg
    second: ProductLeg
    legs: Legs = field(repr=False)
    screens: Screens = field(repr=False)

    def __len__(self) -> int:
        return len(self.legs)

    @property
    def product(self) -> str:
        """The product that is bought."""
        return self.first.product

    @property
    def pair(self) -> tuple[str, str]:
        """Both products."""
        return self.first.product, self.second.product

    @property
    def sessions(self) -> SessionArray:
        """The n sessions."""
        return self.legs.session

    @property
    def changes(self) -> int:
        """Contracts that stand in it, one after the other, of both legs."""
        return sum(int(np.count_nonzero(leg.rolled)) + 1 for leg in (self.first, self.second))

    @property
    def far(self) -> AssetArray:
        """Contract that is bought at each close, (n,)."""
        return self.first.contract

    @property
    def near(self) -> AssetArray:
        """Contract that is sold at each close, (n,)."""
        return self.second.contract

    def excess(self, horizon: int, hedge: Float64Array | None = None) -> Float64Array:
        """The label (n,): what the first returns beyond `hedge` times the second over t + 1 to t + horizon.

        hedge  (n,) as held from t on; None: 1
        NaN    no hedge, a close that is missing at either end, or a return that is lost in between
        """
        if horizon < 1:
            raise DataError(f"pair {self.name}", "a horizon must be of 1 session or more", f"{horizon}")
        n = len(self)
        out, held = np.full(n, np.nan), np.ones(n) if hedge is None else hedge
        if n > horizon:
            moved, lost = np.zeros((2, n - horizon)), np.zeros(n - horizon, np.int64)
            for i, leg in enumerate((self.first, self.second)):
                moved[i] = leg.level[horizon:] - leg.level[:-horizon]
                lost += leg.lost[horizon:] - leg.lost[:-horizon]
            out[:-horizon] = np.where(lost == 0, moved[0] - held[:-horizon] * moved[1], np.nan)
        return out

    def carry(self, horizons: tuple[int, ...]) -> Float64Array:
        """Nought, (n, H): no curve says what two products should earn against each other."""
        return np.zeros((len(self), len(horizons)))

    def reason(self, row: int) -> str:
        """Why nothing is served of a row: it is no candidate; empty where it is one."""
        return self.screens.reason(self.pair, self.sessions[row])

    def digest(self, count: int) -> str:
        """Sixteen hex digits of the first rows, by which a history is known again."""
        return digest_of(self.legs, count)


@dataclass(frozen=True)
class Crossed:
    """The pairs of a config: series by name, why there is nothing of a pair, what a reader must know."""

    series: Mapping[str, CrossSeries]
    empty: Mapping[str, str]
    notes: tuple[str, ...]


def pair_name(pair: tuple[str, str]) -> str:
    """What a pair of products is called."""
    return "-".join(pair)


def narrowed(config: SpreadConfig, names: tuple[str, ...]) -> SpreadConfig:
    """The config with these pairs alone, so that a product that came later is in no family of tests."""
    kept = tuple(pair for pair in config.pairs.cross if pair_name(pair) in names)
    return config.model_copy(update={"pairs": config.pairs.model_copy(update={"cross": kept})})


def digest_of(legs: Legs, count: int) -> str:
    """Sixteen hex digits of the first rows of two legs."""
    part, told = legs.part(0, count), hashlib.sha256()
    columns = (part.session.astype("datetime64[D]").astype(np.int64), part.y, part.x, part.fresh)
    for values in (one for one in columns if one is not None):
        told.update(np.ascontiguousarray(values).tobytes())
    return told.hexdigest()[:16]


def cross_pairs(
    config: SpreadConfig, store: Store, known: Listing, last: np.datetime64, say: Callable[[str], None]
) -> Crossed:
    """Every pair of the config both of whose products the store has, each product read once."""
    told = config.data.products or known.products
    wanted = {pair_name(pair): pair for pair in config.pairs.cross if set(pair) <= set(told)}
    absent = sorted({product for pair in config.pairs.cross for product in pair} - set(told))
    if not wanted:
        why = f"there are no contracts of {', '.join(absent)}"
        return Crossed({}, {pair_name(pair): why for pair in config.pairs.cross}, ())
    read, refused = _read(config, store, known, last, wanted.values())
    empty, pairs = {}, {}
    for name, (a, b) in wanted.items():
        why = "; ".join(f"{product}: {refused[product]}" for product in (a, b) if product in refused)
        both = None if why else _together(config, read[a], read[b])
        if both is None:
            empty[name] = why or "no session has both"
        else:
            pairs[name] = both
    told_of, split = config.screening, config.split
    family = {(one.product, other.product): _legs(one, other) for one, other in pairs.values()}
    screens = Screens(family, told_of.rule(), told_of.every, split.train, split.least)
    series = {}
    for name, (one, other) in pairs.items():
        legs = family[one.product, other.product]
        series[name] = found = CrossSeries(name, one, other, legs, screens)
        say(f"{name}: {len(legs):,} sessions from {legs.session[0]} to {legs.session[-1]}, {found.changes} contracts")
    left = len(config.pairs.cross) - len(wanted)
    notes = (f"no contracts of {', '.join(absent)}: {left} pairs of the config are left out",) if left else ()
    return Crossed(series, empty, () if config.data.products else notes)


def product_leg(series: Continuous) -> ProductLeg:
    """A product from its first close on.

    Errors  DataError for a vendor's series, whose returns have the jumps of its rolls in them
    """
    if len(series) and is_series(str(series.contract[-1])):
        must = "a pair of products needs contracts: a spliced series has the jumps of its rolls in its returns"
        raise DataError(f"product {series.product}", must, str(series.contract[-1]))
    known = np.isfinite(series.close)
    if not known.any():
        raise DataError(f"product {series.product}", "it must have a close", "none")
    first = int(np.argmax(known))
    close, ret, contract = series.close[first:], series.ret[first:].copy(), series.contract[first:]
    ret[0] = 0.0
    counted = np.isfinite(ret)
    level = np.log(close[0]) + np.cumsum(np.where(counted, ret, 0.0))
    same = np.concatenate([[False], contract[1:] == contract[:-1]])
    # A close before that another contract's closes have overtaken would count the same days twice.
    moved = close - series.prev_close[first:]
    size = series.multiplier if np.isfinite(series.multiplier) else MULTIPLIERS.get(series.product, np.nan)
    following = np.append(contract[1:], series.next_contract)
    return ProductLeg(
        series.product,
        series.sessions[first:],
        following,
        np.where(known[first:], level, np.nan),
        np.cumsum(known[first:] & ~counted),
        close,
        np.where(counted | same, moved, np.nan),
        np.asarray(following != contract),
        series.held_volume[first:],
        float(size),
    )


def _read(
    config: SpreadConfig,
    store: Store,
    known: Listing,
    last: np.datetime64,
    pairs: Iterable[tuple[str, str]],
) -> tuple[dict[str, ProductLeg], dict[str, str]]:
    """Every product of the pairs by its name, and why some have no series."""
    roll, read, refused = config.roll, {}, {}
    for product in sorted({product for pair in pairs for product in pair}):
        try:
            series = read_continuous(
                store,
                product,
                rule=roll.rule,
                threshold=roll.threshold,
                before_expiry=roll.before_expiry,
                max_gap=roll.max_gap,
                end=last.astype(object),
                known=known,
            )
            read[product] = product_leg(series)
        except DataError as refusal:
            refused[product] = f"{refusal.must}; found {refusal.found}"
    return read, refused


def _together(config: SpreadConfig, one: ProductLeg, other: ProductLeg) -> tuple[ProductLeg, ProductLeg] | None:
    """Both on the sessions on which both have begun and none has ended, from the config's start on; None without any.

    A session that one of them has not reached yet is none: what comes later would change it.
    """
    begin, end = max(one.sessions[0], other.sessions[0]), min(one.sessions[-1], other.sessions[-1])
    if config.data.start is not None:
        begin = max(begin, as_day(config.data.start))
    return (one.between(begin, end), other.between(begin, end)) if begin <= end else None


def _legs(one: ProductLeg, other: ProductLeg) -> Legs:
    return Legs(one.level, other.level, one.sessions)
