"""Coupon bonds: dates, accrued interest, conversion factors, and what lies between a bond and a future on it.

Prices per 100 face; yields and rates decimals a year. Dates are datetime64[D]. Source  05 §2-4
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Context, Decimal

import numpy as np

from features.operators.bonds import street_yield
from features.panel import AssetArray, DataError, Float64Array, IntArray, SessionArray

# One day, or a column of them, (T, 1).
Days = np.datetime64 | SessionArray
FACE = 100.0
DAYS_A_YEAR = 365.0
_MONTHS = 12
_PLACES = Decimal("0.0001")
_NOTIONAL = Decimal("0.03")
_EXACT = Context(prec=34)
# Exchange and clearing house state accrued interest per 100 to seven decimals.
_ACCRUED_PLACES = 7
# A coupon is published to some four decimals of a percent; more digits are what binary floats add.
_COUPON_PLACES = 8


@dataclass(frozen=True)
class Bonds:
    """Bonds with a fixed coupon, (B,) each.

    coupon     decimals of the face a year
    frequency  coupons a year, 1 or 2
    issued     day from which interest runs
    maturity   day of the last payment
    """

    code: AssetArray = field(repr=False)
    coupon: Float64Array = field(repr=False)
    frequency: IntArray = field(repr=False)
    issued: SessionArray = field(repr=False)
    maturity: SessionArray = field(repr=False)

    def __post_init__(self) -> None:
        wrong = np.flatnonzero(~np.isin(self.frequency, (1, 2)) | ~(self.maturity > self.issued))
        if len(wrong):
            k = wrong[0]
            found = f"{self.frequency[k]} a year, {self.issued[k]} to {self.maturity[k]}"
            raise DataError("bonds", "one or two coupons a year and a maturity behind the issue", found, self.code[k])

    def __len__(self) -> int:
        return len(self.code)

    @property
    def payment(self) -> Float64Array:
        """One coupon per 100 face."""
        return FACE * self.coupon / self.frequency

    def take(self, which: IntArray) -> Bonds:
        """Some of them."""
        return Bonds(
            self.code[which], self.coupon[which], self.frequency[which], self.issued[which], self.maturity[which]
        )


@dataclass(frozen=True)
class Schedule:
    """Where a day lies among the coupons of each bond, (B,) each; (T, B) for days (T, 1).

    last   the coupon date on or before the day (the issue counts as one)
    next   the one after it
    count  coupons after the day; 0 from the maturity on
    """

    last: SessionArray
    next: SessionArray
    count: IntArray
    day: Days

    @property
    def elapsed(self) -> Float64Array:
        """The share of the coupon period that is over."""
        days = (self.next - self.last).astype(np.float64)
        return np.asarray((self.day - self.last).astype(np.float64) / np.where(days > 0, days, np.nan))


def schedule(bonds: Bonds, day: Days) -> Schedule:
    """The coupons around a day; coupons fall on the day of the month of the maturity, or on the month's last."""
    period = _MONTHS // bonds.frequency
    due, now = bonds.maturity.astype("datetime64[M]"), day.astype("datetime64[M]")
    back = (due - now).astype(np.int64) // period
    # The coupon date in this month or, at most a period less a month later, the first behind it.
    here = _coupon_date(bonds, back)
    paid = here <= day
    following = back - paid
    return Schedule(
        np.where(paid, here, _coupon_date(bonds, back + 1)),
        np.where(paid, _coupon_date(bonds, following), here),
        np.maximum(following + 1, 0),
        day,
    )


def _coupon_date(bonds: Bonds, back: IntArray) -> SessionArray:
    """The coupon date so many periods before the maturity."""
    month = bonds.maturity.astype("datetime64[M]")
    day = (bonds.maturity - month.astype("datetime64[D]")).astype(np.int64)
    target = month - (back * (_MONTHS // bonds.frequency)).astype("timedelta64[M]")
    last = ((target + 1).astype("datetime64[D]") - target.astype("datetime64[D]")).astype(np.int64) - 1
    return np.asarray(target.astype("datetime64[D]") + np.minimum(day, last).astype("timedelta64[D]"))


def accrued_interest(bonds: Bonds, day: Days) -> Float64Array:
    """Interest since the last coupon per 100 face, actual days over those of the period, to seven decimals.

    Shape   (B,), or (T, B) for days (T, 1)
    NaN     before the issue and from the maturity on
    Source  05 §2. A first period that is no whole one is taken as if it were.
    """
    where = schedule(bonds, day)
    alive = (where.count > 0) & (bonds.issued <= day)
    return np.where(alive, np.round(bonds.payment * where.elapsed, _ACCRUED_PLACES), np.nan)


def full_yield(bonds: Bonds, full: Float64Array, day: np.datetime64) -> Float64Array:
    """Yield of a full price paid on a day, street compounding, (..., B); NaN from the maturity on."""
    where = schedule(bonds, day)
    return street_yield(full, bonds.payment, bonds.frequency, 1 - where.elapsed, where.count)


def coupons_between(bonds: Bonds, start: Days, end: np.datetime64) -> tuple[Float64Array, Float64Array]:
    """Coupons after `start`, up to `end` included: their sum, and their sum times the years left to `end`.

    Shape   (B,) each, or (T, B) for starts (T, 1)
    """
    begun, over = schedule(bonds, start), schedule(bonds, end)
    paid = begun.count - over.count
    total, waited = np.zeros(paid.shape), np.zeros(paid.shape)
    for k in range(int(paid.max(initial=0))):
        day = _coupon_date(bonds, begun.count - 1 - k)
        here = np.where(k < paid, bonds.payment, 0.0)
        total += here
        waited += here * (end - day).astype(np.float64) / DAYS_A_YEAR
    return total, waited


@functools.lru_cache(maxsize=65_536)
def conversion_factor(coupon: float, frequency: int, maturity: np.datetime64, delivery: np.datetime64) -> float:
    """The exchange's conversion factor (转换因子), rounded half up to four decimals.

    coupon    decimals a year; frequency: coupons a year
    maturity  of the bond, delivery: of the future; their months alone count
    Errors    DataError where no coupon is left behind the delivery month
    Source    05 §2; decimal arithmetic, so that a half is a half
    """
    return float(exact_factor(coupon, frequency, maturity, delivery).quantize(_PLACES, ROUND_HALF_UP))


def exact_factor(coupon: float, frequency: int, maturity: np.datetime64, delivery: np.datetime64) -> Decimal:
    """The conversion factor before it is rounded; arguments as for `conversion_factor`."""
    n, x = remaining_coupons(frequency, maturity, delivery)
    if n < 1:
        raise DataError(
            "conversion factor", "a coupon must be left behind the delivery month", f"{maturity}", f"{delivery}"
        )
    c, f, r = Decimal(repr(round(float(coupon), _COUPON_PLACES))), Decimal(frequency), _NOTIONAL
    with_exact = _EXACT
    wait = with_exact.divide(Decimal(x) * f, Decimal(_MONTHS))
    growth = 1 + with_exact.divide(r, f)
    ahead = with_exact.power(growth, -wait)
    behind = with_exact.power(growth, Decimal(1 - n))
    per, ratio = with_exact.divide(c, f), with_exact.divide(c, r)
    return ahead * (per + ratio + (1 - ratio) * behind) - per * (1 - wait)


def remaining_coupons(frequency: int, maturity: np.datetime64, delivery: np.datetime64) -> tuple[int, int]:
    """How many coupons are left behind the delivery month, and the months to the first of them.

    A coupon in the delivery month itself counts as paid.
    """
    period = _MONTHS // frequency
    months = int((maturity.astype("datetime64[M]") - delivery.astype("datetime64[M]")).astype(np.int64))
    n = -(-months // period)
    return n, months - (n - 1) * period


def conversion_factors(bonds: Bonds, delivery: np.datetime64) -> Float64Array:
    """`conversion_factor` of each bond, (B,)."""
    month = delivery.astype("datetime64[M]")
    due = bonds.maturity.astype("datetime64[M]")
    given = zip(bonds.coupon.tolist(), bonds.frequency.tolist(), due, strict=True)
    return np.array([conversion_factor(c, f, m, month) for c, f, m in given], dtype=np.float64)
