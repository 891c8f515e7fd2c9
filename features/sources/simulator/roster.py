"""Who is listed: codes, boards, characteristics, and the events of each stock's life.

Every stock draws from streams of its own, so that a further stock changes nothing about the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng

from features.limits import (
    BSE_FROM,
    CHINEXT_FROM,
    FIRST_DAY_DOWN,
    FIRST_DAY_UP,
    STAR_FROM,
    first_day_band,
    limit_pct,
)
from features.panel import BoolArray, Float64Array, IntArray, SessionArray
from features.sources.simulator.market import INDUSTRIES, STYLE_VOLS
from features.sources.simulator.world import SESSIONS_PER_YEAR, World

# A board for each of 20 stocks in turn: main 60 %, ChiNext 20 %, STAR 15 %, BSE 5 %.
_TURNS = {"m": "main", "c": "chinext", "s": "star", "b": "bse"}
_PATTERN = "mcmsmmcmmsmcmmmsmcmb"
_MONTH = np.timedelta64(30, "D")
_OPENED = {"main": np.datetime64("2000-01-04"), "chinext": CHINEXT_FROM, "star": STAR_FROM, "bse": BSE_FROM}
_EXCHANGE = {"main": "XSHG", "chinext": "XSHE", "star": "XSHG", "bse": "BJSE"}
DELISTING_SESSIONS = 15


@dataclass(frozen=True)
class Life:
    """One stock: what it is, and what will befall it.

    first, last   positions of its first and last session; new: it is listed during the sample
    listed        its listing date; ended: it is delisted after `last`
    age, st, suspended, freed   (T,) sessions since listing (1 on the first), flags; freed: no limit although not new
    dividend, bonus             (T,) dividend yield and new shares per old one, on ex-dates
    industry      0..9; beta at the start; loadings (3,) on the styles; vol its own, per year
    shares, price at the start; level: log of its usual daily turnover in CNY
    surprise      log first-morning return of a new listing
    """

    order_book_id: str
    board: str
    first: int
    last: int
    new: bool
    ended: bool
    listed: np.datetime64
    industry: int
    beta: float
    loadings: Float64Array
    vol: float
    shares: float
    price: float
    level: float
    surprise: float
    age: IntArray = field(repr=False)
    st: BoolArray = field(repr=False)
    suspended: BoolArray = field(repr=False)
    freed: BoolArray = field(repr=False)
    dividend: Float64Array = field(repr=False)
    bonus: Float64Array = field(repr=False)

    def cross_sectional_vol(self, world: World) -> float:
        """Daily standard deviation of its return less the market's: what the planted IC is measured against."""
        market = (self.beta - 1) ** 2 * world.theta + self.vol**2
        styles = float(np.sum((self.loadings * STYLE_VOLS) ** 2))
        return float(np.sqrt(market / SESSIONS_PER_YEAR + styles + world.industry_vol**2))


def draw_roster(world: World, sessions: SessionArray, seeds: Sequence[SeedSequence]) -> list[Life]:
    """The lives of all stocks, in the order of their numbers; a pair of streams (what it is, what happens) each."""
    counts = dict.fromkeys(_TURNS.values(), 0)
    roster = []
    for number, seed in enumerate(seeds):
        name = _TURNS[_PATTERN[number % len(_PATTERN)]]
        if sessions[-1] < BSE_FROM + _MONTH and name == "bse":
            name = "main"
        nature, fate = (default_rng(s) for s in seed.spawn(2))
        roster.append(_draw_life(world, sessions, name, _code(name, counts[name]), nature, fate))
        counts[name] += 1
    return roster


def limit_points(roster: Sequence[Life], sessions: SessionArray) -> tuple[IntArray, IntArray]:
    """Upper and lower limits in basis points of the reference price, two (T, N); 0 where none holds."""
    names = np.array([life.board for life in roster])
    age, st, freed = (np.stack([getattr(life, k) for life in roster], axis=1) for k in ("age", "st", "freed"))
    pct = limit_pct(names, sessions, st, age, no_limit=freed)
    up = np.rint(np.nan_to_num(pct, nan=0.0) * 10_000).astype(np.int64)
    first = first_day_band(names, sessions, age)
    return np.where(first, FIRST_DAY_UP, up), np.where(first, FIRST_DAY_DOWN, up)


def _code(name: str, k: int) -> str:
    if name == "main":
        return f"{600000 + k // 2}.XSHG" if k % 2 == 0 else f"{1 + k // 2:06d}.XSHE"
    base = {"chinext": 300001, "star": 688001, "bse": 830001}[name]
    return f"{base + k}.{_EXCHANGE[name]}"


def _draw_life(world: World, sessions: SessionArray, name: str, code: str, nature: Generator, fate: Generator) -> Life:
    t = len(sessions)
    price = float(np.round(np.exp(nature.normal(np.log(15.0), 0.6)), 2))
    shares = float(np.rint(np.exp(nature.normal(np.log(6e8), 0.8))))
    first, listed, new = _listing(world, sessions, name, fate)
    lasts = first + 60 + int(fate.exponential(SESSIONS_PER_YEAR / world.delistings_per_year))
    ended, last = lasts < t - 1, min(lasts, t - 1)
    before = 0 if new else int(np.busday_count(listed, sessions[0]))
    age = np.arange(t) - first + 1 + before
    freed = np.zeros(t, np.bool_)
    if ended:
        freed[last - DELISTING_SESSIONS + 1] = True
    dividend, bonus = _actions(world, sessions, first, last, fate)
    return Life(
        order_book_id=code,
        board=name,
        first=first,
        last=last,
        new=new,
        ended=ended,
        listed=listed,
        industry=int(nature.integers(INDUSTRIES)),
        beta=float(nature.normal(1.0, 0.25)),
        loadings=nature.standard_normal(len(STYLE_VOLS)),
        vol=float(nature.uniform(0.20, 0.45)),
        shares=shares,
        price=price,
        level=float(np.log(shares * price * 0.01) + nature.normal(0.0, 0.4)),
        surprise=float(np.log1p(max(nature.normal(0.6, 0.4), -0.4))) if new else 0.0,
        age=age,
        st=_st_spell(world, t, first, last, fate),
        suspended=_suspensions(world, t, first, last, ended, fate),
        freed=freed,
        dividend=dividend,
        bonus=bonus,
    )


def _listing(world: World, sessions: SessionArray, name: str, rng: Generator) -> tuple[int, np.datetime64, bool]:
    """Position of the first session, listing date, whether that lies in the sample.

    A board that opens during the sample lists half its stocks on its first session.
    """
    chance, half, where = rng.random(3)
    opened = int(np.searchsorted(sessions, _OPENED[name]))
    opens = _OPENED[name] > sessions[0] - _MONTH
    if opens or chance < world.listing_share:
        earliest = max(opened, 1)
        first = earliest if opens and half < 0.5 else earliest + int(where * max(len(sessions) - 5 - earliest, 1))
        return first, sessions[first], True
    days = int((sessions[0] - _MONTH - _OPENED[name]).astype(np.int64) * where)
    return 0, np.busday_offset(_OPENED[name] + np.timedelta64(days, "D"), 0, roll="forward"), False


def _actions(
    world: World, sessions: SessionArray, first: int, last: int, rng: Generator
) -> tuple[Float64Array, Float64Array]:
    """Dividend yields and bonus ratios on ex-dates from May to July of every year, two (T,)."""
    dividend, bonus = np.zeros(len(sessions)), np.zeros(len(sessions))
    years, months = sessions.astype("datetime64[Y]"), sessions.astype("datetime64[M]").astype(np.int64) % 12 + 1
    for year in np.unique(years):
        where, share, split, ratio = rng.random(4)
        season = np.flatnonzero((years == year) & (months >= 5) & (months <= 7))
        if not len(season):
            continue
        t = season[int(where * len(season))]
        if first + 20 < t <= last:
            dividend[t] = 0.04 * share
            bonus[t] = np.round(0.3 + 0.7 * ratio, 1) if split < world.splits_per_year else 0.0
    return dividend, bonus


def _st_spell(world: World, t: int, first: int, last: int, rng: Generator) -> BoolArray:
    chance, where, length = rng.random(3)
    st = np.zeros(t, np.bool_)
    if chance < world.st_share:
        start = first + int(where * (last - first))
        st[start : start + 60 + int(190 * length)] = True
    return st


def _suspensions(world: World, t: int, first: int, last: int, ended: bool, rng: Generator) -> BoolArray:
    """Sessions without a row, (T,); none in the first five sessions of a listing, none in a delisting period."""
    out = np.zeros(t, np.bool_)
    count = rng.poisson(world.suspensions_per_year * t / SESSIONS_PER_YEAR)
    for start, length in zip(
        rng.integers(0, t, count), rng.geometric(1 / world.suspension_sessions, count), strict=True
    ):
        out[start : start + length] = True
    out[: first + 5] = False
    if ended:
        out[last - DELISTING_SESSIONS + 1 :] = False
    return out
