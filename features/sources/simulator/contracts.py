"""The futures that the simulated exchanges list: terms of each product, and the contracts of a span of sessions.

The indices carry IH (on LARGE), IF (on BROAD), IM and IC (both on SMALL: there is no index of mid caps). The
commodities are SC, CU, RB, FU and M; government bonds carry TS, TF, T and TL. Terms are those of the real products,
last trading days those of `expiries`.
Source  11 §8-§10; 10 §1 (chains, multipliers, ticks); 05 §1 (treasuries)
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from features.expiries import LAUNCHES, ONE_MONTH, contract_months, expiry
from features.panel import SessionArray
from features.sessions import Calendar, exchange_calendar
from features.sources.simulator.indices import INDICES

CALENDAR_FIRST, CALENDAR_LAST = "2018-01-01", "2026-12-31"
"""Contracts of the default calendar are listed from here and end by then."""

BACK = 16
ALL_MONTHS = tuple(range(1, 13))


@dataclass(frozen=True)
class Notional:
    """The 3 % bond that a treasury future is written on, and the bonds that may be delivered for it.

    years      of its name; short: of the shortest bond that may usually be delivered; frequency: coupons a year
    original   longest term at issue, in years
    remaining  months to maturity on the first day of the delivery month, both ends included
    """

    years: int
    short: int
    frequency: int
    original: int
    remaining: tuple[int, int]


@dataclass(frozen=True)
class Product:
    """Terms of one product, and where its open interest lies.

    tick        smallest step of the price; multiplier: units per contract
    underlying  the index under it, empty for a commodity or a treasury
    notional    the bond under a treasury, None for another product
    limit       widest move from the settlement before, in basis points
    averaged    how many sub-steps at the session's end the settlement averages
    months      delivery months; listed: how many contracts at a time (CFFEX lists by the rule of 10 §1)
    active      delivery months that draw the open interest
    interest    usual open interest of all contracts together
    centre      calendar days to maturity of the contract that holds most of it
    thin        weight of a contract that nobody looks for, where the one at the centre has 1
    """

    symbol: str
    exchange: str
    multiplier: float
    tick: Fraction
    underlying: str = ""
    limit: int = 1000
    averaged: int = 16
    months: tuple[int, ...] = ALL_MONTHS
    listed: int = 12
    active: tuple[int, ...] = ALL_MONTHS
    interest: float = 300_000.0
    centre: int = 60
    thin: float = 0.02
    notional: Notional | None = None

    @property
    def cash_settled(self) -> bool:
        """Whether it ends at the index under it."""
        return bool(self.underlying)

    @property
    def overnight(self) -> bool:
        """Whether part of a session's variance lies before its open."""
        return self.cash_settled or self.notional is not None


def _on_index(symbol: str, index: str, multiplier: float, interest: float) -> Product:
    return Product(
        symbol,
        "CFFEX",
        multiplier,
        Fraction(1, 5),
        INDICES[index],
        averaged=4,
        interest=interest,
        centre=10,
        thin=0.05,
    )


# In the order of their random streams: a further product goes to the end. FU comes after SC, which it follows.
PRODUCTS = (
    _on_index("IH", "LARGE", 300.0, 80_000.0),
    _on_index("IF", "BROAD", 300.0, 150_000.0),
    _on_index("IC", "SMALL", 200.0, 200_000.0),
    _on_index("IM", "SMALL", 200.0, 180_000.0),
    Product("SC", "INE", 1000.0, Fraction(1, 10), limit=1000, interest=100_000.0, centre=45),
    Product("CU", "SHFE", 5.0, Fraction(10), limit=600, interest=350_000.0),
    Product("RB", "SHFE", 10.0, Fraction(1), limit=700, interest=1_500_000.0),
    Product("FU", "SHFE", 10.0, Fraction(1), limit=1000, interest=400_000.0, centre=45),
    Product(
        "M",
        "DCE",
        10.0,
        Fraction(1),
        limit=600,
        months=(1, 3, 5, 7, 8, 9, 11, 12),
        listed=8,
        active=(1, 5, 9),
        interest=1_500_000.0,
        centre=105,
    ),
)

# A stream of random numbers of their own, in this order too. Interest leaves a contract a month before it ends.
TREASURIES = tuple(
    Product(
        symbol,
        "CFFEX",
        multiplier,
        tick,
        limit=limit,
        averaged=4,
        interest=interest,
        centre=75,
        notional=notional,
    )
    for symbol, multiplier, tick, limit, interest, notional in (
        ("TS", 20_000.0, Fraction(1, 200), 50, 60_000.0, Notional(2, 2, 1, 5, (18, 27))),
        ("TF", 10_000.0, Fraction(1, 200), 120, 120_000.0, Notional(5, 4, 1, 7, (48, 63))),
        ("T", 10_000.0, Fraction(1, 200), 200, 200_000.0, Notional(10, 7, 2, 10, (78, 120))),
        ("TL", 10_000.0, Fraction(1, 100), 350, 80_000.0, Notional(30, 25, 2, 30, (300, 360))),
    )
)


@dataclass(frozen=True)
class Contract:
    """One contract: its code, its delivery month, its first and its last trading day."""

    order_book_id: str
    product: Product
    year: int
    month: int
    listed: np.datetime64
    maturity: np.datetime64


def contract_calendar() -> Calendar:
    """The sessions from the first listing to the last maturity of contracts over the default calendar."""
    return exchange_calendar(CALENDAR_FIRST, CALENDAR_LAST)


def listed_contracts(product: Product, sessions: SessionArray, calendar: Calendar) -> list[Contract]:
    """Every contract that trades on one of the sessions, by maturity.

    A contract is listed on the session after the last trading day of the one that it replaces.
    """
    listings = _by_rule if product.exchange == "CFFEX" else _in_a_row
    out = []
    for (year, month), listed in listings(product, sessions, calendar).items():
        last = expiry(product.symbol, year, month, calendar)
        if last >= sessions[0]:
            code = f"{product.symbol}{year % 100:02d}{month:02d}"
            out.append(Contract(code, product, year, month, listed, last))
    return sorted(out, key=lambda contract: contract.maturity)


Listings = dict[tuple[int, int], np.datetime64]


def _by_rule(product: Product, sessions: SessionArray, calendar: Calendar) -> Listings:
    """When CFFEX lists each contract: its chains change after a last trading day, and begin with the launch."""
    launch = calendar.at_or_after(LAUNCHES[product.symbol]) if LAUNCHES[product.symbol] > CALENDAR_FIRST else None
    ends = [expiry(product.symbol, *month, calendar) for month in _months(sessions, BACK, 0)]
    days = sorted({calendar.next_after(end) for end in ends} | ({launch} if launch is not None else set()))
    out: Listings = {}
    for day in days:
        if day <= sessions[-1]:
            for month in contract_months(product.symbol, day, calendar):
                out.setdefault(month, day)
    return out


def _in_a_row(product: Product, sessions: SessionArray, calendar: Calendar) -> Listings:
    """When a commodity's contracts are listed: always the next so many of its delivery months."""
    months = [month for month in _months(sessions, BACK, BACK) if month[1] in product.months]
    out: Listings = {}
    for replaced, month in zip(months, months[product.listed :], strict=False):
        listed = calendar.next_after(expiry(product.symbol, *replaced, calendar))
        if listed > sessions[-1]:
            break
        out[month] = listed
    return out


def _months(sessions: SessionArray, before: int, after: int) -> list[tuple[int, int]]:
    """The (year, month) from so many months before the first session to so many after the last."""
    first, last = sessions[[0, -1]].astype("datetime64[M]")
    numbers = np.arange(first - before * ONE_MONTH, last + (after + 1) * ONE_MONTH).astype(np.int64)
    return [(1970 + int(n) // 12, int(n) % 12 + 1) for n in numbers]
