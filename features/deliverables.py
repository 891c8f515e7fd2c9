"""What may be delivered into a treasury future, what each bond yields that way, and which one is cheapest.

Every function takes one contract on one session and bonds (B,); a bond without a price has NaN throughout.
Source  05 §2-5
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from features.bonds import DAYS_A_YEAR, Bonds, accrued_interest, conversion_factors, coupons_between, full_yield
from features.panel import BoolArray, Float64Array, IntArray
from features.sessions import Calendar
from features.treasury import Terms

# Interest runs to the second of the three sessions of delivery.
DELIVERY_SESSIONS = 2
# What lies outside is no bond of this contract but an error in its data.
_SOUND_RATE, _SOUND_FACTORS = 0.2, (0.6, 1.5)
# Implied repo rates so near are equal; the lower net basis then decides.
_TIE = 1e-12


def delivery_day(last_day: np.datetime64, calendar: Calendar) -> np.datetime64:
    """The day to which accrued interest runs: two sessions behind the last trading day.  Source  05 §1"""
    return calendar.add(last_day, DELIVERY_SESSIONS)


def deliverable(bonds: Bonds, terms: Terms, delivery: np.datetime64) -> BoolArray:
    """Whether each bond may be delivered in a month, (B,): by its term at issue, and what is left on the month's first.

    Source  05 §1
    """
    first = delivery.astype("datetime64[M]").astype("datetime64[D]")
    least, most = terms.remaining
    left = (_after(first, least) <= bonds.maturity) & (bonds.maturity <= _after(first, most))
    young = terms.original == 0 or bonds.maturity <= _after(bonds.issued, terms.original)
    return np.asarray(left & young)


def _after(day: np.datetime64 | np.ndarray, months: int) -> np.datetime64 | np.ndarray:
    """The same day of the month so many months later; of a month too short for it, its last."""
    month = np.asarray(day).astype("datetime64[M]")
    within = (np.asarray(day) - month.astype("datetime64[D]")).astype(np.int64)
    target = month + np.timedelta64(months, "M")
    last = ((target + 1).astype("datetime64[D]") - target.astype("datetime64[D]")).astype(np.int64) - 1
    return np.asarray(target.astype("datetime64[D]") + np.minimum(within, last).astype("timedelta64[D]"))


@dataclass(frozen=True)
class Basket:
    """The bonds of a contract on a session, (B,) each.

    factor    conversion factor
    clean     price in the cash market; accrued: interest on top of it
    owed      accrued interest on the day of delivery
    coupons   paid until then; waited: the same times the years from each to the delivery
    years     to the delivery
    """

    bonds: Bonds = field(repr=False)
    session: np.datetime64
    delivery: np.datetime64
    factor: Float64Array = field(repr=False)
    clean: Float64Array = field(repr=False)
    accrued: Float64Array = field(repr=False)
    owed: Float64Array = field(repr=False)
    coupons: Float64Array = field(repr=False)
    waited: Float64Array = field(repr=False)

    @property
    def years(self) -> float:
        """Calendar days to the delivery over 365."""
        return float((self.delivery - self.session).astype(np.int64)) / DAYS_A_YEAR

    @property
    def full(self) -> Float64Array:
        """What a bond costs today."""
        return self.clean + self.accrued

    def invoice(self, price: float) -> Float64Array:
        """What the buyer of the future pays for each bond."""
        return price * self.factor + self.owed

    def basis(self, price: float) -> Float64Array:
        """Clean price less the future's for this bond, points."""
        return self.clean - price * self.factor

    def carry(self, repo: float) -> Float64Array:
        """Interest earned less what the purchase costs at a simple repo rate, points."""
        return (self.owed - self.accrued + self.coupons) - self.full * repo * self.years

    def net_basis(self, price: float, repo: float) -> Float64Array:
        """Basis net of carry (BNOC), points."""
        return self.basis(price) - self.carry(repo)

    def implied_repo(self, price: float) -> Float64Array:
        """Simple rate a year that buying the bond and selling the future earns (IRR); NaN on the day of delivery."""
        earned = price * self.factor + self.owed + self.coupons - self.full
        bound = self.full * self.years - self.waited
        return np.where(bound > 0, earned / np.where(bound > 0, bound, np.nan), np.nan)

    def forward_yield(self, price: float) -> Float64Array:
        """Yield at which the bond is worth its invoice on the day of delivery."""
        return full_yield(self.bonds, self.invoice(price), self.delivery)

    def sound(self, price: float) -> BoolArray:
        """Where the implied repo rate and the conversion factor are such as bonds of a basket have."""
        least, most = _SOUND_FACTORS
        rate = self.implied_repo(price)
        return np.asarray((np.abs(rate) < _SOUND_RATE) & (self.factor >= least) & (self.factor <= most))

    def cheapest(self, price: float, repo: float) -> int:
        """Which bond is cheapest to deliver: the largest implied repo rate, then the lower net basis; -1: none."""
        rate = np.where(self.sound(price), self.implied_repo(price), -np.inf)
        if not np.isfinite(rate).any():
            return -1
        equal = np.flatnonzero(rate >= rate.max() - _TIE)
        return int(equal[np.argmin(self.net_basis(price, repo)[equal])])

    def theoretical(self, repo: float) -> float:
        """The least that a future must cost for no bond to be bought and delivered at a profit; NaN without a bond."""
        grown = self.full * (1 + repo * self.years) - (self.coupons + repo * self.waited)
        least, most = _SOUND_FACTORS
        known = np.isfinite(grown) & (self.factor >= least) & (self.factor <= most)
        return float(np.min(((grown - self.owed) / self.factor)[known])) if known.any() else np.nan


def basket(
    bonds: Bonds,
    clean: Float64Array,
    session: np.datetime64,
    month: np.datetime64,
    delivery: np.datetime64,
) -> Basket:
    """The basket of a contract on a session.

    bonds     those that may be delivered; clean: their prices on the session, NaN where none
    month     the delivery month, delivery: the day to which interest runs
    """
    coupons, waited = coupons_between(bonds, session, delivery)
    return Basket(
        bonds,
        session,
        delivery,
        conversion_factors(bonds, month),
        clean,
        accrued_interest(bonds, session),
        accrued_interest(bonds, delivery),
        coupons,
        waited,
    )


def deliverables(bonds: Bonds, terms: Terms, month: np.datetime64) -> IntArray:
    """Where the bonds of a contract stand, in the order of their maturity."""
    found = np.flatnonzero(deliverable(bonds, terms, month))
    return found[np.argsort(bonds.maturity[found], kind="stable")]
