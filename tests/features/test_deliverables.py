"""What may be delivered, and what it costs."""

from __future__ import annotations

import numpy as np
import pytest

from features.bonds import Bonds, accrued_interest, conversion_factor, schedule
from features.deliverables import basket, deliverable, deliverables, delivery_day
from features.operators.bonds import street_price
from features.panel import DataError
from features.sessions import exchange_calendar
from features.treasury import TREASURIES, cash_yield, dv01, frequency_of, implied_yield, proxy_maturity, terms
from features.zero_curve import Curve

MONTH = np.datetime64("2022-06")
SESSION, DELIVERY = np.datetime64("2022-03-15"), np.datetime64("2022-06-14")


def days(*texts: str) -> np.ndarray:
    return np.array(texts, "datetime64[D]")


def bonds(issued: np.ndarray, maturity: np.ndarray, coupon: float = 0.03, frequency: int = 2) -> Bonds:
    n = len(maturity)
    names = np.array([f"b{k}" for k in range(n)])
    return Bonds(names, np.full(n, coupon), np.full(n, frequency), issued, maturity)


@pytest.mark.parametrize(
    ("product", "inside", "outside"),
    [
        ("TS", ("2023-12-01", "2024-09-01"), ("2023-11-30", "2024-09-02")),
        ("TF", ("2026-06-01", "2027-09-01"), ("2026-05-31", "2027-09-02")),
        ("T", ("2028-12-01", "2031-12-01"), ("2028-11-30",)),
    ],
)
def test_what_is_left_on_the_first_of_the_delivery_month_decides(product, inside, outside):
    both = days(*inside, *outside)
    one = bonds(np.full(len(both), np.datetime64("2021-12-01")), both)
    young = Bonds(one.code, one.coupon, one.frequency, np.maximum(one.issued, days("2022-01-01")[0]), one.maturity)
    found = deliverable(young, terms(product, MONTH), MONTH)
    assert found.tolist() == [True] * len(inside) + [False] * len(outside)


@pytest.mark.parametrize(("product", "longest"), [("TS", 5), ("TF", 7), ("T", 10)])
def test_a_bond_of_too_long_a_term_at_issue_stays_out(product, longest):
    maturity = {"TS": "2024-06-15", "TF": "2027-01-15", "T": "2029-01-15"}[product]
    just = np.datetime64(maturity, "D").astype(object)
    issued = days(just.replace(year=just.year - longest).isoformat(), just.replace(year=just.year - 20).isoformat())
    found = deliverable(bonds(issued, days(maturity, maturity)), terms(product, MONTH), MONTH)
    assert found.tolist() == [True, False]


def test_terms_are_those_of_the_delivery_month():
    assert terms("TF", np.datetime64("2014-03")).remaining == (48, 84)
    assert terms("TF", np.datetime64("2014-03")).tick == 0.002
    assert terms("TF", MONTH).remaining == (48, 63)
    assert terms("TF", MONTH).tick == 0.005
    assert terms("TS", MONTH).point == 20_000
    assert set(TREASURIES) == {"TS", "TF", "T", "TL"}
    for product, month in (("IF", MONTH), ("TL", MONTH)):
        with pytest.raises(DataError, match="TS, TF, T, TL"):
            terms(product, month)


def test_interest_runs_to_the_second_session_behind_the_last_one():
    calendar = exchange_calendar("2025-01-01", "2026-12-31")
    assert delivery_day(np.datetime64("2026-03-13"), calendar) == np.datetime64("2026-03-17")


class TestBasket:
    """Bonds priced at one yield, and a future at what the cheapest of them is worth."""

    repo = 0.02

    def priced(self, y: float):
        maturity = days("2028-12-15", "2029-10-15", "2030-05-20", "2031-11-18", "2032-02-15")
        own = bonds(maturity - np.timedelta64(3650, "D"), maturity, 0.028)
        where = schedule(own, SESSION)
        full = street_price(y, own.payment, own.frequency, 1 - where.elapsed, where.count)
        clean = full - accrued_interest(own, SESSION)
        return basket(own, clean, SESSION, MONTH, DELIVERY)

    @pytest.mark.parametrize(("y", "cheapest"), [(0.015, 0), (0.05, -1)])
    def test_low_yields_deliver_the_shortest_duration_and_high_ones_the_longest(self, y, cheapest):
        one = self.priced(y)
        future = one.theoretical(self.repo)
        assert one.cheapest(future, self.repo) == range(5)[cheapest]

    def test_at_the_theoretical_price_the_cheapest_earns_the_repo_rate_and_no_other_more(self):
        one = self.priced(0.02)
        rate = one.implied_repo(one.theoretical(self.repo))
        assert rate.max() == pytest.approx(self.repo, abs=1e-12)
        assert rate.min() < self.repo - 1e-3

    def test_the_cheapest_has_no_net_basis_but_what_its_coupon_earns_on_the_way(self):
        one = self.priced(0.02)
        future = one.theoretical(self.repo)
        net = one.net_basis(future, self.repo)[one.cheapest(future, self.repo)]
        # A coupon paid on the way earns the repo rate too, which net basis leaves out.
        assert net == pytest.approx((self.repo * one.waited)[one.cheapest(future, self.repo)], abs=1e-12)

    def test_a_bond_without_a_price_is_not_delivered(self):
        one = self.priced(0.015)
        clean = one.clean.copy()
        clean[0] = np.nan
        other = basket(one.bonds, clean, SESSION, MONTH, DELIVERY)
        assert other.cheapest(one.theoretical(self.repo), self.repo) == 1
        assert np.isnan(other.implied_repo(100.0)[0])

    def test_without_a_sound_bond_there_is_no_cheapest(self):
        one = self.priced(0.02)
        nothing = basket(one.bonds, np.full(5, np.nan), SESSION, MONTH, DELIVERY)
        assert nothing.cheapest(100.0, self.repo) == -1
        assert np.isnan(nothing.theoretical(self.repo))
        assert one.cheapest(200.0, self.repo) == -1  # every rate above 20 %

    def test_of_equal_bonds_the_lower_net_basis_decides(self):
        maturity = days("2029-10-15", "2029-10-15")
        two = bonds(maturity - np.timedelta64(3000, "D"), maturity)
        one = basket(two, np.array([101.0, 101.0]), SESSION, MONTH, DELIVERY)
        assert one.cheapest(101.0, self.repo) == 0
        assert np.ptp(one.implied_repo(101.0)) == 0


def test_the_bonds_of_a_contract_come_by_maturity():
    maturity = days("2031-11-18", "2020-01-01", "2029-10-15")
    found = deliverables(bonds(maturity - np.timedelta64(3000, "D"), maturity), terms("T", MONTH), MONTH)
    assert found.tolist() == [2, 0]


def test_a_bond_must_pay_and_end():
    with pytest.raises(DataError, match="one or two coupons"):
        bonds(days("2020-01-01"), days("2030-01-01"), frequency=4)
    with pytest.raises(DataError, match="a maturity behind the issue"):
        bonds(days("2020-01-01"), days("2020-01-01"))


def test_a_factor_needs_a_coupon_behind_the_delivery():
    with pytest.raises(DataError, match="a coupon must be left"):
        conversion_factor(0.03, 2, np.datetime64("2022-06"), MONTH)


class TestNotionalBond:
    tenor = np.array([2.0, 5.0, 10.0, 30.0])
    shortest = np.array([2.0, 4.0, 7.0, 25.0])

    def test_prices_above_par_mean_the_shortest_duration(self):
        assert proxy_maturity(np.full(4, 101.0), self.tenor, self.shortest).tolist() == [2, 4, 7, 25]
        assert proxy_maturity(np.full(4, 99.0), self.tenor, self.shortest).tolist() == [2, 5, 10, 30]

    @pytest.mark.parametrize("price", [80.0, 99.9, 100.0, 100.1, 130.0])
    def test_both_maturities_agree_on_the_side_of_three_percent(self, price):
        two = [implied_yield(np.full(4, price), m, self.tenor) for m in (self.tenor, self.shortest)]
        sides = [np.sign(np.round(y - 0.03, 12)) for y in two]
        assert (sides[0] == sides[1])[np.isfinite(two[0]) & np.isfinite(two[1])].all()

    def test_no_price_has_no_yield(self):
        price = np.array([0.0, -1.0, np.nan, 1e6])
        assert np.isnan(implied_yield(price, self.tenor, self.tenor)).all()

    def test_a_basis_point_of_ten_years_costs_some_nine_hundred(self):
        face = np.array([2e6, 1e6, 1e6, 1e6])
        y = np.full(4, 0.03)
        found = dv01(np.full(4, 100.0), self.tenor, self.tenor, y, face)
        up = implied_yield(np.full(4, 100.0) - found / face * 100, self.tenor, self.tenor)
        np.testing.assert_allclose(up, 0.0301, rtol=0, atol=2e-7)
        assert found[2] == pytest.approx(858, abs=1)

    def test_a_flat_curve_yields_itself_at_every_maturity_whole_or_broken(self):
        flat = Curve(np.array([1.0]), np.full((3, 1), 2 * np.log1p(0.02 / 2)))
        for maturity in (2, 6.5, 7.25, 30):
            np.testing.assert_allclose(cash_yield(flat, maturity, 2), 0.02, rtol=0, atol=1e-13)

    def test_long_tenors_pay_twice_a_year(self):
        assert frequency_of(self.tenor).tolist() == [1, 1, 2, 2]
