"""The hot loops of bonds: what a delivery is worth under a Nelson-Siegel curve, and at which yield; compiled.

This is the simulator's own arithmetic, and shares nothing with that of features: each is there to test the other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from features.panel import Float64Array, IntArray

DAYS_A_YEAR = 365.0


class Baskets(NamedTuple):
    """What may be delivered for each of J contracts: D bonds, contract after contract, with F payments. Days count
    from 1970 and may be broken.

    delivery  (J,) day; begin (J + 1,) where each contract's bonds begin
    issued    (D,) day from which a bond may be counted on
    factor, accrued   (D,) conversion factor, interest accrued on the day of delivery
    flow      (D + 1,) where each bond's payments behind the delivery begin; day, amount (F,)
    """

    delivery: Float64Array
    begin: IntArray
    issued: Float64Array
    factor: Float64Array
    accrued: Float64Array
    flow: IntArray
    day: Float64Array
    amount: Float64Array


@njit(cache=True)
def _integrals(years: float, decay: float) -> tuple[float, float, float]:
    """Zero rate times time, per unit of level, slope and curvature."""
    fade = np.exp(-years / decay)
    slope = decay * (1.0 - fade)
    return years, slope, slope - years * fade


@njit(cache=True)
def log_prices(
    baskets: Baskets, contract: IntArray, now: Float64Array, states: Float64Array, decay: float, premium: float
) -> Float64Array:
    """Log of the futures price after each sub-step: the least of the deliveries' forward clean prices over factors.

    contract, now  (M,) which contract, and the day; states (M, 17, 3); NaN where nothing can be delivered
    """
    m, steps = states.shape[0], states.shape[1]
    out = np.full((m, steps), np.nan)
    worth = np.empty(steps)
    for k in range(m):
        j = contract[k]
        until = (baskets.delivery[j] - now[k]) / DAYS_A_YEAR
        span_0, tilt_0, bend_0 = _integrals(until, decay)
        for d in range(baskets.begin[j], baskets.begin[j + 1]):
            if baskets.issued[d] > now[k]:
                continue
            worth[:] = -baskets.accrued[d]
            for f in range(baskets.flow[d], baskets.flow[d + 1]):
                span, tilt, bend = _integrals((baskets.day[f] - now[k]) / DAYS_A_YEAR, decay)
                for u in range(steps):
                    rate = states[k, u, 0] * (span - span_0) + states[k, u, 1] * (tilt - tilt_0)
                    rate += states[k, u, 2] * (bend - bend_0) + premium * (span - span_0)
                    worth[u] += baskets.amount[f] * np.exp(-rate)
            for u in range(steps):
                price = np.log(worth[u] / baskets.factor[d])
                if not out[k, u] <= price:
                    out[k, u] = price
    return out


@njit(cache=True)
def cheapest(
    baskets: Baskets, contract: IntArray, now: Float64Array, states: Float64Array, decay: float, premium: float
) -> tuple[Float64Array, IntArray, Float64Array]:
    """Futures price, cheapest delivery, and how much the log price moves by a unit of level, slope and curvature.

    states  (M, 3). Gives (M,), (M,) number of the bond among D, (M, 3); NaN and -1 where nothing can be delivered
    """
    m = len(contract)
    price, which, moves = np.full(m, np.nan), np.full(m, -1), np.full((m, 3), np.nan)
    moved = np.empty(3)
    for k in range(m):
        j = contract[k]
        until = (baskets.delivery[j] - now[k]) / DAYS_A_YEAR
        span_0, tilt_0, bend_0 = _integrals(until, decay)
        for d in range(baskets.begin[j], baskets.begin[j + 1]):
            if baskets.issued[d] > now[k]:
                continue
            worth = -baskets.accrued[d]
            moved[:] = 0.0
            for f in range(baskets.flow[d], baskets.flow[d + 1]):
                span, tilt, bend = _integrals((baskets.day[f] - now[k]) / DAYS_A_YEAR, decay)
                rate = states[k, 0] * (span - span_0) + states[k, 1] * (tilt - tilt_0)
                rate += states[k, 2] * (bend - bend_0) + premium * (span - span_0)
                paid = baskets.amount[f] * np.exp(-rate)
                worth += paid
                moved[0] -= paid * (span - span_0)
                moved[1] -= paid * (tilt - tilt_0)
                moved[2] -= paid * (bend - bend_0)
            if which[k] < 0 or worth / baskets.factor[d] < price[k]:
                price[k], which[k] = worth / baskets.factor[d], d
                moves[k] = moved / worth
    return price, which, moves


@njit(cache=True)
def present_values(
    flow: IntArray,
    day: Float64Array,
    amount: Float64Array,
    bond: IntArray,
    now: Float64Array,
    states: Float64Array,
    decay: float,
) -> Float64Array:
    """Full prices of bonds, (M,): payments after `now` under states (M, 3). flow (B + 1,), day and amount (F,)."""
    out = np.zeros(len(bond))
    for k in range(len(bond)):
        for f in range(flow[bond[k]], flow[bond[k] + 1]):
            if day[f] > now[k]:
                span, tilt, bend = _integrals((day[f] - now[k]) / DAYS_A_YEAR, decay)
                out[k] += amount[f] * np.exp(-(states[k, 0] * span + states[k, 1] * tilt + states[k, 2] * bend))
    return out


@njit(cache=True)
def street_yields(
    full: Float64Array, payment: Float64Array, frequency: Float64Array, first: Float64Array, count: IntArray
) -> Float64Array:
    """Yields of full prices, (M,), by halving [-5 %, 25 %]: `count` payments, the first in `first` coupon periods."""
    out = np.empty(len(full))
    for k in range(len(full)):
        low, high = -0.05, 0.25
        for _ in range(60):
            middle = (low + high) / 2.0
            ratio = 1.0 / (1.0 + middle / frequency[k])
            discount, value = ratio ** first[k], 0.0
            for _ in range(count[k]):
                value += payment[k] * discount
                discount *= ratio
            value += 100.0 * discount / ratio
            if value > full[k]:
                low = middle
            else:
                high = middle
        out[k] = (low + high) / 2.0
    return out
