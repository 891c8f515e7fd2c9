"""Dividends before a contract matures against a plain loop, and the look ahead that is kept out of them."""

from __future__ import annotations

import numpy as np
import pytest

from features.dividends import Dividends, expected, realised, realised_basis
from features.panel import DataError

DAYS = np.arange("2021-01-01", "2024-01-01", dtype="datetime64[D]")
SESSIONS = DAYS[np.is_busday(DAYS)]
SINCE = np.datetime64("2021-01-01")


def days(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[D]")


def table(seed: int = 0, lead: int = 30) -> Dividends:
    rng = np.random.default_rng(seed)
    ex = np.sort(rng.choice(DAYS, 60, replace=False))
    announced = np.maximum(ex - rng.integers(1, lead, 60).astype("timedelta64[D]"), SINCE)
    return Dividends(ex, rng.uniform(1, 5, 60), announced, SINCE)


def by_loop(of: Dividends, day: np.datetime64, until: np.datetime64, rate: float) -> float:
    known = of.announced <= day
    horizon = max([*of.ex[known], np.datetime64("1900-01-01")])
    total = 0.0
    if until > horizon and max(horizon, day) - 365 < of.since:
        return np.nan
    for ex, points in zip(of.ex[known], of.points[known], strict=True):
        again = ex + 365
        if day < ex <= until:
            total += points * np.exp(-rate * float((ex - day).astype(int)) / 365)
        if max(day, horizon) < again <= until:
            total += points * np.exp(-rate * float((again - day).astype(int)) / 365)
    return total


@pytest.mark.parametrize("seed", range(4))
def test_they_are_those_announced_and_behind_these_those_of_last_year(seed):
    of, rate = table(seed), np.full(len(SESSIONS), 0.03)
    until = SESSIONS + np.random.default_rng(seed).integers(1, 200, len(SESSIONS)).astype("timedelta64[D]")
    found, estimated = expected(of, SESSIONS, until, rate)
    loop = [by_loop(of, day, end, 0.03) for day, end in zip(SESSIONS, until, strict=True)]
    np.testing.assert_allclose(found, loop, rtol=1e-12)
    assert np.isfinite(found).mean() > 0.5
    assert 0.1 < estimated.mean() < 0.95


def test_what_is_announced_later_changes_nothing_before():
    of, rate = table(), np.full(len(SESSIONS), 0.03)
    day = np.datetime64("2022-09-01")
    known = of.announced <= day
    then = Dividends(of.ex[known], of.points[known], of.announced[known], of.since)
    until = SESSIONS + np.timedelta64(60, "D")
    past = day >= SESSIONS
    for a, b in zip(expected(of, SESSIONS, until, rate), expected(then, SESSIONS, until, rate), strict=True):
        np.testing.assert_array_equal(a[past], b[past])


def test_a_first_year_without_a_year_before_is_not_known():
    of = Dividends(days("2021-06-01"), np.array([5.0]), days("2021-05-01"), SINCE)
    day, rate = days("2021-05-10"), np.array([0.0])
    assert expected(of, day, days("2021-05-31"), rate)[0] == 0.0
    assert expected(of, day, days("2021-06-01"), rate)[0] == 5.0
    assert np.isnan(expected(of, day, days("2021-06-02"), rate)[0])
    assert np.isnan(expected(of, day, days("NaT"), rate)[0])
    later = days("2022-05-10")
    assert expected(of, later, days("2022-05-31"), rate)[0] == 0.0
    assert [x[0] for x in expected(of, later, days("2022-06-02"), rate)] == [5.0, True]


def test_the_realised_ones_look_ahead_as_far_as_the_table_reaches():
    of = Dividends(days("2021-06-01", "2021-07-01"), np.array([5.0, 3.0]), days("2021-05-20", "2021-06-20"), SINCE)
    day = days("2021-05-10")
    assert realised(of, day, days("2021-07-01"), np.array([0.0])) == [8.0]
    assert realised(of, day, days("2021-06-30"), np.array([0.0])) == [5.0]
    assert np.isnan(realised(of, day, days("2021-07-02"), np.array([0.0])))
    assert realised_basis(np.array([3992.0]), np.array([4000.0]), np.array([8.0])) == [0.0]


def test_an_announcement_behind_its_ex_date_is_refused():
    with pytest.raises(DataError, match="before they go ex"):
        Dividends(days("2021-06-01"), np.array([5.0]), days("2021-06-02"), SINCE)
