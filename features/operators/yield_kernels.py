"""Compiled kernels of coupon bonds: full price, yield and duration with street compounding, cell by cell.

A bond pays `coupon` `count` times, and 100 with the last; the first payment lies `first` coupon periods ahead. At the
yield y its full price is v^first · Σ C_k v^k with v = 1/(1 + y/f): the sum by Horner's rule, its derivative beside it.
"""

from __future__ import annotations

import numpy as np

from features.operators.compiled import compiled, part
from features.panel import Float64Array

FACE = 100.0
# Where yields are looked for; the price falls strictly in the yield there, so there is at most one.
LOWEST, HIGHEST = -0.02, 0.20
_STEPS = 60
# Of the yield: some units of the last digit of a price over its duration.
_CLOSE = 4e-16


@part
def _value(y: float, coupon: float, frequency: float, first: float, count: int) -> tuple[float, float]:
    """The full price, and its derivative in the yield."""
    v = 1.0 / (1.0 + y / frequency)
    total, slope = coupon + FACE, 0.0
    for _ in range(count - 1):
        slope = slope * v + total
        total = total * v + coupon
    ahead = v**first
    return ahead * total, -(first * total + v * slope) * ahead * v / frequency


@part
def _yield(price: float, coupon: float, frequency: float, first: float, count: int) -> float:
    """The yield of a full price by Newton's method, kept within what is known to hold the root; NaN outside."""
    low, high = LOWEST, HIGHEST
    above, _ = _value(low, coupon, frequency, first, count)
    below, _ = _value(high, coupon, frequency, first, count)
    if not below <= price <= above:
        return np.nan
    periods = first + count - 1.0
    y = (coupon * frequency + (FACE - price) * frequency / periods) / (0.5 * (FACE + price))
    y = min(max(y, low), high)
    for _ in range(_STEPS):
        value, slope = _value(y, coupon, frequency, first, count)
        if value > price:
            low = y
        else:
            high = y
        step = (price - value) / slope
        nearer = y + step
        if not low <= nearer <= high:
            nearer = 0.5 * (low + high)
        if abs(nearer - y) <= _CLOSE:
            return nearer
        y = nearer
    return y


@compiled
def prices(
    y: Float64Array,
    coupon: Float64Array,
    frequency: Float64Array,
    first: Float64Array,
    count: Float64Array,
    out: Float64Array,
) -> None:
    """Full prices per 100 face, all arrays (n,)."""
    for i in range(len(out)):
        out[i] = np.nan
        if count[i] >= 1.0 and frequency[i] > 0.0 and 1.0 + y[i] / frequency[i] > 0.0:
            out[i], _ = _value(y[i], coupon[i], frequency[i], first[i], int(count[i]))


@compiled
def yields(
    price: Float64Array,
    coupon: Float64Array,
    frequency: Float64Array,
    first: Float64Array,
    count: Float64Array,
    out: Float64Array,
) -> None:
    """Yields of full prices, all arrays (n,)."""
    for i in range(len(out)):
        out[i] = np.nan
        if count[i] >= 1.0 and frequency[i] > 0.0 and price[i] > 0.0:
            out[i] = _yield(price[i], coupon[i], frequency[i], first[i], int(count[i]))


@compiled
def durations(
    y: Float64Array,
    coupon: Float64Array,
    frequency: Float64Array,
    first: Float64Array,
    count: Float64Array,
    out: Float64Array,
) -> None:
    """Modified durations in years, all arrays (n,)."""
    for i in range(len(out)):
        out[i] = np.nan
        if count[i] >= 1.0 and frequency[i] > 0.0 and 1.0 + y[i] / frequency[i] > 0.0:
            value, slope = _value(y[i], coupon[i], frequency[i], first[i], int(count[i]))
            out[i] = -slope / value
