"""Futures of a simulated market: every contract's quotes, open interest and trading, product by product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng

from features.panel import BoolArray, Float64Array, IntArray, SessionArray
from features.sessions import Calendar
from features.sources.simulator import courses
from features.sources.simulator.contracts import PRODUCTS, Contract, Product, contract_calendar, listed_contracts
from features.sources.simulator.courses import Course, Where
from features.sources.simulator.futures_kernels import Rows, Tape, tape
from features.sources.simulator.indices import Index
from features.sources.simulator.market import Market
from features.sources.simulator.stocks import LOCKED_TURNOVER, TAPE_WEIGHTS
from features.sources.simulator.world import STEPS, World

FINAL_STEPS = 8
MIGRATION = 8
NEARNESS = 0.08
INTEREST_SD = 0.25


@dataclass(frozen=True)
class Futures:
    """One product's contracts: M rows, contract after contract, session after session.

    contract, at     (M,) which contract, and which of the T sessions
    tape             quotes in ticks
    volume, open_interest, turnover   (M,) contracts, contracts, CNY
    latent           (M,) log price at the close, without limits and without rounding
    leader           (T,) the contract with most open interest, -1 before the launch
    states           (T,) by name: what is true of the product at each close
    """

    product: Product
    contracts: tuple[Contract, ...] = field(repr=False)
    contract: IntArray = field(repr=False)
    at: IntArray = field(repr=False)
    tape: Tape = field(repr=False)
    volume: Float64Array = field(repr=False)
    open_interest: Float64Array = field(repr=False)
    turnover: Float64Array = field(repr=False)
    latent: Float64Array = field(repr=False)
    leader: IntArray = field(repr=False)
    states: dict[str, Float64Array] = field(repr=False)


def simulate_futures(
    world: World, sessions: SessionArray, market: Market, indices: Sequence[Index], seed: SeedSequence
) -> list[Futures]:
    """Every product of a world; a product depends on the seed, its own place in the list and what lies under it only.

    Source  11 §8, §9
    """
    calendar = contract_calendar()
    days = np.concatenate([[calendar.add(sessions[0], -1)], sessions])
    by_id = {index.order_book_id: index for index in indices}
    drawn: dict[str, Course] = {}
    out = []
    for product, stream in zip(PRODUCTS, seed.spawn(len(PRODUCTS)), strict=True):
        for_course, for_interest, for_tape = (default_rng(s) for s in stream.spawn(3))
        interest = courses.reverting(for_interest, len(days), courses.INTEREST_KAPPA, 1.0, courses.INTRADAY_SHARES)
        if product.underlying:
            index = by_id[product.underlying]
            course = courses.index_course(world, product.symbol, days, market, index, for_course)
        else:
            course = _commodity(world, product.symbol, interest, drawn, for_course)
        drawn[product.symbol] = course
        contracts = listed_contracts(product, sessions, calendar)
        if contracts:
            out.append(trade(product, contracts, days, calendar, course, interest[:, STEPS], for_tape))
    return out


def _commodity(world: World, symbol: str, interest: Float64Array, drawn: dict[str, Course], rng: Generator) -> Course:
    match symbol:
        case "SC":
            return courses.oil_course(len(interest), rng)
        case "FU":
            return courses.fuel_course(len(interest), drawn["SC"], rng)
        case "CU":
            return courses.copper_course(world, interest, rng)
        case "RB":
            return courses.rebar_course(world, interest, rng)
        case _:
            return courses.meal_course(world, interest, rng)


@dataclass(frozen=True)
class _Rows:
    """Rows of a product: contract after contract, each from the evening before its first session. M rows, N contracts.

    contract, at   (M,) which contract, position on the axis of T + 1 sessions
    maturity       (M,) last trading day
    lead, final, listing   (M,) the evening before, the last trading day, the day of listing
    alive          (N, T + 1) where a contract trades
    """

    contract: IntArray
    at: IntArray
    maturity: SessionArray
    lead: BoolArray
    final: BoolArray
    listing: BoolArray
    alive: BoolArray


def _rows(contracts: Sequence[Contract], days: SessionArray) -> _Rows:
    maturity = np.array([c.maturity for c in contracts], "datetime64[D]")
    listed = np.array([c.listed for c in contracts], "datetime64[D]")
    first = np.maximum(np.searchsorted(days, listed), 1)
    axis = np.arange(len(days))
    held = (axis >= first[:, None] - 1) & (days <= maturity[:, None])
    contract, at = np.nonzero(held)
    return _Rows(
        contract=contract,
        at=at,
        maturity=maturity[contract],
        lead=at == first[contract] - 1,
        final=days[at] == maturity[contract],
        listing=days[at] == listed[contract],
        alive=held & (axis >= first[:, None]),
    )


def trade(
    product: Product,
    contracts: Sequence[Contract],
    days: SessionArray,
    calendar: Calendar,
    course: Course,
    interest: Float64Array,
    rng: Generator,
) -> Futures:
    """Quotes and trading of a product's contracts. days (T + 1,), interest (T + 1,) standardised log open interest."""
    rows = _rows(contracts, days)
    where = Where(rows.at, _years(days, rows, product.overnight), rows.maturity)
    path = course.log_price(where) + _noise(course.noise, rows, product, rng)
    spread = course.spread(where)
    settle = _settle_weights(np.where(rows.final & product.cash_settled, FINAL_STEPS, product.averaged))
    in_ticks = path - np.log(float(product.tick))
    bridge = rng.standard_exponential((len(path), STEPS, 2))
    shown = ~rows.lead
    every = tape(Rows(rows.lead, in_ticks, spread, bridge, settle, TAPE_WEIGHTS, _bands(product, contracts, rows)))
    quotes = Tape(*(values[shown] for values in every))
    contract, at = rows.contract[shown], rows.at[shown]
    weight = _weights(product, contracts, rows.alive, days, calendar)
    share = np.divide(weight, weight.sum(axis=0), out=np.zeros_like(weight), where=rows.alive)
    total = np.rint(product.interest * np.exp(INTEREST_SD * interest))
    open_interest = np.rint(share[contract, at] * total[at])
    volume = _volume(quotes, open_interest, np.sqrt(spread[shown].sum(axis=1)))
    return Futures(
        product=product,
        contracts=tuple(contracts),
        contract=contract,
        at=at - 1,
        tape=quotes,
        volume=volume,
        open_interest=open_interest,
        turnover=volume * quotes.mean * float(product.tick) * product.multiplier,
        latent=path[shown, STEPS],
        leader=np.where(rows.alive.any(axis=0), weight.argmax(axis=0), -1)[1:],
        states={name: values[1:] for name, values in {**course.states, "interest": interest}.items()},
    )


def _volume(quotes: Tape, open_interest: Float64Array, sd: Float64Array) -> Float64Array:
    """Contracts traded, (M,), at least one: .3 to 1.2 times the open interest, more on a session that moved far."""
    gone = np.abs(np.log(quotes.close / quotes.prev_settlement))
    move = np.divide(gone, sd, out=np.zeros_like(sd), where=sd > 0)  # a curve that stands still has no usual move
    ratio = (0.3 + 0.9 * (1.0 - np.exp(-move))) * np.where(quotes.locked != 0, LOCKED_TURNOVER, 1.0)
    return np.asarray(np.maximum(np.rint(open_interest * ratio), 1.0), np.float64)


def _years(days: SessionArray, rows: _Rows, overnight: bool) -> Float64Array:
    """Years to maturity, (M, 17): the session's own, or running on from the close before without a night."""
    now = (rows.maturity - days[rows.at]).astype(np.float64) / 365.0
    return _within(now, rows.lead, overnight)


def _noise(sd: float, rows: _Rows, product: Product, rng: Generator) -> Float64Array:
    """A contract's own noise, (M, 17), anew each session; index futures end without any, at the index itself."""
    now = sd * rng.standard_normal(len(rows.lead))
    return _within(np.where(rows.final & product.cash_settled, 0.0, now), rows.lead, product.overnight)


def _within(now: Float64Array, lead: BoolArray, overnight: bool) -> Float64Array:
    """A number of each close over the sub-steps of its session: it moves overnight, or from close to close."""
    before = now if overnight else np.where(lead, now, np.roll(now, 1))
    return np.asarray(before[:, None] + (now - before)[:, None] * np.arange(STEPS + 1) / STEPS, np.float64)


def _settle_weights(averaged: IntArray) -> Float64Array:
    """Weights of the sub-steps in each row's settlement, (M, 16): flat over the last so many."""
    return np.asarray((np.arange(STEPS) >= STEPS - averaged[:, None]) / averaged[:, None], np.float64)


def _bands(product: Product, contracts: Sequence[Contract], rows: _Rows) -> IntArray:
    """Limits in basis points, (M,): CFFEX doubles them on the first day of a quarter month, and on an index's last."""
    quarter = np.array([c.month % 3 == 0 for c in contracts])[rows.contract]
    first = rows.listing & quarter & (product.exchange == "CFFEX")
    return np.where(first | (rows.final & product.cash_settled), 2 * product.limit, product.limit)


def _weights(
    product: Product,
    contracts: Sequence[Contract],
    alive: BoolArray,
    days: SessionArray,
    calendar: Calendar,
) -> Float64Array:
    """How much of the open interest each contract draws, (N, T + 1); 0 where it is not listed.

    Interest gathers about a number of days to maturity; over its last sessions a contract's moves on to where most is.
    """
    maturity = np.array([c.maturity for c in contracts], "datetime64[D]")
    left = (maturity[:, None] - days).astype(np.float64)
    ends, now = calendar.sessions.searchsorted(maturity), calendar.sessions.searchsorted(days)
    active = np.array([c.month in product.active for c in contracts])[:, None]
    near = active * np.exp(-NEARNESS * np.abs(left - product.centre))
    weight = np.where(alive, near + product.thin, 0.0)
    front = alive.argmax(axis=0)
    at = np.flatnonzero(alive.sum(axis=0) > 1)
    sessions_left = (ends[front] - now)[at]
    gone = np.where(sessions_left <= MIGRATION, 1.0 / (1.0 + np.exp(sessions_left - MIGRATION / 2.0)), 0.0)
    moved = weight[front[at], at] * gone
    weight[front[at], at] -= moved
    others = weight[:, at].copy()
    others[front[at], np.arange(len(at))] = 0.0
    weight[others.argmax(axis=0), at] += moved
    return weight
