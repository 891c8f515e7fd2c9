"""When contracts end, and which ones are listed: the exchanges' rules on a calendar of sessions (10 §1)."""

from __future__ import annotations

import datetime as dt
import re
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from features.panel import DataError, IntArray
from features.sessions import (
    FRIDAY,
    ONE_DAY,
    WEDNESDAY,
    Calendar,
    Day,
    as_day,
    month_end,
    nth_weekday,
    third_friday,
)

# What sets the last trading day of a product's contract: a weekday of the month that a holiday postpones, or a session
# counted within the delivery month (negative from its end) or within the month before it.
Rule = Literal["third_friday", "second_friday", "fourth_wednesday", "fifteenth", "last_before"] | int

RULES: dict[Rule, str] = {
    "third_friday": "IF IH IC IM IO HO MO",
    "second_friday": "TS TF T TL",
    "fifteenth": "CU AL ZN PB NI SN SS AO AU AG RB HC WR RU BU BR SP NR BC",
    "last_before": "FU SC LU",
    10: "A B C CS M Y P L V PP EG EB PG J JM I RR CF CY SR TA OI RM RS MA FG SA UR SF SM AP CJ PF PK PX SH SI LC",
    -7: "WH PM RI LR JR",
    -4: "LH JD",
}
RULE_OF = {product: rule for rule, products in RULES.items() for product in products.split()}
# How many months in a row a chain lists, and how many quarter months after those.
CHAINS = {
    product: shape
    for products, shape in {"IF IH IC IM": (2, 2), "IO HO MO": (3, 3), "TS TF T TL": (0, 3)}.items()
    for product in products.split()
}
# CNY per point and contract, where no vendor says (10 §1).
_MULTIPLIERS = {
    20_000: "TS",
    10_000: "TF T TL",
    1000: "SC AU",
    300: "IF IH",
    200: "IC IM",
    100: "I J",
    60: "JM",
    15: "AG",
    10: "FU LU RB HC M RM OI Y P EG SR",
    5: "CU AL TA CF",
}
MULTIPLIERS = {product: float(size) for size, products in _MULTIPLIERS.items() for product in products.split()}
# The index that a product's contracts settle to, where the instruments do not say.
SPOTS = {"IF": "000300.XSHG", "IH": "000016.XSHG", "IC": "000905.XSHG", "IM": "000852.XSHG"}
ONE_MONTH = np.timedelta64(1, "M")
LAUNCHES = {
    "IF": "2010-04-16",
    "IH": "2015-04-16",
    "IC": "2015-04-16",
    "IM": "2022-07-22",
    "TF": "2013-09-06",
    "T": "2015-03-20",
    "TS": "2018-08-17",
    "TL": "2023-04-21",
}
# The first contract of a launch that skipped more than its own month: TF1312, T1509, TS1812, TL2309.
_FIRST_MONTHS = {"TF": "2013-12", "T": "2015-09", "TS": "2018-12", "TL": "2023-09"}
FUND = re.compile(r"(?:510|159|588)\d{3}(?:\.XSH[GE])?")


def expiry(product: str, year: int, month: int, calendar: Calendar) -> np.datetime64:
    """The last trading day of a contract by the exchange's rule, which a holiday postpones to the next session.

    product  a futures or index option product (`IF`, `IO`, `RB`), or the fund under an ETF option (`510300.XSHG`)
    Errors   a product whose rule is not known; a month that the calendar does not know
    Source   10 §1; where a vendor states the day, `settle_expiry` lets it prevail
    """
    rule = "fourth_wednesday" if FUND.fullmatch(product) else RULE_OF.get(product)
    if rule is None:
        raise DataError(
            "expiry",
            "the product's rule must be known",
            product,
            help="Use the vendor's maturity_date for this product.",
        )
    if rule == "third_friday":
        return calendar.at_or_after(third_friday(year, month))
    if rule == "second_friday":
        return calendar.at_or_after(nth_weekday(year, month, FRIDAY, 2))
    if rule == "fourth_wednesday":
        return calendar.at_or_after(nth_weekday(year, month, WEDNESDAY, 4))
    first = np.datetime64(f"{year:04d}-{month:02d}-01")
    if rule == "fifteenth":
        return calendar.at_or_after(first + 14 * ONE_DAY)
    if rule == "last_before":
        return calendar.at_or_before(first - ONE_DAY)
    if rule > 0:
        return calendar.add(calendar.at_or_after(first), rule - 1)
    return calendar.add(calendar.at_or_before(month_end(first)), rule + 1)


def settle_expiry(
    vendor: Day | None, product: str, year: int, month: int, calendar: Calendar
) -> tuple[np.datetime64, bool]:
    """The last trading day to use, and whether the vendor's differs from the rule's (to log as `calendar_mismatch`).

    The vendor prevails where it states a day; a stated holiday is itself postponed. A rule's day past the published
    holidays is provisional, and contradicts nobody. Source  10 §1
    """
    if vendor is None:
        return expiry(product, year, month, calendar), False
    stated = calendar.at_or_after(vendor)
    known = product in RULE_OF or FUND.fullmatch(product) is not None
    if not known:
        return stated, False
    rule = expiry(product, year, month, calendar)
    return stated, bool(stated != rule) and not calendar.provisional(rule)


def days_to_expiry(
    asof: ArrayLike, last: ArrayLike, calendar: Calendar, unit: Literal["days", "sessions"] = "days"
) -> IntArray:
    """How far each expiry lies ahead, any two shapes that broadcast; 0 on the last trading day, negative after it.

    unit  "days" counts calendar days, "sessions" the sessions after asof up to and including the last trading day
    """
    start, end = np.asarray(asof, dtype="datetime64[D]"), np.asarray(last, dtype="datetime64[D]")
    if unit == "days":
        return (end - start).astype(np.int64)
    for days in (start, end):
        if days.size:
            calendar.contains(days.min())  # refuses a day past the calendar's ends
            calendar.contains(days.max())
    return calendar.sessions.searchsorted(end, "right") - calendar.sessions.searchsorted(start, "right")


def contract_months(product: str, day: Day, calendar: Calendar) -> list[tuple[int, int]]:
    """The (year, month) of every contract that CFFEX, or an exchange of ETF options, lists on a session, nearest first.

    The next contract is listed on the session after the last trading day of the one that it replaces; a launch lists no
    contract of its own month, nor one of a treasury's next quarter month. Empty before the launch.
    Errors   a product whose chain does not follow the calendar (commodities list other months)
    Source   10 §1
    """
    shape = (2, 2) if FUND.fullmatch(product) else CHAINS.get(product)
    if shape is None:
        raise DataError("contract months", "the product must be of CFFEX or a fund with options", product)
    asof = as_day(day)
    month = asof.astype("datetime64[M]")
    if product in LAUNCHES:
        launch = np.datetime64(LAUNCHES[product])
        if asof < launch:
            return []
        month = max(month, np.datetime64(_FIRST_MONTHS.get(product, launch.astype("datetime64[M]") + ONE_MONTH), "M"))
    chain: list[tuple[int, int]] = []
    in_a_row, quarters = shape
    while len(chain) < in_a_row + quarters:
        date: dt.date = month.astype(object)
        # Only the month at hand can have expired; later ones may lie past the calendar.
        alive = month > asof.astype("datetime64[M]") or expiry(product, date.year, date.month, calendar) >= asof
        if alive and (len(chain) < in_a_row or date.month % 3 == 0):
            chain.append((date.year, date.month))
        month += ONE_MONTH
    return chain
