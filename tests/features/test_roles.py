"""Contracts and their roles: what codes say, what is listed, which contract is called what."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from features.chain import chain
from features.contracts import contracts, delivery_month, is_series, kind_of, product_of
from features.panel import DataError
from features.roles import ROLES, roles
from features.rolls import hold
from tests.features.synthetic_futures import WEEKDAYS, cut, random_chain
from tests.features.test_rolls import small


@pytest.mark.parametrize(
    ("asset", "product", "series"),
    [
        *[("IF2403", "IF", False), ("rb2410.SHFE", "RB", False), ("SR605", "SR", False), ("T2003", "T", False)],
        *[("A_MAIN", "A", True), ("RB88", "RB", True), ("RB888", "RB", True), ("RB889", "RB", True)],
        *[("RB99", "RB", True), ("I0", "I", True), ("IF88A2", "IF", True)],
        *[("RB", "", False), ("000300.XSHG", "", False), ("RB2413", "", False)],
    ],
)
def test_a_code_names_its_product_and_whether_it_is_a_continuous_series(asset, product, series):
    assert (product_of(asset), is_series(asset)) == (product, series)


@pytest.mark.parametrize(
    ("asset", "listed", "month"),
    [
        ("IF2403", "2023-07-24", "2024-03"),
        ("CU9912", "1999-01-04", "1999-12"),
        ("SR605", "2025-05-20", "2026-05"),
        ("SR605", "2015-05-20", "2016-05"),
        ("SR001", "2019-01-15", "2020-01"),
        ("SR909", "2009-10-12", "2019-09"),
        ("SR909", "2009-09-10", "2009-09"),
        ("RB", "2020-01-01", None),
    ],
)
def test_three_digits_are_of_the_decade_behind_the_listing(asset, listed, month):
    found = delivery_month(asset, np.datetime64(listed))
    assert found == (None if month is None else np.datetime64(month))


@pytest.mark.parametrize(
    ("product", "kind"), [("IM", "index"), ("TL", "treasury"), ("RB", "commodity"), ("XX", "commodity")]
)
def test_a_product_is_what_its_rule_makes_it(product, kind):
    assert kind_of(product) == kind


def test_a_contract_without_a_month_must_state_its_maturity():
    row = {"order_book_id": "CUX", "listed_date": dt.date(2024, 1, 2)}
    with pytest.raises(DataError, match="CUX: its code must end in a month, or its maturity_date be stated"):
        contracts("CU", [row], WEEKDAYS)
    found = contracts("CU", [row | {"maturity_date": dt.date(2024, 5, 15)}], WEEKDAYS)
    assert (str(found.last_day[0]), str(found.month[0])) == ("2024-05-15", "2024-05")


def test_a_product_without_a_rule_ends_with_its_delivery_month():
    row = {"order_book_id": "XX2403", "listed_date": dt.date(2024, 1, 2)}
    found = contracts("XX", [row], WEEKDAYS)
    assert (str(found.last_day[0]), bool(found.by_rule[0])) == ("2024-03-29", True)


def test_contracts_stand_by_maturity_with_multipliers_of_the_vendor_first():
    rows = [
        {"order_book_id": f"RB{code}", "listed_date": dt.date(2024, 1, 2), "contract_multiplier": size}
        for code, size in (("2410", None), ("2405", 20.0))
    ]
    found = contracts("RB", [*rows, {"order_book_id": "RB2412"}, {"order_book_id": "RB88"}], WEEKDAYS)
    assert found.ids.tolist() == ["RB2405", "RB2410"]
    assert found.multiplier.tolist() == [20.0, 10.0]


def test_a_last_day_past_the_published_holidays_is_provisional():
    known = WEEKDAYS.between("2024-01-02", "2024-06-28")
    short = type(WEEKDAYS)(known).extended("2025-06-30")
    rows = [{"order_book_id": f"RB{code}", "listed_date": dt.date(2024, 1, 2)} for code in ("2405", "2410")]
    assert contracts("RB", rows, short).provisional.tolist() == [False, True]


@pytest.mark.parametrize("product", ["RB", "IF", "T"])
class TestEveryChain:
    def test_time_to_maturity_falls_by_calendar_days(self, product):
        one = random_chain(product)
        t, c = np.argwhere(np.isfinite(one.ttm()))[777]
        assert one.ttm()[t, c] * 365 == (one.contracts.last_day[c] - one.sessions[t]).astype(int)
        ttm = one.ttm()
        assert (np.diff(ttm, axis=1)[np.isfinite(np.diff(ttm, axis=1))] > 0).all()

    def test_sessions_left_count_the_sessions_to_the_last_day(self, product):
        one = random_chain(product)
        for t, c in ((0, 0), (10, 3), (300, 7)):
            days = WEEKDAYS.sessions
            after = (days > one.sessions[t]) & (days <= one.contracts.last_day[c])
            before = (days <= one.sessions[t]) & (days > one.contracts.last_day[c])
            assert one.sessions_left()[t, c] == after.sum() - before.sum()

    def test_roles_do_not_see_the_future(self, product):
        one = random_chain(product)
        whole = roles(one, hold(one))
        for end in (1, 200):
            part = cut(one, end)
            early = roles(part, hold(part))
            assert tuple(early) == ROLES
            for name in ROLES:
                assert early[name].tolist() == whole[name][: end + 1].tolist()

    def test_whoever_has_a_role_is_listed_and_not_over(self, product):
        one = random_chain(product)
        for at in roles(one, hold(one)).values():
            t = np.flatnonzero(at >= 0)
            assert one.alive[t, at[t]].all()

    def test_the_second_behind_the_dominant_matures_later_and_never_comes_back(self, product):
        one = random_chain(product)
        found = roles(one, hold(one))
        second, first = found["sub_dominant"], found["dominant"]
        both = (second >= 0) & (first >= 0)
        assert (second[both] > first[both]).all()
        runs = second[np.flatnonzero(np.diff(second, prepend=-2))]
        runs = runs[runs >= 0]
        gone_between = [c for c in set(runs.tolist()) if (runs == c).sum() > 1]
        for c in gone_between:  # only an absence of everybody may stand between two of its runs
            at = np.flatnonzero(second == c)
            assert set(second[at[0] : at[-1] + 1].tolist()) <= {c, -1}
        assert both.any()


def test_near_leaves_before_the_delivery_month_and_next_stands_behind_it():
    one = small(["2402", "2403", "2405"], [[1, 1, 1]] * 45)
    found = roles(one, hold(one))
    at = int(np.searchsorted(one.sessions, np.datetime64("2024-02-01")))
    assert (found["near"][at - 1], found["next"][at - 1]) == (0, 1)
    assert (found["near"][at], found["next"][at]) == (1, 2)


def test_a_contract_that_ends_before_its_month_leaves_near_with_twenty_sessions():
    one = small(["2403", "2404"], [[1, 1]] * 45, "FU")
    near, left = roles(one, hold(one))["near"], one.sessions_left()[:, 0]
    assert left[near == 0].min() == 20


def test_far_is_the_farthest_liquid_contract_of_the_session_before():
    interest = [[5000, 1000, 999], [5000, 1000, 1000], [5000, 5000, 5000]]
    volume = np.array([[500.0, 100.0, 500.0], [500.0, 100.0, 99.0], [500.0, 500.0, 500.0]])
    one = small(["2405", "2410", "2501"], interest, volume=volume)
    assert roles(one, hold(one))["far"].tolist() == [-1, 1, 1, 2]


def test_far_leaves_with_the_session_that_excludes_it():
    one = small(["2402"], [[5000]] * 30)
    far = roles(one, hold(one))["far"]
    assert str(np.append(one.sessions, one.coming)[far == 0][-1]) == "2024-01-31"


def test_the_second_goes_by_open_interest_and_is_not_taken_back():
    interest = [[90, 20, 30], [90, 40, 30], [90, 20, 30], [90, 20, 30]]
    one = small(["2405", "2410", "2501"], interest)
    assert roles(one, hold(one))["sub_dominant"].tolist() == [-1, 2, 1, 1, 1]


def test_a_chain_refuses_panels_of_another_shape():
    one = small(["2405"], [[1]])
    with pytest.raises(DataError, match=r"close must have the shape \(1, 1\)"):
        chain(one.contracts, one.sessions, {"close": np.ones((1, 2))}, WEEKDAYS)
