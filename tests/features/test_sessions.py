"""The calendar against plain walks over its sessions, and what it refuses."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from exchange_calendars.exchange_calendar_xshg import XSHGExchangeCalendar
from hypothesis import given
from hypothesis import strategies as st

from features.panel import DataError
from features.sessions import (
    Calendar,
    as_day,
    exchange_calendar,
    following,
    nth_weekday,
    weekday,
)

DAY = np.timedelta64(1, "D")


@pytest.fixture
def week() -> Calendar:
    """Monday 2024-03-04 to Wednesday 2024-03-13 without Thursday the 7th."""
    days = ["2024-03-04", "2024-03-05", "2024-03-06", "2024-03-08", "2024-03-11", "2024-03-12", "2024-03-13"]
    return Calendar(np.array(days, dtype="datetime64[D]"))


calendars = st.lists(st.integers(0, 400), min_size=2, max_size=120, unique=True).map(
    lambda days: Calendar(np.datetime64("2020-01-01") + np.sort(np.array(days)) * DAY)
)


@given(calendars, st.data())
def test_lookups_agree_with_a_walk_over_the_sessions(calendar, data):
    first, last = calendar.sessions[0], calendar.sessions[-1]
    day = first + data.draw(st.integers(0, int((last - first) / DAY))) * DAY
    is_session = any(session == day for session in calendar.sessions)
    later = [session for session in calendar.sessions if session > day]
    earlier = [session for session in calendar.sessions if session < day]
    assert calendar.contains(day) == is_session
    assert calendar.at_or_before(day) == (day if is_session else earlier[-1])
    assert calendar.at_or_after(day) == (day if is_session else later[0])
    for n in range(1, len(later) + 1):
        assert calendar.add(day, n) == later[n - 1]
    for n in range(1, len(earlier) + 1):
        assert calendar.add(day, -n) == earlier[-n]
    if later:
        assert calendar.next_after(day) == later[0]
    with pytest.raises(DataError):
        calendar.add(day, len(later) + 1)
    with pytest.raises(DataError):
        calendar.add(day, -len(earlier) - 1)


@given(calendars, st.integers(0, 119), st.integers(-119, 119))
def test_adding_sessions_moves_the_position_by_as_many(calendar, at, n):
    at %= len(calendar)
    if 0 <= at + n < len(calendar):
        moved = calendar.add(calendar.sessions[at], n)
        assert calendar.position(moved) == at + n
        assert calendar.add(moved, -n) == calendar.sessions[at]


def test_a_range_holds_both_its_ends(week):
    assert week.between("2024-03-05", "2024-03-08").tolist() == [
        dt.date(2024, 3, 5),
        dt.date(2024, 3, 6),
        dt.date(2024, 3, 8),
    ]
    assert len(week.between("2024-03-07", "2024-03-07")) == 0


def test_a_range_past_an_end_gives_the_part_that_is_known(week):
    assert len(week.between("2024-01-01", "2024-03-05")) == 2
    assert len(week.between("2024-03-12", "2024-12-31")) == 2


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda week: week.between("2024-04-01", "2024-04-02"), "must lie between 2024-03-04 and 2024-03-13"),
        (lambda week: week.between("2024-03-08", "2024-03-05"), "must not end before it starts"),
        (lambda week: week.next_after("2024-03-13"), "must lie between"),
        (lambda week: week.contains("2024-03-14"), "found 2024-03-14"),
        (lambda week: week.at_or_before("2024-03-01"), "found 2024-03-01"),
        (lambda week: week.position("2024-03-07"), "found 2024-03-07, Thursday"),
        (lambda week: week.positions(["2024-03-05", "2024-03-09"]), "found 2024-03-09, Saturday"),
        (lambda week: week.positions(["2024-03-05", "2025-03-09"]), "found 2025-03-09"),
        (lambda week: week.add("2024-03-07", 0), "needs the day to be a session"),
        (lambda week: week.add("2024-03-05", 6), r"found \+6 sessions from 2024-03-05"),
        (lambda week: week.contains("next week"), "must read like 2024-02-09; found 'next week'"),
    ],
)
def test_what_a_calendar_cannot_know_is_refused_in_words(ask, says, week):
    with pytest.raises(DataError, match=says):
        ask(week)


@pytest.mark.parametrize(
    "days", [["2024-03-05", "2024-03-04"], ["2024-03-05", "2024-03-05"], ["2024-03-05", "NaT"], [], [["2024-03-05"]]]
)
def test_sessions_that_do_not_increase_are_refused(days):
    with pytest.raises(DataError, match="calendar: "):
        Calendar(np.array(days, dtype="datetime64[D]"))


def test_a_calendar_cannot_be_changed_through_its_sessions(week):
    with pytest.raises(ValueError, match="read-only"):
        week.sessions[0] = np.datetime64("2020-01-01")


def test_a_calendar_does_not_freeze_the_array_it_was_given():
    days = np.array(["2024-03-04", "2024-03-05"], dtype="datetime64[D]")
    calendar = Calendar(days)
    days[1] = np.datetime64("2024-03-06")
    assert calendar.sessions[1] == np.datetime64("2024-03-05")


def test_any_kind_of_day_is_understood(week):
    for day in (
        "2024-03-05",
        dt.date(2024, 3, 5),
        dt.datetime(2024, 3, 5, 15),
        np.datetime64("2024-03-05T15:00", "ns"),
    ):
        assert as_day(day) == np.datetime64("2024-03-05")
        assert week.position(day) == 1


def test_an_extended_calendar_goes_on_with_provisional_weekdays(week):
    longer = week.extended("2024-03-18")
    assert longer.sessions[len(week) :].tolist() == [dt.date(2024, 3, 14), dt.date(2024, 3, 15), dt.date(2024, 3, 18)]
    assert not longer.provisional("2024-03-13")
    assert longer.provisional("2024-03-14")
    assert longer.extended("2024-03-20").published == np.datetime64("2024-03-13")
    assert len(week.extended("2024-01-01")) == len(week)


def test_the_exchange_calendar_begins_and_ends_where_it_is_told_to():
    calendar = exchange_calendar("2005-01-01", "2023-12-31")
    assert (calendar.sessions[0], calendar.sessions[-1]) == (np.datetime64("2005-01-04"), np.datetime64("2023-12-29"))
    assert calendar.at_or_before("2023-12-31") == np.datetime64("2023-12-29")
    assert not calendar.contains("2005-01-01")


@pytest.mark.parametrize(
    ("start", "end", "exchange", "says"),
    [
        ("2020-01-01", "2150-01-01", "XSHG", "a request for 2020-01-01 to 2150-01-01"),
        ("1980-01-01", "2020-01-01", "XSHG", "must know the days, 1990-12-03 to"),
        ("2020-01-01", "2021-01-01", "NOWHERE", "ISO market code; found NOWHERE"),
        ("2021-01-01", "2020-01-01", "XSHG", "must not end before it starts"),
    ],
)
def test_the_exchange_calendar_refuses_what_is_not_published(start, end, exchange, says):
    with pytest.raises(DataError, match=says):
        exchange_calendar(start, end, exchange)


@given(st.integers(1990, 2090), st.integers(1, 12), st.integers(0, 6), st.integers(1, 4))
def test_the_nth_weekday_is_the_nth_of_a_walk_over_the_month(year, month, which, n):
    days = [dt.date(year, month, day) for day in range(1, 29)]
    walked = [day for day in days if day.weekday() == which][n - 1]
    assert nth_weekday(year, month, which, n).astype(object) == walked
    assert weekday(np.datetime64(walked)) == which


@pytest.mark.parametrize(
    ("session", "after"),
    [
        ("2024-02-08", "2024-02-19"),
        ("2024-09-30", "2024-10-08"),
        ("2024-12-31", "2025-01-02"),
        ("2024-03-05", "2024-03-06"),
    ],
)
def test_behind_the_known_calendar_the_exchange_knows_the_session_that_follows(session, after) -> None:
    day = np.datetime64(session)
    known = exchange_calendar(day - np.timedelta64(40, "D"), day)
    assert following(known, day) == np.datetime64(after)


def test_sessions_follow_up_to_the_last_one_that_the_exchange_has_published() -> None:
    end = np.datetime64(XSHGExchangeCalendar.bound_max().date())
    *_, before, last = exchange_calendar(end - np.timedelta64(20, "D"), end).sessions
    assert following(exchange_calendar(before - np.timedelta64(5, "D"), before), before) == last
    with pytest.raises(DataError, match="Ingest the vendor's calendar"):
        following(exchange_calendar(last - np.timedelta64(5, "D"), last), last)
