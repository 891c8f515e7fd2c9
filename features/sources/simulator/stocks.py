"""Stocks: each one's course through the market, its quotes, and the trading that goes with them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.random import SeedSequence, default_rng
from numpy.typing import NDArray

from features.panel import BoolArray, Float64Array, IntArray, SessionArray
from features.sources.simulator.kernels import Course, Quotes, autoregress, trade
from features.sources.simulator.market import Market, factor_vols
from features.sources.simulator.roster import Life, draw_roster, limit_points
from features.sources.simulator.world import SESSIONS_PER_YEAR, STEPS, VARIANCE_SHARES, World

NUM_TRADES_FROM = np.datetime64("2021-06-25", "D")
LOT = 100
LOCKED_TURNOVER = 0.05
_SMILE = 1.0 + 1.5 * ((np.arange(STEPS) - (STEPS - 1) / 2) / (STEPS / 2)) ** 2
TAPE_WEIGHTS = _SMILE / _SMILE.sum()
"""How a session's trading is spread over its sub-steps, (16,): most at both ends."""


@dataclass(frozen=True)
class Stocks:
    """All stocks as arrays, asset first: (N, T), prices in ticks of .01.

    roster    N lives; last (N,) the session each one traded last
    quotes    as the exchange shows them; grid is (N, T, 17)
    rows      where there is a bar: listed and not suspended
    listed    where the stock is listed, suspended or not
    volume, turnover, trades   shares, CNY, count
    signal, beta               planted signal known at the close; loading on the market
    """

    roster: list[Life] = field(repr=False)
    last: IntArray = field(repr=False)
    quotes: Quotes = field(repr=False)
    rows: BoolArray = field(repr=False)
    listed: BoolArray = field(repr=False)
    volume: Float64Array = field(repr=False)
    turnover: Float64Array = field(repr=False)
    trades: Float64Array = field(repr=False)
    signal: Float64Array = field(repr=False)
    beta: Float64Array = field(repr=False)

    def share_counts(self) -> Float64Array:
        """Shares outstanding after each session's corporate actions, (N, T)."""
        start = np.array([life.shares for life in self.roster])
        return start[:, None] * np.cumprod(1.0 + self.quotes.bonus, axis=1)


def simulate_stocks(world: World, sessions: SessionArray, market: Market, seed: SeedSequence) -> Stocks:
    """Draw all stocks of a world; stock i depends on the seed, the market and its own number only.

    Source  11 §3 (prices), §4 (turnover, trades)
    """
    n, t = world.stocks or 0, len(sessions)
    streams = [s.spawn(2) for s in seed.spawn(n)]
    roster = draw_roster(world, sessions, [s[0] for s in streams])
    up, down = limit_points(roster, sessions)
    quotes, strength = _blank(n, t), world.strength(sessions)
    listed = np.zeros((n, t), np.bool_)
    panels = np.full((5, n, t), np.nan)
    last = np.zeros(n, np.int64)
    for i, life in enumerate(roster):
        course_seed, tape_seed = streams[i][1].spawn(2)
        rng = default_rng(course_seed)
        signal = autoregress(rng.standard_normal(t), world.persistence)
        beta = life.beta + 0.1 * autoregress(rng.standard_normal(t), 0.995)
        course = _course(world, life, market, signal * strength, beta, (up[:, i], down[:, i]), rng)
        own = Quotes(*(panel[i] for panel in quotes))
        last[i] = trade(course, own)
        listed[i, life.first : last[i] + 1] = True
        tape = _tape(world, life, market, own, signal, listed[i] & ~life.suspended, default_rng(tape_seed))
        panels[:, i] = (*tape, signal, beta)
    panels[2][:, sessions < NUM_TRADES_FROM] = np.nan
    rows = listed & ~np.stack([life.suspended for life in roster])
    return Stocks(roster, last, quotes, rows, listed, *panels)


def _blank(n: int, t: int) -> Quotes:
    def ticks() -> IntArray:
        return np.zeros((n, t), np.int64)

    grid: NDArray[np.int32] = np.zeros((n, t, STEPS + 1), np.int32)
    bonus, latent, variance = np.zeros((n, t)), np.full((n, t), np.nan), np.full((n, t), np.nan)
    locked = np.zeros((n, t), np.int8)
    return Quotes(grid, ticks(), ticks(), ticks(), ticks(), ticks(), ticks(), bonus, locked, latent, variance)


def _course(
    world: World,
    life: Life,
    market: Market,
    push: Float64Array,
    beta: Float64Array,
    limits: tuple[IntArray, IntArray],
    rng: np.random.Generator,
) -> Course:
    """Gather what befalls one stock. push (T,): one-session IC times signal, known at the close of t."""
    t = len(beta)
    loading = (beta * np.where(market.stress, world.stress_beta, 1.0))[:, None]
    k = len(life.loadings)
    common = loading * market.moves + market.factors[:, :, :k] @ life.loadings + market.factors[:, :, k + life.industry]
    own = np.concatenate([life.loadings, [1.0]]) * factor_vols(world)[: k + 1]
    spread = (loading**2 * market.variance / SESSIONS_PER_YEAR + np.sum(own**2)) * VARIANCE_SHARES
    drift = life.cross_sectional_vol(world) * np.concatenate([[0.0, 0.0], push])
    return Course(
        first=life.first,
        last=life.last,
        price=float(np.log(life.price)),
        surprise=life.surprise,
        trading=~life.suspended,
        common=common,
        spread=spread,
        idio=rng.standard_normal((t, STEPS + 1)),
        mixing=np.sqrt(3.0 / rng.chisquare(5.0, t)),
        target=life.vol**2 / SESSIONS_PER_YEAR,
        alpha=world.garch_alpha,
        beta=world.garch_beta,
        bridge=rng.standard_exponential((t, STEPS, 2)),
        # the signal of t works from the open of t+1 to the open of t+2: a session's intraday, then the night after
        overnight=drift[:t] * VARIANCE_SHARES[0],
        intraday=drift[1 : t + 1] * (1.0 - VARIANCE_SHARES[0]),
        up=limits[0].copy(),
        down=limits[1].copy(),
        dividend=life.dividend,
        bonus=life.bonus,
    )


def _tape(
    world: World,
    life: Life,
    market: Market,
    quotes: Quotes,
    signal: Float64Array,
    rows: BoolArray,
    rng: np.random.Generator,
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Volume in shares, turnover in CNY and number of trades, three (T,), NaN without a row.

    Turnover is volume times the average price, weighted U-shaped over the session. The signal shows in the size of
    trades only. Source  11 §4
    """
    t = len(signal)
    mood, noise = 0.35 * autoregress(rng.standard_normal(t), 0.8), rng.normal(0.0, 0.15, t)
    safe = np.where(rows, quotes.prev, 1)
    move = np.abs(quotes.grid[:, STEPS] / safe - 1.0)
    daily = np.sqrt(life.cross_sectional_vol(world) ** 2 + life.beta**2 * world.theta / SESSIONS_PER_YEAR)
    heat = 0.5 * np.log(np.maximum(market.variance.mean(axis=1), 1e-6) / world.theta)
    excess = 0.35 * np.minimum(move / daily, 4.0) + 0.4 * heat + world.stress_turnover * market.stress + mood
    excess = excess + np.where(quotes.locked > 0, np.log(LOCKED_TURNOVER), 0.0)
    mids = (quotes.grid[:, 1:] + quotes.grid[:, :-1]) / 2.0
    price = np.clip(mids @ TAPE_WEIGHTS, quotes.low, quotes.high) / 100.0
    price = np.where(rows, price, 1.0)
    volume = np.maximum(np.floor(np.exp(life.level + excess) / price / LOT), 1.0) * LOT
    turnover = volume * price
    size = np.exp(9.2 + 0.25 * np.log(price / 15.0) + 0.15 * (np.log(turnover) - life.level) + 0.30 * signal + noise)
    trades = np.maximum(np.rint(turnover / size), 1.0)
    return tuple(np.where(rows, x, np.nan) for x in (volume, turnover, trades))  # type: ignore[return-value]
