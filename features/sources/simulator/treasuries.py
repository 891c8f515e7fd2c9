"""Treasury futures of a simulated market, and the bonds and the curve under them.

Source  11 §10; 05 §1 (contracts, days of delivery)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.random import SeedSequence, default_rng

from features.panel import AssetArray, Float64Array, IntArray, SessionArray
from features.sources.simulator import courses
from features.sources.simulator.bond_kernels import cheapest, log_prices, present_values, street_yields
from features.sources.simulator.bonds import Bonds, Deliveries, day_number, deliveries, issue_bonds
from features.sources.simulator.contracts import TREASURIES, Contract, contract_calendar, listed_contracts
from features.sources.simulator.courses import Course, Where
from features.sources.simulator.futures import Futures, trade
from features.sources.simulator.world import STEPS, VARIANCE_SHARES, World
from features.sources.simulator.yield_curve import ZeroCurve, shocks, simulate_curve

DELIVERY = 2
NOISE_TICKS = 0.3
PAR = 100.0


@dataclass(frozen=True)
class BondPrices:
    """Prices of the close per 100 face, M rows: day (of T), bond (of B), clean price, accrued interest."""

    at: IntArray = field(repr=False)
    bond: IntArray = field(repr=False)
    clean: Float64Array = field(repr=False)
    accrued: Float64Array = field(repr=False)


@dataclass(frozen=True)
class Fair:
    """What is true of each row of a product's futures at the close, (M,) each.

    price          without noise and rounding
    ctd            code of the cheapest bond to deliver, empty where it is a notional one
    forward_yield  of that bond on the day of delivery, compounded as often as it pays
    """

    price: Float64Array = field(repr=False)
    ctd: AssetArray = field(repr=False)
    forward_yield: Float64Array = field(repr=False)


@dataclass(frozen=True)
class Treasuries:
    """Curve (T sessions), bonds and their prices, futures and, in the same order, what is true of them."""

    curve: ZeroCurve = field(repr=False)
    bonds: Bonds = field(repr=False)
    prices: BondPrices = field(repr=False)
    futures: tuple[Futures, ...] = field(repr=False)
    fair: tuple[Fair, ...] = field(repr=False)


def simulate_treasuries(world: World, sessions: SessionArray, seed: SeedSequence) -> Treasuries:
    """Curve, bonds and futures of a world. The curve has a stream of its own, and so has every product."""
    calendar = contract_calendar()
    days = np.concatenate([[calendar.add(sessions[0], -1)], sessions])
    for_curve, *for_products = seed.spawn(1 + len(TREASURIES))
    whole = simulate_curve(world.yields, len(days), default_rng(for_curve))
    bonds = issue_bonds(days, whole)
    futures, fair = [], []
    for product, stream in zip(TREASURIES, for_products, strict=True):
        for_interest, for_tape = (default_rng(s) for s in stream.spawn(2))
        interest = courses.reverting(for_interest, len(days), courses.INTEREST_KAPPA, 1.0, courses.INTRADAY_SHARES)
        contracts = listed_contracts(product, sessions, calendar)
        if not contracts:
            continue
        ends = np.array([calendar.add(c.maturity, DELIVERY) for c in contracts], "datetime64[D]")
        basket = deliveries(contracts, ends, bonds if world.yields.pricing == "ctd" else None)
        course = _course(contracts, basket, days, whole, NOISE_TICKS * float(product.tick) / PAR)
        traded = trade(product, contracts, days, calendar, course, interest[:, STEPS], for_tape)
        true = _fair(traded, basket, sessions, whole, bonds)
        spread = {"fair_spread": _near_less_next(traded, true.price, sessions)}
        futures.append(replace(traded, states={**traded.states, **spread}))
        fair.append(true)
    curve = ZeroCurve(world.yields, whole.states[1:], whole.past)
    return Treasuries(curve, bonds, _bond_prices(sessions, curve, bonds), tuple(futures), tuple(fair))


def _course(
    contracts: Sequence[Contract], basket: Deliveries, days: SessionArray, curve: ZeroCurve, noise: float
) -> Course:
    """Prices of the cheapest delivery on the curve. days (T,) of the curve; rows name a contract by its maturity."""
    maturity = np.array([c.maturity for c in contracts], "datetime64[D]")
    decay, premium = curve.yields.decay, curve.yields.premium

    def log_price(where: Where) -> Float64Array:
        contract = np.searchsorted(maturity, where.maturity)
        states = np.ascontiguousarray(curve.states[where.at])
        return log_prices(basket.baskets, contract, day_number(days[where.at]), states, decay, premium)

    def spread(where: Where) -> Float64Array:
        contract = np.searchsorted(maturity, where.maturity)
        states = np.ascontiguousarray(curve.closes[where.at])
        _, _, moves = cheapest(basket.baskets, contract, day_number(days[where.at]), states, decay, premium)
        return np.asarray(((moves * shocks(curve.yields)) ** 2).sum(axis=1)[:, None] * VARIANCE_SHARES)

    return Course(log_price, spread, noise, {})


def _fair(futures: Futures, basket: Deliveries, sessions: SessionArray, curve: ZeroCurve, bonds: Bonds) -> Fair:
    """curve with the evening before the sessions in front."""
    now, states = day_number(sessions[futures.at]), np.ascontiguousarray(curve.closes[futures.at + 1])
    price, which, _ = cheapest(basket.baskets, futures.contract, now, states, curve.yields.decay, curve.yields.premium)
    full = price * basket.baskets.factor[which] + basket.baskets.accrued[which]
    frequency = basket.frequency[which].astype(np.float64)
    implied = street_yields(full, basket.payment[which], frequency, basket.first[which], basket.count[which])
    bond = basket.bond[which]
    return Fair(price, np.where(bond >= 0, bonds.code[bond], ""), implied)


def _near_less_next(futures: Futures, price: Float64Array, sessions: SessionArray) -> Float64Array:
    """Fair price of the first contract before its delivery month, less that of the next one, (T,); NaN without two."""
    months = np.array([f"{c.year}-{c.month:02d}" for c in futures.contracts], "datetime64[M]")
    panel = np.full((len(sessions), len(months)), np.nan)
    panel[futures.at, futures.contract] = price
    out = np.full(len(sessions), np.nan)
    near = np.searchsorted(months, sessions.astype("datetime64[M]"), "right")
    two = np.flatnonzero(near + 1 < len(months))
    out[two] = panel[two, near[two]] - panel[two, near[two] + 1]
    return out


def _bond_prices(sessions: SessionArray, curve: ZeroCurve, bonds: Bonds) -> BondPrices:
    """Prices of every bond from its issue to the day before it ends, clean to four decimals."""
    alive = (bonds.issued <= sessions[:, None]) & (bonds.maturity > sessions[:, None])
    at, bond = np.nonzero(alive)
    paid = [bonds.payments(b, bonds.issued[b]) for b in range(len(bonds))]
    flow = np.concatenate([[0], np.cumsum([len(days) for days, _ in paid])])
    day, amount = (np.concatenate([one[k] for one in paid]) for k in (0, 1))
    states = np.ascontiguousarray(curve.closes[at])
    full = present_values(flow, day, amount, bond, day_number(sessions[at]), states, curve.yields.decay)
    accrued = bonds.accrued(bond, sessions[at])
    return BondPrices(at, bond, np.round(full - accrued, 4), accrued)
