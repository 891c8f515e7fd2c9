"""Three capitalisation-weighted price indices over the simulated stocks, with a Laspeyres divisor."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.random import SeedSequence, default_rng

from features.panel import BoolArray, Float64Array, IntArray, SessionArray
from features.sessions import FRIDAY, nth_weekday
from features.sources.simulator.market import Market
from features.sources.simulator.stocks import Stocks
from features.sources.simulator.world import SESSIONS_PER_YEAR, STEPS, VARIANCE_SHARES, World

INDICES = {"LARGE": "000016.XSHG", "BROAD": "000300.XSHG", "SMALL": "000852.XSHG"}
LARGE, BROAD = 50, 300
BASE = 1000.0
CHANGED = 0.05
SEASONED = 20
DECIMALS = 4


@dataclass(frozen=True)
class Index:
    """One index.

    open, high, low, close, prev_close   (T,) index points, four decimals
    volume, turnover                     (T,) sums over its members
    members, shares                      (N, T) who counts, and with how many shares
    divisor                              (T,)
    points                               (T,) cash dividends that went ex, in index points: they are not added back
    grid                                 (T, 17) level after each sub-step, the open first; not rounded
    """

    order_book_id: str
    open: Float64Array = field(repr=False)
    high: Float64Array = field(repr=False)
    low: Float64Array = field(repr=False)
    close: Float64Array = field(repr=False)
    prev_close: Float64Array = field(repr=False)
    volume: Float64Array = field(repr=False)
    turnover: Float64Array = field(repr=False)
    members: BoolArray = field(repr=False)
    shares: Float64Array = field(repr=False)
    divisor: Float64Array = field(repr=False)
    points: Float64Array = field(repr=False)
    grid: Float64Array = field(repr=False)

    def total_return(self) -> Float64Array:
        """The index with dividends reinvested on their ex-dates, (T,), starting from the same base."""
        return np.asarray(BASE * np.cumprod((self.close + self.points) / self.prev_close), np.float64)


def simulate_indices(
    world: World, sessions: SessionArray, market: Market, stocks: Stocks, seed: SeedSequence
) -> list[Index]:
    """The large 50 (at most a third of the names), the broad 300 or all, and the small rest.

    The rest is what the broad index leaves out, or the large one where the broad index holds every name.
    Source  11 §6: divisor, half-yearly changes of at most 5 % of the names, extremes by a bridge on the index level
    """
    shares = stocks.share_counts()
    worth = shares * stocks.quotes.grid[:, :, STEPS] / 100.0
    held = _members(sessions, stocks, worth)
    streams = seed.spawn(len(INDICES))
    return [
        _index(world, INDICES[name], held[name], shares, worth, market, stocks, stream)
        for name, stream in zip(INDICES, streams, strict=True)
    ]


def step_variance(world: World, market: Market) -> Float64Array:
    """Variance that the market gives an index in each sub-step, (T, 17)."""
    loading = np.where(market.stress, world.stress_beta, 1.0)[:, None]
    return loading**2 * market.variance * VARIANCE_SHARES / SESSIONS_PER_YEAR


def rebalance_positions(sessions: SessionArray) -> IntArray:
    """Positions of the sessions on which new members first count: after each second Friday of June and December."""
    years = np.unique(sessions.astype("datetime64[Y]").astype(np.int64) + 1970)
    fridays = np.array([nth_weekday(int(y), month, FRIDAY, 2) for y in years for month in (6, 12)])
    at = np.searchsorted(sessions, fridays, side="right")
    return at[(at > 0) & (at < len(sessions))]


def _members(sessions: SessionArray, stocks: Stocks, worth: Float64Array) -> dict[str, BoolArray]:
    n, t = worth.shape
    changes = set(rebalance_positions(sessions).tolist())
    held = {name: np.zeros((n, t), np.bool_) for name in INDICES}
    seasoned = np.cumsum(stocks.listed, axis=1) > SEASONED
    seasoned |= (np.array([not life.new for life in stocks.roster]))[:, None]
    current = {name: np.zeros(n, np.bool_) for name in INDICES}
    for at in range(t):
        if at == 0 or at in changes:
            before = max(at - 1, 0)
            eligible = stocks.listed[:, before] & stocks.listed[:, at] & seasoned[:, before]
            order = np.argsort(-np.where(eligible, worth[:, before], -1.0), kind="stable")[: eligible.sum()]
            for name, size in (("LARGE", min(LARGE, n // 3)), ("BROAD", BROAD)):
                current[name] = _refresh(current[name] & eligible, order, min(size, len(order)))
            inner = current["BROAD"] if len(order) > BROAD else current["LARGE"]
            current["SMALL"] = eligible & ~inner
        for name in INDICES:
            current[name] = current[name] & stocks.listed[:, at]
            held[name][:, at] = current[name]
    return held


def _refresh(current: BoolArray, order: IntArray, size: int) -> BoolArray:
    """Exchange at most 5 % of the members for larger outsiders, then fill the empty places. order: largest first."""
    out, rank = current.copy(), np.full(len(current), len(current))
    rank[order] = np.arange(len(order))
    leaving = sorted(np.flatnonzero(out & (rank >= size)), key=lambda i: -rank[i])[: max(1, round(CHANGED * size))]
    if out.any():
        out[leaving] = False
    entering = [i for i in order if not out[i]][: max(size - int(out.sum()), 0)]
    out[entering] = True
    return out


def _index(
    world: World,
    order_book_id: str,
    members: BoolArray,
    shares: Float64Array,
    worth: Float64Array,
    market: Market,
    stocks: Stocks,
    seed: SeedSequence,
) -> Index:
    counted = np.where(members, shares, 0.0)
    value = np.einsum("nt,ntu->tu", counted, stocks.quotes.grid) / 100.0
    start = np.array([life.shares for life in stocks.roster])
    ticks = stocks.quotes.prev[:, 0] / 100.0
    before = np.concatenate([(start * ticks)[:, None], worth[:, :-1]], axis=1)
    divisor = _divisor(members, before)
    level = value / divisor[:, None]
    logs = np.log(level)
    spread = step_variance(world, market)[:, 1:]
    draws = default_rng(seed).standard_exponential((*spread.shape, 2))
    middle, square = logs[:, 1:] + logs[:, :-1], np.diff(logs, axis=1) ** 2
    reach = np.sqrt(square[:, :, None] + 2.0 * spread[:, :, None] * draws)
    high = np.exp(np.max((middle + reach[:, :, 0]) / 2.0, axis=1))
    low = np.exp(np.min((middle - reach[:, :, 1]) / 2.0, axis=1))
    close = np.round(level[:, STEPS], DECIMALS)
    old = np.concatenate([start[:, None], shares[:, :-1]], axis=1)
    return Index(
        order_book_id=order_book_id,
        open=np.round(level[:, 0], DECIMALS),
        high=np.round(np.maximum(high, level.max(axis=1)), DECIMALS),
        low=np.round(np.minimum(low, level.min(axis=1)), DECIMALS),
        close=close,
        prev_close=np.concatenate([[BASE], close[:-1]]),
        volume=np.nansum(np.where(members, stocks.volume, np.nan), axis=0),
        turnover=np.nansum(np.where(members, stocks.turnover, np.nan), axis=0),
        members=members,
        shares=shares,
        divisor=divisor,
        points=np.sum(np.where(members, old * stocks.quotes.cash / 100.0, 0.0), axis=0) / divisor,
        grid=level,
    )


def _divisor(members: BoolArray, before: Float64Array) -> Float64Array:
    """Divisor (T,) that keeps the level where it was when members change; before (N, T), value at the last close."""
    out = np.empty(members.shape[1])
    out[0] = before[members[:, 0], 0].sum() / BASE
    for t in range(1, len(out)):
        out[t] = out[t - 1]
        if (members[:, t] != members[:, t - 1]).any():
            out[t] *= before[members[:, t], t].sum() / before[members[:, t - 1], t].sum()
    return out
