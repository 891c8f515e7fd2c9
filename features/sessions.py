"""Sessions: the exchange calendar, session arithmetic and contract expiries.

The sessions themselves are data: ingested ones first, else those of the package `exchange_calendars`. What lies past
a calendar's ends is unknown and refused; `Calendar.extended` is the one way to ask for guesses, and marks them.
"""

from __future__ import annotations

import datetime as dt
import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike

from features.panel import DataError, IntArray, SessionArray

if TYPE_CHECKING:
    from exchange_calendars import ExchangeCalendar

Day = str | dt.date | np.datetime64
NOT_GIVEN = np.datetime64("NaT")
ONE_DAY = np.timedelta64(1, "D")
FRIDAY, WEDNESDAY = 4, 2


@dataclass(frozen=True, eq=False)
class Calendar:
    """The sessions of an exchange, and arithmetic on them in O(log T).

    sessions    (T,) datetime64[D], strictly increasing, at least one
    first_day   the calendar knows which days are sessions from here (default: from its first session)
    last_day    to here, both included (default: to its last session)
    published   sessions after this day are provisional: weekdays whose holidays nobody has announced (default: none)
    """

    sessions: SessionArray = field(repr=False)
    first_day: np.datetime64 = NOT_GIVEN
    last_day: np.datetime64 = NOT_GIVEN
    published: np.datetime64 = NOT_GIVEN

    def __post_init__(self) -> None:
        sessions = np.asarray(self.sessions).astype("datetime64[D]")
        sessions.flags.writeable = False
        if sessions.ndim != 1 or not len(sessions):
            raise DataError("calendar", "it must hold one axis of at least one session", f"shape {sessions.shape}")
        wrong = np.flatnonzero(~(np.diff(sessions) > np.timedelta64(0, "D")))
        if len(wrong) or np.isnat(sessions).any():
            at = str(sessions[wrong[0] + 1]) if len(wrong) else "its only session"
            raise DataError("calendar", "its sessions must be strictly increasing", f"{len(wrong)} that are not", at)
        object.__setattr__(self, "sessions", sessions)
        for name, default in (("first_day", sessions[0]), ("last_day", sessions[-1])):
            given = getattr(self, name)
            object.__setattr__(self, name, default if np.isnat(given) else given.astype("datetime64[D]"))
        if np.isnat(self.published):
            object.__setattr__(self, "published", self.last_day)
        if self.first_day > sessions[0] or self.last_day < sessions[-1]:
            raise DataError(
                "calendar", "its days must enclose its sessions", f"days {self.first_day} to {self.last_day}"
            )

    def __len__(self) -> int:
        return len(self.sessions)

    def between(self, start: Day, end: Day) -> SessionArray:
        """The sessions from start to end, both included; of a range that reaches past an end, the part that is known.

        Raises DataError where the whole range lies past an end, or where start is after end.
        """
        first, last = as_day(start), as_day(end)
        if first > last:
            raise DataError("calendar", "a range must not end before it starts", f"{first} to {last}")
        if last < self.first_day or first > self.last_day:
            raise self._beyond(first if first > self.last_day else last)
        return self.sessions[self.sessions.searchsorted(first) : self.sessions.searchsorted(last, "right")]

    def contains(self, day: Day) -> bool:
        """Whether the day is a session."""
        asked = self._known(day)
        at = int(self.sessions.searchsorted(asked))
        return at < len(self.sessions) and bool(self.sessions[at] == asked)

    def position(self, session: Day) -> int:
        """Where the session stands on the axis, counted from 0."""
        return int(self.positions([as_day(session)])[0])

    def positions(self, sessions: ArrayLike) -> IntArray:
        """Where each session stands on the axis, (M,) -> (M,); refuses the first day that is not a session."""
        asked = np.asarray(sessions, dtype="datetime64[D]")
        at = self.sessions.searchsorted(asked)
        missing = np.flatnonzero(self.sessions[np.minimum(at, len(self.sessions) - 1)] != asked)
        if len(missing):
            day = self._known(asked.flat[missing[0]])
            raise DataError("calendar", "the day must be a session", f"{day}, {weekday_name(day)}")
        return at.astype(np.int64)

    def add(self, session: Day, n: int) -> np.datetime64:
        """The session n later, or -n earlier; from a day that is no session, 1 gives the next one and -1 the last."""
        asked = self._known(session)
        is_session = self.contains(asked)
        if n == 0 and not is_session:
            raise DataError("calendar", "0 sessions from a day needs the day to be a session", f"{asked}")
        left = int(self.sessions.searchsorted(asked))
        at = left + n - (n > 0 and not is_session)
        if not 0 <= at < len(self.sessions):
            raise self._beyond(asked, f"{n:+d} sessions from {asked}")
        return self.sessions[at]

    def next_after(self, day: Day) -> np.datetime64:
        """The first session after the day."""
        return self.add(day, 1)

    def at_or_after(self, day: Day) -> np.datetime64:
        """The day where it is a session, else the next one: how an expiry on a holiday is postponed."""
        return self.add(day, 0 if self.contains(day) else 1)

    def at_or_before(self, day: Day) -> np.datetime64:
        """The day where it is a session, else the one before."""
        return self.add(day, 0 if self.contains(day) else -1)

    def extended(self, until: Day) -> Calendar:
        """The same calendar carried on to `until` by every weekday; those sessions are provisional."""
        first, last = self.last_day + ONE_DAY, as_day(until)
        days = np.arange(first, max(last + ONE_DAY, first))
        more = days[weekday(days) < 5]
        return Calendar(np.concatenate([self.sessions, more]), self.first_day, max(last, self.last_day), self.published)

    def provisional(self, day: Day) -> bool:
        """Whether the day lies past the published holidays, so that it may yet turn out to be no session."""
        return bool(self._known(day) > self.published)

    def _known(self, day: Day) -> np.datetime64:
        asked = as_day(day)
        if not self.first_day <= asked <= self.last_day:
            raise self._beyond(asked)
        return asked

    def _beyond(self, day: np.datetime64, found: str = "") -> DataError:
        return DataError(
            "calendar",
            f"the answer must lie between {self.first_day} and {self.last_day}, the days it knows",
            found or f"{day}",
            help="Ingest a longer calendar, or ask for a nearer day.",
        )


def exchange_calendar(start: Day, end: Day, exchange: str = "XSHG") -> Calendar:
    """The sessions of an exchange from start to end, from the package exchange_calendars.

    Raises DataError where the package does not know the days: XSHG is published to the end of a year, and no further.
    """
    first, last = as_day(start), as_day(end)
    if first > last:
        raise DataError(f"calendar {exchange}", "it must not end before it starts", f"{first} to {last}")
    package = type(_from_package(exchange, None, None))
    # A start that is not given means twenty years before today. A month more, so that it begins with a session.
    begin = first - 31 * ONE_DAY
    earliest, latest = _bound(package.bound_min(), begin), _bound(package.bound_max(), last)
    if first < earliest or last > latest:
        raise DataError(
            f"calendar {exchange}",
            f"the package exchange_calendars must know the days, {earliest} to {latest}",
            f"a request for {first} to {last}",
            help="Ingest the vendor's calendar, or upgrade exchange-calendars for newer holidays.",
        )
    sessions = _from_package(exchange, str(max(begin, earliest)), str(last)).sessions.to_numpy()
    return Calendar(sessions[sessions >= first].astype("datetime64[D]"), first, last)


def _from_package(exchange: str, start: str | None, end: str | None) -> ExchangeCalendar:
    # The import takes about a second (pandas); it waits here so that everything that merely names sessions starts fast.
    import exchange_calendars
    from exchange_calendars.errors import InvalidCalendarName

    with warnings.catch_warnings():
        # exchange_calendars 4.13 uses a form that pandas 3.1 deprecates; its results are not touched by that.
        warnings.filterwarnings("ignore", "Series.values returning an ndarray", DeprecationWarning)
        try:
            return exchange_calendars.get_calendar(exchange, start=start, end=end)
        except InvalidCalendarName:
            known = "XSHG is Shanghai, XHKG Hong Kong, XNYS New York"
            raise DataError("calendar", "the exchange must be an ISO market code", exchange, help=known) from None


def _bound(bound: dt.datetime | None, otherwise: np.datetime64) -> np.datetime64:
    return otherwise if bound is None else np.datetime64(bound.date())


def as_day(day: Day) -> np.datetime64:
    """A day as datetime64[D]; the time of a timestamp is dropped."""
    try:
        value = np.datetime64(day).astype("datetime64[D]")
    except ValueError:
        value = NOT_GIVEN
    if np.isnat(value):
        raise DataError("calendar", "a day must read like 2024-02-09", repr(day))
    return value


def weekday(days: ArrayLike) -> IntArray:
    """0 on Mondays to 6 on Sundays, any shape."""
    return (np.asarray(days, dtype="datetime64[D]").astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday


def weekday_name(day: np.datetime64) -> str:
    """The day's name in English."""
    return f"{day.astype(object):%A}"


# --- contract expiries (10 §1) ---------------------------------------------------------------------------------------

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
LAUNCHES = {"IF": "2010-04-16", "IH": "2015-04-16", "IC": "2015-04-16", "IM": "2022-07-22"}
FUND = re.compile(r"(?:510|159|588)\d{3}(?:\.XSH[GE])?")


def nth_weekday(year: int, month: int, which: int, n: int) -> np.datetime64:
    """The n-th weekday of a month (which: 0 Monday to 6 Sunday), session or not."""
    first = np.datetime64(f"{year:04d}-{month:02d}-01")
    return first + (int(which - weekday(first)) % 7 + 7 * (n - 1)) * ONE_DAY


def month_end(day: np.datetime64) -> np.datetime64:
    """The last day of the day's month, session or not."""
    return (day.astype("datetime64[M]") + np.timedelta64(1, "M")).astype("datetime64[D]") - ONE_DAY


def third_friday(year: int, month: int) -> np.datetime64:
    """The third Friday of a month, session or not."""
    return nth_weekday(year, month, FRIDAY, 3)


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

    The vendor prevails where it states a day; a stated holiday is itself postponed. Source  10 §1
    """
    if vendor is None:
        return expiry(product, year, month, calendar), False
    stated = calendar.at_or_after(vendor)
    known = product in RULE_OF or FUND.fullmatch(product) is not None
    return stated, known and bool(stated != expiry(product, year, month, calendar))


def days_to_expiry(
    asof: ArrayLike, last: ArrayLike, calendar: Calendar, unit: Literal["days", "sessions"] = "days"
) -> IntArray:
    """How far each expiry lies ahead, any two shapes that broadcast; 0 on the last trading day, negative after it.

    unit  "days" counts calendar days, "sessions" the sessions after asof up to and including the last trading day
    """
    start, end = np.asarray(asof, dtype="datetime64[D]"), np.asarray(last, dtype="datetime64[D]")
    if unit == "days":
        return (end - start).astype(np.int64)
    for edge in (start.min(), start.max(), end.min(), end.max()):
        calendar.contains(edge)
    return calendar.sessions.searchsorted(end, "right") - calendar.sessions.searchsorted(start, "right")


def contract_months(product: str, day: Day, calendar: Calendar) -> list[tuple[int, int]]:
    """The (year, month) of every contract that CFFEX, or an exchange of ETF options, lists on a session, nearest first.

    The next contract is listed on the session after the last trading day of the one that it replaces; a launch lists no
    contract of its own month. Empty before the launch.
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
        month = max(month, launch.astype("datetime64[M]") + 1)
    chain: list[tuple[int, int]] = []
    in_a_row, quarters = shape
    while len(chain) < in_a_row + quarters:
        date: dt.date = month.astype(object)
        # Only the month at hand can have expired; later ones may lie past the calendar.
        alive = month > asof.astype("datetime64[M]") or expiry(product, date.year, date.month, calendar) >= asof
        if alive and (len(chain) < in_a_row or date.month % 3 == 0):
            chain.append((date.year, date.month))
        month += 1
    return chain
