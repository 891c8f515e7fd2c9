"""Operators on coupon bonds: price, yield and modified duration, cell by cell.

Yields are decimals a year, compounded as often as the bond pays; prices are full (with accrued interest) per 100 face.
On a coupon date, where a bond has a whole number of coupon periods left, the full price is the clean one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from features.graph import operator
from features.operators import yield_kernels
from features.panel import Float64Array

# Coupon of the exchange's notional bonds, per 100 face and year.
NOTIONAL_COUPON = 3.0
# A maturity of so little more than whole coupon periods has them whole.
_ROUNDING = 1e-9


def street_price(
    y: ArrayLike, coupon: ArrayLike, frequency: ArrayLike, first: ArrayLike, count: ArrayLike
) -> Float64Array:
    """Full price of bonds that pay `coupon` per 100 face `count` times, first in `first` coupon periods.

    Shape   any that broadcast
    NaN     no payment left, an unknown yield
    Source  05 §3, definition 2
    """
    return _over(yield_kernels.prices, y, coupon, frequency, first, count)


def street_yield(
    price: ArrayLike, coupon: ArrayLike, frequency: ArrayLike, first: ArrayLike, count: ArrayLike
) -> Float64Array:
    """Yield of a full price; the other arguments as for `street_price`.

    NaN     a price that is not positive, or whose yield lies outside [-2 %, 20 %]
    """
    return _over(yield_kernels.yields, price, coupon, frequency, first, count)


def street_duration(
    y: ArrayLike, coupon: ArrayLike, frequency: ArrayLike, first: ArrayLike, count: ArrayLike
) -> Float64Array:
    """Modified duration in years; the arguments as for `street_price`."""
    return _over(yield_kernels.durations, y, coupon, frequency, first, count)


@operator("cell")
def notional_price(y: Float64Array, maturity: Float64Array, frequency: Float64Array) -> Float64Array:
    """Full price of the notional 3 % bond with `maturity` years left.

    Source  05 §3; of 7.5 years at two coupons a year the first payment lies a period ahead, of 4.5 at one half a period
    """
    return street_price(y, *_notional(maturity, frequency))


@operator("cell")
def notional_yield(price: Float64Array, maturity: Float64Array, frequency: Float64Array) -> Float64Array:
    """Yield at which the notional 3 % bond with `maturity` years left has that full price.

    NaN     a price that is not positive, or a yield outside [-2 %, 20 %]
    Source  05 §3, definition 1
    """
    return street_yield(price, *_notional(maturity, frequency))


@operator("cell")
def notional_duration(y: Float64Array, maturity: Float64Array, frequency: Float64Array) -> Float64Array:
    """Modified duration of the notional 3 % bond, in years."""
    return street_duration(y, *_notional(maturity, frequency))


def _notional(maturity: ArrayLike, frequency: ArrayLike) -> tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]:
    """Coupon, frequency, first payment in periods, and how many payments of the notional bond."""
    f = np.asarray(frequency, np.float64)
    periods = np.asarray(maturity, np.float64) * f
    count = np.ceil(periods - _ROUNDING)
    return NOTIONAL_COUPON / f, f, periods - (count - 1.0), count


def _over(kernel: Callable[..., None], *given: ArrayLike) -> Float64Array:
    panels = np.broadcast_arrays(*(np.asarray(g, np.float64) for g in given))
    flat = [np.ascontiguousarray(p).reshape(-1).view() for p in panels]
    for one in flat:
        one.flags.writeable = False  # for arrays that may be written numba would compile once more
    out = np.empty(flat[0].shape)
    kernel(*flat, out)
    return out.reshape(panels[0].shape)
