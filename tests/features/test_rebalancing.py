"""Rebalancing days at the edge of what a calendar knows; the worked days are golden."""

from __future__ import annotations

import numpy as np
import pytest

from features.panel import DataError
from features.rebalancing import is_rebalance_day
from features.sessions import Calendar, exchange_calendar


@pytest.fixture(scope="module")
def market_days() -> Calendar:
    return exchange_calendar("2022-01-01", "2024-12-31")


def test_a_rebalancing_day_past_the_calendars_end_waits_for_its_session(market_days):
    whole = market_days.between("2023-01-01", "2023-12-31")
    flags = is_rebalance_day("CSI", whole, market_days)
    for stop in (np.flatnonzero(flags)[0], np.flatnonzero(flags)[0] + 1):
        known = Calendar(whole[:stop])
        assert np.array_equal(is_rebalance_day("CSI", known.sessions, known), flags[:stop])


@pytest.mark.parametrize("family", ["CSI", "MSCI", "FTSE"])
def test_a_panel_is_flagged_like_its_sessions_one_by_one(family, market_days):
    whole = is_rebalance_day(family, market_days.sessions, market_days)
    one_by_one = [bool(is_rebalance_day(family, day, market_days)) for day in market_days.sessions]
    assert whole.tolist() == one_by_one
    assert whole.sum() == 3 * {"CSI": 2, "MSCI": 4, "FTSE": 4}[family]
    assert is_rebalance_day(family, market_days.sessions[:0], market_days).shape == (0,)


def test_an_unknown_family_is_refused(market_days):
    with pytest.raises(DataError, match="one of CSI, MSCI, FTSE; found SP"):
        is_rebalance_day("SP", market_days.sessions, market_days)
