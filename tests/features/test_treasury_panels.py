"""What a row of bars/Product says of a treasury: curves as they were known, the cheapest bond, nothing but carry."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from features.bonds import Bonds, accrued_interest, coupons_between, full_yield, schedule
from features.catalogue import catalogue
from features.chain import chain
from features.continuous import continuous
from features.deliverables import basket, deliverables, delivery_day
from features.operators.bonds import street_price
from features.panel import Panels
from features.plan import compute, plan
from features.product_panels import product_panels
from features.rolls import hold
from features.treasury import notional_forward, terms
from features.treasury_panels import BondMarket, Curves, bond_market, curves, treasury_panels
from tests.features.synthetic_futures import WEEKDAYS
from tests.features.treasury_chains import SHORTEST, flat, priced, side_by_side, standing, upward

SESSIONS = 120
BASIS_POINT = 1e-4


def told(one, known: Curves, market: BondMarket | None = None) -> Panels:
    holding = hold(one)
    near = {k: v for k, v in product_panels(one, holding, continuous(one, holding)).items() if k.startswith("settle")}
    return side_by_side(one, treasury_panels(one, WEEKDAYS, known, market), near)


def factors(panels: Panels, *names: str) -> dict[str, np.ndarray]:
    made = compute(plan(catalogue("Product"), names, panels.values), panels)[0].values
    return {name: made[name][:, 0] for name in names}


def notional(product: str, zero) -> Panels:
    """A product whose contracts are forwards on the notional bond of the proxy's maturity."""
    maturity, frequency = SHORTEST[product]
    one = priced(product, lambda _, ahead: notional_forward(zero, maturity, frequency, ahead)[0], SESSIONS)
    known = standing(zero, SESSIONS)
    return told(one, Curves((), known, known))


@pytest.mark.parametrize("product", ["TS", "TF", "T"])
class TestForwardsOnTheNotionalBond:
    def test_on_a_flat_curve_the_corrected_yield_spread_is_nothing(self, product):
        found = factors(notional(product, flat), "tf_yield_spread_adj", "tf_implied_yield_adj")
        assert np.isfinite(found["tf_yield_spread_adj"]).all()
        assert np.abs(found["tf_yield_spread_adj"]).max() < BASIS_POINT

    def test_on_an_upward_curve_near_is_dearer_and_the_corrected_spreads_are_nothing(self, product):
        found = factors(notional(product, upward), "tf_term_spread", "tf_term_spread_adj", "tf_yield_spread_adj")
        assert (found["tf_term_spread"] > 0).all()
        assert np.abs(found["tf_term_spread_adj"]).max() <= 0.01
        assert np.abs(found["tf_yield_spread_adj"]).max() < BASIS_POINT

    def test_the_seed_would_read_the_upward_curve_as_rates_that_will_rise(self, product):
        reading = factors(notional(product, upward), "tf_term_reading")["tf_term_reading"]
        assert (reading >= 0).all()
        assert reading.sum() > len(reading) / 2


def test_without_a_curve_the_fair_spread_knows_carry_alone_and_says_so():
    one = priced("T", lambda _, ahead: notional_forward(upward, 7, 2, ahead)[0], SESSIONS)
    with_curve = standing(upward, SESSIONS)
    poor = told(one, Curves((), None, with_curve))
    assert "proxy_slope" not in poor.values
    found = factors(poor, "tf_term_spread_adj", "tf_slope_assumed")
    whole = factors(told(one, Curves((), with_curve, with_curve)), "tf_term_spread_adj", "tf_slope_assumed")
    assert (found["tf_slope_assumed"] == 1).all()
    assert (whole["tf_slope_assumed"] == 0).all()
    assert (found["tf_term_spread_adj"] > whole["tf_term_spread_adj"]).all()


def test_without_rates_the_corrected_columns_are_absent_with_a_reason():
    one = priced("T", lambda _, ahead: 102 - ahead, SESSIONS)
    panels = told(one, curves(None, one.sessions))
    wanted = ["tf_implied_yield", "tf_yield_spread_adj", "tf_term_spread_adj", "tf_irr"]
    made = plan(catalogue("Product"), wanted, panels.values)
    assert made.wanted == ("tf_implied_yield",)
    assert "repo_forward" in made.absent["tf_term_spread_adj"]
    assert "ctd_" in made.absent["tf_irr"]


def test_a_product_that_is_no_treasury_has_none_of_it():
    one = priced("T", lambda _, ahead: 102 - ahead, 5)
    other = chain(one.contracts.__class__(**{**vars(one.contracts), "product": "RB"}), one.sessions, {}, WEEKDAYS)
    assert treasury_panels(other, WEEKDAYS, curves(None, one.sessions)) == {}


class TestCurves:
    days = np.array(["2022-01-10", "2022-01-11", "2022-01-20", "2022-02-20"], "datetime64[D]")

    def rates(self, *rows: tuple[str, str, str, float]) -> pl.DataFrame:
        return pl.DataFrame(
            [(dt.date.fromisoformat(day), *rest) for day, *rest in rows],
            schema={"date": pl.Date, "curve": pl.String, "tenor": pl.String, "rate": pl.Float64},
            orient="row",
        )

    def test_a_rate_holds_from_its_day_on_for_a_fortnight(self):
        found = curves(self.rates(("2022-01-11", "cgb_zero", "1Y", 0.02)), self.days)
        np.testing.assert_array_equal(found.zero(np.array([1.0]))[:, 0], [np.nan, 0.02, 0.02, np.nan])

    def test_later_rates_change_nothing_before(self):
        rows = [("2022-01-10", "cgb_zero", "1Y", 0.02), ("2022-01-10", "cgb_zero", "5Y", 0.03)]
        before = curves(self.rates(*rows), self.days).zero(np.array([2.0]))[:2]
        after = curves(self.rates(*rows, ("2022-01-12", "cgb_zero", "9Y", 0.9)), self.days).zero(np.array([2.0]))[:2]
        np.testing.assert_array_equal(before, after)

    def test_zero_rates_come_first_then_those_behind_par_yields(self):
        par = [("2022-01-10", "cgb", "1Y", 0.02), ("2022-01-10", "cgb", "9Y", 0.02)]
        both = curves(self.rates(*par, ("2022-01-10", "cgb_zero", "1Y", 0.5)), self.days)
        assert both.zero(np.array([5.0]))[0, 0] == 0.5
        assert curves(self.rates(*par), self.days).zero(np.array([5.0]))[0, 0] == pytest.approx(np.log(1.02))

    def test_money_is_repo_then_the_zero_curve_then_shibor(self):
        shibor, zero = ("2022-01-10", "shibor", "1Y", 0.01), ("2022-01-10", "cgb_zero", "1Y", 0.02)
        repo = ("2022-01-10", "repo", "1Y", 0.03)
        year = np.array([1.0])
        assert curves(self.rates(shibor, zero, repo), self.days).repo(year)[0, 0] == 0.03
        assert curves(self.rates(shibor, zero), self.days).repo(year)[0, 0] == 0.02
        growth = np.log1p(0.01 * 365 / 360)
        assert curves(self.rates(shibor), self.days).repo(year)[0, 0] == pytest.approx(growth)

    def test_a_key_rate_is_the_cash_yield_of_its_own_maturity_alone(self):
        one = {p: priced(p, lambda _, ahead: 102 - ahead, 4) for p in ("T", "TF")}
        for product, there in (("T", True), ("TF", False)):
            sessions = one[product].sessions
            rates = self.rates(*((str(day), "cgb_key", "10Y", 0.028) for day in sessions))
            found = treasury_panels(one[product], WEEKDAYS, curves(rates, sessions))["cash_yield"]
            np.testing.assert_array_equal(found, 0.028 if there else np.nan)


def bonds_of(product: str) -> Bonds:
    maturity = np.array(["2029-02-15", "2029-09-20", "2030-05-21", "2031-03-25", "2031-11-18"], "datetime64[D]")
    n = len(maturity)
    issued = maturity - np.timedelta64(3640, "D")
    coupon = np.array([0.031, 0.029, 0.027, 0.033, 0.028])
    return Bonds(np.array([f"{product}{k}.IB" for k in range(n)]), coupon, np.full(n, 2), issued, maturity)


class TestCheapest:
    """Bonds at one yield, futures at the least that they can cost: nobody earns more than money does."""

    @pytest.fixture(scope="class")
    @classmethod
    def world(cls):
        own, y = bonds_of("b"), 0.025
        shell = priced("T", lambda _, ahead: 100.0, SESSIONS)
        clean = np.empty((SESSIONS, len(own)))
        for t, day in enumerate(shell.sessions):
            where = schedule(own, day)
            full = street_price(y, own.payment, 2, 1 - where.elapsed, where.count)
            clean[t] = full - accrued_interest(own, day)
        known = standing(flat, SESSIONS)
        worth = np.full((SESSIONS, len(shell.contracts)), np.nan)
        for c, month in enumerate(shell.contracts.month):
            which = deliverables(own, terms("T", month), month)
            end = delivery_day(shell.contracts.last_day[c], WEEKDAYS)
            for t, day in enumerate(shell.sessions):
                ahead = (end - day).astype(int) / 365
                if ahead > 0:
                    repo = np.expm1(0.02 * ahead) / ahead
                    worth[t, c] = basket(own.take(which), clean[t, which], day, month, end).theoretical(repo)
        fields = {**shell.fields, **dict.fromkeys(("open", "high", "low", "close", "settlement"), worth)}
        one = chain(shell.contracts, shell.sessions, fields, WEEKDAYS)
        return told(one, Curves((), known, known), BondMarket(own, shell.sessions, clean)), own, clean

    def test_the_cheapest_bond_earns_what_money_costs(self, world):
        panels = world[0]
        found = factors(panels, "tf_irr")["tf_irr"]
        ahead = panels["delivery_near"][:, 0]
        np.testing.assert_allclose(found, np.expm1(0.02 * ahead) / ahead, rtol=0, atol=1e-11)

    def test_nothing_is_left_of_the_spread(self, world):
        found = factors(world[0], "tf_term_spread_ctd")["tf_term_spread_ctd"]
        np.testing.assert_allclose(found, 0, atol=1e-11)

    def test_net_basis_is_what_coupons_earn_on_the_way(self, world):
        panels = world[0]
        ahead = panels["delivery_near"][:, 0]
        expected = panels["ctd_coupon_years"][:, 0] * np.expm1(0.02 * ahead) / ahead
        np.testing.assert_allclose(factors(panels, "tf_bnoc")["tf_bnoc"], expected, atol=1e-11)

    def test_it_is_the_bond_that_a_loop_over_all_of_them_finds(self, world):
        panels, own, clean = world
        for t in range(0, SESSIONS, 17):
            day, price = panels.sessions[t], panels["settlement_near"][t, 0]
            ahead = panels["delivery_near"][t, 0]
            end = day + np.timedelta64(round(ahead * 365), "D")
            month = end.astype("datetime64[M]")
            rates = {}
            for k in deliverables(own, terms("T", month), month):
                one = basket(own.take(np.array([k])), clean[t, [k]], day, month, end)
                paid = coupons_between(own.take(np.array([k])), day, end)[0][0]
                full = clean[t, k] + accrued_interest(own.take(np.array([k])), day)[0]
                rates[k] = (one.invoice(price)[0] + paid - full) / (full * ahead - one.waited[0])
            best = max(rates, key=lambda k: rates[k])
            assert panels["ctd_price"][t, 0] == clean[t, best]
            invoice = price * panels["ctd_factor"][t, 0] + panels["ctd_accrued_delivery"][t, 0]
            forward = full_yield(own.take(np.array([best])), np.array([invoice]), end)[0]
            assert panels["ctd_yield"][t, 0] == pytest.approx(forward, abs=1e-14)

    def test_a_bond_is_not_there_before_its_issue_nor_without_a_price(self, world):
        _, own, clean = world
        late = Bonds(own.code, own.coupon, own.frequency, np.full(5, np.datetime64("2021-12-15")), own.maturity)
        one = priced("T", lambda _, ahead: 100.0, 30)
        holes = clean[:30].copy()
        holes[20:] = np.nan
        known = standing(flat, 30)
        found = treasury_panels(one, WEEKDAYS, Curves((), known, known), BondMarket(late, one.sessions, holes))
        there = np.isfinite(found["ctd_price"])
        np.testing.assert_array_equal(there, (one.sessions >= np.datetime64("2021-12-15")) & (np.arange(30) < 20))


def test_the_bond_market_holds_treasuries_with_a_coupon_and_a_price():
    day = dt.date(2022, 1, 10)
    table = {
        "bond_code": ["220001.IB", "220210.IB", "229901.IB", "220002.IB"],
        "abbr": ["22附息国债01", "22国开10", "22贴现国债01", "22附息国债02"],
        "cp_rate_1st": [0.03, 0.03, 0.02, 0.028],
        "inst_freq": [2, 1, 0, 1],
        "carry_date": [dt.date(2022, 1, 1)] * 4,
        "maturity_date": [dt.date(2032, 1, 1)] * 4,
    }
    prices = pl.DataFrame(
        {"bond_code": ["220001.IB", "220210.IB", "229901.IB"], "date": [day] * 3, "clean_price": [101.0, 100.0, 99.0]}
    )
    sessions = np.array(["2022-01-10", "2022-01-11"], "datetime64[D]")
    found = bond_market(pl.DataFrame(table), prices, sessions)
    assert found is not None
    assert found.bonds.code.tolist() == ["220001.IB"]
    np.testing.assert_array_equal(found.clean, [[101.0], [np.nan]])
    assert bond_market(pl.DataFrame(table), None, sessions) is None
    assert bond_market(pl.DataFrame(table), prices.filter(pl.col("bond_code") == "220210.IB"), sessions) is None


def test_what_comes_later_changes_no_row():
    one = priced("T", lambda _, ahead: notional_forward(upward, 7, 2, ahead)[0], SESSIONS)
    cut = chain(one.contracts, one.sessions[:70], {k: v[:70] for k, v in one.fields.items()}, WEEKDAYS)
    long, short = (Curves((), c, c) for c in (standing(upward, SESSIONS), standing(upward, 70)))
    whole, part = treasury_panels(one, WEEKDAYS, long), treasury_panels(cut, WEEKDAYS, short)
    assert whole.keys() == part.keys()
    for name, panel in part.items():
        np.testing.assert_array_equal(panel, whole[name][:70])
