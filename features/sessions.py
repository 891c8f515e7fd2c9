"""Sessions: the exchange calendar and arithmetic on it.

The sessions themselves are data: ingested ones first, else those of the package `exchange_calendars`. What lies past
a calendar's ends is unknown and refused; `Calendar.extended` is the one way to ask for guesses, and marks them.
"""

from __future__ import annotations

import datetime as dt
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from features.panel import DataError, IntArray, SessionArray

if TYPE_CHECKING:
    from exchange_calendars import ExchangeCalendar

Day = str | dt.date | np.datetime64
NOT_GIVEN = np.datetime64("NaT", "D")
ONE_DAY = np.timedelta64(1, "D")
WEDNESDAY, FRIDAY = 2, 4


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


def following(calendar: Calendar, session: np.datetime64) -> np.datetime64:
    """The first session after one; past the calendar's end, the exchange's own."""
    ahead = 0
    # Day by day: the exchange publishes a calendar to the end of a year and refuses to be asked for more.
    while calendar.sessions[-1] <= session:
        ahead += 1
        calendar = exchange_calendar(session, session + np.timedelta64(ahead, "D"))
    return calendar.next_after(session)
