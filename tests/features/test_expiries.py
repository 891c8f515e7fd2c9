"""The properties that every expiry and every chain has, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from features.expiries import RULE_OF, contract_months, days_to_expiry, expiry
from features.panel import DataError
from features.sessions import Calendar, exchange_calendar

DAY = np.timedelta64(1, "D")


@pytest.fixture(scope="module")
def market_days() -> Calendar:
    return exchange_calendar("2013-01-01", "2026-12-31")


@pytest.fixture
def week() -> Calendar:
    """Monday 2024-03-04 to Wednesday 2024-03-13 without Thursday the 7th."""
    days = ["2024-03-04", "2024-03-05", "2024-03-06", "2024-03-08", "2024-03-11", "2024-03-12", "2024-03-13"]
    return Calendar(np.array(days, dtype="datetime64[D]"))


@pytest.mark.parametrize("product", [*sorted(RULE_OF), "510050.XSHG", "159919.XSHE"])
def test_expiries_are_sessions_and_strictly_increase(product, market_days):
    months = [(year, month) for year in range(2013, 2027) for month in range(1, 13)][1:]
    last = np.array([expiry(product, year, month, market_days) for year, month in months])
    assert (np.diff(last) > 0 * DAY).all()
    assert len(market_days.positions(last)) == len(months)


@pytest.mark.parametrize("product", ["IF", "IO", "T", "510050.XSHG"])
def test_a_chain_changes_only_on_the_session_after_an_expiry(product, market_days):
    sessions = market_days.between("2023-01-01", "2025-12-31")
    chains = [contract_months(product, day, market_days) for day in sessions]
    for before, after, day in zip(chains[:-1], chains[1:], sessions[:-1], strict=True):
        year, month = before[0]
        expired = expiry(product, year, month, market_days) == day
        assert (before != after) == expired
        if expired:
            assert after[0] == before[1]


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda week: expiry("XX", 2024, 3, week), "rule must be known; found XX"),
        (lambda week: expiry("LH", 2024, 3, week), "must lie between"),
        (lambda week: expiry("M", 2024, 3, week), "must lie between"),
        (lambda week: expiry("IF", 2024, 3, week), "found 2024-03-15"),
        (lambda week: contract_months("RB", "2024-03-04", week), "must be of CFFEX"),
    ],
)
def test_an_expiry_that_cannot_be_known_is_refused_in_words(ask, says, week):
    with pytest.raises(DataError, match=says):
        ask(week)


def test_days_to_expiry_count_to_the_last_trading_day_itself(week):
    asof = np.array(["2024-03-05", "2024-03-08", "2024-03-12"], dtype="datetime64[D]")
    last = np.datetime64("2024-03-11")
    assert days_to_expiry(asof, last, week).tolist() == [6, 3, -1]
    assert days_to_expiry(asof, last, week, "sessions").tolist() == [3, 1, -1]
    assert days_to_expiry(asof[:, None], week.sessions[None, -2:], week, "sessions").tolist() == [
        [4, 5],
        [2, 3],
        [0, 1],
    ]
    with pytest.raises(DataError, match="found 2024-04-19"):
        days_to_expiry(asof, np.datetime64("2024-04-19"), week, "sessions")
    assert days_to_expiry(asof[:0], last, week, "sessions").shape == (0,)
