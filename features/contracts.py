"""Futures contracts: what a code says, when each is listed and when it ends.

A vendor's maturity prevails (10 §1); without one the exchange's rule says when a contract ends. A table whose
maturities are made from the last bars is found out by falling short of the rule by a session or two without a trade.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from features.expiries import MULTIPLIERS, RULE_OF, expiry, settle_expiry
from features.fields import SERIES
from features.panel import AssetArray, BoolArray, DataError, Float64Array, SessionArray
from features.sessions import Calendar, as_day, month_end

Kind = Literal["index", "treasury", "commodity"]
CODE = re.compile(r"([A-Za-z]+)(\d{1,2})(0[1-9]|1[0-2])(?:\.[A-Z]+)?")
KINDS: dict[Any, Kind] = {"third_friday": "index", "second_friday": "treasury"}
# The first year of the century that two digits mean; no contract of these exchanges is older than 1990.
_CENTURY = 1990
# A maturity that is the last bar falls short of the last trading day by the sessions without a trade before it. Seen:
# one (RB1201). Exchanges move a last day that the Spring Festival is near to by four and more (RB1002, RB1502, RB1802).
_SHORT_OF_THE_RULE = 2


@dataclass(frozen=True)
class Contracts:
    """The contracts of a product in the order of their maturity, (N,) each.

    ids         order_book_id
    month       delivery month, datetime64[M]
    listed      first session on which it may trade, as far as is known
    last_day    last trading day, a session
    multiplier  CNY per point and contract; NaN where nobody says
    by_rule     the last day is the rule's, for want of a stated one or because that was the last bar
    mismatched  the stated day is not the rule's (`calendar_mismatch`)
    provisional the last day lies past the published holidays
    """

    product: str
    ids: AssetArray = field(repr=False)
    month: SessionArray = field(repr=False)
    listed: SessionArray = field(repr=False)
    last_day: SessionArray = field(repr=False)
    multiplier: Float64Array = field(repr=False)
    by_rule: BoolArray = field(repr=False)
    mismatched: BoolArray = field(repr=False)
    provisional: BoolArray = field(repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def kind(self) -> Kind:
        """Whether its near contract leaves with its last day, or before the delivery month."""
        return kind_of(self.product)


def kind_of(product: str) -> Kind:
    """What a product is, by the rule that ends its contracts."""
    return KINDS.get(RULE_OF.get(product, ""), "commodity")


def is_series(asset: str) -> bool:
    """Whether the id is of a continuous series (`A_MAIN`, `RB88`, `RB888`) and not of a contract."""
    return SERIES.fullmatch(asset) is not None


def product_of(asset: str) -> str:
    """The product that a code names, in capitals; empty where it names none."""
    found = SERIES.fullmatch(asset) or CODE.fullmatch(asset)
    return found[1].upper() if found else ""


def delivery_month(asset: str, listed: np.datetime64) -> np.datetime64 | None:
    """The month that a code names; None for a code without one.

    listed  resolves the decade of three digits, as CZCE writes them: the first such month from there on (SR605)
    """
    found = CODE.fullmatch(asset)
    if found is None:
        return None
    digits, month = int(found[2]), int(found[3])
    if len(found[2]) == 2:
        return np.datetime64(f"{_CENTURY + (digits - _CENTURY) % 100:04d}-{month:02d}", "M")
    begun = listed.astype("datetime64[M]")
    first: dt.date = begun.astype(object)
    named = np.datetime64(f"{first.year + (digits - first.year) % 10:04d}-{month:02d}", "M")
    return named if named >= begun else named + np.timedelta64(120, "M")


def contracts(product: str, rows: Sequence[Mapping[str, Any]], calendar: Calendar) -> Contracts:
    """The contract table of a product.

    rows      order_book_id, and what is known of listed_date, maturity_date, contract_multiplier, first and last (the
              dates of its bars); a row of which neither a listing nor a bar is known, and a series, are left out
    calendar  must reach past every last day: see Calendar.extended
    Errors    DataError for a code without a month where no maturity is stated
    Source    10 §1
    """
    told = [_contract(product, row, calendar) for row in rows if not is_series(row["order_book_id"]) and _begins(row)]
    told.sort(key=lambda one: (one["last_day"], one["month"], one["ids"]))
    column = {name: [one[name] for one in told] for name in ("ids", "month", "listed", "last_day", "multiplier")}
    flags = {name: np.array([one[name] for one in told], dtype=np.bool_) for name in ("by_rule", "mismatched")}
    last_day = np.array(column["last_day"], dtype="datetime64[D]")
    return Contracts(
        product,
        np.array(column["ids"], dtype=np.str_),
        np.array(column["month"], dtype="datetime64[M]"),
        np.array(column["listed"], dtype="datetime64[D]"),
        last_day,
        np.array(column["multiplier"], dtype=np.float64),
        flags["by_rule"],
        flags["mismatched"],
        last_day > calendar.published,
    )


def _begins(row: Mapping[str, Any]) -> np.datetime64 | None:
    """The earlier of its listing and its first bar."""
    days = [as_day(row[name]) for name in ("listed_date", "first") if row.get(name) is not None]
    return min(days) if days else None


def _contract(product: str, row: Mapping[str, Any], calendar: Calendar) -> dict[str, Any]:
    asset, stated, last_bar = row["order_book_id"], row.get("maturity_date"), row.get("last")
    listed = _begins(row)
    month = delivery_month(asset, calendar.first_day if listed is None else listed)
    if month is None:
        if stated is None:
            raise DataError(
                f"contract {asset}",
                "its code must end in a month, or its maturity_date be stated",
                "neither",
                help="Give reference/instruments with maturity_date.",
            )
        month = as_day(stated).astype("datetime64[M]")
    day, by_rule, mismatched = _last_day(product, month, stated, last_bar, calendar)
    multiplier = row.get("contract_multiplier")
    return {
        "ids": asset,
        "month": month,
        "listed": listed,
        "last_day": day,
        "multiplier": MULTIPLIERS.get(product, np.nan) if multiplier is None else float(multiplier),
        "by_rule": by_rule,
        "mismatched": mismatched,
    }


def _last_day(
    product: str, month: np.datetime64, stated: dt.date | None, last_bar: dt.date | None, calendar: Calendar
) -> tuple[np.datetime64, bool, bool]:
    """The last trading day, whether it is the rule's, and whether the stated day (or a bar behind it) contradicts."""
    named: dt.date = month.astype(object)
    known = product in RULE_OF
    if stated is None:
        # Of a product without a rule nothing more is known than the delivery month.
        day = expiry(product, named.year, named.month, calendar) if known else _end_of(month, calendar)
        if last_bar is not None and as_day(last_bar) > day:
            return as_day(last_bar), False, True
        return day, True, False
    day, mismatched = settle_expiry(stated, product, named.year, named.month, calendar)
    if mismatched and last_bar is not None and as_day(last_bar) == as_day(stated):
        rule = expiry(product, named.year, named.month, calendar)
        between = int(calendar.sessions.searchsorted(rule) - calendar.sessions.searchsorted(day))
        if 0 < between <= _SHORT_OF_THE_RULE:
            return rule, True, True
    return day, False, mismatched


def _end_of(month: np.datetime64, calendar: Calendar) -> np.datetime64:
    return calendar.at_or_before(month_end(month.astype("datetime64[D]")))
