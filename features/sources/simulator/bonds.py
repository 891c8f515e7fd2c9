"""The simulated government's bonds: when each is issued, what it pays, and what it counts for in a delivery.

Every bond pays on the day of the month on which it was issued, so that it has whole coupon periods only.
Source  11 §10; 05 §1 and §2 (deliverable bonds, conversion factor, accrued interest)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from features.panel import AssetArray, BoolArray, Float64Array, IntArray, SessionArray
from features.sources.simulator.bond_kernels import DAYS_A_YEAR, Baskets
from features.sources.simulator.contracts import Contract, Notional
from features.sources.simulator.world import SESSIONS_PER_YEAR
from features.sources.simulator.yield_curve import ZeroCurve, par_coupon

FACE, NOTIONAL_COUPON = 100.0, 0.03
LOWEST_COUPON, COUPON_STEP = 1e-4, 1e-4
EPOCH = np.datetime64("1970-01-01", "D")


@dataclass(frozen=True)
class Issue:
    """A line of bonds: its term, its months of issue and their day, and how many months back the oldest one goes."""

    years: int
    months: tuple[int, ...]
    day: int
    back: int

    @property
    def frequency(self) -> int:
        """Coupons a year."""
        return 1 if self.years <= 7 else 2


# Forty bonds on any first session. The days are chosen so that the cheapest to deliver stays of one age from contract
# to contract: TF's has four years and four days left, T's 6.74 years (a month less would be too short to deliver); TL's
# takes turns between 25.23 and 25.48.
ISSUES = (
    Issue(1, (1,), 15, 12),
    Issue(2, (4,), 15, 24),
    Issue(5, (3, 6, 9, 12), 5, 42),
    Issue(10, (2, 5, 8, 11), 25, 42),
    Issue(30, (2, 8), 25, 54),
)


@dataclass(frozen=True)
class Bonds:
    """B bonds by day of issue, (B,) each: code, coupon (decimals a year), coupons a year, term, days."""

    code: AssetArray = field(repr=False)
    coupon: Float64Array = field(repr=False)
    frequency: IntArray = field(repr=False)
    years: IntArray = field(repr=False)
    issued: SessionArray = field(repr=False)
    maturity: SessionArray = field(repr=False)

    def __len__(self) -> int:
        return len(self.code)

    @property
    def payment(self) -> Float64Array:
        """One coupon per 100 face."""
        return FACE * self.coupon / self.frequency

    def payments(self, bond: int, after: np.datetime64) -> tuple[Float64Array, Float64Array]:
        """Days (from 1970) and amounts of what one bond pays after a day."""
        period = 12 // int(self.frequency[bond])
        days = shift(self.issued[bond], np.arange(1, self.years[bond] * self.frequency[bond] + 1) * period)
        amounts = np.full(len(days), self.payment[bond])
        amounts[-1] += FACE
        return day_number(days[days > after]), amounts[days > after]

    def periods(self, bond: IntArray, day: SessionArray) -> tuple[SessionArray, SessionArray]:
        """The coupon days around each day, the one before (or on it) and the one after: (M,), (M,) -> (M,), (M,)."""
        issued, period = self.issued[bond], 12 // self.frequency[bond]
        month, begun = day.astype("datetime64[M]"), issued.astype("datetime64[M]")
        early = (day - month.astype("datetime64[D]")) < (issued - begun.astype("datetime64[D]"))
        over = ((month - begun).astype(np.int64) - early) // period
        return shift(issued, over * period), shift(issued, (over + 1) * period)

    def accrued(self, bond: IntArray, day: SessionArray) -> Float64Array:
        """Interest accrued on each day per 100 face, actual over actual days of the period, to seven decimals, (M,)."""
        last, following = self.periods(bond, day)
        share = (day - last).astype(np.float64) / (following - last).astype(np.float64)
        return np.asarray(np.round(self.payment[bond] * share, 7))


def shift(day: SessionArray | np.datetime64, months: IntArray | int) -> SessionArray:
    """The same day of another month; only for days up to the 28th."""
    month = np.asarray(day).astype("datetime64[M]")
    return np.asarray(
        (month + np.asarray(months, "timedelta64[M]")).astype("datetime64[D]") + (day - month.astype("datetime64[D]"))
    )


def day_number(days: SessionArray | np.datetime64) -> Float64Array:
    """Days since 1970, any shape."""
    return np.asarray((days - EPOCH).astype(np.float64))


def issue_bonds(days: SessionArray, curve: ZeroCurve) -> Bonds:
    """Every bond issued by the last of the days, each with the coupon at which it was worth its face when issued.

    days (T,) of the curve. Coupons are hundredths of a per cent, one of these at least.
    """
    rows = []
    for issue in ISSUES:
        for day in _issue_days(issue, days):
            state = _state_on(day, days, curve)
            par = par_coupon(state, issue.years, issue.frequency, curve.yields.decay)
            coupon = max(round(par / COUPON_STEP) * COUPON_STEP, LOWEST_COUPON)
            rows.append((day, issue.years, issue.frequency, coupon))
    rows.sort(key=lambda row: row[:2])
    issued = np.array([row[0] for row in rows], "datetime64[D]")
    years = np.array([row[1] for row in rows], np.int64)
    year = issued.astype("datetime64[Y]").astype(np.int64) + 1970
    number = np.array([(year[:k] == year[k]).sum() + 1 for k in range(len(rows))])
    return Bonds(
        code=np.array([f"{y % 100:02d}9{n:03d}.IB" for y, n in zip(year, number, strict=True)]),
        coupon=np.array([row[3] for row in rows]),
        frequency=np.array([row[2] for row in rows], np.int64),
        years=years,
        issued=issued,
        maturity=shift(issued, 12 * years),
    )


def _issue_days(issue: Issue, days: SessionArray) -> list[np.datetime64]:
    first, last = days[[0, -1]].astype("datetime64[Y]").astype(int) + 1970
    named = [
        np.datetime64(f"{year}-{month:02d}-{issue.day:02d}", "D")
        for year in range(first - issue.back // 12 - 1, last + 1)
        for month in issue.months
    ]
    return [day for day in named if shift(day, issue.back) > days[0] and day <= days[-1]]


def _state_on(day: np.datetime64, days: SessionArray, curve: ZeroCurve) -> Float64Array:
    """Level, slope and curvature on a day: of the close before it, or so many sessions back before the first one."""
    at = int(np.searchsorted(days, day)) - 1
    if at >= 0:
        return curve.closes[at]
    back = int((days[0] - day).astype(np.float64) / DAYS_A_YEAR * SESSIONS_PER_YEAR)
    return curve.past[back]


def conversion_factors(coupon: Float64Array, frequency: IntArray, months: IntArray) -> Float64Array:
    """Conversion factors, any shape, half up to four decimals.

    months  from the delivery month to that of the maturity
    Source  05 §2; a coupon in the delivery month counts as paid
    """
    c, f, r = coupon, frequency.astype(np.float64), NOTIONAL_COUPON
    period = 12 // frequency
    count = -(-months // period)
    wait = (months - (count - 1) * period) / period
    growth = 1.0 + r / f
    behind = growth ** (1.0 - count)
    exact = growth**-wait * (c / f + c / r + (1.0 - c / r) * behind) - c / f * (1.0 - wait)
    return np.asarray(np.floor(exact * 1e4 + 0.5) / 1e4)


def deliverable(bonds: Bonds, notional: Notional, month: np.datetime64) -> BoolArray:
    """Which bonds may be delivered in a month, (B,)."""
    shortest, longest = (shift(month.astype("datetime64[D]"), months) for months in notional.remaining)
    return np.asarray(
        (bonds.years <= notional.original) & (bonds.maturity >= shortest) & (bonds.maturity <= longest), np.bool_
    )


@dataclass(frozen=True)
class Deliveries:
    """Baskets with what their bonds are, (D,) each.

    bond      number among the bonds, -1 for a notional one
    payment, frequency, first, count   one coupon, coupons a year, periods to the next one, how many are left
    """

    baskets: Baskets = field(repr=False)
    bond: IntArray = field(repr=False)
    payment: Float64Array = field(repr=False)
    frequency: IntArray = field(repr=False)
    first: Float64Array = field(repr=False)
    count: IntArray = field(repr=False)


_Entry = tuple[float, float, float, int, float, int, float, Float64Array, Float64Array]


def deliveries(contracts: Sequence[Contract], days: SessionArray, bonds: Bonds | None) -> Deliveries:
    """What may be delivered for each contract of a product, on the days of delivery (J,).

    bonds  None: notional 3 % bonds, of the shortest usual term and of the name's, with a coupon on the delivery day
    """
    begin, entries = [0], []
    for contract, day in zip(contracts, days, strict=True):
        entries += _notional(contract, day) if bonds is None else _real(contract, day, bonds)
        begin.append(len(entries))
    columns = list(zip(*entries, strict=True))
    issued, factor, accrued, bond, payment, frequency, first = (np.array(column) for column in columns[:7])
    paid, amounts = columns[7:]
    lengths = np.array([len(one) for one in paid], np.int64)
    return Deliveries(
        Baskets(
            delivery=day_number(days),
            begin=np.array(begin, np.int64),
            issued=issued,
            factor=factor,
            accrued=accrued,
            flow=np.concatenate([[0], np.cumsum(lengths)]),
            day=np.concatenate(paid),
            amount=np.concatenate(amounts),
        ),
        bond=bond.astype(np.int64),
        payment=payment,
        frequency=frequency.astype(np.int64),
        first=first,
        count=lengths,
    )


def _real(contract: Contract, day: np.datetime64, bonds: Bonds) -> list[_Entry]:
    month = np.datetime64(f"{contract.year}-{contract.month:02d}", "M")
    notional = contract.product.notional
    which = np.flatnonzero(deliverable(bonds, notional, month)) if notional else np.array([], np.int64)
    months = (bonds.maturity[which].astype("datetime64[M]") - month).astype(np.int64)
    factor = conversion_factors(bonds.coupon[which], bonds.frequency[which], months)
    when = np.full(len(which), day)
    accrued = bonds.accrued(which, when)
    last, following = bonds.periods(which, when)
    first = (following - day).astype(np.float64) / (following - last).astype(np.float64)
    issued = day_number(bonds.issued[which])
    return [
        (issued[k], factor[k], accrued[k], b, bonds.payment[b], bonds.frequency[b], first[k], *bonds.payments(b, day))
        for k, b in enumerate(which)
    ]


def _notional(contract: Contract, day: np.datetime64) -> list[_Entry]:
    notional = contract.product.notional
    if notional is None:
        return []
    payment, out = FACE * NOTIONAL_COUPON / notional.frequency, []
    for years in sorted({notional.short, notional.years}):
        periods = np.arange(1, years * notional.frequency + 1)
        amounts = np.full(len(periods), payment)
        amounts[-1] += FACE
        paid = day_number(day) + periods * DAYS_A_YEAR / notional.frequency
        out.append((-np.inf, 1.0, 0.0, -1, payment, notional.frequency, 1.0, paid, amounts))
    return out
