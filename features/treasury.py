"""Treasury futures: terms of the contracts, yields by the notional bond, fair spreads, hedge weights.

Numbers of panels are written with operators, so that they take arrays and expressions alike. Prices per 100 face,
yields decimals a year.  Source  05 §1, 3, 5
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from features.operators.bonds import (
    NOTIONAL_COUPON,
    notional_duration,
    notional_yield,
    street_yield,
)
from features.panel import DataError, Float64Array
from features.zero_curve import Zero, discounts

_YEAR = 12
_BASIS_POINT = 1e-4
_FACE = 100.0
# Below this yield the shortest duration is the cheapest to deliver, above it the longest: the notional coupon.
PIVOT = NOTIONAL_COUPON / 100
# Remaining years of the usual cheapest-to-deliver bond below the pivot; above it the nominal maturity.
PROXIES: Mapping[float, float] = {2.0: 2.0, 5.0: 4.0, 10.0: 7.0, 30.0: 25.0}
_HALF_A_YEAR = 0.5


@dataclass(frozen=True)
class Terms:
    """What the exchange says of a contract.

    tenor      years of the notional bond, which pays 3 %
    face       CNY of the notional bond
    tick       smallest change of the price
    limit      how far a session may go from the settlement before, decimals
    margin     the exchange's least margin, decimals
    original   longest term at issue of what may be delivered, months; 0 where none is set
    remaining  least and most months left on the first day of the expiry month
    frequency  coupons a year of the notional bond
    since      first delivery month that these terms hold for
    listed     first session of the product
    """

    product: str
    tenor: float
    face: float
    tick: float
    limit: float
    margin: float
    original: int
    remaining: tuple[int, int]
    frequency: int
    since: np.datetime64
    listed: np.datetime64

    @property
    def point(self) -> float:
        """CNY of a point of the price."""
        return self.face / _FACE


def _terms() -> tuple[Terms, ...]:
    """The table of 05 §1. It dates no change: a change holds from the delivery month that is given here."""
    month, day = (lambda m: np.datetime64(m, "M")), np.datetime64
    ts, tf, t, tl = day("2018-08-17"), day("2013-09-06"), day("2015-03-20"), day("2023-04-21")
    longest = 1000
    return (
        Terms("TS", 2, 2e6, 0.005, 0.005, 0.005, 5 * _YEAR, (18, 27), 1, month("2018-12"), ts),
        Terms("TF", 5, 1e6, 0.002, 0.012, 0.01, 0, (4 * _YEAR, 7 * _YEAR), 1, month("2013-12"), tf),
        Terms("TF", 5, 1e6, 0.005, 0.012, 0.01, 7 * _YEAR, (4 * _YEAR, 63), 1, month("2016-03"), tf),
        Terms("T", 10, 1e6, 0.005, 0.02, 0.02, 0, (78, 123), 2, month("2015-09"), t),
        Terms("T", 10, 1e6, 0.005, 0.02, 0.02, 10 * _YEAR, (78, longest), 2, month("2019-03"), t),
        Terms("TL", 30, 1e6, 0.01, 0.035, 0.035, 30 * _YEAR, (25 * _YEAR, longest), 2, month("2023-06"), tl),
    )


TERMS = _terms()
TREASURIES = tuple(dict.fromkeys(t.product for t in TERMS))


def terms(product: str, delivery: np.datetime64) -> Terms:
    """The terms of a product's contract by its delivery month.

    Errors  DataError for what is no treasury future, or a month before its first contract
    Source  05 §1; of delivery months between a launch and a change the launch's terms hold
    """
    month = delivery.astype("datetime64[M]")
    found = [t for t in TERMS if t.product == product and t.since <= month]
    if not found:
        must = f"the product must be one of {', '.join(TREASURIES)}, from its first contract on"
        raise DataError("treasury terms", must, f"{product} {month}")
    return found[-1]


def frequency_of(tenor: Float64Array) -> Float64Array:
    """Coupons a year of the notional bond: one up to five years, else two."""
    return np.where(tenor <= 5, 1.0, 2.0)


def proxy_maturity(price: Float64Array, tenor: Float64Array, shortest: Float64Array) -> Float64Array:
    """Years left of the bond that is presumably cheapest to deliver.

    shortest  that of bonds with the shortest duration: `PROXIES` of the tenor
    Source    05 §3. The notional bond is worth 100 at its coupon whatever its maturity, so the price alone says on
              which side of 3 % the yield lies, and solving once more for the other maturity never changes the side.
    """
    return np.where(price >= _FACE, shortest, tenor)


def implied_yield(price: Float64Array, maturity: Float64Array, tenor: Float64Array) -> Float64Array:
    """Yield of the notional bond at a futures price, were it to have `maturity` years left.  Source  05 §3, def. 1"""
    return notional_yield(price, maturity, frequency_of(tenor))


def fair_spread(
    near: Float64Array,
    y: Float64Array,
    duration: Float64Array,
    repo: Float64Array,
    slope: Float64Array,
    between: Float64Array,
) -> Float64Array:
    """What the near future should cost more than the next one, in points: F · [(y - repo) + D · slope] · years.

    y, duration  of the notional bond at the near price and the proxy's maturity
    repo         continuously compounded, over the time between the two deliveries
    slope        of the cash yield in maturity, per year
    Source       05 §5
    """
    return near * ((y - repo) + duration * slope) * between


def forward_premium(
    y: Float64Array, duration: Float64Array, repo: Float64Array, slope: Float64Array, ahead: Float64Array
) -> Float64Array:
    """What the yield implied by a future should lie above the cash yield, by carry and roll-down.  Source  05 §3"""
    return ((y - repo) / duration + slope) * ahead


def dv01(
    price: Float64Array, maturity: Float64Array, tenor: Float64Array, y: Float64Array, face: Float64Array
) -> Float64Array:
    """CNY that a contract gains when the yield falls by a basis point.  Source  05 §5"""
    return face / _FACE * price * notional_duration(y, maturity, frequency_of(tenor)) * _BASIS_POINT


def cash_yield(zero: Zero, maturity: float, frequency: int) -> Float64Array:
    """Yield of the notional bond of so many years priced on a zero curve, (T,).

    A maturity of a broken number of coupon periods has its first, whole coupon early and is priced in full.
    NaN     no curve, or a yield outside [-2 %, 20 %]
    Source  05 §5
    """
    count = int(np.ceil(maturity * frequency - 1e-9))
    times = maturity - np.arange(count)[::-1] / frequency
    full = discounts(zero, times) @ _payments(count, frequency)
    return street_yield(full, NOTIONAL_COUPON / frequency, frequency, times[0] * frequency, count)


def yield_slope(zero: Zero, maturity: float, frequency: int) -> Float64Array:
    """How much the cash yield of the notional bond rises per year of maturity, (T,).  Source  05 §5"""
    short, long = (cash_yield(zero, maturity + years, frequency) for years in (-_HALF_A_YEAR, _HALF_A_YEAR))
    return np.asarray((long - short) / (2 * _HALF_A_YEAR))


def notional_forward(zero: Zero, maturity: int, frequency: int, ahead: float) -> Float64Array:
    """Forward price of the notional bond whose first coupon falls a period behind the delivery in `ahead` years, (T,).

    What a future on that bond alone is worth where the curve is also that of funding.  Source  05 §5, check
    """
    count = maturity * frequency
    times = ahead + np.arange(1, count + 1) / frequency
    now = discounts(zero, times) @ _payments(count, frequency)
    return np.asarray(now / discounts(zero, np.array([ahead]))[:, 0])


def _payments(count: int, frequency: int) -> Float64Array:
    """What the notional bond pays with each of its last coupons."""
    paid = np.full(count, NOTIONAL_COUPON / frequency)
    paid[-1] += _FACE
    return paid
