from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.limits import board, boards, first_day_band, limit_pct, limit_prices
from features.panel import DataError


def days(*texts):
    return np.array(texts, "datetime64[D]")


def pct_of(name, sessions, st_flag=0.0, listed=1000):
    shape = (len(sessions), 1)
    return limit_pct(np.array([name]), sessions, np.full(shape, st_flag), np.full(shape, listed))[:, 0]


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("600000.XSHG", "main"),
        ("605499.XSHG", "main"),
        ("000001.XSHE", "main"),
        ("002594.XSHE", "main"),
        ("003816.XSHE", "main"),
        ("300750.XSHE", "chinext"),
        ("301236.XSHE", "chinext"),
        ("302132.XSHE", "chinext"),
        ("688981.XSHG", "star"),
        ("689009.XSHG", "star"),
        ("830799.BJSE", "bse"),
        ("430047.BJSE", "bse"),
        ("920002.BJSE", "bse"),
        ("510300.XSHG", "fund"),
        ("159915.XSHE", "fund"),
        ("161725.XSHE", "fund"),
        ("588000.XSHG", "fund_star"),
    ],
)
def test_the_board_is_told_from_the_code(code, name):
    assert board(code) == name


@pytest.mark.parametrize("code", ["000300.XSHG", "399006.XSHE", "900901.XSHG", "200002.XSHE", "IF2403", "600000"])
def test_a_code_that_is_no_stock_and_no_fund_is_refused_by_name(code):
    with pytest.raises(DataError, match=code):
        board(code)


def test_boards_keeps_the_order_of_the_assets():
    assert boards(["688001.XSHG", "600000.XSHG"]).tolist() == ["star", "main"]


@given(
    cents=st.integers(1, 10_000_000),
    percent=st.sampled_from([5, 10, 20, 30]),
)
def test_limits_contain_the_reference_price_and_round_half_up(cents, percent):
    up, down = (float(x) for x in limit_prices(cents / 100, percent / 100))
    prev = cents / 100
    assert down <= prev < up
    assert down < prev or cents == 1
    assert down >= 0.01
    exact = (Decimal(cents) * (100 + percent) / 10_000).quantize(Decimal("0.01"), ROUND_HALF_UP)
    assert up == max(float(exact), (cents + 1) / 100)


def test_no_limit_stands_where_the_percentage_or_the_price_is_missing():
    up, down = limit_prices([10.0, np.nan, 0.0, -1.0], [np.nan, 0.1, 0.1, 0.1])
    assert np.isnan(up).all()
    assert np.isnan(down).all()


def test_a_percentage_per_asset_broadcasts_over_sessions():
    up, _ = limit_prices(np.full((3, 2), 10.0), np.array([0.1, 0.2]))
    assert up.tolist() == [[11.0, 12.0]] * 3


def test_a_tick_that_is_not_positive_is_refused():
    with pytest.raises(DataError, match="tick"):
        limit_prices(10.0, 0.1, 0.0)


@pytest.mark.parametrize(
    ("name", "st_flag", "last_day", "before", "after"),
    [
        ("main", 1.0, "2026-07-05", 0.05, 0.10),
        ("main", 0.0, "1996-12-15", np.nan, 0.10),
        ("chinext", 0.0, "2020-08-23", 0.10, 0.20),
        ("chinext", 1.0, "2020-08-23", 0.10, 0.20),
        ("star", 1.0, "2019-07-21", np.nan, 0.20),
        ("bse", 0.0, "2021-11-14", np.nan, 0.30),
        ("fund_chinext", 0.0, "2020-08-23", 0.10, 0.20),
    ],
)
def test_the_percentage_switches_exactly_on_its_date(name, st_flag, last_day, before, after):
    switch = np.datetime64(last_day, "D")
    sessions = switch + np.arange(-40, 41).astype("timedelta64[D]")
    got = pct_of(name, sessions, st_flag)
    np.testing.assert_array_equal(got[:41], before)
    np.testing.assert_array_equal(got[41:], after)


def test_the_day_of_the_st_change_can_be_set():
    sessions = days("2025-06-30", "2025-07-01")
    shape = (2, 1)
    got = limit_pct(
        np.array(["main"]), sessions, np.ones(shape), np.full(shape, 99), main_st_change=np.datetime64("2025-07-01")
    )
    assert got[:, 0].tolist() == [0.05, 0.10]


@pytest.mark.parametrize(
    ("name", "start", "free"),
    [
        ("star", "2021-03-01", 5),
        ("chinext", "2020-08-24", 5),
        ("chinext", "2020-03-02", 1),
        ("main", "2023-04-10", 5),
        ("main", "2022-03-01", 1),
        ("bse", "2022-03-01", 1),
    ],
)
def test_a_new_listing_is_free_for_the_sessions_its_board_grants(name, start, free):
    sessions = np.datetime64(start, "D") + np.arange(8)
    age = np.arange(1, 9)[:, None]
    got = limit_pct(np.array([name]), sessions, np.zeros((8, 1)), age)[:, 0]
    assert np.isnan(got[:free]).all()
    assert np.isfinite(got[free:]).all()


def test_a_stock_that_is_not_listed_yet_has_no_limit():
    age = np.array([[np.nan], [-3.0], [0.0], [2.0]])
    got = limit_pct(np.array(["main"]), days("2021-01-04", "2021-01-05", "2021-01-06", "2021-01-07"), age * 0, age)
    assert np.isnan(got[:3, 0]).all()
    assert got[3, 0] == 0.10


def test_the_first_day_band_holds_on_first_sessions_before_registration_only():
    sessions = days("2020-08-21", "2020-08-24", "2023-04-07", "2023-04-10")
    names = np.array(["main", "chinext", "star", "bse"])
    got = first_day_band(names, sessions, np.ones((4, 4)))
    assert got.T.tolist() == [[True, True, True, False], [True, False, False, False], [False] * 4, [False] * 4]
    assert not first_day_band(names, sessions, np.full((4, 4), 2)).any()


def test_a_loader_s_flag_frees_a_session():
    flag = np.array([[False], [True], [False]])
    sessions = days("2024-01-02", "2024-01-03", "2024-01-04")
    got = limit_pct(np.array(["main"]), sessions, np.zeros((3, 1)), np.full((3, 1), 500), no_limit=flag)
    assert np.isnan(got[:, 0]).tolist() == [False, True, False]


def test_boards_and_shapes_that_do_not_fit_are_refused():
    sessions = days("2024-01-02")
    with pytest.raises(DataError, match="moon"):
        limit_pct(np.array(["moon"]), sessions, np.zeros((1, 1)), np.ones((1, 1)))
    with pytest.raises(DataError, match="is_st"):
        limit_pct(np.array(["main"]), sessions, np.zeros((2, 1)), np.ones((1, 1)))
