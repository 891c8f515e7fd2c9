"""Limit flags and streaks on days made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from features.catalogue import catalogue
from features.factors import limit_moves
from features.panel import Panels
from features.plan import compute, plan

NAN = np.nan


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)[:, None]


def days(close: np.ndarray, up: np.ndarray, listed: int = 500) -> Panels:
    """Stocks that trade where the close is known, at a single price, with the lower limit out of reach."""
    t, n = close.shape
    values = {"close": close, "high": close, "low": close, "limit_up": up, "limit_down": up * 0.5}
    values |= {
        "traded": (~np.isnan(close)).astype(float),
        "listed_sessions": listed + np.arange(t)[:, None] + np.zeros((t, n)),
    }
    return Panels(np.datetime64("2024-01-01") + np.arange(t), np.array([f"A{i:02}" for i in range(n)]), values)


def computed(name: str, panels: Panels) -> np.ndarray:
    return compute(plan(catalogue("CS"), [name], panels.values), panels)[0][name]


@pytest.mark.parametrize(("close", "hit"), [(11.06, 1), (11.0551, 1), (11.05, 0), (NAN, NAN)])
def test_a_close_within_half_a_tick_of_the_limit_hits_it(close, hit):
    up, dn = column(11.06), column(9.05)
    free = limit_moves.no_limit(column(close), up, dn)
    np.testing.assert_equal(limit_moves.hit_up(column(close), up, free).item(), hit)


def test_a_close_at_the_lower_limit_hits_it():
    free = column(0, 0)
    np.testing.assert_array_equal(limit_moves.hit_dn(column(9.05, 9.06), column(9.05, 9.05), free), column(1, 0))


@pytest.mark.parametrize("limits", [(NAN, NAN), (0.0, 0.0), (11.0, NAN)])
def test_without_limits_no_flag_is_up(limits):
    close, up, dn = column(11.0), column(limits[0]), column(limits[1])
    free = limit_moves.no_limit(close, up, dn)
    assert free.item() == 1
    assert limit_moves.hit_up(close, up, free).item() == 0
    assert limit_moves.hit_dn(close, dn, free).item() == 0
    assert limit_moves.locked_up(close, close, limit_moves.touch_up(close, up, free)).item() == 0


def test_locked_is_one_price_at_the_limit_and_not_only_a_touch():
    high, low, up = column(11, 11, 10), column(11, 10, 10), column(11, 11, 11)
    touched = limit_moves.touch_up(high, up, column(0, 0, 0))
    np.testing.assert_array_equal(touched, column(1, 1, 0))
    np.testing.assert_array_equal(limit_moves.locked_up(high, low, touched), column(1, 0, 0))


def test_a_streak_skips_suspensions_and_ends_with_a_free_session():
    close = column(11, 11, NAN, NAN, 11, 10, 11, 11, 11)
    up = column(11, 11, 11, 11, 11, 11, 11, NAN, 11)
    np.testing.assert_array_equal(
        computed("cs_limit_up_streak", days(close, up)), column(1, 2, NAN, NAN, 3, 0, 1, 0, 1)
    )


def test_a_streak_is_told_on_the_first_day_after_a_long_suspension():
    close = np.full((60, 1), 11.0)
    close[2:50] = NAN
    streak = computed("cs_limit_up_streak", days(close, np.full((60, 1), 11.0)))
    assert streak[49:53, 0].tolist()[1:] == [3, 4, 5]


def test_a_run_longer_than_its_span_counts_as_the_span():
    close = np.full((140, 1), 11.0)
    assert computed("cs_limit_up_streak", days(close, close))[-1].item() == 120


def test_the_locked_share_counts_five_sessions():
    up = np.full((6, 1), 11.0)
    share = computed("cs_limit_up_locked_share_5", days(column(10, 10, 11, 11, 10, 11), up))
    assert share[-1].item() == pytest.approx(3 / 5)


def test_the_continuation_rate_needs_five_limit_ups_of_yesterday():
    up = np.full((2, 8), 11.0)
    close = np.full((2, 8), 10.0)
    close[0, :5] = 11.0
    close[1, [0, 1, 2, 7]] = 11.0
    assert computed("cs_limit_up_continuation_rate", days(close, up))[1].item() == pytest.approx(3 / 5)
    close[0, 0] = 10.0
    assert np.isnan(computed("cs_limit_up_continuation_rate", days(close, up))[1].item())


@pytest.mark.parametrize("why", ["suspended", "free", "new"])
def test_the_continuation_rate_leaves_out_what_cannot_continue(why):
    up, close = np.full((2, 8), 11.0), np.full((2, 8), 11.0)
    close[1, 3] = 10.0
    panels = days(close, up)
    if why == "suspended":
        panels["close"][1, 0] = panels["traded"][1, 0] = NAN
    if why == "free":
        panels["limit_up"][1, 0] = NAN
    if why == "new":
        panels["listed_sessions"][:, 0] = 58, 59
    assert computed("cs_limit_up_continuation_rate", panels)[1].item() == pytest.approx(6 / 7)
